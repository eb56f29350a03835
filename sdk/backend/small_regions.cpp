// SPDX-License-Identifier: Apache-2.0
// Receives: names. Hands on: a cache line for each. Owns: the table of names. Cold.
#include "backend/small_regions.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace farlane::backend {

// A file is made when one is needed, or was there: as many as the names of an earlier life filled.
Result<bool> SmallRegions::open_next() {
    bool fresh = false;
    auto region = memory_.region("lines-" + std::to_string(files_.size()), sizeof(File), fresh);
    if (!region.ok()) return region.failure();
    auto* const file = reinterpret_cast<File*>(region.value().data());  // page-aligned plain data
    unsigned used = 0;
    for (; used < kLines && file->names[used][0] != 0; ++used) {
        char(&name)[kNameBytes] = file->names[used];
        name[kNameBytes - 1] = 0;
        known_.try_emplace(name, file->lines[used]);  // the first of a name counts
    }
    files_.push_back(file);
    used_.push_back(used);
    return true;
}

Result<std::span<std::byte>> SmallRegions::region(const std::string& what, bool& fresh) {
    if (what.empty() || what.size() >= kNameBytes)
        return {Status::invalid, "'" + what + "' can not name a small region: 1 to 255 characters"};
    for (;;) {
        if (const auto known = known_.find(what); known != known_.end()) {
            fresh = false;
            return known->second;
        }
        if (!files_.empty() && used_.back() < kLines) break;
        if (const auto opened = open_next(); !opened.ok()) return opened.failure();
    }
    File& file = *files_.back();
    const unsigned line = used_.back()++;
    const std::span<std::byte> bytes = file.lines[line];
    char(&name)[kNameBytes] = file.names[line];
    std::ranges::fill(bytes, std::byte{0});
    std::memcpy(name + 1, what.c_str() + 1, what.size());
    std::atomic_signal_fence(std::memory_order_release);
    name[0] = what[0];  // last: a kill before it leaves a line that is free
    fresh = true;
    return known_[what] = bytes;
}

}  // namespace farlane::backend
