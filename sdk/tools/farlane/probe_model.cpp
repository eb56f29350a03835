// SPDX-License-Identifier: Apache-2.0
// Receives: what was measured of a link. Hands on: what a workload will get over it. Owns: nothing.
#include "farlane/probe_model.hpp"

#include <algorithm>
#include <cmath>

namespace farlane::cli {
namespace {

constexpr double kFrame = 28;        // header and check of a frame
constexpr double kRecord = 48;       // of each write or answer in it
constexpr double kOutside = 66;      // Ethernet with its gap, IPv4, UDP
constexpr double kWindow = 16384;    // posted writes of a function that may wait for release
constexpr double kReadWindow = 256;  // reads of a function that may wait for their answer
constexpr double kHeldBack = 0.25;   // bulk reads this near to their window say little of the link
constexpr std::uint32_t kWord = 8, kPage = 4096;
// What an operation costs the slower end on one core of the machine of docs/performance.md, whatever the link.
constexpr double kWordNs = 80, kPageNs = 250;
constexpr double kNvmeRoundTrips = 2;  // doorbell and fetch of the command; the completion comes with the data
constexpr double kDepth = 32;

double least(double a, double b) noexcept {
    return a == 0 ? b : b == 0 ? a : std::min(a, b);
}

}  // namespace

double payload_share(std::uint32_t frame_bytes, std::uint32_t bytes) noexcept {
    const double room = std::max<double>(frame_bytes, 128) - kFrame;
    const double whole = std::floor(room / (kRecord + bytes));
    if (whole >= 1) return whole * bytes / (whole * (kRecord + bytes) + kFrame + kOutside);
    const double parts = std::ceil(bytes / (room - kRecord));
    return bytes / (bytes + parts * (kRecord + kFrame + kOutside));
}

Prediction predict(const LinkFigures& link) noexcept {
    Prediction p;
    const double kept = 1 - std::clamp(link.loss, 0.0, 1.0);  // what is lost is sent again
    const double by_link = link.link_bits_per_s / 8 * payload_share(link.frame_bytes, kPage) * kept;
    p.bulk_bytes_per_s = by_link > 0 ? std::min(by_link, kPage / kPageNs * 1e9) : 0;
    if (link.payload_bytes_per_s > 0) p.bulk_bytes_per_s = link.payload_bytes_per_s;
    if (link.round_trip_s <= 0) return p;
    const double by_window = kWindow / link.round_trip_s;
    if (link.payload_bytes_per_s == 0) p.bulk_bytes_per_s = std::min(p.bulk_bytes_per_s, by_window * kPage);
    p.bulk_is_least = link.payload_bytes_per_s > kHeldBack * kReadWindow * kPage / link.round_trip_s;
    // Of the wire, in bytes.
    const double rate = p.bulk_is_least ? 0 : p.bulk_bytes_per_s / payload_share(link.frame_bytes, kPage);
    p.reads_per_s = 1 / link.round_trip_s;
    p.posted_writes_per_s =
        std::min(least(rate * payload_share(link.frame_bytes, kWord) / kWord, by_window), 1e9 / kWordNs);
    const double one = 1 / (kNvmeRoundTrips * link.round_trip_s), most = p.bulk_bytes_per_s / kPage;
    p.nvme_reads_depth1_per_s = least(one, most);  // both: more of them at once never get less
    p.nvme_reads_depth32_per_s = least(kDepth * one, most);
    return p;
}

}  // namespace farlane::cli
