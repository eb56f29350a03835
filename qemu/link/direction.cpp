// SPDX-License-Identifier: Apache-2.0
// Receives: frames at one end of a link. Hands on: them at the other end, as a bad cable would.
// Owns: the frames on the way.
#include "direction.hpp"

#include <cstring>

#include <nlohmann/json.hpp>

#include "transport/port.hpp"

namespace farlane::link {
namespace {

constexpr std::uint64_t kHoldFrames = 8192;

// The keys are read by the parser of port strings, so that they mean the same everywhere.
Result<transport::FaultSpec> parse(const Impairments& keys, std::uint64_t seed) {
    transport::PortUrl url;
    url.text = "link";
    for (const auto& [key, value] : keys) {
        if (key == "side" || key == "hold") return Failure{Status::invalid, "a link has no key '" + key + "'"};
        url.query.emplace_back(key, value);
    }
    transport::Query query(url);
    transport::FaultSpec spec = transport::read_faults(query);
    if (auto failure = query.finish()) return *failure;
    if (!keys.contains("seed")) spec.seed = seed;
    spec.hold_frames = kHoldFrames;
    return spec;
}

}  // namespace

Direction::Direction(Node& to, std::size_t plug, const Geometry& geometry)
    : to_(to),
      plug_(plug),
      geometry_(geometry),
      line_(*parse({}, geometry.seed), geometry.frame_bytes, geometry.salt) {}

void Direction::send(Bytes frame, std::int64_t now_ns) {
    ++counters_.frames;
    counters_.bytes += frame.size();
    if (cut_) {
        ++counters_.dropped_cut;
        return;
    }
    if (frame.size() > geometry_.frame_bytes) {
        ++counters_.oversize;
        return;
    }
    const std::uint32_t slot = line_.alloc();
    if (slot == transport::Line::kNone) {
        ++counters_.no_room;
        return;
    }
    std::memcpy(line_.data(slot), frame.data(), frame.size());
    line_.slot(slot).size_bytes = static_cast<std::uint32_t>(frame.size());
    line_.submit(slot, now_ns);
}

bool Direction::deliver(std::int64_t now_ns, std::size_t budget) {
    bool any = false;
    for (; budget > 0; --budget) {
        const std::uint32_t slot = line_.pop(now_ns);
        if (slot == transport::Line::kNone) break;
        any = true;
        const Bytes frame(line_.data(slot), line_.slot(slot).size_bytes);
        if (cut_) {
            ++counters_.dropped_cut;
        } else {
            ++counters_.delivered;
            counters_.delivered_bytes += frame.size();
            if (watcher_) watcher_(frame);
            to_.receive(plug_, frame, now_ns);
        }
        line_.free(slot);
    }
    return any;
}

std::optional<Failure> Direction::set(const Impairments& changes) {
    Impairments wanted = set_;
    for (const auto& [key, value] : changes) wanted[key] = value;
    auto spec = parse(wanted, geometry_.seed);
    if (!spec) return spec.failure();
    line_.set(*spec);
    set_ = std::move(wanted);
    return {};
}

void Direction::reset() {
    set_.clear();
    line_.set(*parse({}, geometry_.seed));
    cut_ = false;
}

nlohmann::json Direction::stats() const {
    transport::PortCounters faults;
    line_.add_to(faults);
    return {{"to", to_.name()},
            {"frames", counters_.frames},
            {"bytes", counters_.bytes},
            {"delivered", counters_.delivered},
            {"delivered_bytes", counters_.delivered_bytes},
            {"oversize", counters_.oversize},
            {"dropped_cut", counters_.dropped_cut},
            {"no_room", counters_.no_room},
            {"lost", faults.faults_lost},
            {"delayed", faults.faults_delayed},
            {"reordered", faults.faults_reordered},
            {"duplicated", faults.faults_duplicated},
            {"corrupted", faults.faults_corrupted},
            {"cut", cut_},
            {"set", set_}};
}

}  // namespace farlane::link
