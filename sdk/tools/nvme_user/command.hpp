// SPDX-License-Identifier: Apache-2.0
// Receives: fields of commands. Hands on: queue entries, and what completions say. Owns: nothing.
// NVM Express base specification, revision 1.4.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "nvme_user/access.hpp"

namespace farlane::nvme_user {

enum AdminOpcode : std::uint8_t {
    kDeleteSq = 0x00,
    kCreateSq = 0x01,
    kGetLogPage = 0x02,
    kDeleteCq = 0x04,
    kCreateCq = 0x05,
    kIdentify = 0x06,
    kAbort = 0x08,
    kSetFeatures = 0x09,
    kGetFeatures = 0x0a,
    kAsyncEvent = 0x0c,
    kFormat = 0x80,
};
enum IoOpcode : std::uint8_t {
    kFlush = 0x00,
    kWrite = 0x01,
    kRead = 0x02,
    kCompare = 0x05,
    kWriteZeroes = 0x08,
    kDatasetManagement = 0x09,
};

/// A submission queue entry; the driver fills the command identifier, and PRPs from `data`.
struct Command {
    std::uint8_t opcode = 0;
    std::uint8_t flags = 0;  ///< FUSE, PSDT
    std::uint32_t nsid = 0;
    std::uint64_t prp1 = 0, prp2 = 0;
    std::uint32_t dw10 = 0, dw11 = 0, dw12 = 0, dw13 = 0, dw14 = 0, dw15 = 0;
};

/// A completion queue entry.
struct Completion {
    std::uint32_t dw0 = 0;
    std::uint16_t sq_head = 0, sqid = 0, cid = 0;
    std::uint16_t status = 0;  ///< without phase: SC 7:0, SCT 10:8, DNR 14
    [[nodiscard]] bool ok() const noexcept { return status == 0; }
    /// Code and type, without More and DNR.
    [[nodiscard]] unsigned code() const noexcept { return status & 0x7ff; }
};

/// "LBA out of range (080h)"
[[nodiscard]] std::string status_text(std::uint16_t status);

}  // namespace farlane::nvme_user
