// SPDX-License-Identifier: Apache-2.0
// Receives: work of one context. Hands on: its ends. Owns: nothing. The ops table between the worker program and the
// runtimes of vendors (opencl, cuda).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/executor.hpp"
#include "backend/worker/protocol.hpp"

namespace farlane::backend::worker {

/// A job on its way through a runtime.
struct Ticket {
    Token token;
    std::uint32_t stream = 0;
    std::uint32_t epoch = 0;
    std::uint32_t order = 0;  ///< free-running, in the order they were given
};

/// Where ended jobs go. Any thread.
class Sink {
public:
    virtual ~Sink() = default;
    virtual void done(const Ticket& ticket, const Outcome& outcome, std::uint64_t busy_ns) noexcept = 0;
};

class LoadedModule {
public:
    virtual ~LoadedModule() = default;
};
class BoundKernel {
public:
    virtual ~BoundKernel() = default;
};
struct Built {
    Outcome outcome;
    std::unique_ptr<LoadedModule> module;
    std::string names;  ///< of kernels, ';' between
    std::string log;
};
struct Bound {
    Outcome outcome;
    std::unique_ptr<BoundKernel> kernel;
    bool arguments_known = true;  ///< false: the runtime tells nothing of them
    fl_accel_kernel_report report{};
    std::vector<fl_accel_argument_report> arguments;
};

/// All calls but build() come from one thread and do not wait for the device. Memory that the aperture shows is
/// readable and writable at its device address while it is committed. Calls with a ticket answer at once, or give
/// nullopt and tell the sink later; work of one stream runs in order.
class Runtime {
public:
    virtual ~Runtime() = default;
    using Answer = std::optional<Outcome>;

    [[nodiscard]] virtual Answer commit(const Ticket& ticket, std::uint64_t address, std::uint64_t bytes) = 0;
    virtual void decommit(std::uint64_t address) = 0;
    /// On a thread of its own. May take long. FL_ACCEL_MODULE_BUILTIN has no image: builtin/source.hpp.
    [[nodiscard]] virtual Built build(fl_accel_module_kind kind, std::span<const std::byte> image,
                                      const std::string& options) = 0;
    [[nodiscard]] virtual Bound bind(LoadedModule& module, const std::string& name) = 0;
    [[nodiscard]] virtual Answer launch(const Ticket& ticket, BoundKernel& kernel, const AskLaunch& shape,
                                        std::span<const std::byte> arguments) = 0;
    [[nodiscard]] virtual Answer copy(const Ticket& ticket, std::uint64_t destination, std::uint64_t source,
                                      std::uint64_t bytes) = 0;
    [[nodiscard]] virtual Answer fill(const Ticket& ticket, std::uint64_t destination, std::uint64_t bytes,
                                      std::span<const std::byte> pattern) = 0;
    /// What was given may be held back until here.
    virtual void flush() {}
    /// Looks for ends, when the runtime does not tell them by itself. True: there were some.
    virtual bool poll() { return false; }
    /// poll() has something to wait for.
    [[nodiscard]] virtual bool wants_poll() const { return false; }
    /// How long to sleep between two looks.
    [[nodiscard]] virtual std::uint64_t poll_pause_ns() const { return 50'000; }
    /// Its device is lost to this process: everything has ended, and nothing will work any more.
    [[nodiscard]] virtual bool dead() const { return false; }
    /// That the device has used since some time; 0: it does not tell.
    [[nodiscard]] virtual std::uint64_t energy_uj() { return 0; }
};

/// A runtime of the device that `setup` names, or the reason why there is none.
struct Started {
    std::unique_ptr<Runtime> runtime;
    Outcome outcome;
    std::string why{};  ///< of a failure, for people
};
[[nodiscard]] Started start_opencl(const Setup& setup, Sink& sink);
[[nodiscard]] Started start_cuda(const Setup& setup, Sink& sink);

/// What there is, as JSON text: {"devices": [...], "why": "..."}.
[[nodiscard]] std::string probe_opencl();
[[nodiscard]] std::string probe_cuda();

}  // namespace farlane::backend::worker
