// SPDX-License-Identifier: Apache-2.0
// Receives: messages of equal length in device memory. Hands on: their digests. Owns: nothing.
// FIPS 180-4: padding in 5.1.1, the digest in 6.2.
#include <algorithm>
#include <array>
#include <cstring>

#include "devices/accel/cpu/tasks.hpp"

namespace farlane::firmware::accel {
namespace {

constexpr std::size_t kBlockBytes = 64;
constexpr std::size_t kDigestBytes = 32;
constexpr std::size_t kStepBytes = std::size_t{1} << 20;  // between two looks at `stop`

template <class T>
void store_big_endian(T value, std::byte* to) {
    for (std::size_t i = sizeof value; i-- > 0; value = static_cast<T>(value >> 8))
        to[i] = static_cast<std::byte>(value);
}

}  // namespace

Sha256Task::Sha256Task(const View& view, const KernelTable& loops, const fl_accel_args_sha256& args) noexcept
    : loops_(&loops),
      to_(view.at(args.destination.get())),
      from_(view.at(args.source.get())),
      bytes_(args.message_bytes.get()),
      stride_(args.message_stride_bytes.get()),
      count_(args.count.get()),
      per_part_(std::max<std::size_t>(1, kPartBytes / (bytes_ + kBlockBytes))) {}

backend::Outcome Sha256Task::run(std::size_t part, Scratch&, const std::atomic<bool>& stop) {
    const std::size_t end = std::min(count_, (part + 1) * per_part_);
    for (std::size_t message = part * per_part_; message < end; ++message) {
        if (!digest(message, stop)) return {FL_ACCEL_REASON_EXECUTION, 0, 0};
    }
    return {};
}

bool Sha256Task::digest(std::size_t message, const std::atomic<bool>& stop) const noexcept {
    std::array<std::uint32_t, 8> state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                          0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    // An empty message touches no memory, whatever its address.
    const std::byte* from = bytes_ == 0 ? nullptr : from_ + message * stride_;
    const std::size_t whole = bytes_ / kBlockBytes * kBlockBytes;
    for (std::size_t at = 0; at < whole; at += kStepBytes) {
        if (stop.load(std::memory_order_relaxed)) return false;
        loops_->sha256_blocks(state.data(), from + at, std::min(kStepBytes, whole - at) / kBlockBytes);
    }
    std::array<std::byte, 2 * kBlockBytes> tail{};
    const std::size_t rest = bytes_ - whole;
    if (rest > 0) std::memcpy(tail.data(), from + whole, rest);
    tail[rest] = std::byte{0x80};
    const std::size_t blocks = rest + 9 <= kBlockBytes ? 1 : 2;
    store_big_endian(std::uint64_t{bytes_} * 8, tail.data() + blocks * kBlockBytes - 8);
    loops_->sha256_blocks(state.data(), tail.data(), blocks);
    for (std::size_t i = 0; i < state.size(); ++i) {
        store_big_endian(state[i], to_ + message * kDigestBytes + i * sizeof state[i]);
    }
    return true;
}

}  // namespace farlane::firmware::accel
