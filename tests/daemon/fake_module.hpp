// SPDX-License-Identifier: Apache-2.0
// Receives: functions that a daemon puts on the bus. Hands on: what the kernel module would do with
// them: the driver's end of the ring, DMA into memory of the test with its bounds, interrupts.
// Owns: the functions; they outlive the daemon, as in the kernel.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "daemon/kernel_bus.hpp"
#include "daemon/kernel_module.hpp"
#include "lib/daemon_channel.hpp"

namespace farlane::test {

using namespace std::chrono_literals;

class FakeHost;

/// One function on the bus, from its driver's side.
class FakeFunction {
public:
    FakeFunction(std::uint32_t id, const daemon::KernelFunctionSpec& spec);
    FakeFunction(const FakeFunction&) = delete;
    FakeFunction& operator=(const FakeFunction&) = delete;

    // --- the driver; any one thread at a time
    [[nodiscard]] std::uint64_t read(unsigned bar, std::uint64_t offset, unsigned bytes);
    void write(unsigned bar, std::uint64_t offset, std::uint64_t value, unsigned bytes);
    [[nodiscard]] std::uint32_t config_read(std::uint32_t offset, unsigned bytes = 4);
    void config_write(std::uint32_t offset, std::uint32_t value, unsigned bytes);
    /// The same, without waiting for the answer.
    void post_config_write(std::uint32_t offset, std::uint32_t value, unsigned bytes);
    [[nodiscard]] Status last_status() const noexcept { return last_status_; }
    [[nodiscard]] channel::AppChannel& ring() noexcept { return *ring_; }
    [[nodiscard]] fl_channel& header() noexcept { return *reinterpret_cast<fl_channel*>(memory_->bytes().data()); }

    // --- host memory that the device may reach
    std::span<std::byte> map(std::uint64_t iova, std::size_t bytes, std::uint32_t direction);
    void unmap(std::uint64_t iova);
    /// Waits until vector `vector` was raised more often than `seen`.
    [[nodiscard]] bool wait_interrupt(std::uint32_t vector, std::uint64_t seen = 0);
    [[nodiscard]] std::uint64_t interrupts(std::uint32_t vector);

    // --- its node: one application at a time
    /// What CHANNEL_CREATE makes; false while the daemon has not let go of the one before.
    [[nodiscard]] bool open_node(FakeHost& host);
    void close_node(FakeHost& host);
    [[nodiscard]] channel::AppChannel& node() noexcept { return *node_; }
    /// Waits until the node is free again.
    [[nodiscard]] bool wait_node_free();

    const std::uint32_t id;
    daemon::KernelFunctionSpec spec;
    std::vector<std::byte> config;

    // --- seen by the test, under `mutex`
    std::mutex mutex;
    std::condition_variable changed;
    std::uint64_t pokes = 0, bells = 0, dma_calls = 0, dma_ops = 0, dma_refused = 0;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> errors;
    fl_function_state state = FL_FUNCTION_LIVE;
    bool removed = false, surprise = false;
    /// Runs while an orderly removal waits: what a driver does in its shutdown.
    std::function<void()> on_remove;

private:
    friend class FakeModule;
    friend class FakeHost;
    struct Range {
        std::uint32_t direction;
        std::vector<std::byte> memory;
    };
    void wait(channel::Waiter& waiter);
    [[nodiscard]] std::uint32_t execute(fl_dma_op& op);
    [[nodiscard]] std::byte* find(std::uint64_t iova, std::uint64_t bytes, std::uint32_t direction);

    std::shared_ptr<daemon::SharedMemory> memory_;
    std::unique_ptr<channel::AppChannel> ring_;
    channel::Waiter nobody_;
    Status last_status_ = Status::ok;
    std::shared_ptr<daemon::SharedMemory> node_memory_;  ///< under `mutex`, as what follows
    std::unique_ptr<channel::AppChannel> node_;
    std::uint32_t node_generation_ = 0;
    bool node_open_ = false;
    std::map<std::uint64_t, Range> ranges_;
    std::map<std::uint32_t, std::uint64_t> vectors_;
};

/// The kernel of the test.
class FakeHost {
public:
    /// What a daemon's Engine::Callbacks::open_kernel is.
    [[nodiscard]] daemon::KernelBus::Opener opener();
    /// The function of that name; waits for it.
    [[nodiscard]] std::shared_ptr<FakeFunction> function(const std::string& name);
    /// As the control node: readable when there are events.
    void tell(std::uint32_t id);
    /// Waits until the bus is empty.
    [[nodiscard]] bool wait_empty();

    std::mutex mutex;
    std::condition_variable changed;
    std::map<std::uint32_t, std::shared_ptr<FakeFunction>> functions;
    std::vector<std::uint32_t> news;
    daemon::UniqueFd news_bell;
    FakeHost();
    Status refuse_add = Status::ok;
    std::uint32_t features = FL_FEATURE_TRAP;
    bool daemon_there = false;
    proto::Instance instance{};
    std::uint32_t next_id = 1;
    unsigned adds = 0;
};

}  // namespace farlane::test
