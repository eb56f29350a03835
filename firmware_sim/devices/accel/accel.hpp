// SPDX-License-Identifier: Apache-2.0
// Receives: BAR accesses and events of life. Hands on: both to the command processor.
// Owns: the executor with device memory, the command processor. docs/accelerator.md.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "core/function.hpp"
#include "devices/accel/processor.hpp"

namespace farlane::firmware::accel {

/// Where the wake-up of executor threads goes: the port of whoever is attached, or was last; nowhere before.
class Waker {
public:
    void set(backend::HostPort* port) noexcept {
        const std::lock_guard lock(mutex_);
        port_ = port;
    }
    /// Any thread.
    void wake() noexcept {
        const std::lock_guard lock(mutex_);
        if (port_ != nullptr) port_->wake();
    }

private:
    std::mutex mutex_;
    backend::HostPort* port_ = nullptr;
};

struct AccelOptions {
    std::string name;                                       ///< of the function, for people
    std::uint64_t memory_bytes = std::uint64_t{256} << 20;  ///< with the submission queues; a power of two
    std::uint32_t queues = 16;
    fl_accel_executor executor = FL_ACCEL_EXECUTOR_CPU;
    std::uint32_t contexts = kMaxContexts;
    std::uint32_t threads = 0;  ///< 0 = as many as the machine has
    std::string_view isa = "auto";
    std::string accelerator, worker;  ///< of executors in worker processes: which device, which program
    std::uint32_t time_limit_ms = 60'000, build_limit_ms = 180'000;
    std::uint64_t local_bytes = 0;                             ///< at most; 0 = what there is
    std::uint64_t context_bytes = 0, context_local_bytes = 0;  ///< that one context may have; 0 = all there is
    backend::WorkerExecutorOptions::Place place = backend::WorkerExecutorOptions::Place::automatic;
    std::uint16_t vendor_id = FL_ACCEL_VENDOR_ID;
    std::uint16_t device_id = FL_ACCEL_DEVICE_ID;
    std::uint64_t serial = 0;
    std::uint64_t first_life = 1;  ///< differs from one start of the device to the next
};
inline constexpr std::uint32_t kMaxQueues = kMaxVectors - 1;  // vector 0 is the function's own
inline constexpr std::uint64_t kMinMemoryBytes = std::uint64_t{32} << 20;
inline constexpr std::uint64_t kMinShareBytes = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kMaxMemoryBytes = std::uint64_t{1} << 40;
/// Device addresses do not look like offsets: who mixes them up finds out.
// Workers map memory at its device address: above 2^40, where the CUDA driver keeps addresses for itself.
inline constexpr std::uint64_t kBaseAddress = std::uint64_t{1} << 42;

/// Device addresses of a device with these options.
[[nodiscard]] backend::MemoryPlan plan_of(const AccelOptions& options) noexcept;
/// What a context of it may have.
[[nodiscard]] Shares shares_of(const AccelOptions& options) noexcept;

class Accel final : public Function {
public:
    Accel(const AccelOptions& options, std::unique_ptr<FunctionState> state, std::unique_ptr<Waker> waker,
          std::unique_ptr<backend::Executor> executor);
    [[nodiscard]] std::span<std::byte> bar_memory(unsigned bar) noexcept override;
    void counters(const std::function<void(std::string_view, std::uint64_t)>& each) const override;
    [[nodiscard]] std::optional<backend::AcceleratorUse> accelerator() const override;
    [[nodiscard]] bool ends_elsewhere() const noexcept override { return true; }

protected:
    Status register_read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) noexcept override;
    Status register_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                          std::uint8_t enables) noexcept override;
    void on_reset(ResetKind kind) noexcept override;
    bool work() noexcept override { return processor_.work(); }
    [[nodiscard]] bool has_work() const noexcept override { return processor_.has_work(); }
    void on_enable_changed() noexcept override { processor_.enables_changed(); }
    void on_port(backend::HostPort* port) noexcept override;
    void dma_ordered(std::uint64_t tag, Status status) noexcept override { processor_.dma_ordered(tag, status); }
    void dma_done(std::uint64_t tag, Status status) noexcept override { processor_.dma_done(tag, status); }

private:
    [[nodiscard]] fl_accel_registers registers() const noexcept;
    [[nodiscard]] fl_accel_queue_registers queue_registers(std::uint32_t n) const noexcept;
    [[nodiscard]] fl_accel_context_registers context_registers(std::uint32_t n) const noexcept;
    void write_register(std::uint64_t offset, std::uint32_t value) noexcept;
    Status write_aperture(std::uint64_t offset, std::span<const std::byte> in, std::uint8_t enables) noexcept;

    std::unique_ptr<FunctionState> state_;
    std::unique_ptr<Waker> waker_;
    std::unique_ptr<backend::Executor> executor_;
    Processor processor_;
    std::uint32_t queues_, contexts_;
    std::uint32_t time_limit_ms_;
    std::uint64_t life_;
};

}  // namespace farlane::firmware::accel
