// SPDX-License-Identifier: Apache-2.0
// Receives: what contexts, buffers, streams and events ask for. Hands on: commands of queues.
// Owns: the state behind those objects. One thread at a time (accel_stream.hpp), beside it that of the callbacks.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <farlane/accel.hpp>

#include "lib/accel_callbacks.hpp"
#include "lib/accel_queue.hpp"
#include "lib/accel_reports.hpp"

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
    std::uint64_t mark = 0;  ///< the queue's event has this value behind it; 0 = no event was recorded
    [[nodiscard]] bool done() const noexcept { return queue == nullptr || queue->done(ticket); }
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
    [[nodiscard]] bool empty() const noexcept { return uses_.empty(); }

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

class Reported;
struct ModuleState;
struct KernelState;

/// One context of the device. Lives as long as anything made from it; closed with the Context.
class ContextState : public std::enable_shared_from_this<ContextState> {
public:
    ContextState(Device& device, const ContextOptions& options);
    ~ContextState();
    /// Module and kernels; the queue every context has. After construction, once.
    void open();
    void close() noexcept;
    /// Throws when it is closed, lost, or its device was reset.
    void check_open() const;
    [[nodiscard]] bool lost() const noexcept { return fate_.lost.has_value(); }
    /// Taken by every public call: the thread of the callbacks looks at completions, too.
    [[nodiscard]] std::unique_lock<Turn> hold() { return std::unique_lock(turn_); }
    [[nodiscard]] std::uint32_t number() const noexcept { return number_; }

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
        if (use.done()) return;
        wait(*use.queue, [&] { return use.done(); });
    }
    /// What is submitted to `q` from now on runs after `use`. No round trip: the device waits, not the caller.
    void order(Queue& q, const Use& use);
    /// Lets order() wait for exactly what is in `q` so far, when other queues may come to need it.
    [[nodiscard]] Use mark(Queue& q);
    void wait_for(Queue& q) { wait_for(Use{&q, q.last()}); }
    void throw_failure(Queue& q);
    /// Throws it with what `object` has to add (its build log).
    [[noreturn]] void raise(const CommandFailure& failure, CommandObject* object);
    /// FENCE, wait, throw what failed.
    void synchronize(Queue& q);
    void synchronize_all();
    void reap_all();
    /// Runs QUERY for each; one wait for all.
    void query(std::span<const fl_accel_property> properties, std::span<std::uint64_t> values);
    /// What FL_ACCEL_PROPERTY_DEVICE_NAMES or FL_ACCEL_PROPERTY_OPENCL_INFO reports; empty = not offered.
    [[nodiscard]] std::string query_text(fl_accel_property property);
    /// FL_ACCEL_PROPERTY_DEVICE_NAMES, asked for once.
    [[nodiscard]] const std::string& names() {
        if (!names_) names_ = query_text(FL_ACCEL_PROPERTY_DEVICE_NAMES);
        return *names_;
    }
    /// `callback` runs when everything in `q` so far has run (accel_callbacks.hpp).
    void on_complete(Queue& q, Callback callback);

    // --- memory
    [[nodiscard]] std::shared_ptr<BufferState> allocate(std::uint64_t bytes) {
        return allocate(bytes, device_->buffer_place());
    }
    [[nodiscard]] std::shared_ptr<BufferState> allocate(std::uint64_t bytes, Place place);
    void release(BufferState& buffer) noexcept;
    /// Frees what was let go of and is not used any more.
    void collect_now() { collect(); }
    /// The buffer may be used by the next command of `q`: its ALLOC runs before. Throws what speaks against it, naming
    /// `command` and `operand`.
    void admit(Queue& q, BufferState* buffer, std::uint64_t offset, std::uint64_t bytes,
               const char* command = "a command", const char* operand = "the buffer");
    /// What speaks against the use of that range here: of "the operand ...".
    [[nodiscard]] std::optional<Failure> objection(const BufferState* buffer, std::uint64_t offset,
                                                   std::uint64_t bytes) const;
    /// "context 1", as this one calls another.
    [[nodiscard]] std::string name_of(const ContextState& other) const;
    /// Staging memory of the device, behind the aperture, and host memory to download through.
    struct Chunk {
        std::uint64_t address = 0;
        Use use;  ///< the COPY that empties it; before the first one, the ALLOC
        bool filled = false;
    };
    static constexpr std::uint64_t kChunkBytes = 1 << 20;
    static constexpr std::size_t kChunksPerBlock = 4;
    static constexpr std::size_t kMostChunks = 32;  ///< what a link of 10 Gbit/s and 25 ms has under way
    /// One that may be filled now; its COPY goes into `q`.
    [[nodiscard]] Chunk& staging(Queue& q);
    [[nodiscard]] RawHostBuffer& bounce();
    /// The COPY that writes a half of it last: it may still be on its way when a wait was ended by ContextOptions::
    /// while_waiting.
    std::array<Use, 2> bounce_uses;

    // --- modules (accel_modules.cpp)
    [[nodiscard]] std::shared_ptr<ModuleState> load(ModuleKind kind, std::span<const std::byte> image,
                                                    const std::string& options, const std::string& name);
    [[nodiscard]] std::shared_ptr<KernelState> bind(const std::shared_ptr<ModuleState>& module,
                                                    const std::string& name);
    void release(ModuleState& module) noexcept;
    [[nodiscard]] bool takes(ModuleKind kind) const noexcept;
    /// A report that has come.
    [[nodiscard]] std::span<const std::byte> report_of(const Reports::Slot& slot, std::size_t bytes) const;

    // --- for the thread of the callbacks
    /// Asks for an interrupt at the next completion of any queue; false = there are none.
    bool arm_all();
    [[nodiscard]] std::uint32_t vector() const noexcept { return vector_; }
    /// Wakes whoever waits for the context's interrupt.
    void raise_interrupt();
    void check_alive() const { device_->check_alive(); }

    [[nodiscard]] std::shared_ptr<EventState> create_event();
    void release(EventState& event) noexcept;
    /// Value of the next record of an event.
    [[nodiscard]] std::uint64_t next_value(std::uint32_t handle) noexcept { return ++event_values_[handle]; }

private:
    /// How somebody waits: first polling, then asleep until an interrupt.
    class Waiter {
    public:
        Waiter(ContextState& state, Queue& q);
        ~Waiter();
        void rest();

    private:
        void sleep();
        void call_user();
        ContextState& state_;
        Queue& queue_;
        std::chrono::steady_clock::time_point spin_until_;
        std::chrono::steady_clock::time_point called_ = spin_until_;  ///< ContextOptions::while_waiting
        std::chrono::steady_clock::time_point looked_ = spin_until_;  ///< at the pair, where nothing interrupts
        unsigned spins_ = 0;
        bool armed_ = false;
    };
    struct Garbage {
        std::uint64_t address = 0, reserved = 0;
        Queue* queue = nullptr;  ///< FREE goes there: behind the last use in it
        Uses uses;
    };
    void collect();
    [[nodiscard]] Use submit_alloc(Queue& q, std::uint64_t address, std::uint64_t bytes, const char* what,
                                   Sink sink = {});
    void submit_free(Queue& q, std::uint64_t address, std::uint64_t reserved);
    void collect_modules();
    void prepare_reports(Queue& q);
    void fetch_report(Queue& q, const std::shared_ptr<Reported>& of, std::size_t bytes);
    /// The next place of a ring, once whoever it was for has read it.
    template <std::size_t N>
    [[nodiscard]] Reports::Slot& take_slot(std::array<Reports::Slot, N>& slots, std::size_t& next) {
        Reports::Slot& slot = slots[next];
        next = (next + 1) % N;
        if (const auto reader = slot.reader.lock(); reader != nullptr) reader->read();
        slot.reader.reset();
        return slot;
    }
    [[nodiscard]] std::uint32_t take_handle(Handles& handles, const char* what);
    [[nodiscard]] bool add_staging(Queue& q);

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
    Turn turn_;
    Fate fate_;
    Callbacks callbacks_{*this};
    std::deque<Chunk> chunks_;
    std::size_t next_chunk_ = 0;
    std::vector<std::uint64_t> staging_blocks_;
    Reports reports_;
    std::optional<std::string> names_;
    Handles modules_, kernels_;
    struct RetiredModule {
        std::uint32_t handle = 0;
        std::vector<std::uint32_t> kernels;
        bool loaded = false;
        Uses uses;  ///< launches
    };
    std::vector<RetiredModule> retired_modules_;
    RawHostBuffer bounce_;
    /// Host memory that a COPY may still write to after its wait was ended by ContextOptions::while_waiting.
    struct Parked {
        Use use;
        RawHostBuffer memory;
    };
    std::vector<Parked> parked_;
    std::vector<std::uint64_t> event_values_;  ///< by handle: an event only goes up, the next owner starts here
    std::vector<std::uint32_t> free_events_;
    std::vector<RetiredEvent> retired_events_;  ///< recorded, but not reached yet
};

}  // namespace farlane::accel::detail
