// SPDX-License-Identifier: Apache-2.0
// Receives: functions that want to be joined. Hands on: to each its other end. Owns: the list of ends.
#include "devices/virtio/wire.hpp"

#include <algorithm>
#include <mutex>
#include <vector>

namespace farlane::firmware::virtio {
namespace {

std::mutex list_mutex;

std::vector<WireEnd*>& ends() {
    static std::vector<WireEnd*> list;
    return list;
}

}  // namespace

void WireEnd::join(const void* room, const std::string& name, const std::string& wanted) {
    room_ = room;
    name_ = name;
    wanted_ = wanted;
    WireEnd* found = nullptr;
    {
        const std::lock_guard lock(list_mutex);
        for (WireEnd* e : ends()) {
            const bool named = e->name_ == wanted_ || e->wanted_ == name_;
            const bool free = e->other_ == nullptr && (e->wanted_.empty() || e->wanted_ == name_) &&
                              (wanted_.empty() || e->name_ == wanted_);
            if (e->room_ == room_ && named && free) found = e;
        }
        ends().push_back(this);
        if (found == nullptr) return;
        other_ = found;
        found->other_ = this;
    }
    found->joined_changed();
}

void WireEnd::leave() noexcept {
    WireEnd* left = nullptr;
    {
        const std::lock_guard lock(list_mutex);
        std::erase(ends(), this);
        left = other_;
        other_ = nullptr;
        if (left != nullptr) left->other_ = nullptr;
    }
    if (left != nullptr) left->joined_changed();
}

}  // namespace farlane::firmware::virtio
