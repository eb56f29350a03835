// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the layout of what a memory device keeps in memory that may outlive the daemon.
// Owns: nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/function.hpp"
#include "core/persist.hpp"
#include "devices/cxl_mem/spec.hpp"

namespace farlane::firmware::cxl {

/// Mailbox registers as the host sees them.
struct MailboxState {
    std::uint32_t control;
    // The answer is whole before the input is overwritten by it: after a kill it is taken up, or made again.
    std::uint32_t answer_ready;
    std::uint64_t command;
    std::uint64_t status;
    std::array<std::byte, mailbox::kPayloadBytes> payload;
    std::uint32_t answer_code, answer_bytes;
    std::array<std::byte, mailbox::kPayloadBytes> answer;
};

/// The component registers a host may write; 8.2.4.
struct ComponentState {
    std::uint32_t uncorrectable_mask, uncorrectable_severity, correctable_mask;
    std::uint32_t decoder_control;
    std::array<std::uint32_t, 8> decoder;
};

struct State {
    static constexpr std::uint64_t kMagic = 0x314c'5843'4d46'4c46;  // layout 1
    std::uint64_t magic;
    FunctionState function;
    MailboxState mailbox;
    ComponentState component;
    std::array<std::uint8_t, kEventLogs> event_policy;  // interrupt settings as last stored
    std::uint32_t timestamp_set;
    std::uint64_t timestamp_ns;    // as set by the host
    std::int64_t timestamp_at_ns;  // when
};
static_assert(std::is_trivially_copyable_v<State>);

/// What the configuration says of the device.
struct DeviceIdentity {
    std::uint64_t capacity_bytes = kCapacityUnit;
    std::uint64_t serial = 0;
    std::array<char, 16> firmware{};
};

}  // namespace farlane::firmware::cxl
