// SPDX-License-Identifier: Apache-2.0
// Receives: links, loads and a seed. Hands on: figures. Owns: one network per call.
#include "simulation/scenarios.hpp"

#include <malloc.h>

#include <stdexcept>

#include "proto/slab.hpp"
#include "simulation/load.hpp"

namespace farlane::simulation {
namespace {

LinkConfig link_of(const Wan& w) {
    return {.bits_per_s = w.bits_per_s, .buffer_bytes = w.buffer_bytes, .loss = w.loss};
}

PathPlan plan_of(const Wan& w, Link& down, Link& up) {
    PathPlan p{&down, &up, w.round_trip / 2, {}};
    p.config = {.max_frame_bytes = w.frame_bytes, .reliable_mtu = true, .link_bits_per_s = w.link_rate_bits_per_s};
    return p;
}

proto::SessionConfig session_of(const Wan& w) {
    proto::SessionConfig c;
    c.packet_window = w.packet_window;
    return c;
}

proto::FunctionLimits limits_of(const Wan& w) {
    proto::FunctionLimits l;
    l.posted_window = w.posted_window;
    return l;
}

void open(Network& net, unsigned session) {
    if (!net.run_until([&] { return net.is_open(session); }, 60s)) throw std::runtime_error("the session did not open");
}

std::size_t allocated_bytes() {
    const auto info = mallinfo2();
    return info.uordblks + info.hblkhd + proto::slab_bytes_in_use();
}

double rate_of(std::uint64_t bytes, Duration d) {
    return static_cast<double>(bytes) * 8e9 / static_cast<double>(d.count());
}

/// Payload per round trip from the first write on, and when it was enough.
class Rounds {
public:
    Rounds(Time start, Duration round_trip) : start_(start), round_trip_(round_trip) {}
    void arrived(Time now, std::uint64_t bytes) {
        const auto round = static_cast<std::size_t>((now - start_) / round_trip_);
        if (bytes_.size() <= round) bytes_.resize(round + 1);
        bytes_[round] += bytes;
    }
    /// Round trips before goodput is at `bits_per_s` and stays there: the next one, the next eight together and all
    /// that follow together. -1 = never.
    [[nodiscard]] double reached(double bits_per_s) const {
        const std::size_t whole = bytes_.empty() ? 0 : bytes_.size() - 1;  // the last one is cut
        for (std::size_t first = 0; first < whole; ++first)
            if (mean(first, first + 1) >= bits_per_s && mean(first, std::min(first + 8, whole)) >= bits_per_s &&
                mean(first, whole) >= bits_per_s)
                return static_cast<double>(first);
        return -1;
    }

private:
    [[nodiscard]] double mean(std::size_t from, std::size_t to) const {
        std::uint64_t sum = 0;
        for (std::size_t i = from; i < to; ++i) sum += bytes_[i];
        return rate_of(sum, round_trip_ * static_cast<std::int64_t>(to - from));
    }
    Time start_;
    Duration round_trip_;
    std::vector<std::uint64_t> bytes_;
};

}  // namespace

BulkResult bulk(const Wan& wan, std::uint64_t seed, Duration warm_up, Duration measured) {
    const std::size_t before_all = allocated_bytes();
    Network net(seed);
    std::vector<PathPlan> plans;
    std::vector<Link*> ups;
    for (unsigned i = 0; i < wan.paths; ++i) {
        Link& down = net.add_link(link_of(wan));
        ups.push_back(&net.add_link(link_of(wan)));
        plans.push_back(plan_of(wan, down, *ups.back()));
    }
    const unsigned s = net.add_session(plans, session_of(wan));
    open(net, s);
    BulkResult r;
    Bulk b(net, s, 1, wan.strict, limits_of(wan));
    net.run_for(wan.round_trip * 4 + 100ms);
    b.start(net);
    Rounds rounds(net.now, wan.round_trip);
    b.bound.handler[kInitiator].on_bytes = [&](std::uint64_t n) { rounds.arrived(net.now, n); };
    net.run_for(warm_up);
    const std::uint64_t before = b.arrived();
    net.run_for(measured);
    r.goodput_bits_per_s = rate_of(b.arrived() - before, measured);
    const std::size_t now = allocated_bytes(), frames = net.frame_memory_bytes();
    r.memory_bytes = now > before_all + frames ? now - before_all - frames : 0;  // 0 under a sanitizer's allocator
    r.reached_after_rtt = rounds.reached(0.9 * wan.bits_per_s * wan.paths);
    for (const Link* l : ups) r.most_queued_bytes = std::max(r.most_queued_bytes, l->most_queued_bytes);
    for (const auto& p : net.session(s, kTarget).paths()) {
        r.packets_sent += p.packets_sent;
        r.packets_lost += p.packets_lost;
    }
    r.resent = b.bound.function[kTarget]->counters().resent[FL_CLASS_POSTED];
    return r;
}

ShareResult share(const Wan& wan, std::uint64_t seed, unsigned flows, Duration apart, Duration warm_up,
                  Duration measured) {
    Network net(seed);
    Link& down = net.add_link(link_of(wan));
    Link& up = net.add_link(link_of(wan));
    std::vector<std::unique_ptr<Bulk>> bulks;
    for (unsigned i = 0; i < flows; ++i) (void)net.add_session({plan_of(wan, down, up)}, session_of(wan));
    for (unsigned i = 0; i < flows; ++i) open(net, i);
    for (unsigned i = 0; i < flows; ++i) bulks.push_back(std::make_unique<Bulk>(net, i, 1, wan.strict, limits_of(wan)));
    net.run_for(wan.round_trip * 4 + 100ms);
    for (unsigned i = 0; i < flows; ++i) {
        if (i != 0 && apart.count() != 0) net.run_for(apart);
        bulks[i]->start(net);
    }
    net.run_for(warm_up);
    std::vector<std::uint64_t> before;
    for (const auto& b : bulks) before.push_back(b->arrived());
    net.run_for(measured);
    ShareResult r;
    for (unsigned i = 0; i < flows; ++i)
        r.goodput_bits_per_s.push_back(rate_of(bulks[i]->arrived() - before[i], measured));
    r.most_queued_bytes = up.most_queued_bytes;
    return r;
}

LatencyResult latency(const Wan& wan, std::uint64_t seed, bool same_session, Duration measured) {
    Network net(seed);
    Link& down = net.add_link(link_of(wan));
    Link& up = net.add_link(link_of(wan));
    const unsigned reads = net.add_session({plan_of(wan, down, up)}, session_of(wan));
    const unsigned writes = same_session ? reads : net.add_session({plan_of(wan, down, up)}, session_of(wan));
    open(net, reads);
    open(net, writes);
    LatencyResult r;
    Reader reader(net, reads, 1);
    Bulk b(net, writes, 2, wan.strict, limits_of(wan));
    net.run_for(wan.round_trip * 4 + 100ms);
    const auto measure = [&](double& p50, double& p99) {
        reader.latency_ns.clear();
        net.run_for(measured);
        p50 = reader.percentile(0.5);
        p99 = reader.percentile(0.99);
    };
    measure(r.idle_p50_ns, r.idle_p99_ns);
    b.start(net);
    net.run_for(measured / 4);
    const std::uint64_t before = b.arrived();
    measure(r.busy_p50_ns, r.busy_p99_ns);
    r.bulk_bits_per_s = rate_of(b.arrived() - before, measured);
    r.failed = reader.failed;
    return r;
}

}  // namespace farlane::simulation
