// SPDX-License-Identifier: Apache-2.0
// Receives: a frame with its header filled in, or a received one. Hands on: its CRC32C
// trailer, or the verdict. Owns: nothing. docs/wire.md, "Trailer".
#include "proto/seal.hpp"

#include <cstring>

#include <farlane/uapi/frame.h>

namespace farlane::proto {

std::size_t ClearSeal::trailer_bytes() const noexcept {
    return FL_FRAME_CRC_BYTES;
}

std::uint8_t ClearSeal::frame_flags() const noexcept {
    return 0;
}

void ClearSeal::seal(std::span<std::byte> frame, std::uint64_t /*packet_number*/) noexcept {
    const std::size_t body = frame.size() - FL_FRAME_CRC_BYTES;
    const fl_le32 crc(crc32c(frame.first(body)));
    std::memcpy(frame.data() + body, &crc, sizeof(crc));
}

bool ClearSeal::takes_sums() const noexcept {
    return copies_sum();
}

// What was summed when it was copied is not looked at again.
void ClearSeal::seal_summed(std::span<std::byte> frame, std::uint64_t /*packet_number*/,
                            std::span<const SummedPart> parts) noexcept {
    std::byte* const trailer = frame.data() + frame.size() - FL_FRAME_CRC_BYTES;
    const std::byte* at = frame.data();
    std::uint32_t crc = ~std::uint32_t{0};
    for (const SummedPart& p : parts) {
        crc = crc_join(crc_register(crc, {at, p.at}), p.sum, p.bytes);
        at = p.at + p.bytes;
    }
    const fl_le32 value(~crc_register(crc, {at, trailer}));
    std::memcpy(trailer, &value, sizeof(value));
}

bool ClearSeal::open(std::span<std::byte> frame, std::uint64_t /*packet_number*/) noexcept {
    if (frame.size() < FL_FRAME_CRC_BYTES) return false;
    const std::size_t body = frame.size() - FL_FRAME_CRC_BYTES;
    fl_le32 crc;
    std::memcpy(&crc, frame.data() + body, sizeof(crc));
    return crc.get() == crc32c(frame.first(body));
}

}  // namespace farlane::proto
