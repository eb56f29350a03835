// SPDX-License-Identifier: Apache-2.0
// Receives: calls on modules and kernels. Hands on: the same to the state behind them.
// Owns: nothing but shared state (accel_modules.hpp).
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <farlane/accel.hpp>

#include "lib/accel_modules.hpp"

namespace farlane::accel {
namespace {

struct Kind {
    ModuleKind kind;
    const char* name;
    std::string_view ending;
};
constexpr Kind kKinds[] = {
    {ModuleKind::opencl_c, "OpenCL C", ".cl"}, {ModuleKind::spirv, "SPIR-V", ".spv"}, {ModuleKind::ptx, "PTX", ".ptx"},
    {ModuleKind::cubin, "cubin", ".cubin"},    {ModuleKind::cuda_c, "CUDA C", ".cu"},
};

detail::ModuleState& open(const std::shared_ptr<detail::ModuleState>& state) {
    if (state == nullptr) throw Error(Status::invalid, "an empty module; use Context::load");
    return *state;
}

detail::KernelState& open(const std::shared_ptr<detail::KernelState>& state) {
    if (state == nullptr) throw Error(Status::invalid, "an empty kernel; use Module::kernel");
    return *state;
}

/// Waits for the command behind `state`, and throws what it failed with; then the stream need not say it again.
void wait_for(detail::Reported& state) {
    auto& context = state.state();
    context.check_open();
    state.read();
    const auto* why = state.cause();
    if (why == nullptr) return;
    state.command.queue->forgive(state.command.ticket);
    context.raise(*why, &state);
}

std::string file_name(std::string_view path) {
    const auto slash = path.find_last_of('/');
    return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

/// Larger images than that are none.
constexpr std::uintmax_t kMostFileBytes = std::uintmax_t{1} << 31;

std::vector<char> contents(const std::string& path) {
    const auto fail = [&](int error) {
        const Status status = error == ENOENT || error == ENOTDIR ? Status::not_found
                              : error == EACCES                   ? Status::denied
                                                                  : Status::io;
        throw Error(status, "load of module '" + path + "': " + std::strerror(error));
    };
    std::error_code error;
    const bool regular = std::filesystem::is_regular_file(path, error);
    if (error) fail(error.value());
    if (!regular) throw Error(Status::invalid, "load of module '" + path + "': it is no regular file");
    const auto size = std::filesystem::file_size(path, error);
    if (error) fail(error.value());
    if (size > kMostFileBytes)
        throw Error(Status::limit, "load of module '" + path + "': it has " + std::to_string(size) +
                                       " bytes; at most " + std::to_string(kMostFileBytes));
    errno = 0;
    std::ifstream in(path, std::ios::binary);
    if (!in) fail(errno != 0 ? errno : EIO);
    std::vector<char> bytes(size);
    in.read(bytes.data(), static_cast<std::streamsize>(size));
    if (in.gcount() != static_cast<std::streamsize>(size)) fail(EIO);
    return bytes;
}

}  // namespace

const char* module_kind_name(ModuleKind kind) noexcept {
    for (const Kind& k : kKinds) {
        if (k.kind == kind) return k.name;
    }
    return "this kind of module";
}

ModuleKind module_kind_of(std::string_view path) {
    for (const Kind& k : kKinds) {
        if (path.ends_with(k.ending)) return k.kind;
    }
    throw Error(Status::invalid,
                "load of module '" + std::string(path) +
                    "': the file's ending tells its kind: .cl, .spv, .ptx, .cubin or .cu; otherwise name the kind");
}

// --- Context

bool Context::takes(ModuleKind kind) const noexcept {
    return state_ != nullptr && state_->takes(kind);
}

Module Context::load(ModuleKind kind, std::string_view source, const ModuleOptions& options) {
    return load(kind, std::as_bytes(std::span(source)), options);
}

Module Context::load(ModuleKind kind, std::span<const std::byte> image, const ModuleOptions& options) {
    auto& s = state();
    const auto held = s.hold();
    return Module(s.load(kind, image, options.build, options.name));
}

Module Context::load_file(const std::string& path, const ModuleOptions& options) {
    const ModuleKind kind = module_kind_of(path);
    const auto bytes = contents(path);
    return load(kind, std::as_bytes(std::span(bytes)),
                {options.build, options.name.empty() ? file_name(path) : options.name});
}

// --- Module

Module::Module() noexcept = default;
Module::Module(std::shared_ptr<detail::ModuleState> state) noexcept : state_(std::move(state)) {}
Module::Module(Module&&) noexcept = default;
Module& Module::operator=(Module&&) noexcept = default;
Module::~Module() = default;

ModuleKind Module::kind() const {
    return open(state_).kind;
}

std::uint32_t Module::handle() const {
    return open(state_).handle;
}

Kernel Module::kernel(std::string_view name) {
    auto& context = open(state_).state();
    const auto held = context.hold();
    return Kernel(context.bind(state_, std::string(name)));
}

bool Module::query() {
    auto& s = open(state_);
    const auto held = s.context->hold();
    s.context->check_open();
    s.context->reap_all();
    return s.report.done();
}

void Module::wait() {
    auto& s = open(state_);
    const auto held = s.context->hold();
    wait_for(s);
}

std::string Module::log() {
    auto& s = open(state_);
    const auto held = s.context->hold();
    if (!s.was_read()) {
        s.context->check_open();
        s.read();
    }
    return s.log;
}

std::vector<std::string> Module::names() {
    auto& s = open(state_);
    const auto held = s.context->hold();
    wait_for(s);
    return s.names;
}

// --- Kernel

Kernel::Kernel() noexcept = default;
Kernel::Kernel(std::shared_ptr<detail::KernelState> state) noexcept : state_(std::move(state)) {}
Kernel::Kernel(const Kernel&) noexcept = default;
Kernel& Kernel::operator=(const Kernel&) noexcept = default;
Kernel::Kernel(Kernel&&) noexcept = default;
Kernel& Kernel::operator=(Kernel&&) noexcept = default;
Kernel::~Kernel() = default;

const std::string& Kernel::name() const {
    return open(state_).name;
}

std::uint32_t Kernel::handle() const {
    return open(state_).handle;
}

const KernelInfo& Kernel::info() {
    auto& s = open(state_);
    const auto held = s.state().hold();
    wait_for(s);
    return s.info;
}

const KernelInfo* Kernel::known_info() {
    auto& s = open(state_);
    const auto held = s.state().hold();
    s.state().reap_all();
    if (!s.was_read() && s.report.done()) s.read();
    return s.has_info ? &s.info : nullptr;
}

}  // namespace farlane::accel
