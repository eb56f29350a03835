// SPDX-License-Identifier: Apache-2.0
// Receives: work of one context. Hands on: calls of the CUDA driver, ends of jobs. Owns: the CUDA context, its memory,
// streams and modules. Nothing here waits for the device, nor for all of it.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <vector>

#include "backend/worker/cuda/compiler.hpp"
#include "backend/worker/cuda/driver.hpp"
#include "backend/worker/cuda/energy.hpp"
#include "backend/worker/cuda/pinned.hpp"
#include "backend/worker/cuda/queues.hpp"
#include "backend/worker/cuda/vram.hpp"
#include "backend/worker/program/runtime.hpp"

namespace farlane::backend::worker::cuda {

/// Modules that nobody names any more; kernels of theirs may still run.
struct Retired {
    CuModule module = nullptr;
    std::uint64_t mark = 0;
};

class CudaModule final : public LoadedModule {
public:
    CudaModule(CuModule module, Queues& queues, std::vector<Retired>& retired)
        : module_(module), queues_(queues), retired_(retired) {}
    ~CudaModule() override { retired_.push_back({module_, queues_.mark()}); }
    [[nodiscard]] CuModule module() const noexcept { return module_; }

private:
    CuModule module_;
    Queues& queues_;
    std::vector<Retired>& retired_;
};

class CudaKernel final : public BoundKernel {
public:
    explicit CudaKernel(CuFunction function) : function_(function) {}
    CuFunction function_;
    std::vector<std::uint32_t> sizes;  ///< of the parameters
    bool sizes_known = false;
    std::uint32_t max_block = 0;
    std::uint32_t dynamic_bytes = 0;  ///< dynamic shared memory that it was set up for
};

class CudaRuntime final : public Runtime {
public:
    CudaRuntime(const Api& api, CuDevice device, CuContext context, const Setup& setup, Sink& sink);
    /// False: the driver does not give the range of the context's local memory.
    [[nodiscard]] bool reserve() { return vram_.reserve(setup_.local_address, setup_.local_bytes); }

    Answer commit(const Ticket& ticket, std::uint64_t address, std::uint64_t bytes) override;
    void decommit(std::uint64_t address) override;
    Built build(fl_accel_module_kind kind, std::span<const std::byte> image, const std::string& options) override;
    Bound bind(LoadedModule& module, const std::string& name) override;
    Answer launch(const Ticket& ticket, BoundKernel& kernel, const AskLaunch& shape,
                  std::span<const std::byte> arguments) override;
    Answer copy(const Ticket& ticket, std::uint64_t destination, std::uint64_t source, std::uint64_t bytes) override;
    Answer fill(const Ticket& ticket, std::uint64_t destination, std::uint64_t bytes,
                std::span<const std::byte> pattern) override;
    void flush() override { queues_.flush(); }
    bool poll() override;
    bool wants_poll() const override { return queues_.busy(); }
    std::uint64_t poll_pause_ns() const override { return queues_.pause_ns(); }
    bool dead() const override { return queues_.dead(); }
    std::uint64_t energy_uj() override { return energy_.read_uj(); }

private:
    using Parameters = std::array<void*, kMaxArguments + 1>;
    [[nodiscard]] Outcome set_parameters(const CudaKernel& kernel, std::span<const std::byte> arguments,
                                         Parameters& parameters, std::span<std::uint64_t> addresses) const;
    [[nodiscard]] Outcome outcome_of(CuResult result);
    [[nodiscard]] Answer ended(std::uint32_t queue, const Ticket& ticket, CuResult result, bool is_launch = false);
    [[nodiscard]] CuResult copy_parts(CuStream stream, std::uint64_t destination, std::uint64_t source,
                                      std::uint64_t bytes, bool to_device);
    [[nodiscard]] CuResult copy_overlapping(std::uint32_t queue, CuStream stream, std::uint64_t destination,
                                            std::uint64_t source, std::uint64_t bytes);
    [[nodiscard]] CuResult fill_long(CuStream stream, std::uint64_t destination, std::uint64_t bytes,
                                     std::span<const std::byte> pattern);

    // modules.cpp
    [[nodiscard]] Built build_builtin();
    [[nodiscard]] CuResult load(Built& built, const std::byte* image, const std::string& options, CuModule& module);
    [[nodiscard]] const Compiler* compiler();
    [[nodiscard]] int capability() const;
    [[nodiscard]] std::string hint_of(CuResult result) const;
    [[nodiscard]] std::string names_of(CuModule module, std::string_view ptx) const;

    const Api& api_;
    CuDevice device_;
    CuContext context_;
    Setup setup_;
    Vram vram_;
    Pinned pinned_;
    Queues queues_;
    Energy energy_;
    std::unique_ptr<Compiler> compiler_;  ///< the builder's; nullptr: not looked for yet, or there is none
    bool looked_for_compiler_ = false;
    std::array<CuAddress, FL_ACCEL_MAX_QUEUES> between_{};  ///< memory for copies onto themselves
    std::vector<Retired> retired_;
};

/// What an error of the driver is in ours; detail = the error.
[[nodiscard]] Outcome reason_of(CuResult result) noexcept;

}  // namespace farlane::backend::worker::cuda
