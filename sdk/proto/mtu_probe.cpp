// SPDX-License-Identifier: Apache-2.0
// Receives: which frame sizes arrived. Hands on: the size in use. Owns: nothing more.
// docs/wire.md, "Path MTU".
#include "proto/mtu_probe.hpp"

#include <algorithm>
#include <array>

namespace farlane::proto {

namespace {

// UDP payload of a 1500-byte Ethernet, of half a jumbo frame, of a 9000-byte one.
constexpr std::array<std::uint32_t, 3> kSteps{1472, 4096, 8972};

std::uint32_t clamp_frame(std::uint32_t bytes) noexcept {
    return std::clamp<std::uint32_t>(bytes, FL_FRAME_BASE_BYTES, FL_FRAME_MAX_BYTES);
}

}  // namespace

MtuProbe::MtuProbe(std::uint32_t limit, bool reliable) noexcept
    : limit_(clamp_frame(limit)), frame_bytes_(reliable ? limit_ : FL_FRAME_BASE_BYTES), reliable_(reliable) {}

void MtuProbe::peer_limit(std::uint32_t max_frame_bytes) noexcept {
    limit_ = std::min(limit_, clamp_frame(max_frame_bytes));
    frame_bytes_ = reliable_ ? limit_ : std::min(frame_bytes_, limit_);
}

std::uint32_t MtuProbe::candidate() const noexcept {
    if (frame_bytes_ >= limit_) return 0;
    for (const std::uint32_t step : kSteps)
        if (step > frame_bytes_ && step < limit_) return step;
    return limit_;
}

void MtuProbe::probed(Time now, Duration round_trip) noexcept {
    next_probe_ = now + std::max<Duration>(round_trip * 3, std::chrono::milliseconds(10));
    if (++tries_ < kTries) return;
    next_probe_ = now + kTryAgain;  // the path may change
    tries_ = 0;
}

void MtuProbe::arrived(std::uint32_t bytes) noexcept {
    if (bytes <= frame_bytes_ || bytes > limit_) return;
    frame_bytes_ = bytes;
    tries_ = 0;
    large_lost_ = 0;
    next_probe_ = Time{};
}

void MtuProbe::probe_lost(std::uint32_t bytes, Time now) noexcept {
    if (bytes == candidate() && tries_ != 0) next_probe_ = std::min(next_probe_, now);
}

bool MtuProbe::large_lost(std::uint32_t bytes, Time now) noexcept {
    if (bytes <= FL_FRAME_BASE_BYTES || frame_bytes_ <= FL_FRAME_BASE_BYTES) return false;
    if (++large_lost_ < kBlackHole) return false;
    large_lost_ = 0;
    frame_bytes_ = FL_FRAME_BASE_BYTES;
    reliable_ = false;
    tries_ = 0;
    next_probe_ = now + std::chrono::seconds(1);
    return true;
}

}  // namespace farlane::proto
