// SPDX-License-Identifier: Apache-2.0
// Receives: values of a checked struct fl_tlp. Hands on: the transaction in host
// byte order. Owns: nothing. Format: docs/wire.md, "Transaction".
#pragma once

#include <cstdint>

#include <farlane/uapi/tlp.h>
#include <farlane/status.hpp>

namespace farlane::proto {

enum class TlpType : std::uint8_t {
    memory_read = FL_TLP_MRD,
    memory_write = FL_TLP_MWR,
    config_read = FL_TLP_CFGRD,
    config_write = FL_TLP_CFGWR,
    completion = FL_TLP_CPL,
    completion_data = FL_TLP_CPLD,
    msi = FL_TLP_MSI,
    fetch_add = FL_TLP_FETCHADD,
    swap = FL_TLP_SWAP,
    compare_swap = FL_TLP_CAS,
    message = FL_TLP_MSG,
};

enum class RecordClass : std::uint8_t {
    posted = FL_CLASS_POSTED,
    non_posted = FL_CLASS_NON_POSTED,
    completion = FL_CLASS_COMPLETION,
};
constexpr unsigned kClasses = FL_CLASS_COUNT;
constexpr std::uint32_t kConfigBytes = 4096;  // configuration space of a function: PCIe 7.2.2

/// Names a function within a session; given by the target at attach.
struct FunctionHandle {
    std::uint16_t index = 0;
    std::uint16_t generation = 0;
    friend bool operator==(FunctionHandle, FunctionHandle) = default;
};

/// One transaction without its payload. Field meaning: struct fl_tlp.
/// `sequence`, `follows_posted` and `tag` are given by Function on submit.
struct Tlp {
    TlpType type = TlpType::memory_read;
    std::uint8_t attr = 0;
    std::uint8_t byte_enables = 0;
    std::uint8_t bar = FL_BAR_NONE;
    std::uint8_t code = 0;
    std::uint16_t length_bytes = 0;
    std::uint32_t tag = 0;
    std::uint32_t pasid = 0;
    std::uint64_t address = 0;
    std::uint64_t sequence = 0;
    std::uint64_t follows_posted = 0;

    [[nodiscard]] bool relaxed() const noexcept { return (attr & FL_ATTR_RO) != 0; }
};

}  // namespace farlane::proto
