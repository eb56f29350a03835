// SPDX-License-Identifier: Apache-2.0
// Receives: register writes, queue entries and data of the host. Hands on: data, completions and interrupts.
// Owns: commands at work and their staging memory; what outlives a kill is State, in the caller's memory.
//
// One class, a file per part:
//   registers.cpp  register file, enable, shutdown, reset      queues.cpp    fetch, completions, interrupts
//   execute.cpp    dispatch, finish                            transfer.cpp  PRPs and data
//   admin.cpp      queue management, abort, format             io.cpp        I/O commands
//   identify.cpp features.cpp logs.cpp events.cpp              recovery.cpp  after a kill
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/function.hpp"
#include "core/persist.hpp"
#include "devices/nvme/media.hpp"
#include "devices/nvme/slots.hpp"
#include "devices/nvme/spec.hpp"
#include "devices/nvme/state.hpp"

namespace farlane::firmware::nvme {

struct ControllerIdentity {
    FunctionIdentity function;
    std::string serial;  ///< 20 characters at most
    std::string model;   ///< 40 at most
    Limits limits;
};

/// An NVM Express 1.4 controller with one namespace.
class Controller final : public Function {
public:
    /// `state` is zeroed or left by an earlier life; `media` has lasting.namespace_bytes.
    Controller(const ControllerIdentity& identity, State& state, std::unique_ptr<Media> media);
    ~Controller() override;
    void counters(const std::function<void(std::string_view, std::uint64_t)>& each) const override;

    static constexpr std::uint32_t kBarBytes = 0x4000;
    static constexpr std::uint32_t kMsixTable = 0x2000, kMsixPba = 0x3000;

protected:
    // --- Function
    Status register_read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) noexcept override;
    Status register_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                          std::uint8_t enables) noexcept override;
    void on_reset(ResetKind kind) noexcept override;
    [[nodiscard]] bool keeps_state() const noexcept override { return true; }
    [[nodiscard]] bool on_restored(std::uint64_t released) noexcept override;
    bool work() noexcept override;
    [[nodiscard]] bool has_work() const noexcept override;
    void on_port(backend::HostPort* port) noexcept override;
    void dma_ordered(std::uint64_t tag, Status status) noexcept override;
    void dma_done(std::uint64_t tag, Status status) noexcept override;

private:
    // --- registers.cpp
    [[nodiscard]] std::uint32_t register_dword(std::uint32_t offset) const noexcept;
    void write_register(std::uint32_t offset, std::uint32_t v) noexcept;
    void write_cc(std::uint32_t v) noexcept;
    void reconcile() noexcept;
    void enable() noexcept;
    void disable() noexcept;
    void clear_session() noexcept;
    void clear_runs() noexcept;
    void fatal() noexcept;
    bool finish_shutdown() noexcept;
    [[nodiscard]] bool running() const noexcept {
        return (state_.registers.csts & (kCstsReady | kCstsFatal)) == kCstsReady;
    }

    // --- queues.cpp
    void ring_doorbell(std::uint32_t offset, std::uint32_t v) noexcept;
    bool fetch() noexcept;
    [[nodiscard]] bool fetchable() const noexcept;
    [[nodiscard]] bool fetch_from(unsigned qid) noexcept;
    void fetched(const Block& b, std::uint32_t index, Status status) noexcept;
    void take(unsigned qid, std::span<const std::byte, kSqeBytes> raw) noexcept;
    bool post_completions() noexcept;
    [[nodiscard]] Status post(std::uint32_t slot) noexcept;
    [[nodiscard]] bool full(const CompletionQueue& cq) const noexcept;
    bool reap() noexcept;
    bool raise_due() noexcept;
    [[nodiscard]] std::uint64_t due_vectors() const noexcept;

    // --- execute.cpp
    void start(std::uint32_t slot) noexcept;
    [[nodiscard]] std::uint16_t start_admin(std::uint32_t slot, const Sqe& sqe) noexcept;
    /// The command is executed: `status`, and the data it writes to the host if there is any is on its way.
    void finish(std::uint32_t slot, std::uint16_t status) noexcept;
    void ready(std::uint32_t slot) noexcept;
    void log_error(const Command& c, std::uint16_t status) noexcept;
    bool run_delayed() noexcept;

    // --- transfer.cpp
    /// Moves `bytes` as PRP1 and PRP2 of the command say; consume() or produce() see them, complete() the end.
    [[nodiscard]] std::uint16_t transfer(std::uint32_t slot, Move move, std::uint32_t bytes) noexcept;
    [[nodiscard]] std::uint16_t take_list(std::uint32_t slot, std::span<const std::byte> raw) noexcept;
    void proceed(std::uint32_t slot) noexcept;
    void ask_list(std::uint32_t slot) noexcept;
    [[nodiscard]] std::uint16_t transfer_whole(std::uint32_t slot, std::uint32_t bytes) noexcept;
    [[nodiscard]] bool give_chunk(std::uint32_t slot) noexcept;
    [[nodiscard]] std::uint16_t give_piece(std::uint32_t slot, std::uint32_t index, std::uint32_t in_host,
                                           std::span<std::byte> bytes) noexcept;
    [[nodiscard]] bool can_move() const noexcept;
    void settle(std::uint32_t slot) noexcept;
    bool run_stalled() noexcept;
    /// Bytes [offset, +in.size()) of the data of a command have arrived / are wanted.
    [[nodiscard]] std::uint16_t consume(std::uint32_t slot, std::uint32_t offset,
                                        std::span<const std::byte> in) noexcept;
    [[nodiscard]] std::uint16_t produce(std::uint32_t slot, std::uint32_t offset, std::span<std::byte> out) noexcept;
    /// All bytes have arrived.
    void complete(std::uint32_t slot) noexcept;

    // --- admin.cpp. Handlers return a status, or kLater when finish() comes by another way.
    static constexpr std::uint16_t kLater = 0xffff;
    [[nodiscard]] std::uint16_t create_cq(std::uint32_t slot, const Sqe& sqe) noexcept;
    [[nodiscard]] std::uint16_t create_sq(std::uint32_t slot, const Sqe& sqe) noexcept;
    [[nodiscard]] std::uint16_t delete_cq(std::uint32_t slot, const Sqe& sqe) noexcept;
    [[nodiscard]] std::uint16_t delete_sq(std::uint32_t slot, const Sqe& sqe) noexcept;
    [[nodiscard]] std::uint16_t abort(std::uint32_t slot, const Sqe& sqe) noexcept;
    [[nodiscard]] std::uint16_t format(std::uint32_t slot, const Sqe& sqe) noexcept;
    void formatted(std::uint32_t slot, std::uint16_t status) noexcept;
    [[nodiscard]] std::uint16_t check_queue(const Sqe& sqe) const noexcept;
    bool run_deletions() noexcept;
    [[nodiscard]] std::uint32_t deletable() const noexcept;
    [[nodiscard]] bool applying(std::uint32_t slot) const noexcept;
    void apply(std::uint32_t slot) noexcept;

    // --- identify.cpp, features.cpp, logs.cpp, events.cpp
    [[nodiscard]] std::uint16_t identify(std::uint32_t slot, const Sqe& sqe) noexcept;
    void identify_page(const Sqe& sqe, std::span<std::byte> page) const noexcept;
    [[nodiscard]] std::uint16_t set_features(std::uint32_t slot, const Sqe& sqe) noexcept;
    [[nodiscard]] std::uint16_t get_features(std::uint32_t slot, const Sqe& sqe) noexcept;
    [[nodiscard]] std::uint16_t set_feature(std::uint32_t slot, Feature f, std::uint32_t v) noexcept;
    [[nodiscard]] std::uint64_t timestamp() const noexcept;
    void default_features() noexcept;
    [[nodiscard]] std::uint16_t get_log(std::uint32_t slot, const Sqe& sqe) noexcept;
    void log_page(std::uint8_t id, std::span<std::byte> page) const noexcept;
    [[nodiscard]] std::uint8_t critical_warning() const noexcept;
    [[nodiscard]] std::uint16_t async_event(std::uint32_t slot) noexcept;
    void event(EventType type, std::uint32_t info, std::uint32_t page) noexcept;
    void event_read(std::uint8_t log_id) noexcept;
    void check_temperature() noexcept;
    void deliver_events() noexcept;

    // --- io.cpp
    [[nodiscard]] std::uint16_t start_io(std::uint32_t slot, const Sqe& sqe) noexcept;
    [[nodiscard]] std::uint16_t locate(std::uint32_t slot, const Sqe& sqe, std::uint32_t blocks) noexcept;
    [[nodiscard]] std::uint16_t deallocate(std::uint32_t slot) noexcept;
    void make_durable(std::uint32_t slot) noexcept;
    bool run_flushing() noexcept;
    bool run_zeroing() noexcept;
    void format_whole() noexcept;
    [[nodiscard]] std::uint64_t blocks() const noexcept { return media_->size_bytes() >> state_.lasting.lba_shift; }

    // --- recovery.cpp
    void adopt_queues(std::uint64_t released) noexcept;
    void adopt_commands(std::uint64_t released) noexcept;

    [[nodiscard]] Command& command(std::uint32_t slot) noexcept { return state_.session.commands[slot]; }
    [[nodiscard]] Run& run(std::uint32_t slot) noexcept { return runs_[slot]; }
    [[nodiscard]] Sqe sqe(std::uint32_t slot) noexcept { return Sqe(command(slot).sqe); }
    [[nodiscard]] CommandState command_state(std::uint32_t slot) const noexcept {
        return static_cast<CommandState>(state_.session.commands[slot].state);
    }
    void set_state(std::uint32_t slot, CommandState s) noexcept {
        publish(command(slot).state, static_cast<std::uint32_t>(s));
    }

    State& state_;
    const ControllerIdentity identity_;
    std::unique_ptr<Media> media_;

    // Everything from here on is forgotten by a kill.
    std::vector<Run> runs_;
    SlotPool slots_;
    StagingPool staging_;
    PostedRing posted_;
    std::vector<std::uint32_t> at_work_;  // of recovery
    std::vector<Scratch> scratch_;        // assembled data of commands that need it whole
    std::uint64_t scratch_used_ = 0;      // bit per element
    SlotList stalled_, delayed_, flushing_, zeroing_, events_, deletions_;
    std::array<SlotList, kMaxQueues> ready_;  // executed, by completion queue
    std::uint64_t ready_queues_ = 0;          // which of them are not empty
    std::uint64_t rung_ = 0;                  // submission queues with entries
    std::uint64_t fetching_ = 0;              // those with a fetch under way
    std::uint64_t deleting_ = 0;
    std::uint64_t due_ = 0;                         // vectors to raise
    std::uint32_t reserved_slots_ = 0;              // for entries being fetched
    unsigned next_queue_ = 0;                       // round robin
    std::array<std::uint32_t, kMaxQueues> live_{};  // commands of a submission queue without completion
    std::uint32_t epoch_ = 0;                       // answers to DMA of an earlier one only free their memory
    bool shutting_down_ = false;
    std::uint64_t shutdown_ticket_ = 0;
    std::uint64_t commands_done_ = 0, commands_failed_ = 0, commands_again_ = 0, doorbells_bad_ = 0, fatals_ = 0;
};

}  // namespace farlane::firmware::nvme
