// SPDX-License-Identifier: Apache-2.0
// Receives: a seed and the faults of a link. Hands on: two sessions that talk over it in
// simulated time. Owns: the clock, the frames on their way. No thread, no sleep, no real clock.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "proto/codec.hpp"
#include "proto/session.hpp"
#include "proto/workspace.hpp"

namespace farlane::proto::sim {

using namespace std::chrono_literals;

/// xoshiro-like generator, the same everywhere.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL + 0x1234567) {}
    std::uint64_t next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_ * 0x2545f4914f6cdd1dULL;
    }
    std::uint64_t below(std::uint64_t n) { return n == 0 ? 0 : (next() >> 11) % n; }
    bool chance(double p) { return p > 0 && static_cast<double>(next() >> 11) * 0x1p-53 < p; }

private:
    std::uint64_t state_;
};

struct Faults {
    double loss = 0, duplicate = 0, reorder = 0, corrupt = 0;
    Duration delay = 50us;
    Duration jitter = 0us;                   ///< added at random: reorders by itself
    Duration reorder_by = 500us;             ///< extra delay of a reordered frame
    std::uint32_t mtu = FL_FRAME_MAX_BYTES;  ///< larger frames vanish
    double bytes_per_us = 0;                 ///< link rate, 0 = endless
    bool down = false;
};

/// Both directions of one path.
struct Wire {
    Faults faults;
    std::array<Time, 2> busy_until{};
    std::uint64_t carried = 0, dropped = 0;
};

class World;

/// Collects what a session tells its owner; the tests look at it or override it.
class Owner : public SessionHandler {
public:
    void on_state(Session&, SessionState state, Status why) noexcept override { states.emplace_back(state, why); }
    void on_list(Session& s, std::uint32_t request) noexcept override {
        lists.push_back(request);
        if (on_list_do) on_list_do(s, request);
    }
    void on_list_reply(Session&, std::uint32_t, unsigned index, unsigned count,
                       const fl_function_desc& desc) noexcept override {
        list_replies.emplace_back(index, count, std::string(read_name(desc.name)));
    }
    void on_attach(Session& s, const AttachRequest& r) noexcept override {
        attaches.push_back(r);
        if (on_attach_do) on_attach_do(s, r);
    }
    void on_attach_reply(Session& s, const AttachReply& r) noexcept override {
        attach_replies.push_back(r);
        if (on_attach_reply_do) on_attach_reply_do(s, r);
    }
    void on_detach(Session&, std::uint32_t request, FunctionHandle, Status) noexcept override {
        detaches.push_back(request);
    }
    void on_detach_reply(Session&, std::uint32_t request, FunctionHandle, Status) noexcept override {
        detach_replies.push_back(request);
    }
    void on_event(Session&, unsigned code, FunctionHandle, const fl_function_desc&) noexcept override {
        events.push_back(code);
    }

    std::vector<std::pair<SessionState, Status>> states;
    std::vector<std::uint32_t> lists, detaches, detach_replies;
    std::vector<std::tuple<unsigned, unsigned, std::string>> list_replies;
    std::vector<AttachRequest> attaches;
    std::vector<AttachReply> attach_replies;
    std::vector<unsigned> events;
    std::function<void(Session&, std::uint32_t)> on_list_do;
    std::function<void(Session&, const AttachRequest&)> on_attach_do;
    std::function<void(Session&, const AttachReply&)> on_attach_reply_do;
};

/// One side: 0 = initiating, 1 = accepting.
struct Side {
    SessionConfig config;
    PathConfig path;
    Owner owner;
    std::unique_ptr<Seal> seal;  ///< of the initiating session, when it is made; null: ClearSeal
    std::unique_ptr<Session> session;
    std::uint64_t largest_frame = 0;
    std::uint64_t frames = 0;
    Time look_at = kNever;  ///< what the last look said
    Time turned{};          ///< the last turn
};

class World {
public:
    ~World() { EXPECT_EQ(forgotten, 0U) << "a session had work and had not said so"; }
    World(const World&) = delete;
    World& operator=(const World&) = delete;
    explicit World(std::uint64_t seed, unsigned paths = 1) : random(seed), wires(paths) {
        for (unsigned i = 0; i < 2; ++i) {
            Side& s = sides[i];
            s.config.instance[0] = static_cast<std::uint8_t>(i + 1);
            s.config.session_id = 100 + i;
            s.config.nonce = seed + 77;
            s.config.name = i == 0 ? "initiator" : "target";
            s.path.max_frame_bytes = 9000;
        }
    }

    /// Makes the initiating session with its paths; the accepting one comes with the first hello.
    void open() {
        Side& a = sides[0];
        a.session = std::make_unique<Session>(a.config, a.owner, std::move(a.seal));
        a.session->attend(awake_, 0, room_);
        for (std::size_t i = 0; i < wires.size(); ++i) (void)a.session->add_path(a.path, now);
    }
    /// open() and wait until both sides are open on all paths.
    bool connect() {
        open();
        return run_until([&] { return is_open(); }, 60s);
    }
    [[nodiscard]] bool is_open() const {
        for (const Side& s : sides) {
            if (s.session == nullptr || s.session->state() != SessionState::open) return false;
            unsigned up = 0;
            for (const auto& p : s.session->paths()) up += p.usable;
            if (up != wires.size()) return false;
        }
        return true;
    }
    /// A side is killed: nothing of it is left, frames on their way stay on their way.
    void kill(unsigned side) { sides[side].session.reset(); }

    [[nodiscard]] Session& initiator() { return *sides[0].session; }
    [[nodiscard]] Session& target() { return *sides[1].session; }

    /// Runs until `done`, for at most `limit` of simulated time. False = time is up.
    bool run_until(const std::function<bool()>& done, Duration limit) {
        const Time end = now + limit;
        for (;;) {
            work();
            if (done()) return true;
            const Time next = next_event();
            if (next > end) {
                now = end;
                return false;
            }
            now = std::max(now + 1ns, next);
        }
    }
    void run_for(Duration d) {
        (void)run_until([] { return false; }, d);
    }
    /// Everything that is due now: frames, timers, frames to build.
    void work() {
        for (bool more = true; more;) {
            more = deliver();
            for (unsigned i = 0; i < 2; ++i) more = turn(i) || more;
        }
    }
    [[nodiscard]] Time next_event() const {
        Time t = flying.empty() ? kNever : flying.top().at;
        for (const Side& s : sides)
            if (s.session) t = std::min(t, s.session->next_timer());
        return t;
    }

private:
    std::vector<std::uint32_t> awake_;  // outlives the sessions
    Workspace room_;                    // and so does this

public:
    Random random;
    Time now{1s};
    std::array<Side, 2> sides;
    std::vector<Wire> wires;
    /// Sees every frame before the link does; false = the frame vanishes.
    std::function<bool(unsigned from, PathId path, std::span<std::byte> frame)> tap;
    unsigned frames_per_turn = 64;
    bool early = false;           ///< who takes a lone frame answers it before the clock is looked at
    std::uint64_t forgotten = 0;  ///< looks at a session that had work and had not said so

private:
    struct Flying {
        Time at;
        std::uint64_t order;
        unsigned to;
        PathId path;
        std::vector<std::byte> bytes;
        friend bool operator>(const Flying& a, const Flying& b) {
            return a.at != b.at ? a.at > b.at : a.order > b.order;
        }
    };

    bool turn(unsigned i) {
        Side& s = sides[i];
        if (!s.session) return false;
        if (!is_due(i)) return false;
        s.turned = now;
        bool more = false;
        bool any = transmit(i, more);
        if (!s.session) return any;
        s.session->settle();
        if (s.session->next_timer() <= now) s.session->on_timer(now);
        any = transmit(i, more) || any;
        if (!s.session) return any;
        s.look_at = s.session->rest();
        if (more) s.session->rouse();
        return any;
    }

    bool transmit(unsigned i, bool& more) {
        Side& s = sides[i];
        bool any = false;
        more = false;
        for (unsigned n = 0; n < frames_per_turn && s.session && s.session->wants_to_send(now); ++n) {
            std::array<std::byte, FL_FRAME_MAX_BYTES> out;
            const Session::Built b = s.session->build(out, now);
            if (b.bytes == 0) break;
            any = true;
            ++s.frames;
            s.largest_frame = std::max<std::uint64_t>(s.largest_frame, b.bytes);
            send(i, b.path, std::span(out).first(b.bytes));
            more = s.session && s.session->wants_to_send(now);
        }
        return any;
    }

    // What a lane with many sessions knows: who said so, or whose time has come. Another one has nothing to do.
    bool is_due(unsigned i) {
        Side& s = sides[i];
        const bool roused = std::erase(awake_, i) != 0;
        if (roused || s.look_at <= now) return true;
        if (s.session->wants_to_send(now) || s.session->next_timer() < s.look_at) ++forgotten;
        return false;
    }

    void send(unsigned from, PathId path, std::span<std::byte> frame) {
        if (tap && !tap(from, path, frame)) return;
        Wire& w = wires[path];
        const Faults& f = w.faults;
        if (f.down || frame.size() > f.mtu || random.chance(f.loss)) {
            ++w.dropped;
            return;
        }
        ++w.carried;
        const unsigned copies = random.chance(f.duplicate) ? 2 : 1;
        for (unsigned c = 0; c < copies; ++c) {
            Flying x{now + f.delay, order_++, 1 - from, path, {frame.begin(), frame.end()}};
            if (f.bytes_per_us > 0) {
                Time& busy = w.busy_until[from];
                busy = std::max(busy, now) +
                       Duration(static_cast<std::int64_t>(static_cast<double>(frame.size()) / f.bytes_per_us * 1000));
                x.at = busy + f.delay;
            }
            if (f.jitter.count() > 0)
                x.at += Duration(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(f.jitter.count()))));
            if (random.chance(f.reorder)) x.at += f.reorder_by;
            if (random.chance(f.corrupt)) {
                const std::size_t bit = random.below(x.bytes.size() * 8);
                x.bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
            }
            flying.push(std::move(x));
        }
    }

    bool deliver() {
        bool any = false;
        while (!flying.empty() && flying.top().at <= now) {
            Flying x = flying.top();
            flying.pop();
            any = true;
            receive(x.to, x.path, x.bytes);
        }
        return any;
    }

    // What a lane does with a frame.
    void receive(unsigned to, PathId path, std::span<std::byte> frame) {
        Side& s = sides[to];
        const auto session = peek_session(frame);
        if (!session) return;
        if (*session == 0) {
            if (to != 1) return;
            auto hello = parse_hello(frame);
            if (!hello) return;
            if (hello->path != path) return;
            if (!s.session || s.session->state() == SessionState::closed || hello->nonce != accepted_nonce_) {
                if (hello->nonce == accepted_nonce_) return;  // of a session that is over
                if (on_hello) on_hello(*hello);
                accepted_nonce_ = hello->nonce;
                s.session = std::make_unique<Session>(s.config, s.owner, nullptr, *hello, s.path, now);
                s.session->attend(awake_, to, room_);
            } else {
                s.session->on_hello(*hello, s.path, now);
            }
            return;
        }
        if (!s.session || *session != s.session->session_id()) return;
        if (early)
            answer_early(to, path, frame);
        else
            s.session->on_frame(frame, path, now);
    }

    // What a lane does with a frame that comes alone, some time after it has looked at the clock.
    void answer_early(unsigned to, PathId path, std::span<std::byte> frame) {
        Side& s = sides[to];
        const std::uint64_t longest = random.chance(0.9) ? 20'000 : 20'000'000;
        const Time was = std::max(s.turned, now - Duration(static_cast<std::int64_t>(random.below(longest))));
        if (!s.session->on_lone_frame(frame, path, was)) return s.session->on_other_frame(frame, path, now);
        if (s.session->has_lone()) {
            std::array<std::byte, FL_FRAME_MAX_BYTES> out;
            Session::Built b = s.session->build_lone(out, was);
            const bool alone = b.bytes != 0;
            if (!alone) b = s.session->build(out, now);
            if (b.bytes != 0) send(to, b.path, std::span(out).first(b.bytes));
            if (alone) s.session->left_lone(was, now);
        }
        s.turned = now;
        s.session->stamp(now);
    }

public:
    /// A hello that opens a new session arrives; the old one is about to be replaced.
    std::function<void(const Hello&)> on_hello;

private:
    std::priority_queue<Flying, std::vector<Flying>, std::greater<>> flying;
    std::uint64_t order_ = 0;
    std::uint64_t accepted_nonce_ = 0;
};

}  // namespace farlane::proto::sim
