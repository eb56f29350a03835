// SPDX-License-Identifier: Apache-2.0
// Receives: a world with a function bound at both sides. Hands on: random transactions in both
// directions and whether each was done once, in order, with the right data. Owns: the model that
// says what is right.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "proto/endpoint.hpp"
#include "proto/sim.hpp"

namespace farlane::proto::sim {

/// One origin of traffic: writes go to a region of the peer that only it writes, so that the
/// model of the region is the sequence of the writes submitted.
class Origin {
public:
    static constexpr std::size_t kRegion = 256u << 10;
    static constexpr std::size_t kCounter = kRegion;  ///< address of the fetch-and-add counter

    Origin(Port& own, Port& peer, std::uint64_t seed) : own_(own), peer_(peer), random_(seed), model_(kRegion) {}

    void check_into(Endpoint& e) {
        e.on_completion_do = [this](Function&, std::uint64_t cookie, Status status) { complete(cookie, status); };
    }

    /// Submits up to `count` random transactions; stops when there is no room.
    void submit(unsigned count, Time now) {
        for (unsigned i = 0; i < count; ++i)
            if (!one(now)) return;
    }
    [[nodiscard]] bool idle() const { return own_.function->posted_drained() && reads_.empty(); }
    [[nodiscard]] std::uint64_t outstanding() const { return reads_.size(); }

    /// After everything is done: the peer's memory is what the writes make of it.
    void verify() const {
        EXPECT_EQ(0, std::memcmp(model_.data(), peer_.endpoint.ram.data(), model_.size()));
        EXPECT_EQ(wrong_, "");
        EXPECT_EQ(own_.endpoint.complaint, "");
        EXPECT_EQ(peer_.endpoint.complaint, "");
        std::uint64_t counter = 0;
        std::memcpy(&counter, peer_.endpoint.ram.data() + kCounter, 8);
        EXPECT_EQ(counter, adds_);
    }
    std::uint64_t writes = 0, reads = 0, failed = 0;
    bool relaxed = true;
    /// Set when completions may be answered otherwise than ok (timeouts, kills).
    bool forgive = false;

private:
    struct Read {
        std::vector<std::byte> into;
        std::uint64_t address;
        std::vector<std::byte> expected;  // at the time of submission: a read pushes writes
        bool add = false;
        std::uint64_t add_at = 0;
    };

    bool one(Time now) {
        const std::uint64_t kind = random_.below(10);
        if (kind < 7) return write(now);
        return kind < 9 ? read(now) : add(now);
    }
    std::uint16_t length() {
        switch (random_.below(4)) {
            case 0: return static_cast<std::uint16_t>(1 + random_.below(8));
            case 1: return static_cast<std::uint16_t>(1 + random_.below(200));
            case 2: return static_cast<std::uint16_t>(1 + random_.below(4096));
            default: return 4096;
        }
    }
    bool write(Time now) {
        const std::uint16_t n = length();
        const std::uint64_t at = random_.below(kRegion - n);
        // Relaxed writes may be placed in any order among each other: they must not overlap
        // others in flight. They get their own stripe, walked through once.
        const bool is_relaxed = relaxed && random_.chance(0.3) && relaxed_at_ + n <= kRegion / 2;
        const std::uint64_t address = is_relaxed ? relaxed_at_ : kRegion / 2 + at % (kRegion / 2 - n);
        auto data = std::make_unique<std::vector<std::byte>>(n);
        for (auto& b : *data) b = static_cast<std::byte>(random_.next());
        const Status s = own_.function->submit(write_tlp(address, n, is_relaxed), *data, ++cookie_, true, now);
        if (s == Status::would_block) return false;
        EXPECT_EQ(s, Status::ok);
        std::memcpy(model_.data() + address, data->data(), n);
        if (is_relaxed) relaxed_at_ += n;
        ++writes;
        kept_.push_back(std::move(data));
        return true;
    }
    bool read(Time now) {
        const std::uint16_t n = length();
        // Only the strict half: a relaxed write elsewhere does not disturb it, and writes
        // submitted later must not be seen... which they may (posted passes non-posted), so the
        // bytes are compared only when nothing was written there since; see complete().
        auto r = std::make_unique<Read>();
        r->address = random_.below(kRegion - n);
        r->into.resize(n);
        r->expected.assign(model_.begin() + static_cast<std::ptrdiff_t>(r->address),
                           model_.begin() + static_cast<std::ptrdiff_t>(r->address + n));
        const Status s = own_.function->request(read_tlp(r->address, n), {}, r->into, ++cookie_, now);
        if (s == Status::would_block) return false;
        EXPECT_EQ(s, Status::ok);
        ++reads;
        reads_.emplace(cookie_, std::move(r));
        return true;
    }
    bool add(Time now) {
        auto r = std::make_unique<Read>();
        r->into.resize(8);
        r->add = true;
        r->add_at = adds_;
        Tlp t;
        t.type = TlpType::fetch_add;
        t.address = kCounter;
        t.length_bytes = 8;
        std::array<std::byte, 8> one{};
        one[0] = std::byte{1};
        const Status s = own_.function->request(t, one, r->into, ++cookie_, now);
        if (s == Status::would_block) return false;
        EXPECT_EQ(s, Status::ok);
        ++adds_;
        reads_.emplace(cookie_, std::move(r));
        return true;
    }
    void complete(std::uint64_t cookie, Status status) {
        const auto it = reads_.find(cookie);
        if (it == reads_.end()) {
            wrong_ = "completion of an unknown request";
            return;
        }
        const Read& r = *it->second;
        if (status != Status::ok) {
            ++failed;
            if (!forgive) wrong_ = "request failed: " + std::string(status_name(status));
            for (const std::byte b : r.into)
                if (b != std::byte{0xff}) wrong_ = "data of a failed request is not all-ones";
        } else if (r.add) {
            std::uint64_t old = 0;
            std::memcpy(&old, r.into.data(), 8);
            if (old != r.add_at) wrong_ = "atomic executed out of order or twice";
        } else {
            // Each byte is the value it had at submission or one that a later write gave it.
            for (std::size_t i = 0; i < r.into.size(); ++i)
                if (r.into[i] != r.expected[i] && model_[r.address + i] == r.expected[i] && !overwritten(r.address + i))
                    wrong_ = "read did not push an earlier write";
        }
        reads_.erase(it);
    }
    // A byte of the strict half may have been written several times since.
    [[nodiscard]] bool overwritten(std::uint64_t address) const { return address >= kRegion / 2; }

    Port& own_;
    Port& peer_;
    Random random_;
    std::vector<std::byte> model_;
    std::vector<std::unique_ptr<std::vector<std::byte>>> kept_;
    std::map<std::uint64_t, std::unique_ptr<Read>> reads_;
    std::uint64_t cookie_ = 0;
    std::uint64_t relaxed_at_ = 0;
    std::uint64_t adds_ = 0;
    std::string wrong_;
};

/// A function at both sides with traffic in both directions.
struct Pair {
    explicit Pair(std::uint64_t seed, FunctionHandle h = {3, 1})
        : a(h), b(h), down(a, b, seed * 2 + 1), up(b, a, seed * 2 + 2) {
        down.check_into(a.endpoint);
        up.check_into(b.endpoint);
        a.endpoint.fetch_longer_than = b.endpoint.fetch_longer_than = 1000;
    }
    void bind(World& w, const FunctionLimits& l = {}) {
        ASSERT_EQ(w.target().bind(b.start(l), {}, w.now), Status::ok);
        ASSERT_EQ(w.initiator().bind(a.start(l), {}, w.now), Status::ok);
    }
    /// Submits `total` transactions per direction, a few at a time, and waits for the end.
    bool run(World& w, unsigned total, Duration limit) {
        unsigned left = total;
        const Time end = w.now + limit;
        while (left > 0) {
            const unsigned n = std::min(left, 1u + static_cast<unsigned>(w.random.below(40)));
            down.submit(n, w.now);
            up.submit(n, w.now);
            left -= n;
            w.run_for(Duration(static_cast<std::int64_t>(w.random.below(2'000'000))));
            if (w.now > end) return false;
        }
        return w.run_until([&] { return down.idle() && up.idle(); }, end - w.now);
    }
    void verify() const {
        down.verify();
        up.verify();
    }
    Port a, b;
    Origin down, up;
};

}  // namespace farlane::proto::sim
