// SPDX-License-Identifier: Apache-2.0
// Receives: commands of queues, questions whether they are done. Hands on: commands to the accelerator, in order.
// Owns: one context of the accelerator and the lock that its users share. docs/opencl.md, "Threads".
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "opencl/event.hpp"
#include "opencl/host_memory.hpp"

namespace farlane::opencl {

/// A queue pair of the accelerator. Command queues share them when there are more than a process may have.
struct Track {
    lib::Queue* queue = nullptr;
    unsigned users = 0;                        ///< command queues
    bool settling = false;                     ///< somebody takes what has completed
    bool sending = false;                      ///< somebody is in the middle of a command: what is sent belongs to that
    std::thread::id sender;                    ///< who, then
    std::shared_ptr<lib::BufferState> output;  ///< device memory for what kernels print; one command after the other
    std::deque<Ref<Event>> in_flight;
    std::vector<lib::CommandFailure> failures;  ///< the library adds them while it takes completions
};

/// What kernels printed; OpenCL C 3.0, 6.15.14: it is printed when their command completes.
class Printed final : public lib::CommandObject {
public:
    explicit Printed(HostBlock block) : block_(std::move(block)) {}
    [[nodiscard]] std::string describe() const override { return "output of kernels"; }
    /// First of the QUERY, then of the COPY.
    void completed(const lib::CommandEnd& end) noexcept override {
        const unsigned before = ends_.load(std::memory_order_relaxed);
        if (before == 0) bytes_ = end.value;
        failed_ = failed_ || end.failure != nullptr;
        ends_.store(before + 1, std::memory_order_release);
    }
    /// It has been taken away from the device.
    [[nodiscard]] bool taken() const noexcept { return ends_ != 0; }
    [[nodiscard]] std::uint64_t iova() const noexcept { return block_.iova(); }
    /// To the program's stdout, what has come.
    void print() const noexcept;

private:
    HostBlock block_;
    std::uint64_t bytes_ = 0;  ///< with the zero
    bool failed_ = false;
    std::atomic<unsigned> ends_{0};  ///< of a device that is gone some may come while it is printed
};

/// The lock of an engine. What it lets go of meanwhile is taken away at the end (Engine::discard).
class Guard {
public:
    explicit Guard(Engine& engine);
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    void unlock();
    void lock();
    [[nodiscard]] std::unique_lock<std::mutex>& native() noexcept { return lock_; }
    /// This thread has some engine's lock, or is an engine's thread: it must not wait for one to end.
    [[nodiscard]] static bool inside() noexcept;

private:
    Engine& engine_;
    std::unique_lock<std::mutex> lock_;
};

/// Everything that one OpenCL context has on its device. Any thread; calls that take a Guard need the lock, and
/// those that say so let go of it meanwhile.
class Engine : public std::enable_shared_from_this<Engine> {
public:
    using Notify = std::function<void(const std::string&)>;
    /// `pairs`: queue pairs that this process has for command queues of the device, of all its contexts.
    Engine(std::shared_ptr<lib::ContextState> state, std::atomic<unsigned>& pairs, Notify notify);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    [[nodiscard]] lib::ContextState& state() const noexcept { return *state_; }

    // --- tracks
    /// That of ALLOC and MODULE_LOAD; command queues have it only where there is no other.
    [[nodiscard]] Track& own_track() noexcept { return tracks_.front(); }
    [[nodiscard]] Track& take_track(Guard&);

    // --- commands
    /// Sends the command, or keeps it until what it waits for was sent. Lets go of the lock. Throws what is wrong with
    /// the command itself, or with the context (CL_OUT_OF_RESOURCES).
    void enqueue(Guard&, CommandQueue& queue, const Ref<Event>& event);
    /// Sends what can be sent now. Lets go of the lock.
    void advance(Guard&);
    /// A user event got its status, or an event its last chance.
    void resolved(Guard&, Event& event, cl_int status);
    /// What its callbacks are told from now on; calls those that are due.
    void add_callback(Guard&, Event& event, const Event::Callback& callback);
    /// `call` runs soon, on the engine's thread, without the lock.
    void call_later(Guard&, std::function<void()> call);
    /// Nobody waits for these commands any more; they run all the same.
    void adopt(Guard&);
    /// Room for that many slots in the track. Lets go of the lock.
    void make_room(Guard&, Track& track, std::uint32_t slots);
    /// The same in our own track, and nobody is in the middle of a command there. Lets go of the lock.
    void make_own_room(Guard&, std::uint32_t slots);
    /// A command of our own, behind everything in the track.
    lib::Ticket submit(Guard&, Track& track, fl_accel_command& command, lib::Sink sink = {});
    /// Host time as the device counts it.
    [[nodiscard]] std::uint64_t device_now() const noexcept;
    /// Makes device_now() true; once. Lets go of the lock.
    void calibrate(Guard&);

    // --- waiting
    /// Until the command was sent, or has ended. Lets go of the lock.
    void wait_sent(Guard&, const Event& event);
    /// Takes what has completed. Lets go of the lock.
    void settle(Guard&);
    /// Until `done()`; others go on meanwhile.
    template <class Done>
    void wait_until(Guard& guard, Done&& done) {
        Rest rest(*this);
        while (settle(guard), !done()) rest.once(guard);
    }
    /// Until what kernels that have completed printed is out: another queue may have taken it along. Lets go of the
    /// lock.
    void wait_printed(Guard&);
    /// The device, or this context on it, is gone.
    [[nodiscard]] bool broken() const noexcept { return broken_ || state_->lost(); }
    /// Throws when it is.
    void check() const { require(!broken(), CL_OUT_OF_RESOURCES); }

    // --- memory (engine_memory.cpp)
    /// Device memory. Lets go of the lock. Fails with CL_MEM_OBJECT_ALLOCATION_FAILURE.
    [[nodiscard]] std::shared_ptr<lib::BufferState> allocate(Guard&, std::uint64_t bytes);
    /// Host memory that the device can write. Waits for commands that have some rather than fail; lets go of the lock.
    [[nodiscard]] HostBlock take_host(Guard&, std::size_t bytes);
    /// Brings bytes into device memory, pushed when nothing uses the buffer, else in their place in the track.
    /// Lets go of the lock.
    void upload(Guard&, Track& track, lib::BufferState& to, std::uint64_t offset, std::span<const std::byte> data);
    /// upload() would not wait for the device.
    [[nodiscard]] bool upload_is_quick(lib::BufferState& to, std::uint64_t offset, std::size_t bytes);
    /// Brings what kernels have printed so far into host memory, behind everything in the track. Lets go of the lock.
    [[nodiscard]] std::shared_ptr<Printed> fetch_output(Guard&, Track& track);
    /// Somebody in flight writes there, in the application's memory.
    [[nodiscard]] bool host_is_written(const std::byte* begin, std::size_t bytes) const noexcept;
    /// Ends it under the lock, now or soon. Any thread, with or without the lock.
    void discard(std::shared_ptr<void> what) noexcept;

private:
    friend class Guard;
    /// How a thread waits: first it looks again and again, then it sleeps.
    class Rest {
    public:
        explicit Rest(Engine& engine, bool spins = true);
        ~Rest();
        Rest(const Rest&) = delete;
        Rest& operator=(const Rest&) = delete;
        void once(Guard&);

    private:
        void sleep(Guard&);
        Engine& engine_;
        std::chrono::steady_clock::time_point spin_until_;
        unsigned spins_ = 0;
        bool armed_ = false;
    };
    void drain() noexcept;
    [[nodiscard]] bool may_send(CommandQueue& queue, Event& event);
    [[nodiscard]] Ref<Event> next_to_send(CommandQueue& queue);
    bool advance(Guard&, CommandQueue& queue);
    void send(Guard&, CommandQueue& queue, Event& event);
    void order_behind_waits(Guard&, Track& track, Event& event);
    void stamp(Guard&, Track& track, std::shared_ptr<Stamp>& stamp);
    bool settle(Guard&, Track& track);
    void blame(Guard&, Track& track);
    void conclude(Guard&, Event& event);
    void end(Event& event, cl_int status);
    void doom(Guard&, const Error& why);
    void check_health(Guard&);
    void wake();
    void start_thread();
    void run();
    [[nodiscard]] bool thread_has_to_look() const noexcept;
    [[nodiscard]] lib::BufferState* take_chunk(Guard&);

    std::shared_ptr<lib::ContextState> state_;
    Notify notify_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Track> tracks_;                ///< the first is the library's own: ALLOC, MODULE_LOAD, ...
    std::vector<Ref<CommandQueue>> waiting_;  ///< queues with commands that could not be sent yet
    HostPool host_pool_;
    struct Chunk {
        std::shared_ptr<lib::BufferState> memory;
        lib::Use use;
        bool taken = false;
    };
    std::deque<Chunk> chunks_;
    std::int64_t device_ahead_ns_ = 0;
    bool calibrated_ = false, broken_ = false;
    bool has_printed_ = false;     ///< fetch_output() was called
    unsigned printing_ = 0;        ///< commands whose output is on its way to stdout
    std::uint64_t concluded_ = 0;  ///< commands
    std::atomic<unsigned>& pairs_;
    unsigned own_pairs_ = 0;
    // Who waits.
    bool has_leader_ = false, leader_sleeps_ = false, armed_ = false;
    // The thread of callbacks, which also looks when nobody else does.
    std::thread thread_;
    std::deque<std::function<void()>> due_;
    std::size_t callbacks_ = 0;  ///< not due yet
    unsigned sent_waiters_ = 0;  ///< threads in wait_sent() or make_own_room()
    bool adopted_ = false, stop_ = false;
    // What is let go of.
    std::mutex garbage_mutex_;
    std::vector<std::shared_ptr<void>> garbage_;
    std::atomic<bool> has_garbage_{false};
};

}  // namespace farlane::opencl
