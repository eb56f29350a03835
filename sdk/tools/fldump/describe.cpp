// SPDX-License-Identifier: Apache-2.0
// Receives: frames. Hands on: header and records as JSON. Owns: nothing. docs/wire.md, "Records".
#include "tools/fldump/describe.hpp"

#include <cstdio>

#include <farlane/status.hpp>

#include "proto/seal.hpp"

namespace farlane::fldump {

namespace {

using proto::TlpType;
constexpr std::size_t kShownBytes = 16;

const char* tlp_name(TlpType type) noexcept {
    switch (type) {
        case TlpType::memory_read: return "MRd";
        case TlpType::memory_write: return "MWr";
        case TlpType::config_read: return "CfgRd";
        case TlpType::config_write: return "CfgWr";
        case TlpType::completion: return "Cpl";
        case TlpType::completion_data: return "CplD";
        case TlpType::msi: return "MSI";
        case TlpType::fetch_add: return "FetchAdd";
        case TlpType::swap: return "Swap";
        case TlpType::compare_swap: return "CAS";
        case TlpType::message: return "Msg";
    }
    return "?";
}

const char* message_name(unsigned code) noexcept {
    switch (code) {
        case FL_MSG_MAP: return "map";
        case FL_MSG_UNMAP: return "unmap";
        case FL_MSG_ERROR: return "error";
        default: return "?";
    }
}

const char* control_name(unsigned type) noexcept {
    constexpr const char* names[] = {
        "?",          "hello",  "hello_ack",    "hello_reject", "keepalive",    "probe", "bye",      "list",
        "list_reply", "attach", "attach_reply", "detach",       "detach_reply", "event", "key_phase"};
    return type < std::size(names) ? names[type] : "?";
}

std::string attr_text(unsigned attr) {
    std::string out;
    const auto add = [&](unsigned bit, const char* name) {
        if ((attr & bit) != 0) out += (out.empty() ? "" : ",") + std::string(name);
    };
    add(FL_ATTR_RO, "ro");
    add(FL_ATTR_NS, "ns");
    add(FL_ATTR_IDO, "ido");
    add(FL_ATTR_EP, "ep");
    return out;
}

std::string handle_text(proto::FunctionHandle h) {
    return std::to_string(h.index) + "." + std::to_string(h.generation);
}

std::string status_of(std::uint32_t code) {
    return std::string(status_name(status_from_code(code)));
}

template <class Array>
Json counts(const Array& values) {
    return Json{{"posted", values[0]}, {"non_posted", values[1]}, {"completion", values[2]}};
}

Json counts(const fl_le64 (&values)[FL_CLASS_COUNT]) {
    return counts(std::array{values[0].get(), values[1].get(), values[2].get()});
}

Json describe_description(const fl_function_desc& d) {
    Json out = {{"name", proto::read_name(d.name)},           {"model", proto::read_name(d.model)},
                {"holder", proto::read_name(d.holder)},       {"vendor_id", hex_number(d.vendor_id.get())},
                {"device_id", hex_number(d.device_id.get())}, {"class", hex_number(d.class_code.get())},
                {"msix_vectors", d.msix_vectors.get()},       {"state", d.state.get()},
                {"serial", hex_number(d.serial.get())}};
    for (unsigned i = 0; i < 6; ++i)
        if (d.bar[i].size_bytes.get() != 0) out["bar" + std::to_string(i) + "_bytes"] = d.bar[i].size_bytes.get();
    return out;
}

Json describe_message(const proto::TlpRecord& r) {
    if (r.tlp.code == FL_MSG_ERROR) {
        fl_msg_error e;
        std::memcpy(&e, r.payload.data(), sizeof(e));
        return {{"severity", e.severity.get()}, {"source", e.source.get()}};
    }
    fl_msg_map m;
    std::memcpy(&m, r.payload.data(), sizeof(m));
    return {
        {"iova", hex_number(m.iova.get())}, {"length_bytes", m.length_bytes.get()}, {"direction", m.direction.get()}};
}

Json describe_ack(const proto::AckRecord& a) {
    Json out = {{"type", "ack"},
                {"path", a.path},
                {"largest", a.largest},
                {"echo_sent_ns", a.echo_sent_ns},
                {"hold_ns", a.hold_ns}};
    Json runs = Json::array();
    a.for_each_run([&](std::uint64_t low, std::uint64_t high) {
        runs.push_back(std::to_string(low) + "-" + std::to_string(high));
    });
    out["received"] = std::move(runs);
    return out;
}

void add_hello(Json& out, const fl_control_hello& h) {
    out["session"] = hex_number(h.session.get());
    out["versions"] = std::to_string(h.version_min) + "-" + std::to_string(h.version_max);
    out["path"] = h.path.get();
    out["instance"] = hex_bytes(std::as_bytes(std::span(h.instance)), FL_INSTANCE_BYTES);
    out["incarnation"] = h.incarnation.get();
    out["nonce"] = hex_number(h.nonce.get());
    out["features"] = hex_number(h.features.get());
    out["max_frame_bytes"] = h.max_frame_bytes.get();
    out["keepalive_ms"] = h.keepalive_ms.get();
    out["grace_ms"] = h.grace_ms.get();
    out["name"] = proto::read_name(h.name);
}

void add_attach(Json& out, const fl_control_attach& a) {
    out["request"] = a.request.get();
    out["name"] = proto::read_name(a.name);
    out["flags"] = hex_number(a.flags.get());
    out["function"] = handle_text({a.function_index.get(), a.function_generation.get()});
    out["completion_timeout_ms"] = a.completion_timeout_ms.get();
    out["released"] = counts(a.released);
    out["lease_epoch"] = a.lease_epoch.get();
}

void add_attach_reply(Json& out, const fl_control_attach_reply& r) {
    out["request"] = r.request.get();
    out["status"] = status_of(r.status.get());
    out["function"] = handle_text({r.function_index.get(), r.function_generation.get()});
    out["flags"] = hex_number(r.flags.get());
    out["released"] = counts(r.released);
    out["header_limit"] = counts(r.header_limit);
    out["data_limit"] = counts(r.data_limit);
    out["description"] = describe_description(r.desc);
}

Json describe_control(const proto::ControlRecord& c) {
    Json out = {{"type", control_name(c.type)}, {"sequence", c.sequence}};
    switch (c.type) {
        case FL_CONTROL_HELLO:
        case FL_CONTROL_HELLO_ACK: add_hello(out, c.as<fl_control_hello>()); break;
        case FL_CONTROL_HELLO_REJECT:
        case FL_CONTROL_BYE: out["status"] = status_of(c.as<fl_control_status>().status.get()); break;
        case FL_CONTROL_LIST: out["request"] = c.as<fl_control_status>().request.get(); break;
        case FL_CONTROL_LIST_REPLY: {
            const auto r = c.as<fl_control_list_reply>();
            out["request"] = r.request.get();
            out["index"] = r.index.get();
            out["count"] = r.count.get();
            if (r.count.get() != 0) out["description"] = describe_description(r.desc);
            break;
        }
        case FL_CONTROL_ATTACH: add_attach(out, c.as<fl_control_attach>()); break;
        case FL_CONTROL_ATTACH_REPLY: add_attach_reply(out, c.as<fl_control_attach_reply>()); break;
        case FL_CONTROL_DETACH:
        case FL_CONTROL_DETACH_REPLY: {
            const auto d = c.as<fl_control_detach>();
            out["request"] = d.request.get();
            out["function"] = handle_text({d.function_index.get(), d.function_generation.get()});
            out["status"] = status_of(d.status.get());
            break;
        }
        case FL_CONTROL_EVENT: {
            const auto e = c.as<fl_control_event>();
            constexpr const char* names[] = {"?", "added", "removed", "reset", "failed"};
            out["event"] = names[e.code.get()];
            out["function"] = handle_text({e.function_index.get(), e.function_generation.get()});
            out["description"] = describe_description(e.desc);
            break;
        }
        default: break;
    }
    return out;
}

Json describe_tlp_record(const proto::TlpRecord& r, const Options& options) {
    Json out = describe_tlp(r.tlp, r.handle);
    if (r.fragment) {
        out["fragment_offset"] = r.offset_bytes;
        out["fragment_bytes"] = r.payload.size();
    }
    if (r.tlp.type == TlpType::message) {
        out.update(describe_message(r));
    } else if (!r.payload.empty()) {
        out["payload"] = hex_bytes(r.payload, options.payload ? r.payload.size() : kShownBytes);
    }
    return out;
}

// Records and reasons of what follows the header.
void add_records(Json& out, Bytes records, const Options& options) {
    Json list = Json::array();
    proto::RecordReader reader(records);
    proto::Record r;
    for (proto::Next n = reader.next(r); n != proto::Next::end; n = reader.next(r)) {
        if (n == proto::Next::record) {
            list.push_back(describe_record(r, options));
            continue;
        }
        list.push_back({{"type", "bad"}, {"drop", drop_name(reader.drop())}});
        out["drop"] = drop_name(reader.drop());
    }
    out["records"] = std::move(list);
}

bool authentic(Bytes frame, std::size_t bytes) {
    proto::ClearSeal seal;
    std::vector<std::byte> copy(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(bytes));
    return seal.open(copy, 0);
}

}  // namespace

std::string hex_number(std::uint64_t v) {
    char text[20];
    std::snprintf(text, sizeof(text), "0x%llx", static_cast<unsigned long long>(v));
    return text;
}

std::string hex_bytes(Bytes bytes, std::size_t most) {
    constexpr char digits[] = "0123456789abcdef";
    std::string out;
    for (const std::byte b : bytes.first(std::min(most, bytes.size()))) {
        out += digits[std::to_integer<unsigned>(b) >> 4];
        out += digits[std::to_integer<unsigned>(b) & 15];
    }
    return bytes.size() > most ? out + ".." : out;
}

Json describe_tlp(const proto::Tlp& t, proto::FunctionHandle handle) {
    Json out = {{"type", tlp_name(t.type)}, {"function", handle_text(handle)}, {"sequence", t.sequence}};
    const int record_class = proto::class_of(t.type);
    if (record_class != FL_CLASS_POSTED) {
        out["follows_posted"] = t.follows_posted;
        out["tag"] = t.tag;
    }
    if (record_class == FL_CLASS_COMPLETION) out["status"] = status_of(t.code);
    if (t.type == TlpType::message) out["message"] = message_name(t.code);
    if (record_class != FL_CLASS_COMPLETION && t.type != TlpType::message) out["address"] = hex_number(t.address);
    if (t.bar == FL_BAR_ROM) out["bar"] = "rom";
    if (t.bar < FL_BAR_ROM) out["bar"] = t.bar;
    if (t.pasid != 0) out["pasid"] = t.pasid;
    if (t.type != TlpType::completion) out["length_bytes"] = t.length_bytes;
    if (t.byte_enables != 0) out["byte_enables"] = hex_number(t.byte_enables);
    if (t.attr != 0) out["attr"] = attr_text(t.attr);
    return out;
}

Json describe_record(const proto::Record& r, const Options& options) {
    switch (r.family) {
        case FL_FAMILY_TLP: return describe_tlp_record(r.tlp, options);
        case FL_FAMILY_ACK: return describe_ack(r.ack);
        case FL_FAMILY_CREDIT:
            return {{"type", "credit"},
                    {"function", handle_text(r.credit.handle)},
                    {"released", counts(r.credit.released)},
                    {"header_limit", counts(r.credit.header_limit)},
                    {"data_limit", counts(r.credit.data_limit)}};
        default: return describe_control(r.control);
    }
}

Json describe_frame(Bytes frame, const Options& options) {
    proto::Header h;
    Json out = {{"bytes", frame.size()}};
    if (const proto::Drop d = proto::parse_header(frame, h); d != proto::kNoDrop) {
        out["drop"] = drop_name(d);
        return out;
    }
    out = {{"bytes", h.frame_bytes},
           {"session", hex_number(h.session)},
           {"path", h.path},
           {"packet", h.packet_number},
           {"sent_ns", h.sent_ns}};
    if ((h.flags & FL_FRAME_PATIENT) != 0) out["patient"] = true;  // its acknowledgement may wait longer
    if ((h.flags & FL_FRAME_SEALED) != 0) {
        out["integrity"] = "sealed";  // nothing inside can be read without the key
        return out;
    }
    if (!authentic(frame, h.frame_bytes)) {
        out["integrity"] = "bad";
        out["drop"] = drop_name(proto::Drop::frame_crc);
        return out;
    }
    out["integrity"] = "ok";
    if (h.session == 0 && h.frame_bytes == FL_FRAME_MIN_BYTES) out["hint_for_session"] = hex_number(h.sent_ns);
    add_records(out, proto::records_of(frame, h), options);
    return out;
}

bool has_problem(const Json& described) {
    if (described.contains("drop") || described.contains("problem")) return true;
    for (const char* list : {"records", "submit", "complete"})
        if (described.contains(list))
            for (const Json& entry : described[list])
                if (has_problem(entry)) return true;
    return false;
}

}  // namespace farlane::fldump
