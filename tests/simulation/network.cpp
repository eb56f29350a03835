// SPDX-License-Identifier: Apache-2.0
// Receives: frames of sessions. Hands on: them, later, to the other end. Owns: the order of events.
#include "simulation/network.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace farlane::simulation {

std::uint64_t Random::next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ * 0x2545f4914f6cdd1dULL;
}

Time Link::pass(std::size_t frame_bytes, Time now) {
    const double ns_per_byte = 8e9 / config.bits_per_s;
    const Time start = std::max(busy_until_, now);
    const auto queued = static_cast<std::uint64_t>(static_cast<double>((start - now).count()) / ns_per_byte);
    if (queued + frame_bytes > config.buffer_bytes) {
        ++overflowed;
        return proto::kNever;
    }
    most_queued_bytes = std::max(most_queued_bytes, queued + frame_bytes);
    const double wire_bytes = static_cast<double>(frame_bytes + kWireOverheadBytes);
    busy_until_ = start + Duration(static_cast<std::int64_t>(wire_bytes * ns_per_byte));
    ++carried;
    return busy_until_;
}

Link& Network::add_link(const LinkConfig& c) {
    links_.push_back(std::make_unique<Link>(c));
    return *links_.back();
}

unsigned Network::add_session(const std::vector<PathPlan>& plans, const proto::SessionConfig& base) {
    const auto number = static_cast<unsigned>(pairs_.size());
    pairs_.push_back(std::make_unique<Pair>());
    Pair& p = *pairs_.back();
    p.plans = plans;
    for (unsigned side = 0; side < 2; ++side) {
        proto::SessionConfig& c = p.ends[side].config;
        c = base;
        c.instance[0] = static_cast<std::uint8_t>(side + 1);
        c.instance[1] = static_cast<std::uint8_t>(number);
        c.session_id = 100 + side;
        c.nonce = 77 + number;
        c.name = side == kInitiator ? "initiator" : "target";
    }
    End& e = p.ends[kInitiator];
    e.session = std::make_unique<proto::Session>(e.config, e.host, nullptr);
    for (const PathPlan& plan : plans) (void)e.session->add_path(plan.config, clock(kInitiator));
    e.touched = true;
    return number;
}

bool Network::is_open(unsigned number) const {
    const Pair& p = *pairs_[number];
    return std::all_of(p.ends.begin(), p.ends.end(), [&](const End& e) {
        if (e.session == nullptr || e.session->state() != proto::SessionState::open) return false;
        const auto paths = e.session->paths();
        return paths.size() == p.plans.size() &&
               std::all_of(paths.begin(), paths.end(), [](const auto& path) { return path.usable; });
    });
}

void Network::touch() {
    for (auto& p : pairs_)
        for (End& e : p->ends) e.touched = true;
}

bool Network::run_until(const std::function<bool()>& done, Duration limit) {
    const Time end = now + limit;
    touch();
    for (;;) {
        step();
        if (done()) return true;
        const Time next = next_event();
        if (next > end) {
            now = end;
            return false;
        }
        now = std::max(now + 1ns, next);
    }
}

Time Network::next_event() const {
    Time t = flying_.empty() ? proto::kNever : flying_.front().at;
    for (const auto& p : pairs_) {
        for (unsigned side = 0; side < 2; ++side) {
            const End& e = p->ends[side];
            if (e.session == nullptr) continue;
            if (away(side)) {
                t = std::min(t, away_until_[side]);
                continue;
            }
            const Time timer = e.session->next_timer();
            if (timer != proto::kNever) t = std::min(t, timer - clock_offset[side]);
            for (const Load* l : e.loads) t = std::min(t, l->wake_at());
        }
    }
    return t;
}

// Frames first, then every end that got one or whose time has come.
void Network::step() {
    come_back();
    while (!flying_.empty() && flying_.front().at <= now) {
        std::pop_heap(flying_.begin(), flying_.end(), Later{});
        Flying f = std::move(flying_.back());
        flying_.pop_back();
        if (away(f.to)) {
            held_.push_back(std::move(f));
            continue;
        }
        if (Time& until = taken_until_[f.to][f.path]; now <= until && !f.put_off) {  // nothing overtakes what it held
            put_off(std::move(f), until += 1ns);
            continue;
        }
        receive(f);
        free_.push_back(std::move(f.frame));
    }
    for (unsigned n = 0; n < pairs_.size(); ++n) {
        for (unsigned side = 0; side < 2; ++side) {
            End& e = pairs_[n]->ends[side];
            if (e.session == nullptr || away(side)) continue;
            bool due = e.touched || e.session->next_timer() <= clock(side);
            for (const Load* l : e.loads) due = due || l->wake_at() <= now;
            if (due) turn(n, side);
        }
    }
}

// A frame takes it a microsecond, so that what came on the second path is taken that much after the first one's.
void Network::come_back() {
    if (held_.empty() || away(held_.front().to)) return;
    std::stable_sort(held_.begin(), held_.end(), [](const Flying& a, const Flying& b) { return a.path < b.path; });
    Time at = now;
    for (Flying& f : held_) {
        taken_until_[f.to][f.path] = at += 1us;
        put_off(std::move(f), at);
    }
    held_.clear();
}

void Network::put_off(Flying f, Time at) {
    f.at = at;
    f.order = order_++;
    f.put_off = true;
    flying_.push_back(std::move(f));
    std::push_heap(flying_.begin(), flying_.end(), Later{});
}

void Network::turn(unsigned number, unsigned side) {
    End& e = pairs_[number]->ends[side];
    e.touched = false;
    const Time t = clock(side);
    if (e.session->next_timer() <= t) e.session->on_timer(t);
    for (Load* l : e.loads) l->feed(t);
    while (e.session->wants_to_send(t)) {
        alignas(8) std::array<std::byte, FL_FRAME_MAX_BYTES> out;
        const auto built = e.session->build(out, t);
        if (built.bytes == 0) return;
        send(number, side, built.path, std::span(out).first(built.bytes));
    }
}

void Network::send(unsigned number, unsigned from, proto::PathId path, std::span<std::byte> frame) {
    if (tap && !tap(number, from, frame)) return;
    const PathPlan& plan = pairs_[number]->plans[path];
    Link& link = from == kInitiator ? *plan.down : *plan.up;
    const LinkConfig& c = link.config;
    if (c.down || frame.size() > c.mtu_bytes) {
        ++link.lost;
        return;
    }
    const unsigned copies = 1 + (random.chance(c.duplicate) ? c.copies : 0);
    for (unsigned i = 0; i < copies; ++i) {
        const Time out = link.pass(frame.size(), now);
        if (out == proto::kNever) continue;
        if (random.chance(c.loss)) {  // behind the queue, as on a cable
            ++link.lost;
            continue;
        }
        const Duration extra = random.chance(c.reorder) ? c.reorder_by : Duration{};
        launch(number, from, path, frame, out + plan.delay + extra);
    }
}

std::unique_ptr<std::byte[]> Network::buffer() {
    if (free_.empty()) {
        ++buffers_;
        return std::make_unique_for_overwrite<std::byte[]>(FL_FRAME_MAX_BYTES);
    }
    auto b = std::move(free_.back());
    free_.pop_back();
    return b;
}

void Network::launch(unsigned number, unsigned from, proto::PathId path, std::span<const std::byte> frame, Time at) {
    Flying f{at, order_++, number, 1 - from, path, frame.size(), buffer()};
    std::memcpy(f.frame.get(), frame.data(), frame.size());
    flying_.push_back(std::move(f));
    std::push_heap(flying_.begin(), flying_.end(), Later{});
}

// What a lane does with a frame.
void Network::receive(Flying& f) {
    Pair& p = *pairs_[f.pair];
    End& e = p.ends[f.to];
    const std::span<std::byte> frame(f.frame.get(), f.bytes);
    const Time t = clock(f.to);
    const auto id = proto::peek_session(frame);
    if (!id) return;
    e.touched = true;
    if (*id != 0) {
        if (e.session != nullptr && *id == e.session->session_id()) e.session->on_frame(frame, f.path, t);
        return;
    }
    if (f.to != kTarget) return;
    auto hello = proto::parse_hello(frame);
    if (!hello || hello->path != f.path) return;
    const proto::PathConfig& config = p.plans[f.path].config;
    if (e.session == nullptr)
        e.session = std::make_unique<proto::Session>(e.config, e.host, nullptr, *hello, config, t);
    else
        e.session->on_hello(*hello, config, t);
}

}  // namespace farlane::simulation
