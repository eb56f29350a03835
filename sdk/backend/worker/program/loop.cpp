// SPDX-License-Identifier: Apache-2.0
// Receives: records of the executor. Hands on: work for the runtime, ends of jobs. Owns: loop.hpp.
#include "backend/worker/program/loop.hpp"

#include <linux/futex.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <thread>

#include "backend/worker/channel.hpp"

namespace farlane::backend::worker {
namespace {

constexpr unsigned kRecordsPerTurn = 64;
constexpr std::uint32_t kRunningPerStream = 256;  // what is behind waits here, where it can be taken back
constexpr std::uint32_t kRefillAt = kRunningPerStream / 2;
constexpr std::uint64_t kSpinNs = 50'000;
constexpr unsigned kFewCores = 4;  // kernels, lane and this thread want them all: who spins is behind, not ahead
constexpr long kRoomNs = 1'000'000;
constexpr std::uint64_t kEnergyNs = 100'000'000;  // a look takes its time, and meters are no finer
constexpr unsigned long kTimerSlackNs = 1'000;

template <class T>
T ask_of(std::span<const std::byte>& payload) noexcept {
    T ask{};
    if (!take(payload, ask)) std::abort();  // the executor does not write such a thing
    return ask;
}

}  // namespace

// --- Streams

void Streams::note(const Ticket& ticket, const Outcome& outcome) noexcept {
    if (outcome.ok() || ticket.epoch == 0 || poisoned(ticket)) return;
    failed_[ticket.stream].store(std::uint64_t{ticket.epoch} << 32 | ticket.order, std::memory_order_relaxed);
}

void Streams::answer(const Ticket& ticket, const Outcome& outcome) noexcept {
    note(ticket, outcome);
    const SayDone said{ticket.token, outcome.reason, outcome.detail, outcome.value, 0};
    outbox_.say(Say::done, {bytes_of(said)});
}

void Streams::done(const Ticket& ticket, const Outcome& outcome, std::uint64_t busy_ns) noexcept {
    const Outcome real = outcome.ok() && poisoned(ticket) ? Outcome{FL_ACCEL_REASON_POISONED, 0, 0} : outcome;
    note(ticket, real);
    const SayDone said{ticket.token, real.reason, real.detail, real.value, busy_ns};
    outbox_.say(Say::done, {bytes_of(said)});
    const std::uint32_t left = running_[ticket.stream].fetch_sub(1, std::memory_order_seq_cst) - 1;
    if (left == kRefillAt && wanted.load(std::memory_order_seq_cst)) outbox_.wake_loop();
}

// --- Loop

Loop::Loop(Control& control, Memory& memory, Outbox& outbox, Streams& streams, Runtime& runtime)
    : control_(control),
      memory_(memory),
      outbox_(outbox),
      streams_(streams),
      runtime_(runtime),
      ring_(control.submit, control.submit_bytes),
      record_(kMaxSubmitRecord),
      spin_ns_(std::thread::hardware_concurrency() > kFewCores ? kSpinNs : 0),
      builder_(runtime, [this] { outbox_.wake_loop(); }) {}

void Loop::run() {
    (void)::prctl(PR_SET_TIMERSLACK, kTimerSlackNs);  // or naps of 10 us take 60
    std::uint64_t idle_since = 0;
    for (;;) {
        bool did = take_records();
        did |= begin_waiting();
        runtime_.flush();
        did |= runtime_.poll();
        did |= take_built();
        const bool full = outbox_.flush();
        if (runtime_.dead()) end();
        if (did) {
            idle_since = 0;
            continue;
        }
        const std::uint64_t now = now_ns();
        if (idle_since == 0) idle_since = now;
        look_at_energy(now);
        if (now - idle_since < spin_ns_) {
            (void)::sched_yield();
            continue;
        }
        sleep(full);
        idle_since = 0;
    }
}

/// What is lost has been said; the executor sees the rest.
void Loop::end() noexcept {
    while (outbox_.flush()) (void)::sched_yield();
    ::_exit(1);
}

void Loop::look_at_energy(std::uint64_t now) noexcept {
    if (now - energy_ns_ < kEnergyNs) return;
    energy_ns_ = now;
    if (const std::uint64_t uj = runtime_.energy_uj(); uj != 0) control_.energy_uj.store(uj, std::memory_order_relaxed);
}

void Loop::sleep(bool waits_for_room) noexcept {
    streams_.wanted.store(waiting_count_ != 0, std::memory_order_seq_cst);
    control_.worker_sleeps.store(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const bool can_begin = waiting_count_ != 0 && std::any_of(waiting_.begin(), waiting_.end(), [this](const auto& w) {
                               return !w.empty() && streams_.running(w.front().ticket.stream) < kRunningPerStream;
                           });
    if (ring_.empty() && !builder_.has_finished() && !can_begin) {
        const timespec pause{0, runtime_.wants_poll() ? static_cast<long>(runtime_.poll_pause_ns()) : kRoomNs};
        const bool timed = runtime_.wants_poll() || waits_for_room;
        (void)::syscall(SYS_futex, &control_.worker_sleeps, FUTEX_WAIT, 1, timed ? &pause : nullptr, nullptr, 0);
    }
    control_.worker_sleeps.store(0, std::memory_order_relaxed);
}

bool Loop::take_records() {
    for (unsigned i = 0; i < kRecordsPerTurn; ++i) {
        std::uint32_t type = 0;
        std::size_t bytes = 0;
        switch (ring_.read(type, record_, bytes)) {
            case RingReader::Read::none: return i != 0;
            case RingReader::Read::broken: std::abort();
            case RingReader::Read::record: take_record(static_cast<Ask>(type), std::span(record_).first(bytes)); break;
        }
    }
    return true;
}

void Loop::take_record(Ask ask, std::span<const std::byte> payload) {
    auto rest = payload;
    const auto stream_work = [&](const auto& head) {
        give(ask, {head.token, head.stream, head.epoch, ++order_}, payload);
    };
    switch (ask) {
        case Ask::commit: return commit(ask_of<AskMemory>(rest));
        case Ask::decommit: return decommit(ask_of<AskMemory>(rest));
        case Ask::load: return load(payload);
        case Ask::unload: return unload(ask_of<AskUnload>(rest).module);
        case Ask::bind: return bind(payload);
        case Ask::launch: return stream_work(ask_of<AskLaunch>(rest));
        case Ask::builtin: return stream_work(ask_of<AskBuiltin>(rest));
        case Ask::copy: return stream_work(ask_of<AskCopy>(rest));
        case Ask::fill: return stream_work(ask_of<AskFill>(rest));
        case Ask::cancel: return cancel(ask_of<AskCancel>(rest).token);
    }
}

// --- work of streams, in order

void Loop::give(Ask ask, const Ticket& ticket, std::span<const std::byte> payload) {
    auto& waiting = waiting_[ticket.stream];
    if (waiting.empty() && streams_.running(ticket.stream) < kRunningPerStream) return begin(ask, ticket, payload);
    waiting.push_back({ask, ticket, {payload.begin(), payload.end()}});
    ++waiting_count_;
}

bool Loop::begin_waiting() {
    if (waiting_count_ == 0) return false;
    bool did = false;
    for (auto& waiting : waiting_) {
        while (!waiting.empty() && streams_.running(waiting.front().ticket.stream) < kRunningPerStream) {
            const Waiting first = std::move(waiting.front());
            waiting.pop_front();
            --waiting_count_;
            begin(first.ask, first.ticket, first.payload);
            did = true;
        }
    }
    return did;
}

void Loop::begin(Ask ask, const Ticket& ticket, std::span<const std::byte> payload) {
    if (streams_.poisoned(ticket)) return streams_.answer(ticket, {FL_ACCEL_REASON_POISONED, 0, 0});
    Runtime::Answer answer;
    streams_.begun(ticket.stream);
    switch (ask) {
        case Ask::launch: answer = begin_launch(ticket, payload); break;
        case Ask::copy: {
            const auto copy = ask_of<AskCopy>(payload);
            answer = runtime_.copy(ticket, copy.destination, copy.source, copy.bytes);
            break;
        }
        case Ask::fill: {
            const auto fill = ask_of<AskFill>(payload);
            answer =
                runtime_.fill(ticket, fill.destination, fill.bytes, std::span(fill.pattern).first(fill.pattern_bytes));
            break;
        }
        default: answer = Outcome{FL_ACCEL_REASON_BAD_KIND, 0, 0};
    }
    if (answer) streams_.done(ticket, *answer, 0);
}

Runtime::Answer Loop::begin_launch(const Ticket& ticket, std::span<const std::byte> payload) {
    const auto launch = ask_of<AskLaunch>(payload);
    const auto kernel = kernels_.find(launch.kernel);
    if (kernel == kernels_.end()) return Outcome{FL_ACCEL_REASON_BAD_HANDLE, launch.kernel, 0};
    return runtime_.launch(ticket, *kernel->second.kernel, launch, payload.first(launch.argument_bytes));
}

/// What has not begun ends now; a build goes on for nobody.
void Loop::cancel(const Token& token) {
    if (loading_.erase(std::uint64_t{token.generation} << 32 | token.slot) != 0) {
        return reply(token, {FL_ACCEL_REASON_EXECUTION, 0, kBuildsOn});
    }
    for (auto& waiting : waiting_) {
        const auto found = std::find_if(waiting.begin(), waiting.end(), [&](const Waiting& w) {
            return w.ticket.token.slot == token.slot && w.ticket.token.generation == token.generation;
        });
        if (found == waiting.end()) continue;
        const Ticket ticket = found->ticket;
        waiting.erase(found);
        --waiting_count_;
        return streams_.answer(ticket, {FL_ACCEL_REASON_EXECUTION, 0, 0});
    }
}

}  // namespace farlane::backend::worker
