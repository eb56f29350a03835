// SPDX-License-Identifier: Apache-2.0
// Receives: a command with its payload. Hands on: return code and payload of the answer. Owns: nothing.
#pragma once

#include <cstdint>
#include <span>

#include "devices/cxl_mem/state.hpp"

namespace farlane::firmware::cxl {

/// One command in, one answer out; nothing here waits. The payload registers hold one after the other.
class Mailbox {
public:
    Mailbox(State& state, const DeviceIdentity& identity) noexcept : state_(state), identity_(identity) {}
    /// Executes what the command and payload registers hold. The answer is ready then.
    void execute(std::int64_t now_ns) noexcept;
    /// Puts the answer into the registers and clears the doorbell.
    void deliver() noexcept;

    struct Counters {
        std::uint64_t commands = 0, refused = 0;
    };
    [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

private:
    struct Answer {
        Return code = Return::success;
        std::uint32_t bytes = 0;
    };
    /// The answer goes into MailboxState::answer.
    using Handler = Answer (Mailbox::*)(std::span<const std::byte> input, std::int64_t now_ns) noexcept;
    struct Entry {
        std::uint16_t opcode;
        std::uint16_t input_bytes;  // exactly
        std::uint16_t effects;      // of the Command Effects Log, 8.2.9.5.2.1
        Handler handler;
    };
    static const Entry kCommands[];
    [[nodiscard]] static const Entry* find(std::uint16_t opcode) noexcept;

    Answer identify(std::span<const std::byte> in, std::int64_t now_ns) noexcept;
    Answer get_logs(std::span<const std::byte> in, std::int64_t now_ns) noexcept;
    Answer get_log(std::span<const std::byte> in, std::int64_t now_ns) noexcept;
    Answer get_event_records(std::span<const std::byte> in, std::int64_t now_ns) noexcept;
    Answer clear_event_records(std::span<const std::byte> in, std::int64_t now_ns) noexcept;
    Answer get_event_policy(std::span<const std::byte> in, std::int64_t now_ns) noexcept;
    Answer set_event_policy(std::span<const std::byte> in, std::int64_t now_ns) noexcept;
    Answer get_firmware(std::span<const std::byte> in, std::int64_t now_ns) noexcept;
    Answer get_timestamp(std::span<const std::byte> in, std::int64_t now_ns) noexcept;
    Answer set_timestamp(std::span<const std::byte> in, std::int64_t now_ns) noexcept;
    Answer get_partition(std::span<const std::byte> in, std::int64_t now_ns) noexcept;
    Answer get_health(std::span<const std::byte> in, std::int64_t now_ns) noexcept;

    void put(std::uint32_t at, std::uint64_t value, unsigned bytes) noexcept;
    void put_text(std::uint32_t at, std::span<const char> text) noexcept;
    void zero(std::uint32_t bytes) noexcept;

    State& state_;
    const DeviceIdentity& identity_;
    Counters counters_;
};

}  // namespace farlane::firmware::cxl
