// SPDX-License-Identifier: Apache-2.0
// Receives: any bytes, as a frame and as bare records. Hands on: nothing; what the reader takes
// must be written again to the same bytes, and must keep what docs/wire.md promises. Owns: nothing.
#include <vector>

#include "fuzz/frame_mutator.hpp"

using namespace farlane;
using fuzz::require;

namespace {

void check_ack(const proto::AckRecord& ack) {
    std::uint64_t below = ack.largest + 1;
    ack.for_each_run([&](std::uint64_t low, std::uint64_t high) {
        require(low >= 1 && low <= high && high < below, "ack runs fall and stay above 0");
        below = low;
    });
}

// Writes a record that was read into a frame of its own; the bytes must be the same.
void write_again(const proto::Record& r, std::span<const std::byte> original) {
    std::byte buffer[FL_FRAME_MAX_BYTES];
    proto::FrameWriter w;
    w.begin(buffer, 1, 0, 1, 0, 0, FL_FRAME_CRC_BYTES);
    switch (r.family) {
        case FL_FAMILY_TLP: {
            require(proto::check_tlp(r.tlp.tlp) == proto::kNoDrop, "a record that was taken is valid");
            require(r.tlp.offset_bytes + r.tlp.payload.size() <= FL_TLP_MAX_PAYLOAD_BYTES, "payload bound");
            std::byte* place = w.tlp(r.tlp.tlp, r.tlp.handle, r.tlp.offset_bytes, r.tlp.payload.size());
            require(place != nullptr, "room for one record");
            if (!r.tlp.payload.empty()) std::memcpy(place, r.tlp.payload.data(), r.tlp.payload.size());
            break;
        }
        case FL_FAMILY_ACK: {
            check_ack(r.ack);
            std::vector<proto::AckRange> ranges;
            for (unsigned i = 0; i < r.ack.range_count; ++i) ranges.push_back(r.ack.range(i));
            require(w.ack(r.ack, ranges), "room for one record");
            break;
        }
        case FL_FAMILY_CREDIT: require(w.credit(r.credit), "room for one record"); break;
        default: require(w.raw(r.control.bytes), "room for one record"); break;
    }
    const std::size_t bytes = w.finish() - FL_FRAME_MIN_BYTES;
    require(bytes == original.size() && std::memcmp(buffer + sizeof(fl_frame_header), original.data(), bytes) == 0,
            "written again, a record has the same bytes");
}

void read_records(std::span<const std::byte> records) {
    proto::RecordReader reader(records);
    proto::Record r;
    std::size_t steps = 0;
    for (proto::Next n = reader.next(r); n != proto::Next::end; n = reader.next(r)) {
        require(++steps <= records.size() / FL_RECORD_ALIGN_BYTES + 1, "the reader comes to an end");
        if (n == proto::Next::bad) {
            require(reader.drop() != proto::kNoDrop, "a bad record has a reason");
            require(!proto::drop_text(reader.drop()).empty(), "a reason has a text");
        }
    }
}

// Each record by itself, so that its bytes are known.
void read_one_by_one(std::span<const std::byte> records) {
    while (records.size() >= FL_RECORD_ALIGN_BYTES) {
        fl_record_header head;
        std::memcpy(&head, records.data(), sizeof(head));
        const std::size_t bytes = head.record_bytes.get();
        if (bytes < FL_RECORD_ALIGN_BYTES || bytes > records.size() || bytes % FL_RECORD_ALIGN_BYTES != 0) return;
        const auto one = records.first(bytes);
        records = records.subspan(bytes);
        proto::RecordReader reader(one);
        proto::Record r;
        if (bytes <= FL_FRAME_MAX_BYTES - FL_FRAME_MIN_BYTES && reader.next(r) == proto::Next::record)
            write_again(r, one);
    }
}

// The short way of a lone transaction takes nothing that the long way would not, and reads the same.
void read_lone(std::span<const std::byte> bytes) {
    if (bytes.size() < sizeof(fl_frame_header)) return;
    fl_frame_header raw;
    std::memcpy(&raw, bytes.data(), sizeof(raw));
    proto::Header lone;
    if (!proto::read_lone_header(bytes,
                                 {.session = raw.session.get(),
                                  .path = raw.path.get(),
                                  .own_flags = FL_FRAME_PATIENT,
                                  .packet_number = raw.packet_number.get()},
                                 lone))
        return;
    if ((raw.flags & ~FL_FRAME_KNOWN) != 0 || raw.packet_number.get() == 0) return;  // no session expects these
    proto::TlpRecord tlp;
    if (!proto::read_plain_tlp(proto::records_of(bytes, lone), tlp)) return;
    proto::Header h;
    require(proto::parse_header(bytes, h) == proto::kNoDrop, "a lone frame has a good header");
    require(h.flags == lone.flags && h.path == lone.path && h.session == lone.session && h.sent_ns == lone.sent_ns &&
                h.packet_number == lone.packet_number && h.frame_bytes == lone.frame_bytes &&
                h.trailer_bytes == lone.trailer_bytes,
            "and it is read the same both ways");
    proto::RecordReader reader(proto::records_of(bytes, h));
    proto::Record r;
    require(reader.next(r) == proto::Next::record && r.family == FL_FAMILY_TLP, "its record is a good transaction");
    require(r.tlp.handle == tlp.handle && r.tlp.record_class == tlp.record_class && !r.tlp.fragment &&
                r.tlp.payload.data() == tlp.payload.data() && r.tlp.payload.size() == tlp.payload.size() &&
                r.tlp.tlp.sequence == tlp.tlp.sequence && r.tlp.tlp.address == tlp.tlp.address,
            "read the same both ways");
    require(reader.next(r) == proto::Next::end, "and the only one");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    read_lone(bytes);
    proto::Header h;
    const proto::Drop d = proto::parse_header(bytes, h);
    if (d == proto::kNoDrop) {
        const auto records = proto::records_of(bytes, h);
        require(records.size() + sizeof(fl_frame_header) + h.trailer_bytes == h.frame_bytes, "records fill the frame");
        read_records(records);
        read_one_by_one(records);
    }
    read_records(bytes);
    read_one_by_one(bytes);
    return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
    return fuzz::mutate_frame(data, size, max_size, seed);
}
