// SPDX-License-Identifier: Apache-2.0
// Receives: work of one context. Hands on: calls of the CUDA driver, ends of jobs. Owns: one CUDA stream per stream, a
// piece of device memory per allocation, events.
#pragma once

#include <array>
#include <deque>
#include <map>

#include "backend/worker/cuda/api.hpp"
#include "backend/worker/cuda/ptx.hpp"
#include "backend/worker/program/runtime.hpp"

namespace farlane::backend::worker::cuda {

[[nodiscard]] Outcome outcome_of(CUresult error) noexcept;

class CuModule final : public LoadedModule {
public:
    CuModule(const Api& api, CUmodule module) : api_(api), module_(module) {}
    ~CuModule() override { (void)api_.unload_module(module_); }
    [[nodiscard]] CUmodule module() const noexcept { return module_; }
    std::map<std::string, std::vector<PtxParameter>> kernels;  ///< of PTX; a cubin tells by itself

private:
    const Api& api_;
    CUmodule module_;
};
struct CuKernel final : BoundKernel {
    CUfunction function = nullptr;
    std::uint32_t shared_bytes = 0;  ///< that a launch may ask for, as set so far
};

class CuRuntime final : public Runtime {
public:
    CuRuntime(const Api& api, CUdevice device, CUcontext context, const Setup& setup, Sink& sink);

    Answer commit(const Ticket& ticket, std::uint64_t address, std::uint64_t bytes) override;
    void decommit(std::uint64_t address) override;
    Built build(fl_accel_module_kind kind, std::span<const std::byte> image, const std::string& options) override;
    Bound bind(LoadedModule& module, const std::string& name) override;
    Answer launch(const Ticket& ticket, BoundKernel& kernel, const AskLaunch& shape,
                  std::span<const std::byte> arguments) override;
    Answer copy(const Ticket& ticket, std::uint64_t destination, std::uint64_t source, std::uint64_t bytes) override;
    Answer fill(const Ticket& ticket, std::uint64_t destination, std::uint64_t bytes,
                std::span<const std::byte> pattern) override;
    void flush() override;
    bool poll() override;
    bool wants_poll() const override { return batches_ != 0; }

private:
    static constexpr std::size_t kOwnStream = FL_ACCEL_MAX_QUEUES;  ///< for memory
    static constexpr std::size_t kBatch = 8;
    struct Job {
        Ticket ticket;
        bool timed = false;
    };
    /// Jobs whose end one event tells.
    struct Batch {
        std::vector<Job> jobs;
        std::vector<CUdeviceptr> between;  ///< memory that goes with it
        CUevent begin = nullptr, end = nullptr;
    };
    struct Stream {
        CUstream stream = nullptr;
        Batch open;  ///< no event behind it yet
        std::deque<Batch> closed;
    };
    struct Allocation {
        std::uint64_t bytes = 0;
        CUdeviceptr at = 0;  ///< 0: in the aperture, pinned if the driver took it
        bool pinned = false;
    };

    [[nodiscard]] bool is_local(std::uint64_t address) const noexcept {
        return address - setup_.local_address < setup_.local_bytes;
    }
    /// Where an address of local memory is in the device; 0 = nowhere.
    [[nodiscard]] CUdeviceptr place_of(std::uint64_t address) const noexcept;
    [[nodiscard]] Stream* stream_of(std::size_t index);
    [[nodiscard]] CUevent take_event();
    /// Puts a job into the open batch; its commands follow. nullptr: no more streams or events.
    [[nodiscard]] Stream* begin(const Ticket& ticket, std::size_t index, bool timed);
    /// After its commands.
    [[nodiscard]] Answer began(Stream& stream, CUresult result);
    void close(Stream& stream);
    void end(Batch& batch);
    [[nodiscard]] CUresult allocate(CUdeviceptr& at, std::uint64_t bytes);
    void free(CUdeviceptr at);
    [[nodiscard]] Outcome load_image(const void* image, Built& built);
    [[nodiscard]] Outcome check_launch(CuKernel& kernel, const AskLaunch& shape);
    [[nodiscard]] fl_accel_argument_report describe(CUfunction function, const std::vector<PtxParameter>* known,
                                                    std::size_t index, bool& there) const;

    const Api& api_;
    CUdevice device_;
    CUcontext context_;
    Setup setup_;
    Sink& sink_;
    int compute_ = 0;  ///< capability, major * 10 + minor
    int most_shared_ = 0;
    bool pools_ = false;
    std::map<std::uint64_t, Allocation> allocations_;
    std::array<Stream, FL_ACCEL_MAX_QUEUES + 1> streams_{};
    std::vector<CUevent> events_;  ///< free
    std::size_t batches_ = 0;      ///< closed
};

}  // namespace farlane::backend::worker::cuda
