// SPDX-License-Identifier: Apache-2.0
// Receives: work that was given to a stream of the device. Hands on: its ends, in order. Owns: queues.hpp.
#include "backend/worker/cuda/queues.hpp"

#include <algorithm>

#include "backend/worker/channel.hpp"

namespace farlane::backend::worker::cuda {
namespace {

constexpr std::uint64_t kMinPauseNs = 10'000, kMaxPauseNs = 1'000'000;
constexpr std::uint64_t kPausePart =
    128;  // sleep so much of the time that it has run: its end is late by less than 1 %

}  // namespace

CuStream Queues::open(std::uint32_t queue, CuResult& why) {
    Queue& q = queues_[queue];
    why = kSuccess;
    // Non-blocking: nothing of it ever waits for the legacy default stream.
    if (q.stream == nullptr) why = api_.cuStreamCreate(&q.stream, kStreamNonBlocking);
    if (why != kSuccess) {
        q.stream = nullptr;
        if (is_fatal(why)) fail(why);
        return nullptr;
    }
    if (!is_open(q)) begin(q);
    if (std::find(active_.begin(), active_.end(), queue) == active_.end()) active_.push_back(queue);
    return q.stream;
}

CuResult Queues::record(CuEvent& event, CuStream stream) {
    CuResult r = kSuccess;
    if (!events_.empty()) {
        event = events_.back();
        events_.pop_back();
    } else {
        r = api_.cuEventCreate(&event, 0);
    }
    if (r == kSuccess) r = api_.cuEventRecord(event, stream);
    if (r != kSuccess) event = nullptr;
    return r;
}

void Queues::begin(Queue& q) {
    const bool idle = q.batches.empty();
    Batch& batch = q.batches.emplace_back();
    batch.number = next_++;
    batch.given_ns = now_ns();
    ++running_;
    // Without it there is only no time.
    if (idle) (void)record(batch.begin, q.stream);
}

Runtime::Answer Queues::given(std::uint32_t queue, const Ticket& ticket, const Outcome& outcome, bool is_launch) {
    Queue& q = queues_[queue];
    const bool first = q.batches.size() == 1 && q.batches.front().work.empty();
    // An empty batch ends with the next flush().
    if (!outcome.ok() && first) return outcome;
    Batch& batch = q.batches.back();
    batch.work.push_back({ticket, outcome, is_launch});
    if (batch.work.size() == kTogether) close(q);
    return std::nullopt;
}

void Queues::close(Queue& q) {
    // Without it nobody would tell when it has ended.
    if (const CuResult r = record(q.batches.back().end, q.stream); r != kSuccess) fail(r);
}

void Queues::flush() {
    for (std::size_t i = 0; i < active_.size() && !dead_; ++i) {
        if (is_open(queues_[active_[i]])) close(queues_[active_[i]]);
    }
}

bool Queues::poll() {
    bool some = false;
    for (std::size_t i = 0; i < active_.size() && !dead_;) {
        Queue& q = queues_[active_[i]];
        while (!dead_ && !q.batches.empty() && q.batches.front().end != nullptr) {
            const CuResult r = api_.cuEventQuery(q.batches.front().end);
            if (r == kNotReady) break;
            some = true;
            if (r != kSuccess) {
                fail(r);
            } else {
                finish(q);
            }
        }
        if (dead_) break;
        if (q.batches.empty()) {
            active_[i] = active_.back();
            active_.pop_back();
        } else {
            ++i;
        }
    }
    return some;
}

/// What each launch of a batch gets of its time.
std::uint64_t Queues::busy_ns_of(const Queue& q, const Batch& batch) const noexcept {
    const auto launches = std::count_if(batch.work.begin(), batch.work.end(),
                                        [](const Work& w) { return w.is_launch && w.outcome.ok(); });
    const CuEvent from = batch.begin != nullptr ? batch.begin : q.before;
    float ms = 0;
    if (launches == 0 || from == nullptr || api_.cuEventElapsedTime(&ms, from, batch.end) != kSuccess || !(ms > 0))
        return 0;
    return static_cast<std::uint64_t>(static_cast<double>(ms) * 1e6) / static_cast<std::uint64_t>(launches);
}

void Queues::finish(Queue& q) {
    Batch batch = std::move(q.batches.front());
    const std::uint64_t busy_ns = busy_ns_of(q, batch);
    q.batches.pop_front();
    --running_;
    if (batch.begin != nullptr) events_.push_back(batch.begin);
    if (q.before != nullptr) events_.push_back(q.before);
    q.before = batch.end;
    for (const Work& w : batch.work) sink_.done(w.ticket, w.outcome, w.is_launch && w.outcome.ok() ? busy_ns : 0);
}

/// The driver tells that a kernel failed, not which: it is among the first launches of a stream that have not ended.
void Queues::fail(CuResult why) {
    if (dead_) return;
    dead_ = true;
    const auto detail = static_cast<std::uint32_t>(why);
    for (const std::uint32_t i : active_) {
        bool first = true;
        for (const Batch& batch : queues_[i].batches) {
            for (const Work& w : batch.work) {
                const bool ran = first && w.is_launch;
                sink_.done(w.ticket, {ran ? FL_ACCEL_REASON_CRASHED : FL_ACCEL_REASON_CONTEXT_LOST, detail, 0}, 0);
            }
            first = first && batch.work.empty();
        }
    }
    active_.clear();
    running_ = 0;
}

bool Queues::has_passed(std::uint64_t mark) const noexcept {
    return std::none_of(active_.begin(), active_.end(), [&](std::uint32_t i) {
        return !queues_[i].batches.empty() && queues_[i].batches.front().number < mark;
    });
}

std::uint64_t Queues::pause_ns() const noexcept {
    std::uint64_t first = ~std::uint64_t{0};
    for (const std::uint32_t i : active_) {
        if (!queues_[i].batches.empty()) first = std::min(first, queues_[i].batches.front().given_ns);
    }
    const std::uint64_t now = now_ns();
    return std::clamp(now > first ? (now - first) / kPausePart : 0, kMinPauseNs, kMaxPauseNs);
}

}  // namespace farlane::backend::worker::cuda
