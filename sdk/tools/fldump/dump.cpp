// SPDX-License-Identifier: Apache-2.0
// Receives: the bytes of a file. Hands on: its frames or its rings as text or as one JSON
// document. Owns: the bytes of one hexadecimal line.
#include "tools/fldump/dump.hpp"

#include <cstring>
#include <string_view>

#include <farlane/uapi/ring.h>

namespace farlane::fldump {

namespace {

// Writes frames one after the other; as JSON they are one array.
class FrameList {
public:
    FrameList(const Request& request, const Sink& out) : request_(request), out_(out) {}

    void add(Json where, Bytes frame) {
        where.update(describe_frame(frame, request_.options));
        bad_ += has_problem(where) ? 1 : 0;
        if (request_.json)
            out_((frames_ == 0 ? "[\n" : ",\n") + where.dump());
        else
            out_(frame_text(where));
        ++frames_;
    }
    void end() {
        if (request_.json) out_(frames_ == 0 ? "[]\n" : "\n]\n");
    }
    [[nodiscard]] Outcome outcome() const {
        if (bad_ == 0) return {};
        return {Status::malformed, std::to_string(bad_) + " of " + std::to_string(frames_) +
                                       " frames would be dropped in whole or in part"};
    }

private:
    const Request& request_;
    const Sink& out_;
    std::uint64_t frames_ = 0, bad_ = 0;
};

std::string time_text(const Packet& p) {
    char text[40];
    std::snprintf(text, sizeof(text), "%llu.%09u", static_cast<unsigned long long>(p.seconds), p.nanoseconds);
    return text;
}

Outcome dump_capture(Bytes file, const Request& request, const Sink& out) {
    auto reader = CaptureReader::open(file);
    if (!reader) {
        return {Status::malformed, is_pcapng(file)
                                       ? "this is pcapng; convert it with: editcap -F pcap IN OUT"
                                       : "not a pcap file; choose another kind with --kind channel, hex or frame"};
    }
    if (!link_type_known(reader->link_type()))
        return {Status::unsupported, "link type " + std::to_string(static_cast<unsigned>(reader->link_type())) +
                                         " is not read; Ethernet, raw IP, loopback and Linux cooked are"};
    FrameList list(request, out);
    Packet packet;
    for (std::uint64_t number = 1; reader->next(packet); ++number) {
        const auto found = find_frame(packet, reader->link_type(), request.udp_port);
        if (!found) continue;
        list.add({{"number", number}, {"time", time_text(packet)}, {"from", found->from}, {"to", found->to}},
                 found->frame);
    }
    list.end();
    if (reader->truncated()) return {Status::malformed, "the file ends in the middle of a packet"};
    return list.outcome();
}

Outcome dump_channel(Bytes file, const Request& request, const Sink& out) {
    const Json channel = describe_channel(file, request.options);
    out(request.json ? channel.dump() + "\n" : channel_text(channel));
    if (channel.contains("problem")) return {Status::malformed, channel["problem"].get<std::string>()};
    if (has_problem(channel)) return {Status::malformed, "a slot holds a transaction that would be refused"};
    return {};
}

int digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// One line of hexadecimal digits; blanks, ':' and "0x" are skipped. False: something else.
bool read_hex(std::string_view line, std::vector<std::byte>& out) {
    out.clear();
    if (line.starts_with("0x")) line.remove_prefix(2);
    int high = -1;
    for (const char c : line) {
        if (c == ' ' || c == ':' || c == '\t' || c == '\r') continue;
        const int d = digit(c);
        if (d < 0) return false;
        if (high < 0) {
            high = d;
            continue;
        }
        out.push_back(static_cast<std::byte>(high << 4 | d));
        high = -1;
    }
    return high < 0;
}

Outcome dump_hex(Bytes file, const Request& request, const Sink& out) {
    std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
    FrameList list(request, out);
    std::vector<std::byte> frame;
    std::uint64_t wrong_line = 0;
    for (std::uint64_t line = 1; !text.empty(); ++line) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view one = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (one.empty() || one[0] == '#') continue;
        if (read_hex(one, frame))
            list.add({{"number", line}}, frame);
        else if (wrong_line == 0)
            wrong_line = line;
    }
    list.end();
    if (wrong_line != 0)
        return {Status::malformed, "line " + std::to_string(wrong_line) + " is not a frame in hexadecimal digits"};
    return list.outcome();
}

Outcome dump_frame(Bytes file, const Request& request, const Sink& out) {
    FrameList list(request, out);
    list.add(Json::object(), file);
    list.end();
    return list.outcome();
}

Kind guess(Bytes file) noexcept {
    if (CaptureReader::open(file) || is_pcapng(file)) return Kind::pcap;
    std::uint32_t magic = 0;
    if (file.size() >= sizeof(magic)) std::memcpy(&magic, file.data(), sizeof(magic));
    if (magic == FL_CHANNEL_MAGIC) return Kind::channel;
    if (!file.empty() && std::to_integer<unsigned>(file[0]) == FL_WIRE_VERSION) return Kind::frame;
    const char first = file.empty() ? '\0' : static_cast<char>(file[0]);
    return digit(first) >= 0 || first == '#' ? Kind::hex : Kind::pcap;
}

}  // namespace

Outcome dump(Bytes file, const Request& request, const Sink& out) {
    switch (request.kind == Kind::automatic ? guess(file) : request.kind) {
        case Kind::channel: return dump_channel(file, request, out);
        case Kind::hex: return dump_hex(file, request, out);
        case Kind::frame: return dump_frame(file, request, out);
        default: return dump_capture(file, request, out);
    }
}

}  // namespace farlane::fldump
