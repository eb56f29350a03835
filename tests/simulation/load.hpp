// SPDX-License-Identifier: Apache-2.0
// Receives: an open session. Hands on: bulk writes or single reads over it, and what became of them.
// Owns: the function at both ends.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "simulation/network.hpp"

namespace farlane::simulation {

/// A handler that counts, and answers every read.
class Counter : public proto::FunctionHandler {
public:
    std::uint64_t bytes = 0;  ///< payload placed, each once
    Time latest{};
    std::function<void(std::uint64_t bytes)> on_bytes;
    std::function<void(std::uint64_t cookie, Status)> on_answer;

    void on_posted(proto::Function&, const proto::Tlp&, std::span<const std::byte> payload) noexcept override {
        count(payload.size());
    }
    void on_relaxed(proto::Function&, const proto::Tlp&, std::uint32_t,
                    std::span<const std::byte> payload) noexcept override {
        count(payload.size());
    }
    proto::Answer on_request(proto::Function&, const proto::Tlp&, std::span<const std::byte>, proto::RequestId,
                             std::span<std::byte> result, Status&) noexcept override {
        std::fill(result.begin(), result.end(), std::byte{1});
        return proto::Answer::done;
    }
    Status fetch(proto::Function&, std::uint64_t, std::uint32_t, std::uint32_t,
                 std::span<std::byte> out) noexcept override {
        std::fill(out.begin(), out.end(), std::byte{1});
        return Status::ok;
    }
    void on_completion(proto::Function&, std::uint64_t cookie, Status s) noexcept override {
        if (on_answer) on_answer(cookie, s);
    }
    void on_released(proto::Function&, std::uint64_t) noexcept override {}
    void on_event(proto::Function&, proto::FunctionEvent, const proto::Tlp*) noexcept override {}

private:
    void count(std::size_t n) {
        bytes += n;
        if (on_bytes) on_bytes(n);
    }
};

/// A function bound at both ends of an open session.
struct Bound {
    Bound(Network& net, unsigned session, std::uint16_t index, const proto::FunctionLimits& limits) {
        for (unsigned side : {kTarget, kInitiator}) {
            memory[side] = std::make_unique<proto::FunctionMemory>();
            memory[side]->create({index, 1});
            function[side] = std::make_unique<proto::Function>(*memory[side], handler[side], limits);
            status = net.session(session, side).bind(*function[side], {}, net.now + net.clock_offset[side]);
            if (status != Status::ok) return;
        }
    }
    std::array<std::unique_ptr<proto::FunctionMemory>, 2> memory;
    std::array<Counter, 2> handler;
    std::array<std::unique_ptr<proto::Function>, 2> function;
    Status status = Status::ok;
};

/// A device that writes 4 KiB after 4 KiB to the host's memory, as much as goes.
class Bulk : public Load {
public:
    static constexpr std::uint16_t kWriteBytes = 4096;

    Bulk(Network& net, unsigned session, std::uint16_t index, bool strict = false,
         const proto::FunctionLimits& limits = {})
        : bound(net, session, index, limits), strict_(strict), data_(kWriteBytes, std::byte{0x5a}) {
        net.add_load(session, kTarget, *this);
    }
    void feed(Time now) override {
        if (!running_) return;
        proto::Tlp t;
        t.type = proto::TlpType::memory_write;
        t.length_bytes = kWriteBytes;
        t.attr = strict_ ? 0 : FL_ATTR_RO;
        while (written_ < total) {
            t.address = written_ % 4096 * kWriteBytes;
            if (bound.function[kTarget]->submit(t, data_, 0, false, now) != Status::ok) return;
            ++written_;
        }
    }
    /// Payload bytes that arrived, each counted once.
    [[nodiscard]] std::uint64_t arrived() const { return bound.handler[kInitiator].bytes; }
    [[nodiscard]] bool done() const { return written_ == total && bound.function[kTarget]->posted_drained(); }
    /// From now on it writes. Not before the credits of its binding have come: a round trip that is attach's.
    void start(Network& net) {
        running_ = true;
        net.touch();
    }
    std::uint64_t total = ~std::uint64_t{0};  ///< writes
    Bound bound;

private:
    bool strict_;
    bool running_ = false;
    std::uint64_t written_ = 0;
    std::vector<std::byte> data_;
};

/// A driver that reads an 8-byte register, waits a little, reads again.
class Reader : public Load {
public:
    Reader(Network& net, unsigned session, std::uint16_t index)
        : bound(net, session, index, {}), net_(net), next_(net.now) {
        bound.handler[kInitiator].on_answer = [this](std::uint64_t, Status s) {
            failed += s != Status::ok;
            latency_ns.push_back(static_cast<double>((net_.now - asked_).count()));
            waiting_ = false;
            next_ = net_.now + 10us + Duration(static_cast<std::int64_t>(net_.random.below(40'000)));
        };
        net.add_load(session, kInitiator, *this);
    }
    void feed(Time now) override {
        if (waiting_ || net_.now < next_) return;
        proto::Tlp t;
        t.type = proto::TlpType::memory_read;
        t.length_bytes = 8;
        t.bar = 0;
        asked_ = net_.now;
        waiting_ = bound.function[kInitiator]->request(t, {}, into_, 0, now) == Status::ok;
        if (!waiting_) next_ = net_.now + 1ms;
    }
    [[nodiscard]] Time wake_at() const override { return waiting_ ? proto::kNever : std::max(next_, net_.now); }

    [[nodiscard]] double percentile(double p) {
        if (latency_ns.empty()) return 0;
        std::sort(latency_ns.begin(), latency_ns.end());
        return latency_ns[static_cast<std::size_t>(p * static_cast<double>(latency_ns.size() - 1))];
    }
    std::vector<double> latency_ns;
    std::uint64_t failed = 0;
    Bound bound;

private:
    Network& net_;
    Time next_, asked_{};
    bool waiting_ = false;
    std::array<std::byte, 8> into_{};
};

}  // namespace farlane::simulation
