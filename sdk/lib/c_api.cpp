// SPDX-License-Identifier: Apache-2.0
// Receives: calls of C programs about status and fabric. Hands on: the same to farlane::Fabric.
// Owns: the handles until they are closed; one error text per thread.
#include "lib/c_api.hpp"

#include <algorithm>

namespace farlane::c_api {
namespace {

/// Of any length, for there may be a build log in it; what there is no memory for is cut.
struct LastError {
    std::string whole;
    char start[256] = "";
    bool cut = false;
};
thread_local LastError last_error;

static_assert(FL_STATE_FREE == static_cast<unsigned>(FunctionState::free));
static_assert(FL_STATE_ATTACHED == static_cast<unsigned>(FunctionState::attached));
static_assert(FL_STATE_GRACE == static_cast<unsigned>(FunctionState::grace));
static_assert(FL_STATE_FAILED == static_cast<unsigned>(FunctionState::failed));
static_assert(FL_EV_ADDED == static_cast<unsigned>(EventKind::added));
static_assert(FL_EV_REMOVED == static_cast<unsigned>(EventKind::removed));
static_assert(FL_EV_ATTACHED == static_cast<unsigned>(EventKind::attached));
static_assert(FL_EV_DETACHED == static_cast<unsigned>(EventKind::detached));
static_assert(FL_EV_LINK_UP == static_cast<unsigned>(EventKind::link_up));
static_assert(FL_EV_LINK_DOWN == static_cast<unsigned>(EventKind::link_down));
static_assert(FL_EV_TIMEOUT == static_cast<unsigned>(EventKind::timeout));
static_assert(FL_EV_RESUMED == static_cast<unsigned>(EventKind::resumed));
static_assert(FL_EV_DEVICE_RESET == static_cast<unsigned>(EventKind::device_reset));
static_assert(FL_EV_DEVICE_LOST == static_cast<unsigned>(EventKind::device_lost));
static_assert(FL_EV_ERROR == static_cast<unsigned>(EventKind::error));
static_assert(FL_EV_PATH_UP == static_cast<unsigned>(EventKind::path_up));
static_assert(FL_EV_PATH_DOWN == static_cast<unsigned>(EventKind::path_down));

constexpr std::uint32_t kMaxFurtherPaths = 7;

std::string text_or_empty(const char* text) {
    return text != nullptr ? text : "";
}

FabricOptions options_from(const fl_fabric_options& c) {
    if (c.struct_bytes != sizeof(fl_fabric_options))
        throw Error(Status::invalid, "options: call fl_fabric_options_init() first");
    if (c.provider > FL_PROVIDER_KERNEL) throw Error(Status::invalid, "options.provider: FL_PROVIDER_*");
    if (c.progress > FL_PROGRESS_CALLER) throw Error(Status::invalid, "options.progress: FL_PROGRESS_*");
    if (c.further_path_count > kMaxFurtherPaths)
        throw Error(Status::invalid, "options.further_path_count: at most " + std::to_string(kMaxFurtherPaths));
    if (c.further_path_count != 0 && c.further_paths == nullptr)
        throw Error(Status::invalid, "options.further_paths: null, and further_path_count is not 0");
    FabricOptions o;
    o.provider = c.provider == FL_PROVIDER_DAEMON     ? ProviderKind::daemon
                 : c.provider == FL_PROVIDER_EMBEDDED ? ProviderKind::embedded
                                                      : ProviderKind::kernel;
    o.progress = c.progress == FL_PROGRESS_THREAD ? Progress::thread : Progress::caller;
    o.socket = text_or_empty(c.socket);
    o.port = text_or_empty(c.port);
    o.peer = text_or_empty(c.peer);
    for (std::uint32_t i = 0; i < c.further_path_count; ++i)
        o.further_paths.push_back({text_or_empty(c.further_paths[i].port), text_or_empty(c.further_paths[i].peer)});
    o.name = text_or_empty(c.name);
    o.connect_timeout = std::chrono::milliseconds(c.connect_timeout_ms);
    o.completion_timeout = std::chrono::milliseconds(c.completion_timeout_ms);
    o.keepalive = std::chrono::milliseconds(c.keepalive_ms);
    o.grace = std::chrono::milliseconds(c.grace_ms);
    o.integrity = c.integrity != 0;
    return o;
}

void fill_event(fl_event_info& out, const Event& event) noexcept {
    out = {};
    out.kind = static_cast<std::uint32_t>(event.kind);
    out.when_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(event.when.time_since_epoch()).count();
    copy_text(out.function, event.function);
    copy_text(out.target, event.target);
    copy_text(out.detail, event.detail);
}

}  // namespace

int fail(Status status, std::string_view text) noexcept {
    try {
        last_error.whole = text;
        last_error.cut = false;
    } catch (const std::exception&) {
        copy_text(last_error.start, text);
        last_error.cut = true;
    }
    return static_cast<int>(status);
}

const char* last_text() noexcept {
    return last_error.cut ? last_error.start : last_error.whole.c_str();
}

void need(const void* pointer, const char* argument) {
    if (pointer == nullptr) throw Error(Status::invalid, std::string(argument) + " must not be null");
}

void fill(fl_function_info& out, const FunctionInfo& info) noexcept {
    out = {};
    copy_text(out.name, info.name);
    copy_text(out.target, info.target);
    copy_text(out.model, info.model);
    copy_text(out.holder, info.holder);
    out.vendor_id = info.vendor_id;
    out.device_id = info.device_id;
    out.subsystem_vendor_id = info.subsystem_vendor_id;
    out.subsystem_id = info.subsystem_id;
    out.class_code = info.class_code;
    out.revision = info.revision;
    out.msix_vectors = info.msix_vectors;
    out.state = static_cast<std::uint32_t>(info.state);
    out.serial = info.serial;
    for (std::size_t i = 0; i < info.bars.size(); ++i)
        out.bar[i] = {info.bars[i].size_bytes, info.bars[i].is_64bit ? 1u : 0u, info.bars[i].prefetchable ? 1u : 0u};
}

}  // namespace farlane::c_api

using farlane::Status;
using farlane::c_api::guard;
using farlane::c_api::need;

extern "C" {

const char* fl_version(void) {
    return FARLANE_VERSION;
}

// Names and texts are literals, so their data() is terminated.
const char* fl_status_name(int status) {
    const auto s = static_cast<Status>(status);
    return status < 0 || status > 0xffff ? "unknown" : farlane::status_name(s).data();
}

const char* fl_status_text(int status) {
    const auto s = static_cast<Status>(status);
    return status < 0 || status > 0xffff ? "unknown status" : farlane::status_text(s).data();
}

int fl_status_errno(int status) {
    return farlane::status_errno(status < 0 || status > 0xffff ? Status::protocol : static_cast<Status>(status));
}

const char* fl_last_error(void) {
    return farlane::c_api::last_text();
}

void fl_fabric_options_init(struct fl_fabric_options* options) {
    if (options == nullptr) return;
    const farlane::FabricOptions standard;
    *options = {};
    options->struct_bytes = sizeof *options;
    options->provider = FL_PROVIDER_DAEMON;
    options->progress = FL_PROGRESS_THREAD;
    options->connect_timeout_ms = static_cast<std::uint32_t>(standard.connect_timeout.count());
    options->completion_timeout_ms = static_cast<std::uint32_t>(standard.completion_timeout.count());
    options->keepalive_ms = static_cast<std::uint32_t>(standard.keepalive.count());
    options->grace_ms = static_cast<std::uint32_t>(standard.grace.count());
    options->integrity = standard.integrity ? 1 : 0;
}

int fl_fabric_open(const struct fl_fabric_options* options, fl_fabric** out) {
    return guard([&] {
        need(out, "out");
        *out = nullptr;
        fl_fabric_options standard;
        fl_fabric_options_init(&standard);
        const auto chosen = farlane::c_api::options_from(options != nullptr ? *options : standard);
        *out = std::make_unique<fl_fabric>(fl_fabric{farlane::Fabric::open(chosen)}).release();
    });
}

void fl_fabric_close(fl_fabric* fabric) {
    delete fabric;
}

int fl_fabric_list(fl_fabric* fabric, struct fl_function_info* functions, size_t capacity, size_t* count) {
    return guard([&] {
        need(fabric, "fabric");
        need(count, "count");
        if (capacity > 0) need(functions, "functions");
        *count = 0;
        const auto all = fabric->fabric.list();
        for (std::size_t i = 0; i < std::min(capacity, all.size()); ++i) farlane::c_api::fill(functions[i], all[i]);
        *count = all.size();
    });
}

static int attach(fl_fabric* fabric, const char* name, fl_device** out, farlane::AttachMode mode) {
    return guard([&] {
        need(out, "out");
        *out = nullptr;
        need(fabric, "fabric");
        need(name, "name");
        *out = std::make_unique<fl_device>(fl_device{fabric->fabric.attach(name, mode)}).release();
    });
}

int fl_fabric_attach(fl_fabric* fabric, const char* name, fl_device** out) {
    return attach(fabric, name, out, farlane::AttachMode::alone);
}

int fl_fabric_attach_shared(fl_fabric* fabric, const char* name, fl_device** out) {
    return attach(fabric, name, out, farlane::AttachMode::shared);
}

const char* fl_event_kind_name(uint32_t kind) {
    return kind > FL_EV_PATH_DOWN ? "unknown" : farlane::event_name(static_cast<farlane::EventKind>(kind));
}

int fl_fabric_next_event(fl_fabric* fabric, uint32_t timeout_ms, struct fl_event_info* out) {
    bool none = false;
    const int status = guard([&] {
        need(fabric, "fabric");
        need(out, "out");
        const auto event = fabric->fabric.next_event(std::chrono::milliseconds(timeout_ms));
        none = !event;
        if (event) farlane::c_api::fill_event(*out, *event);
    });
    if (status != 0 || !none) return status;
    return farlane::c_api::fail(Status::timeout, "no event within the time given");
}

int fl_fabric_poll(fl_fabric* fabric, int* did) {
    return guard([&] {
        need(fabric, "fabric");
        const bool something = fabric->fabric.poll();
        if (did != nullptr) *did = something ? 1 : 0;
    });
}

}  // extern "C"
