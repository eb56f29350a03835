// SPDX-License-Identifier: Apache-2.0
// Receives: bytes that were a frame before they were mutated. Hands on: bytes that get past the
// first checks again: version, lengths, record chain, CRC32C. Owns: nothing.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>

#include "fuzz/fuzz.hpp"
#include "proto/codec.hpp"
#include "proto/seal.hpp"

namespace farlane::fuzz {

/// Makes the header fit the bytes and seals the frame. What does not fill 8 bytes is cut off.
/// Returns the size; 0 when the bytes are too few for a frame.
inline std::size_t repair_frame(std::span<std::uint8_t> frame) {
    if (frame.size() < FL_FRAME_MIN_BYTES) return 0;
    const std::size_t most = std::min<std::size_t>(frame.size(), FL_FRAME_MAX_BYTES);
    const std::size_t records = (most - FL_FRAME_MIN_BYTES) & ~std::size_t{FL_RECORD_ALIGN_BYTES - 1};
    const std::size_t bytes = records + FL_FRAME_MIN_BYTES;
    fl_frame_header h;
    std::memcpy(&h, frame.data(), sizeof(h));
    h.version = FL_WIRE_VERSION;
    h.flags = 0;
    h.frame_bytes.set(static_cast<std::uint16_t>(bytes));
    h.reserved.set(0);
    if (h.packet_number.get() == 0) h.packet_number.set(1);
    std::memcpy(frame.data(), &h, sizeof(h));
    proto::ClearSeal seal;
    seal.seal(std::as_writable_bytes(frame.first(bytes)), h.packet_number.get());
    return bytes;
}

/// Makes the lengths of the records follow each other to the end of `records`.
inline void repair_chain(std::span<std::uint8_t> records) {
    while (records.size() >= FL_RECORD_ALIGN_BYTES) {
        fl_record_header head;
        std::memcpy(&head, records.data(), sizeof(head));
        std::size_t bytes = head.record_bytes.get() & ~std::size_t{FL_RECORD_ALIGN_BYTES - 1};
        bytes = std::clamp<std::size_t>(bytes, FL_RECORD_ALIGN_BYTES, records.size());
        head.record_bytes.set(static_cast<std::uint16_t>(bytes));
        std::memcpy(records.data(), &head, sizeof(head));
        records = records.subspan(bytes);
    }
}

/// Mutates a frame and repairs it; sometimes leaves the record chain broken.
inline std::size_t mutate_frame(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
    size = LLVMFuzzerMutate(data, size, max_size);
    const std::size_t bytes = repair_frame({data, size});
    if (bytes == 0) return size;
    if (seed % 8 != 0) {
        repair_chain({data + sizeof(fl_frame_header), bytes - FL_FRAME_MIN_BYTES});
        return repair_frame({data, bytes});
    }
    return bytes;
}

}  // namespace farlane::fuzz
