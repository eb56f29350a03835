// SPDX-License-Identifier: Apache-2.0
// Receives: a configuration. Hands on: attached accelerators and their answers.
// Owns: the attachments (accelerator.hpp).
#include "opencl/accelerator.hpp"

#include <algorithm>
#include <cstring>

#include <farlane/accel.hpp>

#include "lib/accel_state.hpp"

namespace farlane::opencl {

RemoteInfo::RemoteInfo(std::string_view records) {
    while (records.size() >= sizeof(fl_accel_info)) {
        fl_accel_info head;
        std::memcpy(static_cast<void*>(&head), records.data(), sizeof head);
        records.remove_prefix(sizeof head);
        const std::uint64_t bytes = head.bytes.get(), padded = (bytes + 7) / 8 * 8;
        if (padded > records.size()) return;
        const auto data = std::as_bytes(std::span(records.data(), bytes));
        items_.insert_or_assign(head.parameter.get(), std::vector<std::byte>(data.begin(), data.end()));
        records.remove_prefix(padded);
    }
}

const std::vector<std::byte>* RemoteInfo::find(cl_device_info parameter) const {
    const auto there = items_.find(parameter);
    return there == items_.end() ? nullptr : &there->second;
}

std::string RemoteInfo::text(cl_device_info parameter) const {
    const auto* item = find(parameter);
    if (item == nullptr) return {};
    const auto* first = reinterpret_cast<const char*>(item->data());
    return {first, strnlen(first, item->size())};
}

std::uint64_t RemoteInfo::number(cl_device_info parameter, std::uint64_t otherwise) const {
    const auto* item = find(parameter);
    if (item == nullptr || item->empty() || item->size() > sizeof otherwise) return otherwise;
    std::uint64_t v = 0;
    for (std::size_t i = item->size(); i > 0; --i) v = v << 8 | static_cast<std::uint64_t>((*item)[i - 1]);
    return v;
}

/// Beside other programs where farlaned is there to keep them apart.
static Device attach(Fabric& fabric, const std::string& name) {
    try {
        return fabric.attach(name, AttachMode::shared);
    } catch (const Error& e) {
        if (e.status() != Status::unsupported) throw;
    }
    return fabric.attach(name);
}

Accelerator::Accelerator(std::shared_ptr<Fabric> fabric, const std::string& name)
    : fabric_(std::move(fabric)), device_(attach(*fabric_, name)), name_(name) {
    target_ = device_.info().target;
    serial_ = device_.info().serial;
    first_ = std::make_shared<accel::detail::ContextState>(device_, accel::ContextOptions{});
    const auto& shared = first_->device();
    capabilities_ = shared.registers().capabilities.get();
    if ((capabilities_ & FL_ACCEL_CAP_OPENCL_C) == 0) {
        throw Error(Status::unsupported, "'" + name + "' takes no OpenCL C: its executor is not opencl");
    }
    memory_bytes_ = shared.memory_bytes(shared.buffer_place());
    first_->open();
    info_ = RemoteInfo(first_->query_text(FL_ACCEL_PROPERTY_OPENCL_INFO));
    if (info_.empty()) throw Error(Status::unsupported, "'" + name + "' does not say what its OpenCL device is");
}

std::shared_ptr<accel::detail::ContextState> Accelerator::open_context() {
    const std::lock_guard lock(mutex_);
    if (first_ != nullptr && !first_->lost() && first_->device().alive()) return std::exchange(first_, nullptr);
    first_.reset();
    try {
        device_.provider().check();
    } catch (const Error& e) {
        if (e.status() != Status::device_reset) throw;
        device_.acknowledge_reset();
    }
    auto state = std::make_shared<accel::detail::ContextState>(device_, accel::ContextOptions{});
    state->open();
    return state;
}

bool Accelerator::available() noexcept {
    try {
        device_.provider().check();
        return true;
    } catch (const Error& e) {
        return e.status() == Status::device_reset;
    }
}

void Accelerator::detach() noexcept {
    try {
        device_.detach();
    } catch (const Error& e) {
        log_error("detach", e);
    }
}

namespace {

void find_in(const FabricSource& source, std::vector<std::unique_ptr<Accelerator>>& found) {
    const auto fabric = std::make_shared<Fabric>(Fabric::open(source.options));
    for (const FunctionInfo& f : fabric->list()) {
        const auto& names = source.accelerators;
        if (!accel::is_accelerator(f)) continue;
        if (!names.empty() && std::find(names.begin(), names.end(), f.name) == names.end()) continue;
        try {
            found.push_back(std::make_unique<Accelerator>(fabric, f.name));
        } catch (const Error& e) {
            log_error(("accelerator '" + f.name + "'").c_str(), e);
        }
    }
}

}  // namespace

std::vector<std::unique_ptr<Accelerator>> find_accelerators(const Config& config) {
    std::vector<std::unique_ptr<Accelerator>> found;
    for (const FabricSource& source : config.fabrics) {
        try {
            find_in(source, found);
        } catch (const Error& e) {
            log_error("fabric", e);
        }
    }
    return found;
}

}  // namespace farlane::opencl
