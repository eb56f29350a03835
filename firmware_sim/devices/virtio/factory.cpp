// SPDX-License-Identifier: Apache-2.0
// Receives: the options of virtio functions as text. Hands on: the functions, on memory that may outlive the
// daemon. Owns: nothing.
#include <cstring>

#include <sys/random.h>

#include "core/options.hpp"
#include "devices/devices.hpp"
#include "devices/virtio/blk.hpp"
#include "devices/virtio/console.hpp"
#include "devices/virtio/net.hpp"
#include "devices/virtio/rng.hpp"

namespace farlane::firmware {
namespace {

using namespace virtio;

constexpr std::uint64_t kDefaultBytes = 64u << 20, kLeastBytes = 1u << 20, kMostBytes = std::uint64_t{1} << 46;

/// State as an earlier life left it, or a new one.
Result<State*> state_of(const backend::DeviceConfig& config, backend::Memory& memory, Kind kind) {
    bool fresh = false;
    const auto region = memory.region(config.name + ".virtio", sizeof(State), fresh);
    if (!region) return region.failure();
    auto* state = reinterpret_cast<State*>(region.value().data());
    const auto number = static_cast<std::uint32_t>(kind);
    if (!fresh && state->magic == State::kMagic && state->kind == number) return state;
    std::memset(static_cast<void*>(state), 0, sizeof *state);
    if (::getrandom(state->identity.data(), state->identity.size(), 0) != ssize_t{sizeof state->identity})
        return {Status::io, "no random numbers for the identity of a virtio function"};
    state->kind = number;
    publish(state->magic, State::kMagic);
    return state;
}

std::string serial_of(const State& s) {
    static constexpr char kDigits[] = "0123456789ABCDEF";
    std::string text;
    for (unsigned i = 0; i < 8; ++i) {
        text += kDigits[s.identity[i] >> 4];
        text += kDigits[s.identity[i] & 15];
    }
    return text;
}

struct ChosenBlk {
    std::optional<std::uint64_t> size_bytes;
    std::optional<std::string> file;
    BlkOptions blk;
};

Result<ChosenBlk> read_blk(const backend::DeviceConfig& config) {
    Options o(config);
    ChosenBlk c;
    c.size_bytes = o.size("size", kLeastBytes, kMostBytes);
    if (c.size_bytes && *c.size_bytes % 4096 != 0) o.fail("size", "must be a multiple of 4096 bytes");
    c.file = o.text("file", 4095, "path of a plain file");
    if (const auto lba = o.choice("lba", {"512", "4096"})) c.blk.block_bytes = *lba == 0 ? 512 : 4096;
    c.blk.serial = o.text("serial", 20, "serial number").value_or("");
    c.blk.queues = static_cast<unsigned>(o.number("queues", 1, kMaxQueues).value_or(c.blk.queues));
    if (const auto ok = o.check(); !ok) return ok.failure();
    return c;
}

Result<std::unique_ptr<nvme::Media>> open_media(const backend::DeviceConfig& config, const ChosenBlk& c,
                                                backend::Memory& memory) {
    if (c.file) return nvme::file_media(*c.file, c.size_bytes.value_or(0));
    bool fresh = false;
    auto region = memory.region(config.name + ".disk", c.size_bytes.value_or(kDefaultBytes), fresh);
    if (!region) return region.failure();
    return nvme::memory_media(*region);
}

struct ChosenNet {
    std::optional<std::string> peer, tap, mac;
    NetOptions net;
};

int digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// "52:54:00:12:34:56", an address of one interface.
bool parse_mac(const std::string& text, std::array<std::uint8_t, 6>& mac) noexcept {
    if (text.size() != 17) return false;
    unsigned all = 0;
    for (std::size_t i = 0; i < mac.size(); ++i) {
        const int high = digit(text[3 * i]), low = digit(text[3 * i + 1]);
        if (high < 0 || low < 0 || (i != 5 && text[3 * i + 2] != ':')) return false;
        mac[i] = static_cast<std::uint8_t>(high << 4 | low);
        all |= mac[i];
    }
    return all != 0 && (mac[0] & 1) == 0;
}

Result<ChosenNet> read_net(const backend::DeviceConfig& config) {
    Options o(config);
    ChosenNet c;
    c.peer = o.text("peer", FL_NAME_BYTES - 1, "name of another virtio-net function of this daemon");
    c.tap = o.text("tap", 15, "tap interface of this host");
    c.mac = o.text("mac", 17, "MAC address, such as 52:54:00:12:34:56");
    c.net.mtu = static_cast<std::uint16_t>(o.number("mtu", 576, 9000).value_or(c.net.mtu));
    if (c.peer && c.tap) o.fail("tap", "can not be given together with 'peer': a wire has one other end");
    if (c.peer && *c.peer == config.name) o.fail("peer", "names the function itself");
    if (c.tap && c.tap->find_first_of("/ %") != std::string::npos) o.fail("tap", "is no name of an interface");
    if (c.mac && !parse_mac(*c.mac, c.net.mac))
        o.fail("mac", "= '" + *c.mac + "' is not valid: six bytes such as 52:54:00:12:34:56, not a group address");
    if (const auto ok = o.check(); !ok) return ok.failure();
    return c;
}

/// The features that it does not offer.
Result<std::uint64_t> read_rng(const backend::DeviceConfig& config) {
    Options o(config);
    const bool withholds = o.choice("access_platform", {"yes", "no"}) == std::size_t{1};
    if (const auto ok = o.check(); !ok) return ok.failure();
    return withholds ? feature::kAccessPlatform : 0;
}

constexpr std::string_view kLineHint = "echo, unix:PATH or file:PATH";

Result<std::string> read_console(const backend::DeviceConfig& config) {
    Options o(config);
    const std::string line = o.text("line", 4095, kLineHint).value_or("echo");
    if (line != "echo" && !line.starts_with("unix:/") && !line.starts_with("file:/"))
        o.fail("line", "= '" + line + "' is not valid: " + std::string(kLineHint) + ", with an absolute path");
    if (const auto ok = o.check(); !ok) return ok.failure();
    return line;
}

}  // namespace

Result<bool> check_virtio_blk(const backend::DeviceConfig& config) {
    const auto chosen = read_blk(config);
    if (!chosen) return chosen.failure();
    return true;
}

Result<std::unique_ptr<backend::Device>> make_virtio_blk(const backend::DeviceConfig& config, backend::Memory& memory) {
    auto chosen = read_blk(config);
    if (!chosen) return chosen.failure();
    auto media = open_media(config, *chosen, memory);
    if (!media) return media.failure();
    const auto state = state_of(config, memory, Kind::block);
    if (!state) return state.failure();
    if (chosen->blk.serial.empty()) chosen->blk.serial = serial_of(*state.value());
    return std::unique_ptr<backend::Device>(
        std::make_unique<Blk>(chosen->blk, *state.value(), std::move(media.value())));
}

Result<bool> check_virtio_net(const backend::DeviceConfig& config) {
    const auto chosen = read_net(config);
    if (!chosen) return chosen.failure();
    return true;
}

Result<std::unique_ptr<backend::Device>> make_virtio_net(const backend::DeviceConfig& config, backend::Memory& memory) {
    auto chosen = read_net(config);
    if (!chosen) return chosen.failure();
    const auto state = state_of(config, memory, Kind::net);
    if (!state) return state.failure();
    std::unique_ptr<Tap> tap;
    if (chosen->tap) {
        auto opened = open_tap(*chosen->tap);
        if (!opened) return opened.failure();
        tap = std::move(opened.value());
    }
    if (!chosen->mac) {  // locally administered, and always the same
        std::memcpy(chosen->net.mac.data(), state.value()->identity.data(), chosen->net.mac.size());
        chosen->net.mac[0] = 0x02;
    }
    auto net = std::make_unique<Net>(chosen->net, *state.value(), std::move(tap));
    if (!chosen->tap) net->join(&memory, config.name, chosen->peer.value_or(""));
    return std::unique_ptr<backend::Device>(std::move(net));
}

Result<bool> check_virtio_rng(const backend::DeviceConfig& config) {
    const auto withheld = read_rng(config);
    if (!withheld) return withheld.failure();
    return true;
}

Result<std::unique_ptr<backend::Device>> make_virtio_rng(const backend::DeviceConfig& config, backend::Memory& memory) {
    const auto withheld = read_rng(config);
    if (!withheld) return withheld.failure();
    const auto state = state_of(config, memory, Kind::entropy);
    if (!state) return state.failure();
    return std::unique_ptr<backend::Device>(std::make_unique<Rng>(*state.value(), withheld.value()));
}

Result<bool> check_virtio_console(const backend::DeviceConfig& config) {
    const auto line = read_console(config);
    if (!line) return line.failure();
    return true;
}

Result<std::unique_ptr<backend::Device>> make_virtio_console(const backend::DeviceConfig& config,
                                                             backend::Memory& memory) {
    const auto chosen = read_console(config);
    if (!chosen) return chosen.failure();
    const auto state = state_of(config, memory, Kind::console);
    if (!state) return state.failure();
    std::unique_ptr<serial::Line> line;
    if (const std::string& text = chosen.value(); text != "echo") {
        auto opened =
            text.starts_with("unix:") ? serial::socket_line(text.substr(5)) : serial::file_line(text.substr(5));
        if (!opened) return opened.failure();
        line = std::move(opened.value());
    }
    return std::unique_ptr<backend::Device>(std::make_unique<Console>(*state.value(), std::move(line)));
}

}  // namespace farlane::firmware
