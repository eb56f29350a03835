// SPDX-License-Identifier: Apache-2.0
// Receives: a command with its payload. Hands on: return code and payload of the answer. Owns: nothing.
// Section numbers: CXL 3.0.
#include "devices/cxl_mem/mailbox.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace farlane::firmware::cxl {
namespace {

// UUID of the Command Effects Log as its 16 bytes are transferred (8.2.9.5.2, table of log identifiers).
constexpr std::uint8_t kEffectsLog[16] = {0x0d, 0xa9, 0xc0, 0xb5, 0xbf, 0x41, 0x4b, 0x78,
                                          0x8f, 0x79, 0x96, 0xb1, 0x62, 0x3b, 0x3f, 0x17};
constexpr std::uint32_t kEffectsEntry = 4;

// 8.2.9.5.2.1: what a command changes at once
constexpr std::uint16_t kChangesNothing = 0, kChangesPolicy = 1u << 3, kChangesLog = 1u << 4;

std::uint64_t number(std::span<const std::byte> b, std::size_t at, unsigned bytes) noexcept {
    std::uint64_t v = 0;
    for (unsigned i = 0; i < bytes; ++i) v |= std::to_integer<std::uint64_t>(b[at + i]) << (8 * i);
    return v;
}

// 8.2.8.4.5: opcode in bits 15:0, payload length in bits 36:16.
std::uint32_t length_of(std::uint64_t command) noexcept {
    return static_cast<std::uint32_t>(command >> 16 & 0x1fffff);
}

}  // namespace

constexpr std::uint16_t kAnyLength = 0xffff;

const Mailbox::Entry Mailbox::kCommands[] = {
    {kGetEventRecords, 1, kChangesNothing, &Mailbox::get_event_records},
    {kClearEventRecords, kAnyLength, kChangesLog, &Mailbox::clear_event_records},
    {kGetEventPolicy, 0, kChangesNothing, &Mailbox::get_event_policy},
    {kSetEventPolicy, kEventLogs, kChangesPolicy, &Mailbox::set_event_policy},
    {kGetFirmware, 0, kChangesNothing, &Mailbox::get_firmware},
    {kGetTimestamp, 0, kChangesNothing, &Mailbox::get_timestamp},
    {kSetTimestamp, 8, kChangesPolicy, &Mailbox::set_timestamp},
    {kGetLogs, 0, kChangesNothing, &Mailbox::get_logs},
    {kGetLog, 24, kChangesNothing, &Mailbox::get_log},
    {kIdentify, 0, kChangesNothing, &Mailbox::identify},
    {kGetPartition, 0, kChangesNothing, &Mailbox::get_partition},
    {kGetHealth, 0, kChangesNothing, &Mailbox::get_health},
};

const Mailbox::Entry* Mailbox::find(std::uint16_t opcode) noexcept {
    const Entry* e = std::find_if(std::begin(kCommands), std::end(kCommands),
                                  [opcode](const Entry& entry) { return entry.opcode == opcode; });
    return e == std::end(kCommands) ? nullptr : e;
}

void Mailbox::execute(std::int64_t now_ns) noexcept {
    MailboxState& m = state_.mailbox;
    const std::uint32_t length = length_of(m.command);
    const Entry* entry = find(static_cast<std::uint16_t>(m.command));
    Answer answer;
    if (entry == nullptr)
        answer.code = Return::unsupported;
    else if (length > m.payload.size() || (entry->input_bytes != kAnyLength && length != entry->input_bytes))
        answer.code = Return::invalid_payload_length;
    else
        answer = (this->*entry->handler)(std::span(m.payload).first(length), now_ns);
    ++counters_.commands;
    if (answer.code != Return::success) ++counters_.refused;
    m.answer_code = static_cast<std::uint16_t>(answer.code);
    m.answer_bytes = answer.bytes;
    publish(m.answer_ready, std::uint32_t{1});
}

void Mailbox::deliver() noexcept {
    MailboxState& m = state_.mailbox;
    std::memcpy(m.payload.data(), m.answer.data(), m.answer_bytes);
    m.status = std::uint64_t{m.answer_code} << 32;  // 8.2.8.4.6; bit 0 clear: nothing goes on in the background
    m.command = (m.command & 0xffff) | std::uint64_t{m.answer_bytes} << 16;
    publish(m.control, m.control & ~mailbox::kDoorbell);
    publish(m.answer_ready, std::uint32_t{0});
}

void Mailbox::put(std::uint32_t at, std::uint64_t value, unsigned bytes) noexcept {
    for (unsigned i = 0; i < bytes; ++i) state_.mailbox.answer[at + i] = static_cast<std::byte>(value >> (8 * i));
}

void Mailbox::put_text(std::uint32_t at, std::span<const char> text) noexcept {
    std::memcpy(state_.mailbox.answer.data() + at, text.data(), text.size());
}

void Mailbox::zero(std::uint32_t bytes) noexcept {
    std::memset(state_.mailbox.answer.data(), 0, bytes);
}

// --- the device

// 8.2.9.8.1.1. No persistent capacity, no partitions, no labels, no poison list.
Mailbox::Answer Mailbox::identify(std::span<const std::byte>, std::int64_t) noexcept {
    constexpr std::uint32_t kBytes = 0x45;
    zero(kBytes);
    put_text(0x00, identity_.firmware);
    const std::uint64_t units = identity_.capacity_bytes / kCapacityUnit;
    put(0x10, units, 8);  // total
    put(0x18, units, 8);  // volatile only
    put(0x20, 0, 8);      // persistent only
    put(0x28, 0, 8);      // partition alignment: what is volatile stays volatile
    return {Return::success, kBytes};
}

// 8.2.9.8.2.1
Mailbox::Answer Mailbox::get_partition(std::span<const std::byte>, std::int64_t) noexcept {
    constexpr std::uint32_t kBytes = 0x20;
    zero(kBytes);
    put(0x00, identity_.capacity_bytes / kCapacityUnit, 8);  // active volatile; the other three are 0
    return {Return::success, kBytes};
}

// 8.2.9.8.3.1: healthy, normal, no life used
Mailbox::Answer Mailbox::get_health(std::span<const std::byte>, std::int64_t) noexcept {
    constexpr std::uint32_t kBytes = 0x12;
    zero(kBytes);
    put(0x04, 25, 2);  // temperature in degrees Celsius
    return {Return::success, kBytes};
}

// 8.2.9.3.1: one slot, which is active; nothing can be transferred
Mailbox::Answer Mailbox::get_firmware(std::span<const std::byte>, std::int64_t) noexcept {
    constexpr std::uint32_t kBytes = 0x50;
    zero(kBytes);
    put(0x00, 1, 1);
    put(0x01, 1, 1);
    put_text(0x10, identity_.firmware);
    return {Return::success, kBytes};
}

// --- logs, 8.2.9.5

Mailbox::Answer Mailbox::get_logs(std::span<const std::byte>, std::int64_t) noexcept {
    constexpr std::uint32_t kBytes = 8 + 20;
    zero(kBytes);
    put(0, 1, 2);
    std::memcpy(state_.mailbox.answer.data() + 8, kEffectsLog, sizeof kEffectsLog);
    put(24, std::size(kCommands) * kEffectsEntry, 4);
    return {Return::success, kBytes};
}

Mailbox::Answer Mailbox::get_log(std::span<const std::byte> in, std::int64_t) noexcept {
    constexpr std::uint64_t kLogBytes = std::size(kCommands) * kEffectsEntry;
    static_assert(kLogBytes <= mailbox::kPayloadBytes);
    if (std::memcmp(in.data(), kEffectsLog, sizeof kEffectsLog) != 0) return {Return::invalid_log, 0};
    const std::uint64_t offset = number(in, 16, 4), length = number(in, 20, 4);
    if (offset > kLogBytes || length > kLogBytes - offset) return {Return::invalid_input, 0};
    std::array<std::byte, kLogBytes> log;
    for (std::size_t i = 0; i < std::size(kCommands); ++i) {
        const std::uint32_t entry = kCommands[i].opcode | std::uint32_t{kCommands[i].effects} << 16;
        for (unsigned b = 0; b < kEffectsEntry; ++b)
            log[i * kEffectsEntry + b] = static_cast<std::byte>(entry >> (8 * b));
    }
    std::memcpy(state_.mailbox.answer.data(), log.data() + offset, length);
    return {Return::success, static_cast<std::uint32_t>(length)};
}

// --- events, 8.2.9.2. Nothing happens to this memory: the logs are there and empty.

Mailbox::Answer Mailbox::get_event_records(std::span<const std::byte> in, std::int64_t) noexcept {
    constexpr std::uint32_t kBytes = 0x20;
    if (number(in, 0, 1) >= kEventLogs) return {Return::invalid_input, 0};
    zero(kBytes);
    return {Return::success, kBytes};
}

Mailbox::Answer Mailbox::clear_event_records(std::span<const std::byte> in, std::int64_t) noexcept {
    if (in.size() < 6) return {Return::invalid_payload_length, 0};
    const std::uint64_t log = number(in, 0, 1), flags = number(in, 1, 1), handles = number(in, 2, 1);
    if (in.size() != 6 + 2 * handles) return {Return::invalid_payload_length, 0};
    if (log >= kEventLogs || (flags & ~std::uint64_t{1}) != 0) return {Return::invalid_input, 0};
    if ((flags & 1) != 0) return {handles == 0 ? Return::success : Return::invalid_input, 0};  // all records
    return {handles == 0 ? Return::invalid_input : Return::invalid_handle, 0};
}

// 8.2.9.2.4: mode in bits 1:0; the device adds the message number in bits 7:4.
Mailbox::Answer Mailbox::get_event_policy(std::span<const std::byte>, std::int64_t) noexcept {
    for (unsigned i = 0; i < kEventLogs; ++i) {
        const std::uint8_t mode = state_.event_policy[i];
        const unsigned vector = mode == kEventInterruptMsi ? kFirstEventVector + i : 0;
        put(i, mode | vector << 4, 1);
    }
    return {Return::success, kEventLogs};
}

Mailbox::Answer Mailbox::set_event_policy(std::span<const std::byte> in, std::int64_t) noexcept {
    for (const std::byte b : in)
        if ((std::to_integer<unsigned>(b) & kEventInterruptMask) > kEventInterruptFirmware)
            return {Return::invalid_input, 0};
    for (unsigned i = 0; i < kEventLogs; ++i)
        state_.event_policy[i] = std::to_integer<std::uint8_t>(in[i]) & kEventInterruptMask;
    return {Return::success, 0};
}

// --- timestamp, 8.2.9.4: nanoseconds since 1970; 0 until the host has set it

Mailbox::Answer Mailbox::get_timestamp(std::span<const std::byte>, std::int64_t now_ns) noexcept {
    std::uint64_t v = 0;
    if (state_.timestamp_set != 0)
        v = state_.timestamp_ns + static_cast<std::uint64_t>(now_ns - state_.timestamp_at_ns);
    put(0, v, 8);
    return {Return::success, 8};
}

Mailbox::Answer Mailbox::set_timestamp(std::span<const std::byte> in, std::int64_t now_ns) noexcept {
    state_.timestamp_ns = number(in, 0, 8);
    state_.timestamp_at_ns = now_ns;
    state_.timestamp_set = 1;
    return {Return::success, 0};
}

}  // namespace farlane::firmware::cxl
