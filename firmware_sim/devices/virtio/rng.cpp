// SPDX-License-Identifier: Apache-2.0
// Receives: buffers of an entropy driver. Hands on: them, filled with random bytes. Owns: nothing.
#include "devices/virtio/rng.hpp"

#include <algorithm>

#include <sys/random.h>

namespace farlane::firmware::virtio {
namespace {

constexpr std::uint32_t kMostBytes = 4096;  // of a buffer; the driver asks again for more

Profile profile(std::uint64_t withheld) {
    Profile p;
    p.kind = Kind::entropy;
    p.model = "Farlane virtio entropy source";
    p.class_code = 0xff0000;
    p.queue_size = 64;
    p.window = 16;
    p.blocks = 64;
    p.withheld = withheld;
    return p;
}

}  // namespace

Rng::Rng(State& state, std::uint64_t withheld) : Transport(profile(withheld), state) {}

void Rng::proceed(Request& r) noexcept {
    if (r.in_bytes == 0) return broken(Fault::request);  // 5.4.6.1: one or more bytes to write
    if (!can_move()) return stall(r);
    const auto n = static_cast<std::uint32_t>(std::min<std::uint64_t>(r.in_bytes, kMostBytes));
    const std::uint32_t block = staging().take();
    // The pool of this kernel was ready when the identity of the function was drawn: no wait
    std::uint32_t have = 0;
    while (have < n) {
        const ssize_t got = ::getrandom(staging().bytes(block).data() + have, n - have, GRND_NONBLOCK);
        if (got <= 0) break;
        have += static_cast<std::uint32_t>(got);
    }
    if (have == 0) {
        staging().give(block);
        return stall(r);
    }
    r.work.end = have;
    bytes_ += have;
    const Moved moved = scatter(r, 0, block, have);
    if (moved != Moved::started) complete(r, moved == Moved::given ? have : 0);
}

void Rng::on_gathered(Request&, std::uint32_t block, Status) noexcept {
    staging().give(block);  // nothing is read from an entropy driver
}

void Rng::on_scattered(Request& r, Status status) noexcept {
    complete(r, status == Status::ok ? static_cast<std::uint32_t>(r.work.end) : 0);
}

void Rng::counters(const std::function<void(std::string_view, std::uint64_t)>& each) const {
    Transport::counters(each);
    each("rng_bytes", bytes_);
}

}  // namespace farlane::firmware::virtio
