// SPDX-License-Identifier: Apache-2.0
// Receives: what contexts, buffers, streams and events ask for. Hands on: commands of queues.
// Owns: the state behind those objects. One thread at a time (accel_stream.hpp).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include <farlane/accel.hpp>

#include "lib/accel_queue.hpp"

namespace farlane::accel::detail {

enum class BuiltinKernel : std::uint32_t {  // its value is its kernel handle
    fill = 1,
    copy,
    axpy_f32,
    gemm_f32,
    reduce_f32,
    conv2d_f32,
    conv2d_rgba8,
    sha256,
};

/// Last command of a queue that uses something.
struct Use {
    Queue* queue = nullptr;
    Ticket ticket = 0;
};

/// Commands that use one object, at most one per queue.
class Uses {
public:
    void note(Queue& q, Ticket t);
    /// All of them have run. Forgets those that have.
    [[nodiscard]] bool done();
    /// All but those of `q` have run.
    [[nodiscard]] bool done_but(const Queue& q);
    [[nodiscard]] Queue* any_queue() const noexcept { return uses_.empty() ? nullptr : uses_.front().queue; }

private:
    std::vector<Use> uses_;
};

struct BufferState {
    std::shared_ptr<ContextState> context;
    std::uint64_t address = 0;
    std::uint64_t bytes = 0;     ///< asked for
    std::uint64_t reserved = 0;  ///< in whole pages
    Use allocation;              ///< the ALLOC
    Uses uses;
    ~BufferState();
};

struct EventState {
    std::shared_ptr<ContextState> context;
    std::uint32_t handle = 0;
    std::uint64_t value = 0;  ///< recorded last; 0 = never
    Use record;
    std::uint64_t result = 0;  ///< of its completion: device time in ns, or what QUERY asked for
    ~EventState();
};

/// One context of the device. Lives as long as anything made from it; closed with the Context.
class ContextState : public std::enable_shared_from_this<ContextState> {
public:
    ContextState(Device& device, const ContextOptions& options);
    ~ContextState();
    /// Module and kernels; the queue every context has. After construction, once.
    void open();
    void close() noexcept;
    void check_open() const;

    [[nodiscard]] SharedDevice& device() const noexcept { return *device_; }
    [[nodiscard]] provider::DeviceProvider& provider() const noexcept { return device_->provider(); }

    // --- queues
    /// One that no Stream has, or a new one.
    [[nodiscard]] Queue& lease();
    /// A command behind everything in `q`; waits for room.
    Ticket submit(Queue& q, fl_accel_command& command, std::span<const std::byte> payload, const char* what,
                  std::uint64_t object, Sink sink = {});
    /// Turns and sleeps until `done()`. Throws device_lost, device_reset, and when a queue stopped.
    template <class Done>
    void wait(Queue& q, Done&& done) {
        if (reap_all(), done()) return;
        Waiter waiter(*this, q);
        do waiter.rest();
        while (reap_all(), !done());
    }
    void wait_for(const Use& use) {
        if (use.queue == nullptr || use.queue->done(use.ticket)) return;
        wait(*use.queue, [&] { return use.queue->done(use.ticket); });
    }
    void wait_for(Queue& q) { wait_for(Use{&q, q.last()}); }
    void throw_failure(Queue& q);
    /// FENCE, wait, throw what failed.
    void synchronize(Queue& q);
    void synchronize_all();
    void reap_all();
    /// Runs QUERY.
    [[nodiscard]] std::uint64_t query(fl_accel_property property);

    // --- memory
    [[nodiscard]] std::shared_ptr<BufferState> allocate(std::uint64_t bytes);
    void release(BufferState& buffer) noexcept;
    /// The buffer may be used by the next command of `q`: its ALLOC runs before. Checks the range.
    void admit(Queue& q, BufferState* buffer, std::uint64_t offset, std::uint64_t bytes);
    /// Staging memory of the device, and host memory to download through.
    struct Chunk {
        std::uint64_t address = 0;
        Use use;
    };
    static constexpr std::uint64_t kChunkBytes = 1 << 20;
    static constexpr std::size_t kChunks = 4;
    [[nodiscard]] Chunk& staging(Queue& q);
    [[nodiscard]] RawHostBuffer& bounce();

    [[nodiscard]] std::shared_ptr<EventState> create_event();
    void release(EventState& event) noexcept;
    /// Value of the next record of an event.
    [[nodiscard]] std::uint64_t next_value(std::uint32_t handle) noexcept { return ++event_values_[handle]; }

private:
    /// How somebody waits: first polling, then asleep until an interrupt.
    class Waiter {
    public:
        Waiter(ContextState& state, Queue& q);
        void rest();

    private:
        void sleep();
        ContextState& state_;
        Queue& queue_;
        std::chrono::steady_clock::time_point spin_until_;
        unsigned spins_ = 0;
        bool armed_ = false;
    };
    struct Garbage {
        std::uint64_t address = 0, reserved = 0;
        Queue* queue = nullptr;  ///< FREE goes there: behind the last use in it
        Uses uses;
    };
    void collect();
    void submit_free(Queue& q, std::uint64_t address, std::uint64_t reserved);

    std::shared_ptr<SharedDevice> device_;
    ContextOptions options_;
    std::uint32_t number_ = 0;
    std::uint32_t vector_ = FL_ACCEL_NO_VECTOR;
    bool open_ = false;
    std::vector<std::unique_ptr<Queue>> queues_;
    std::vector<Garbage> garbage_;
    struct RetiredEvent {
        std::uint32_t handle = 0;
        Use record;
    };
    std::uint64_t staging_address_ = 0;  ///< of kChunks chunks, 0 = none yet
    std::array<Chunk, kChunks> chunks_{};
    std::size_t next_chunk_ = 0;
    RawHostBuffer bounce_;
    std::vector<std::uint64_t> event_values_;  ///< by handle: an event only goes up, the next owner starts here
    std::vector<std::uint32_t> free_events_;
    std::vector<RetiredEvent> retired_events_;  ///< recorded, but not reached yet
};

}  // namespace farlane::accel::detail
