// SPDX-License-Identifier: Apache-2.0
// Receives: what a command is to do, and what happens to it. Hands on: its state to whoever asks or waits.
// Owns: the work of a command until it has run. OpenCL 3.0, 5.11 (event objects).
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "lib/accel_state.hpp"
#include "opencl/object.hpp"

namespace farlane::opencl {

namespace lib = farlane::accel::detail;

class CommandQueue;
class Context;
class Engine;
class Event;
class Guard;
struct Track;

/// Where a command is being sent.
struct Submission {
    Engine& engine;
    Guard& guard;
    Track& track;
    Event& event;
};

/// What one command does. Calls come with the engine's lock, unless said otherwise.
class Work {
public:
    Work() = default;
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;
    virtual ~Work() = default;
    /// The host's part of it can begin. What it waits for must end by itself.
    [[nodiscard]] virtual bool ready(Engine&) { return true; }
    /// Sends it; may let go of the lock meanwhile. Throws Error or Failure.
    virtual void submit(Submission&) {}
    /// The device is done with it: has it something left to do?
    [[nodiscard]] virtual bool has_rest() const noexcept { return false; }
    /// That; without the lock.
    virtual void finish(bool ok) noexcept { (void)ok; }
    /// It has taken from the device what kernels printed.
    [[nodiscard]] virtual bool has_output() const noexcept { return false; }
    /// Memory of the application that it writes until it is complete.
    [[nodiscard]] virtual bool writes_host(const std::byte*, std::size_t) const noexcept { return false; }
};

/// Device time when a stream got there; OpenCL 3.0, 5.14.
class Stamp final : public lib::CommandObject {
public:
    [[nodiscard]] std::string describe() const override { return "time stamp"; }
    void completed(const lib::CommandEnd& end) noexcept override { ns = end.failure == nullptr ? end.value : 0; }
    std::uint64_t ns = 0;
};

using EventCallback = void(CL_CALLBACK*)(cl_event, cl_int, void*);

/// A command, or a user event. Whether or not the application gets to see it.
class Event : public Object {
public:
    using Handle = cl_event;
    static constexpr Kind kKind = Kind::event;
    static constexpr cl_int kInvalid = CL_INVALID_EVENT;

    /// Of a user event.
    explicit Event(Context& context);
    Event(CommandQueue& queue, cl_command_type type, std::unique_ptr<Work> work);
    ~Event();

    [[nodiscard]] Context& context() const noexcept { return *context_; }
    [[nodiscard]] Engine& engine() const noexcept;
    [[nodiscard]] CommandQueue* queue() const noexcept { return queue_.get(); }
    [[nodiscard]] cl_command_type type() const noexcept { return type_; }
    [[nodiscard]] cl_int status() const noexcept { return status_.load(std::memory_order_acquire); }
    [[nodiscard]] bool ended() const noexcept { return status() <= CL_COMPLETE; }
    [[nodiscard]] bool is_user() const noexcept { return type_ == CL_COMMAND_USER; }

    // --- with the engine's lock
    void set_status(cl_int status) noexcept { status_.store(status, std::memory_order_release); }
    struct Callback {
        cl_int at;
        EventCallback function;
        void* data;
    };
    std::unique_ptr<Work> work;
    std::vector<Ref<Event>> waits;
    std::vector<Callback> callbacks;
    bool barrier = false;     ///< out of order: what comes behind waits for it to be sent
    bool behind_all = false;  ///< out of order: waits until all before it were sent
    bool wanted = false;      ///< the application gets it
    bool user_set = false;    ///< of a user event
    cl_int failure = CL_SUCCESS;
    // Where it is: commands (first, last] of a track, once sent.
    Track* track = nullptr;
    bool sent = false;
    lib::Ticket first = 0, last = std::numeric_limits<lib::Ticket>::max();
    std::uint64_t mark = 0;  ///< the track's event has this value behind it
    std::shared_ptr<Stamp> start, end;
    std::uint64_t queued_ns = 0, submitted_ns = 0;  ///< in device time

private:
    Ref<Context> context_;
    Ref<CommandQueue> queue_;
    cl_command_type type_;
    std::atomic<cl_int> status_;
};

/// Checks a wait list as every enqueue call must, and holds it. Errors: CL_INVALID_EVENT_WAIT_LIST, CL_INVALID_CONTEXT.
[[nodiscard]] std::vector<Ref<Event>> checked_wait_list(const Context& context, cl_uint count, const cl_event* list);

}  // namespace farlane::opencl
