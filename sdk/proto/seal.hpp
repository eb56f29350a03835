// SPDX-License-Identifier: Apache-2.0
// Receives: a frame with its header filled in. Hands on: the frame with its trailer,
// or the verdict on a received one. Owns: keys, once there are any.
// This is the place where identity and AEAD plug in; today there is ClearSeal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "proto/crc32c.hpp"

namespace farlane::proto {

/// Integrity (and later secrecy) of the frames of one session.
/// One per session, used by its lane only. noexcept and without allocation.
class Seal {
public:
    virtual ~Seal() = default;
    /// Bytes the trailer takes.
    [[nodiscard]] virtual std::size_t trailer_bytes() const noexcept = 0;
    /// fl_frame_header.flags of frames sealed by it.
    [[nodiscard]] virtual std::uint8_t frame_flags() const noexcept = 0;
    /// `frame` = header, records and room for the trailer, which is written here.
    virtual void seal(std::span<std::byte> frame, std::uint64_t packet_number) noexcept = 0;
    /// True: payloads are best summed while they are copied, and seal_summed() is called.
    [[nodiscard]] virtual bool takes_sums() const noexcept { return false; }
    /// The same as seal(), with what is known of the frame: parts in their order, which do not overlap.
    virtual void seal_summed(std::span<std::byte> frame, std::uint64_t packet_number,
                             std::span<const SummedPart> /*parts*/) noexcept {
        seal(frame, packet_number);
    }
    /// True when the frame is authentic; with keys it is decrypted in place.
    [[nodiscard]] virtual bool open(std::span<std::byte> frame, std::uint64_t packet_number) noexcept = 0;
};

/// CRC32C, no keys. Detects accidents, not attackers.
class ClearSeal final : public Seal {
public:
    [[nodiscard]] std::size_t trailer_bytes() const noexcept override;
    [[nodiscard]] std::uint8_t frame_flags() const noexcept override;
    void seal(std::span<std::byte> frame, std::uint64_t packet_number) noexcept override;
    [[nodiscard]] bool takes_sums() const noexcept override;
    void seal_summed(std::span<std::byte> frame, std::uint64_t packet_number,
                     std::span<const SummedPart> parts) noexcept override;
    [[nodiscard]] bool open(std::span<std::byte> frame, std::uint64_t packet_number) noexcept override;
};

}  // namespace farlane::proto
