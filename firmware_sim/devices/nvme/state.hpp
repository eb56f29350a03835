// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the layout of what an NVMe controller keeps across kill -9. Owns: nothing.
//
// Everything here is plain data in a backend::Memory region, stored in program order (core/persist.hpp), so a
// next life finds exactly the stores that were executed. It treats what it finds as hostile: plausible() first.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/function.hpp"
#include "devices/nvme/spec.hpp"

namespace farlane::firmware::nvme {

constexpr unsigned kMaxIoQueues = kMaxVectors - 1;
constexpr unsigned kMaxQueues = kMaxIoQueues + 1;  // with the admin queue, number 0
constexpr std::uint32_t kMaxQueueEntries = 1024;   // CAP.MQES + 1
constexpr std::uint32_t kMaxAdminEntries = 4096;   // AQA has 12 bits
constexpr std::uint32_t kCommands = 1024;          // commands at work or not released, of all queues
constexpr std::uint32_t kAdminReserve = 16;        // of these, not for I/O queues
constexpr std::uint32_t kErrorEntries = 16;
constexpr std::uint32_t kMdtsPages = 64;  // 256 KiB; Identify says 6
constexpr std::uint32_t kMaxAsyncEvents = 4;

/// What has become of a command. Each step is one atomic store.
enum class CommandState : std::uint32_t {
    free = 0,      ///< slot without a command
    fetched = 1,   ///< recorded; not executed, or executed without lasting effect (reads): execute (again)
    applying = 2,  ///< checks are passed, a lasting effect that can be repeated is being made
    done = 3,      ///< executed, result recorded, no completion given to the host
    posted = 4,    ///< completion given to the host as write `cqe_sequence`
};

struct Command {
    std::uint32_t state;  // CommandState, stored last
    std::uint16_t sqid, cqid;
    std::uint64_t serial;     // of all commands of the device, from 1
    std::uint64_t sq_serial;  // which life of the queue
    std::uint64_t cq_serial;
    std::uint64_t position;      // in its queue: entries fetched before it
    std::uint64_t cqe_position;  // in its completion queue: entries posted before it
    std::uint64_t cqe_sequence;  // HostPort::writes_submitted() of its completion
    std::uint32_t dw0;
    std::uint16_t status;
    std::uint16_t host_data;  // 1 = its result is data written to the host, which a kill may lose
    std::array<std::byte, kSqeBytes> sqe;
};

/// `serial` = that of the command that made it, 0 = no such queue; stored last.
struct SubmissionQueue {
    std::uint64_t serial;
    std::uint64_t base;
    std::uint64_t fetched;  // entries taken since it was made; head = fetched % size
    std::uint32_t tail;     // doorbell
    std::uint32_t size;
    std::uint32_t cqid;
    std::uint32_t reserved;
};
struct CompletionQueue {
    std::uint64_t serial;
    std::uint64_t base;
    std::uint64_t posted;  // entries written since it was made; tail = posted % size, phase from posted / size
    std::uint32_t head;    // doorbell
    std::uint32_t size;
    std::uint32_t vector;
    std::uint32_t interrupts;  // 1 = enabled
};

struct Registers {
    std::uint32_t cc, csts, aqa, intm;
    std::uint64_t asq, acq;
};

struct ErrorEntry {  // Get Log Page 01h, 5.14.1.1
    std::uint64_t count, lba;
    std::uint16_t sqid, cid, status, location;
    std::uint32_t nsid, reserved;
};

struct PendingEvent {
    std::uint32_t valid, masked;  // masked until the host has read the log page
    std::uint32_t info, log_page;
};

/// What a controller reset clears.
struct Session {
    std::array<SubmissionQueue, kMaxQueues> sq;
    std::array<CompletionQueue, kMaxQueues> cq;
    std::array<Command, kCommands> commands;
    std::array<std::uint32_t, kFeatureCount> features;
    std::array<std::uint32_t, kMaxVectors> vector_config;
    std::array<PendingEvent, kEventTypes> events;
    std::uint32_t namespace_changed;  // Changed Namespace List, 5.14.1.4
    std::uint32_t reserved;
    std::uint64_t timestamp_ms;    // as set by the host, 5.21.1.14
    std::int64_t timestamp_at_ns;  // when
    std::uint64_t timestamp_set;
};

/// What belongs to the device and not to its initiator.
struct Lasting {
    std::array<std::uint8_t, 16> uuid;
    std::uint64_t namespace_bytes;
    std::uint32_t lba_shift;
    std::uint32_t formatting;    // shift of the format under way + 1; 0 = none
    std::uint64_t formatted_by;  // serial of the last Format NVM that was carried out
    std::uint64_t next_serial;
    std::uint64_t bytes_read, bytes_written, reads, writes;  // Get Log Page 02h
    std::uint64_t power_cycles, media_errors, errors;
    std::array<ErrorEntry, kErrorEntries> error_log;  // entry of error n at (n - 1) % kErrorEntries
};

struct State {
    static constexpr std::uint64_t kMagic = 0x3145'4d56'4e4c'4600;  // layout 1
    std::uint64_t magic;
    FunctionState function;
    Registers registers;
    Session session;
    Lasting lasting;
};
static_assert(std::is_trivially_copyable_v<State>);

/// Numbers that come from the configuration.
struct Limits {
    unsigned io_queues = 16;
};

/// True when `s` can be what a controller with these limits left behind.
[[nodiscard]] bool plausible(const State& s, const Limits& limits) noexcept;

}  // namespace farlane::firmware::nvme
