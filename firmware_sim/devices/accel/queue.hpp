// SPDX-License-Identifier: Apache-2.0
// Receives: doorbells and slots of one queue pair. Hands on: commands, one at a time.
// Owns: the registers of the pair and the command that runs. docs/accelerator.md, "Queue pairs".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/executor.hpp"
#include "devices/accel/hazards.hpp"

namespace farlane::firmware::accel {

/// Where the command at the head of the queue is.
enum class Stage : std::uint8_t {
    none,      ///< nothing fetched
    begin,     ///< fetched and well-formed; waits for memory, an event, or its turn
    running,   ///< a job or DMA of it is on the way
    finished,  ///< outcome known; the completion is to be posted
};

/// A command, copied out of the submission queue before anything looked at it.
struct Active {
    Stage stage = Stage::none;
    fl_accel_command command{};
    std::array<std::byte, FL_ACCEL_MAX_INLINE_BYTES> payload{};
    std::uint32_t slots = 0;
    std::uint32_t serial = 0;  ///< differs from command to command of this queue
    bool poisoned = false;
    std::uint32_t culprit = 0;  ///< poisoned: command it depends on
    backend::Outcome outcome;
    backend::AccessList touches;
    bool has_job = false;         ///< the executor works on it
    std::uint64_t given = 0;      ///< copies with the host: bytes given to the DMA engine
    std::uint64_t staged = 0;     ///< of these, between local memory and bounce chunks: bytes begun
    std::uint32_t chunks = 0;     ///< bounce chunks that work for it
    std::uint32_t unordered = 0;  ///< of these, transfers that still wait for room
    std::uint32_t reads = 0;      ///< reads in flight
    std::uint64_t began_ns = 0;   ///< LAUNCH: device time
};

/// A command that the executor has, behind others of its stream: it has left Active, which may take the next.
struct Flight {
    fl_accel_header head{};
    bool done = false;
    backend::Outcome outcome;
    backend::AccessList touches;
    std::uint64_t began_ns = 0;
};
inline constexpr std::uint32_t kMaxFlights = 128;

struct QueuePair {
    // --- registers
    std::uint64_t cq_iova = 0;
    std::uint32_t sq_entries = 0, cq_entries = 0;
    std::uint32_t context = 0, pasid = 0, vector = FL_ACCEL_NO_VECTOR;
    fl_accel_queue_state state = FL_ACCEL_QUEUE_DISABLED;
    fl_accel_reason reason = FL_ACCEL_REASON_NONE;
    // --- counts, free-running
    std::uint32_t sq_tail = 0, sq_head = 0, cq_tail = 0, cq_head = 0, cq_arm = 0;
    bool armed = false;
    bool report_error = false;  ///< a completion that says why the pair stopped is due
    std::uint64_t commands = 0;
    // --- since the last FENCE
    std::uint32_t failures = 0;
    std::uint32_t first_failure = 0;
    Poison poison;
    // --- work
    std::uint32_t number = 0;
    bool ready = false;    ///< a visit may get on
    bool waiting = false;  ///< stopped by something that another queue, the host or the executor ends
    Active active;
    std::vector<Flight> flights;  ///< ring of kMaxFlights, or empty: the executor chains nothing
    std::uint32_t flight_head = 0, flight_tail = 0;
    std::uint32_t flying = 0;   ///< of these, not done yet
    std::uint32_t culprit = 0;  ///< the last flight that failed of itself

    [[nodiscard]] std::uint32_t in_flight() const noexcept { return flight_tail - flight_head; }
    /// Slot of the next flight in the number of its job.
    [[nodiscard]] std::uint32_t next_flight() const noexcept { return flight_tail % kMaxFlights + 1; }
    [[nodiscard]] Flight& flight(std::uint32_t count) noexcept { return flights[count % kMaxFlights]; }
    /// One slot is kept for the completion that reports the pair itself.
    [[nodiscard]] bool cq_has_room() const noexcept { return cq_tail - cq_head + in_flight() < cq_entries - 1; }
    [[nodiscard]] bool sq_has_command() const noexcept { return sq_head != sq_tail; }
    [[nodiscard]] bool fetching() const noexcept { return state == FL_ACCEL_QUEUE_ENABLED; }
    /// Everything but number and memory as after reset.
    void clear() noexcept;
};

/// Doorbells. False = the value names slots or completions that are not there.
[[nodiscard]] bool ring_sq_tail(QueuePair& q, std::uint32_t value) noexcept;
[[nodiscard]] bool ring_cq_head(QueuePair& q, std::uint32_t value) noexcept;

/// Copies the next command out of the ring `slots` and checks what all commands have in common.
/// Precondition: sq_has_command(). Advances sq_head.
void fetch(QueuePair& q, std::span<const std::byte> slots) noexcept;

/// The completion of a command that ended with `outcome`.
[[nodiscard]] fl_accel_completion make_completion(const QueuePair& q, const fl_accel_header& head,
                                                  const backend::Outcome& outcome) noexcept;
/// The completion that reports why the pair stopped.
[[nodiscard]] fl_accel_completion make_error_completion(const QueuePair& q) noexcept;
[[nodiscard]] std::uint16_t status_of(fl_accel_reason reason) noexcept;

}  // namespace farlane::firmware::accel
