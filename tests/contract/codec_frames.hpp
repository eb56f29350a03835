// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: small valid frames, and ways to look into and to damage them.
// Owns: the bytes of one frame.
#pragma once

#include <array>
#include <cstring>
#include <functional>
#include <optional>
#include <vector>

#include "proto/codec.hpp"
#include "proto/seal.hpp"

namespace farlane::test {

using proto::FrameWriter;
using proto::FunctionHandle;
using proto::Tlp;
using proto::TlpType;

/// One valid transaction of each type, with its payload length.
inline Tlp sample(TlpType type) {
    Tlp t;
    t.type = type;
    t.tag = 0x12345678;
    t.sequence = 7;
    switch (type) {
        case TlpType::memory_read:
            t.length_bytes = 4096;
            t.address = 0x1000;
            t.bar = 2;
            break;
        case TlpType::memory_write:
            t.length_bytes = 13;
            t.address = 0xfffffffffffff000;
            t.pasid = 0xfffff;
            break;
        case TlpType::config_read:
            t.length_bytes = 2;
            t.address = 0xffe;
            break;
        case TlpType::config_write:
            t.length_bytes = 4;
            t.address = 0x10;
            t.byte_enables = 0x5;
            break;
        case TlpType::completion: t.code = FL_STATUS_CA; break;
        case TlpType::completion_data: t.length_bytes = 100; break;
        case TlpType::msi:
            t.length_bytes = 4;
            t.address = 0xfee00000;
            break;
        case TlpType::fetch_add:
            t.length_bytes = 8;
            t.address = 0x40;
            break;
        case TlpType::swap:
            t.length_bytes = 4;
            t.address = 0x44;
            break;
        case TlpType::compare_swap:
            t.length_bytes = 16;
            t.address = 0x48;
            break;
        case TlpType::message:
            t.length_bytes = sizeof(fl_msg_map);
            t.code = FL_MSG_MAP;
            t.pasid = 3;
            break;
    }
    if (proto::class_of(type) != FL_CLASS_POSTED) t.follows_posted = 6;
    return t;
}

inline constexpr std::array kTypes = {
    TlpType::memory_read, TlpType::memory_write,    TlpType::config_read, TlpType::config_write,
    TlpType::completion,  TlpType::completion_data, TlpType::msi,         TlpType::fetch_add,
    TlpType::swap,        TlpType::compare_swap,    TlpType::message,
};

/// Payload that fits the transaction: a valid mapping for messages, a pattern else.
inline std::vector<std::byte> sample_payload(const Tlp& t) {
    std::vector<std::byte> out(proto::carries_payload(t.type) ? t.length_bytes : 0);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(i * 7 + 1);
    if (t.type == TlpType::message && t.code != FL_MSG_ERROR) {
        fl_msg_map map{};
        map.iova.set(0x1000);
        map.length_bytes.set(0x2000);
        map.direction.set(FL_MAP_DEVICE_WRITES);
        std::memcpy(out.data(), &map, sizeof(map));
    } else if (t.type == TlpType::message) {
        fl_msg_error error{};
        error.severity.set(2);
        error.source.set(4);
        std::memcpy(out.data(), &error, sizeof(error));
    }
    return out;
}

inline fl_function_desc sample_description() {
    fl_function_desc d{};
    proto::write_name(d.name, "accel0");
    proto::write_name(d.model, "Farlane accelerator (simulated)");
    d.vendor_id.set(0x1b36);
    d.device_id.set(0x0010);
    d.class_code.set(0x12000001);
    d.msix_vectors.set(16);
    d.serial.set(42);
    d.bar[0].size_bytes.set(1 << 20);
    d.bar[0].flags.set(FL_BAR_64BIT | FL_BAR_PREFETCHABLE);
    d.bar[2].size_bytes.set(4096);
    return d;
}

/// A frame that is built, sealed, damaged and looked at.
class Frame {
public:
    explicit Frame(const std::function<void(FrameWriter&)>& fill, std::size_t capacity_bytes = FL_FRAME_MAX_BYTES) {
        bytes_.resize(capacity_bytes);
        FrameWriter w;
        w.begin(bytes_, 0x11223344, 3, 99, 0xabcdef01, 0, FL_FRAME_CRC_BYTES);
        fill(w);
        bytes_.resize(w.finish());
        reseal();
    }

    void reseal() { seal_.seal(bytes_, 99); }
    [[nodiscard]] std::vector<std::byte>& bytes() { return bytes_; }
    void set(std::size_t offset, unsigned value) { bytes_.at(offset) = static_cast<std::byte>(value); }
    /// Byte `offset` of the first record.
    void set_record(std::size_t offset, unsigned value) { set(sizeof(fl_frame_header) + offset, value); }

    [[nodiscard]] proto::Drop header_drop(proto::Header& h) const { return proto::parse_header(bytes_, h); }
    [[nodiscard]] proto::Drop header_drop() const {
        proto::Header h;
        return header_drop(h);
    }
    [[nodiscard]] bool authentic() { return seal_.open(bytes_, 99); }

    /// Verdict on the first record; kNoDrop = a valid record or none.
    [[nodiscard]] proto::Drop first_drop() const {
        proto::Header h;
        if (const proto::Drop d = proto::parse_header(bytes_, h); d != proto::kNoDrop) return d;
        proto::RecordReader reader(proto::records_of(bytes_, h));
        proto::Record r;
        return reader.next(r) == proto::Next::bad ? reader.drop() : proto::kNoDrop;
    }
    /// All records, copied; payload spans point into this frame.
    [[nodiscard]] std::vector<proto::Record> records() const {
        proto::Header h;
        std::vector<proto::Record> out;
        if (proto::parse_header(bytes_, h) != proto::kNoDrop) return out;
        proto::RecordReader reader(proto::records_of(bytes_, h));
        proto::Record r;
        while (reader.next(r) == proto::Next::record) out.push_back(r);
        return out;
    }

private:
    std::vector<std::byte> bytes_;
    proto::ClearSeal seal_;
};

/// Puts one whole transaction into the writer.
inline bool put(FrameWriter& w, const Tlp& t, FunctionHandle handle = {5, 9}) {
    const auto payload = sample_payload(t);
    std::byte* place = w.tlp(t, handle, 0, payload.size());
    if (place != nullptr && !payload.empty()) std::memcpy(place, payload.data(), payload.size());
    return place != nullptr;
}

}  // namespace farlane::test
