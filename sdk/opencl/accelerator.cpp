// SPDX-License-Identifier: Apache-2.0
// Receives: a configuration. Hands on: attached accelerators and their answers.
// Owns: the attachments (accelerator.hpp).
#include "opencl/accelerator.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include <farlane/accel.hpp>

#include "lib/accel_state.hpp"

namespace farlane::opencl {

/// That one released context after the other takes to end, on a machine that is busy with other things as well. One that
/// the program still has objects of does not.
static constexpr auto kEndTime = std::chrono::seconds(15);

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
    const fl_accel_property asked[] = {FL_ACCEL_PROPERTY_OUTPUT};
    std::uint64_t bytes = 0;  // with its zero
    first_->query(asked, std::span(&bytes, 1));
    tells_output_ = bytes != 0;
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
    for (;;) {
        const unsigned before = ended();
        try {
            auto state = std::make_shared<accel::detail::ContextState>(device_, accel::ContextOptions{});
            state->open();
            return state;
        } catch (const Error& e) {
            if (e.status() != Status::limit || !wait_for_an_end(before)) throw;
        }
    }
}

unsigned Accelerator::ended() {
    const std::lock_guard lock(ends_mutex_);
    return ended_;
}

std::shared_ptr<void> Accelerator::ending() {
    const std::lock_guard lock(ends_mutex_);
    ++ending_;
    return {static_cast<void*>(this), [this](void*) {
                const std::lock_guard ends(ends_mutex_);
                --ending_;
                ++ended_;
                ends_changed_.notify_all();
            }};
}

bool Accelerator::wait_for_an_end(unsigned ended_before) {
    std::unique_lock lock(ends_mutex_);
    if (ended_ != ended_before) return true;
    if (ending_ == 0) return false;
    return ends_changed_.wait_for(lock, kEndTime, [&] { return ended_ != ended_before; });
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

using Found = std::vector<std::unique_ptr<Accelerator>>;
using Troubles = std::vector<std::string>;

std::string list_of(const std::vector<FunctionInfo>& functions) {
    std::string all;
    for (const FunctionInfo& f : functions) {
        if (accel::is_accelerator(f)) all += (all.empty() ? "'" : ", '") + f.name + "'";
    }
    return all.empty() ? "there is none" : "there are " + all;
}

void find_in(const FabricSource& source, Found& found, Troubles& troubles) {
    const auto fabric = std::make_shared<Fabric>(Fabric::open(source.options));
    const auto functions = fabric->list();
    const auto& names = source.accelerators;
    for (const std::string& name : names) {
        const bool there = std::any_of(functions.begin(), functions.end(),
                                       [&](const auto& f) { return f.name == name && accel::is_accelerator(f); });
        if (!there)
            troubles.push_back("no accelerator '" + name + "' (" + list_of(functions) + "); correct 'accelerators'");
    }
    for (const FunctionInfo& f : functions) {
        if (!accel::is_accelerator(f)) continue;
        if (!names.empty() && std::find(names.begin(), names.end(), f.name) == names.end()) continue;
        try {
            found.push_back(std::make_unique<Accelerator>(fabric, f.name));
        } catch (const Error& e) {
            // Others' executors are passed over, unless somebody wants exactly this one.
            const bool passed_over = e.status() == Status::unsupported && names.empty();
            const bool named = e.detail().find("'" + f.name + "'") != std::string::npos;
            const std::string text = (named ? "" : "accelerator '" + f.name + "': ") + e.detail();
            if (passed_over)
                log_line(text);
            else
                troubles.push_back(text);
        }
    }
}

}  // namespace

std::vector<std::unique_ptr<Accelerator>> find_accelerators(const Config& config, std::vector<std::string>& troubles) {
    Found found;
    for (const FabricSource& source : config.fabrics) {
        try {
            find_in(source, found, troubles);
        } catch (const Error& e) {
            troubles.push_back(e.detail());
        }
    }
    if (found.empty() && troubles.empty()) {
        troubles.emplace_back("no accelerator with executor opencl is there; a target has to export one");
    }
    for (const std::string& t : troubles) log_line(t);
    return found;
}

}  // namespace farlane::opencl
