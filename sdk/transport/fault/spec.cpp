// SPDX-License-Identifier: Apache-2.0
// Receives: the fault keys of a port string. Hands on: what shall go wrong. Owns: nothing.
#include "transport/fault/spec.hpp"

namespace farlane::transport {

FaultSpec read_faults(Query& query) {
    constexpr std::int64_t kMaxDelayNs = 60'000'000'000;
    FaultSpec spec;
    query.count("seed", spec.seed, 0, UINT64_MAX);
    query.probability("loss", spec.loss);
    query.duration_ns("delay", spec.delay_ns, kMaxDelayNs);
    query.duration_ns("jitter", spec.jitter_ns, kMaxDelayNs);
    query.probability("reorder", spec.reorder);
    query.duration_ns("reorder_by", spec.reorder_by_ns, kMaxDelayNs);
    query.probability("dup", spec.dup);
    query.probability("corrupt", spec.corrupt);
    query.bits_per_second("rate", spec.rate_bits_per_s, 1000, 1'000'000'000'000);
    query.bytes("queue", spec.queue_bytes, 1, std::uint64_t{1} << 32);
    query.count("hold", spec.hold_frames, 1, 1 << 20);
    std::size_t side = 0;
    query.choice("side", side, {"tx", "rx", "both"});
    spec.sent = side != 1;
    spec.received = side != 0;
    return spec;
}

}  // namespace farlane::transport
