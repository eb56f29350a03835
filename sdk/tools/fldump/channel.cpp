// SPDX-License-Identifier: Apache-2.0
// Receives: a dump of channel memory. Hands on: its rings and the slots in use as JSON.
// Owns: nothing. Format: farlane/uapi/ring.h.
#include <bit>

#include <farlane/uapi/ring.h>
#include <farlane/status.hpp>

#include "tools/fldump/describe.hpp"

namespace farlane::fldump {

namespace {

// Slots [from, head) of one ring; `from` is where the producer must not write yet.
Json describe_slots(Bytes memory, std::uint32_t offset, std::uint32_t entries, std::uint32_t from, std::uint32_t head,
                    const Options& options) {
    Json out = Json::array();
    for (std::uint32_t count = from; count != head; ++count) {
        fl_slot slot;
        const std::size_t at = offset + std::size_t{count & (entries - 1)} * sizeof(slot);
        std::memcpy(&slot, memory.data() + at, sizeof(slot));
        proto::Tlp tlp;
        proto::FunctionHandle handle;
        proto::decode_tlp(slot.tlp, tlp, handle);
        Json entry = {{"slot", count & (entries - 1)}};
        const proto::Drop drop = slot.tlp.family == FL_FAMILY_TLP ? proto::check_tlp(tlp) : proto::Drop::record_family;
        entry.update(describe_tlp(tlp, handle));
        entry["cookie"] = hex_number(slot.cookie);
        entry["slot_status"] = status_name(status_from_code(slot.status));
        if (slot.kind == FL_SLOT_REFERENCE) {
            entry["buffer"] = slot.u.ref.buffer;
            entry["buffer_offset"] = hex_number(slot.u.ref.offset_bytes);
        } else if (proto::carries_payload(tlp.type)) {
            const std::size_t bytes = std::min<std::size_t>(tlp.length_bytes, FL_TLP_INLINE_BYTES);
            entry["payload"] =
                hex_bytes(std::as_bytes(std::span(slot.u.payload)).first(bytes), options.payload ? bytes : 16);
        }
        if (drop != proto::kNoDrop) entry["drop"] = drop_name(drop);
        out.push_back(std::move(entry));
    }
    return out;
}

bool ring_fits(std::uint32_t offset, std::uint32_t entries, std::size_t memory_bytes) {
    return std::has_single_bit(entries) && entries >= FL_RING_MIN_ENTRIES && entries <= FL_RING_MAX_ENTRIES &&
           offset >= sizeof(fl_channel) && offset % alignof(fl_slot) == 0 &&
           std::uint64_t{offset} + std::uint64_t{entries} * sizeof(fl_slot) <= memory_bytes;
}

Json describe_ring(const fl_ring& r) {
    return {{"head", r.head}, {"tail", r.tail}, {"released", r.released}, {"sleeping", r.sleeping}};
}

// released <= tail <= head, all as counts that wrap, and never more than the ring holds.
bool counts_fit(const fl_ring& r, std::uint32_t entries) {
    return r.head - r.released <= entries && r.tail - r.released <= r.head - r.released;
}

}  // namespace

Json describe_channel(Bytes memory, const Options& options) {
    Json out;
    fl_channel c;
    if (memory.size() < sizeof(c)) return {{"problem", "shorter than a channel header"}};
    std::memcpy(&c, memory.data(), sizeof(c));
    if (c.magic != FL_CHANNEL_MAGIC) return {{"problem", "not a channel: wrong magic number"}};
    out = {{"version", c.version},
           {"channel_bytes", c.channel_bytes},
           {"submit_entries", c.submit_entries},
           {"complete_entries", c.complete_entries},
           {"staging_bytes", c.staging_bytes},
           {"submit_ring", describe_ring(c.submit)},
           {"complete_ring", describe_ring(c.complete)}};
    if (c.version != FL_CHANNEL_VERSION) {
        out["problem"] = "unknown channel version";
    } else if (!ring_fits(c.submit_offset, c.submit_entries, memory.size()) ||
               !ring_fits(c.complete_offset, c.complete_entries, memory.size())) {
        out["problem"] = "a ring does not fit the memory";
    } else if (!counts_fit(c.submit, c.submit_entries) || !counts_fit(c.complete, c.complete_entries)) {
        out["problem"] = "ring counts contradict each other";
    } else {
        out["submit"] =
            describe_slots(memory, c.submit_offset, c.submit_entries, c.submit.released, c.submit.head, options);
        out["complete"] = describe_slots(memory, c.complete_offset, c.complete_entries, c.complete.released,
                                         c.complete.head, options);
    }
    return out;
}

}  // namespace farlane::fldump
