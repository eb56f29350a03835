// SPDX-License-Identifier: Apache-2.0
// Receives: the options of virtio functions as text. Hands on: the functions, on memory that may outlive the
// daemon. Owns: nothing.
#include <cstring>

#include <sys/random.h>

#include "core/options.hpp"
#include "devices/devices.hpp"
#include "devices/virtio/blk.hpp"

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

}  // namespace farlane::firmware
