// SPDX-License-Identifier: Apache-2.0
// Receives: jobs for one context's worker, and what the worker says. Hands on: records to it, ended jobs. Owns:
// link.hpp.
#include "backend/worker/link.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace farlane::backend::worker {
namespace {

constexpr std::uint64_t kCancelNs = 250'000'000;

bool is_reason(std::uint32_t code) noexcept {
    switch (code) {
#define FARLANE_KNOWN_REASON(NAME, name, number, status, text) case number:
        FL_ACCEL_REASON_TABLE(FARLANE_KNOWN_REASON)
#undef FARLANE_KNOWN_REASON
        return true;
        default: return false;
    }
}

std::string signal_name(int number) {
    const char* name = ::sigabbrev_np(number);
    return "signal " + std::to_string(number) + (name == nullptr ? "" : " (SIG" + std::string(name) + ")");
}

}  // namespace

void Link::open() {
    Control& control = *channel_.control;
    submit_ = RingWriter(control.submit, control.submit_bytes);
    complete_ = RingReader(control.complete, control.complete_bytes);
    streams_ = {};
    usage = {};
    canceled_ = idle_builds_ = 0;
    ready_told_ = crash_told_ = false;
    fate_ = FL_ACCEL_REASON_NONE;
    open_ = true;
}

void Link::close() noexcept {
    open_ = false;
    waiting_.clear();
    allocations.clear();
    modules.fill({});
    for (Kernel& k : kernels) k = {};
}

std::optional<std::pair<std::uint64_t, std::uint64_t>> Link::allocation_at(std::uint64_t address) const {
    auto it = allocations.upper_bound(address);
    if (it == allocations.begin()) return std::nullopt;
    --it;
    if (address - it->first >= it->second) return std::nullopt;
    return *it;
}

void Link::unload(std::uint32_t module) {
    if (modules[module].in_worker) send(Ask::unload, {bytes_of(AskUnload{module, 0})});
    for (Kernel& k : kernels) {
        if (k.used && k.module == module) k = {};
    }
    modules[module] = {};
}

// --- to the worker

void Link::give(std::uint32_t slot, Ask ask, std::initializer_list<std::span<const std::byte>> parts) {
    push(slot);
    send(ask, parts);
}

void Link::send(Ask ask, std::initializer_list<std::span<const std::byte>> parts) {
    if (waiting_.empty() && submit_.write(static_cast<std::uint32_t>(ask), parts)) {
        submit_.publish();
        return wake_worker();
    }
    Waiting w{ask, {}};
    for (const auto part : parts) w.payload.insert(w.payload.end(), part.begin(), part.end());
    waiting_.push_back(std::move(w));
}

void Link::flush() noexcept {
    bool some = false;
    while (!waiting_.empty() &&
           submit_.write(static_cast<std::uint32_t>(waiting_.front().ask), {waiting_.front().payload})) {
        waiting_.pop_front();
        some = true;
    }
    if (!some) return;
    submit_.publish();
    wake_worker();
}

void Link::wake_worker() noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    auto& sleeps = channel_.control->worker_sleeps;
    if (sleeps.load(std::memory_order_relaxed) == 0 || sleeps.exchange(0) == 0) return;
    (void)::syscall(SYS_futex, &sleeps, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

void Link::cancel(std::uint32_t slot) {
    Job& job = services_.jobs[slot];
    if (job.canceled) return;
    job.canceled = true;
    ++canceled_;
    // What gives memory back is not taken back: it only has to end.
    if (job.kind != JobKind::scrub) send(Ask::cancel, {bytes_of(AskCancel{services_.jobs.token(slot)})});
    if (channel_.cancel_by_ns.load(std::memory_order_relaxed) != 0) return;
    channel_.cancel_by_ns = now_ns() + kCancelNs;
    services_.look();
}

// --- streams

void Link::push(std::uint32_t slot) noexcept {
    Job& job = services_.jobs[slot];
    Stream& stream = streams_[job.owner.stream];
    job.given_ns = now_ns();
    job.previous = stream.back;
    if (stream.back != Job::kNone) services_.jobs[stream.back].next = slot;
    stream.back = slot;
    if (stream.front != Job::kNone) return;
    stream.front = slot;
    if (channel_.streams.load(std::memory_order_relaxed) <= job.owner.stream) {
        channel_.streams.store(job.owner.stream + 1, std::memory_order_release);
    }
    time_front(job.owner.stream, job.given_ns);
}

void Link::remove(std::uint32_t slot) noexcept {
    const Job& job = services_.jobs[slot];
    Stream& stream = streams_[job.owner.stream];
    if (job.previous != Job::kNone) services_.jobs[job.previous].next = job.next;
    if (job.next != Job::kNone) services_.jobs[job.next].previous = job.previous;
    if (stream.back == slot) stream.back = job.previous;
    if (stream.front != slot) return;
    stream.front = job.next;
    time_front(job.owner.stream, now_ns());
}

/// A launch may run from the later of: it was given, the one before it ended. So may a build, which also waits for
/// those of the context's other streams: a worker compiles one at a time.
void Link::time_front(std::uint32_t stream, std::uint64_t now) noexcept {
    auto& deadline = channel_.deadline_ns[stream];
    const std::uint32_t front = streams_[stream].front;
    const JobKind kind = front == Job::kNone ? JobKind::commit : services_.jobs[front].kind;
    const std::uint64_t limit = kind == JobKind::launch ? services_.time_limit_ns
                                : kind == JobKind::load ? services_.build_limit_ns
                                                        : 0;
    const bool waits = kind == JobKind::load && idle_builds_ != 0;  // for those; their time is not its own
    if (limit == 0 || waits) return deadline.store(0, std::memory_order_relaxed);
    deadline.store(now + limit, std::memory_order_relaxed);
    services_.deadline_set();
}

/// The next begins. Who was over its time stays it when the rest is read after its end.
void Link::build_ended(std::uint64_t now) noexcept {
    if (channel_.killed_ns.load() != 0) return;
    const bool timed = idle_builds_ != 0 && services_.build_limit_ns != 0;
    channel_.idle_build_by_ns = timed ? now + services_.build_limit_ns : 0;
    if (timed) services_.deadline_set();
    for (std::uint32_t s = 0; s < streams_.size(); ++s) {
        const std::uint32_t front = streams_[s].front;
        if (front != Job::kNone && services_.jobs[front].kind == JobKind::load) time_front(s, now);
    }
}

// --- from the worker

bool Link::poll() {
    if (!waiting_.empty()) flush();
    if (!channel_.deaf.load(std::memory_order_relaxed)) {
        std::uint32_t type = 0;
        std::size_t bytes = 0;
        switch (complete_.read(type, services_.scratch, bytes)) {
            case RingReader::Read::broken: broken(); break;
            case RingReader::Read::record: {
                channel_.consumed.store(complete_.count(), std::memory_order_relaxed);
                const auto payload = services_.scratch.first(bytes);
                if (type == static_cast<std::uint32_t>(Say::ready)) {
                    take_ready(payload);
                } else if (type == static_cast<std::uint32_t>(Say::done)) {
                    take_done(payload);
                } else if (type == static_cast<std::uint32_t>(Say::built)) {
                    take_built();
                } else {
                    broken();
                }
                return true;
            }
            case RingReader::Read::none: break;
        }
    }
    if (channel_.buried.load(std::memory_order_relaxed) || !channel_.dead.load(std::memory_order_acquire)) return false;
    // Between the look into the ring and this one it may have said something more.
    if (channel_.has_unread()) return true;
    die();
    return true;
}

void Link::take_ready(std::span<const std::byte> payload) noexcept {
    SayReady said;
    if (!take(payload, said) || said.version != kVersion || ready_told_) return broken();
    ready_told_ = true;
    if (said.reason == FL_ACCEL_REASON_NONE) {
        channel_.ready = true;
        return;
    }
    std::string text;
    for (const std::byte b : payload.first(std::min<std::size_t>(payload.size(), kMaxReasonBytes))) {
        const char c = static_cast<char>(b);
        if (c >= ' ' && c <= '~') text.push_back(c);
    }
    if (!text.empty()) services_.complain(text);
}

void Link::take_done(std::span<const std::byte> payload) {
    SayDone said;
    if (!take(payload, said) || !is_reason(said.reason) || !channel_.ready.load()) return broken();
    if (services_.jobs.find(said.token, context_) == nullptr) return broken();
    end_job(said.token.slot, said, payload);
}

/// What builds on for nobody has a deadline of its own, which more of them do not put off: only a build that ends does.
void Link::load_ended(bool builds_on) noexcept {
    if (!builds_on) return build_ended(now_ns());
    if (idle_builds_++ == 0) build_ended(now_ns());
}

void Link::take_built() noexcept {
    if (idle_builds_ == 0) return broken();
    --idle_builds_;
    build_ended(now_ns());
}

void Link::end_job(std::uint32_t slot, const SayDone& said, std::span<const std::byte> report) {
    Job& job = services_.jobs[slot];
    Outcome outcome{static_cast<fl_accel_reason>(said.reason), said.detail, 0};
    if (job.kind == JobKind::launch) count(job, said);
    if (said.reason == FL_ACCEL_REASON_CRASHED) crash_told_ = true;
    if (job.kind == JobKind::bind && outcome.ok()) outcome = bound(job, report, said.value == kUnknownArguments);
    if (job.kind == JobKind::commit && !outcome.ok()) allocations.erase(job.address);
    if (job.kind == JobKind::load && outcome.ok()) modules[job.handle] = {true, job.builtin != nullptr, true};
    end_cancel(job);
    remove(slot);
    if (job.kind == JobKind::load) load_ended(job.canceled && said.value == kBuildsOn);
    if (job.kind == JobKind::scrub) return services_.ended_memory(slot);
    services_.done(slot, outcome);
}

Outcome Link::bound(const Job& job, std::span<const std::byte> report, bool open_ended) {
    auto signature = Signature::parse(report, open_ended);
    if (!signature) {
        broken();
        return {FL_ACCEL_REASON_EXECUTION, 0, 0};
    }
    Kernel& kernel = kernels[job.handle];
    kernel.used = true;
    kernel.builtin = job.builtin;
    kernel.module = static_cast<std::uint32_t>(job.address);
    kernel.signature = std::move(*signature);
    return {FL_ACCEL_REASON_NONE, 0, job.builtin != nullptr ? job.bytes : kernel.signature.block_bytes()};
}

void Link::count(const Job& job, const SayDone& said) noexcept {
    const std::uint64_t most = now_ns() - job.given_ns;
    usage.busy_ns += std::min(said.busy_ns, most);
    if (said.reason == FL_ACCEL_REASON_NONE) ++usage.kernels;
}

void Link::end_cancel(const Job& job) noexcept {
    if (job.canceled && --canceled_ == 0) channel_.cancel_by_ns = 0;
}

/// A worker that breaks the rules is in other hands than ours.
void Link::broken() noexcept {
    if (channel_.deaf.exchange(true)) return;
    services_.kill(context_, Cause::protocol);
}

void Link::die() {
    channel_.buried = true;
    Cause cause = channel_.cause.load();
    // Here all that it said was read: only the lane knows whether it ever was ready.
    if (cause == Cause::none && !channel_.ready) cause = Cause::not_ready;
    fate_ = cause == Cause::not_ready ? FL_ACCEL_REASON_NO_WORKER : FL_ACCEL_REASON_CONTEXT_LOST;
    waiting_.clear();
    // Reasons first: a stream's front is no more once its jobs begin to end.
    std::vector<std::pair<std::uint32_t, Outcome>> ended;
    for (std::uint32_t slot = 0; slot < services_.jobs.size(); ++slot) {
        const Job& job = services_.jobs[slot];
        if (!job.used || job.owner.context != context_ || job.place != JobPlace::worker) continue;
        ended.emplace_back(slot, outcome_of_death(slot, cause));
    }
    services_.lost(context_, why_dead(cause, ended));
    streams_ = {};
    for (auto& deadline : channel_.deadline_ns) deadline.store(0, std::memory_order_relaxed);
    channel_.cancel_by_ns = channel_.idle_build_by_ns = 0;
    canceled_ = idle_builds_ = 0;
    for (const auto& [slot, outcome] : ended) {
        if (services_.jobs[slot].kind == JobKind::scrub) {
            services_.ended_memory(slot);
        } else {
            services_.done(slot, outcome);
        }
    }
}

/// `crashed` says how the process ended (docs/accelerator.md, "Contexts"); when it was ended by us, nothing.
Outcome Link::outcome_of_death(std::uint32_t slot, Cause cause) noexcept {
    const Job& job = services_.jobs[slot];
    if (job.canceled) return {FL_ACCEL_REASON_EXECUTION, 0, 0};
    const bool front = streams_[job.owner.stream].front == slot && job.kind != JobKind::commit;
    switch (cause) {
        case Cause::not_ready: return {FL_ACCEL_REASON_NO_WORKER, 0, 0};
        case Cause::time_limit: {
            const std::uint64_t deadline = channel_.deadline_ns[job.owner.stream].load(std::memory_order_relaxed);
            const bool over = front && deadline != 0 && deadline <= channel_.killed_ns.load();
            if (over && job.kind == JobKind::load) return {FL_ACCEL_REASON_BUILD_LIMIT, 0, 0};
            return {over ? FL_ACCEL_REASON_TIME_LIMIT : FL_ACCEL_REASON_CONTEXT_LOST, 0, 0};
        }
        case Cause::none:
        case Cause::protocol:
            if (front && !crash_told_) return {FL_ACCEL_REASON_CRASHED, cause == Cause::none ? end_code() : 0, 0};
            break;
        case Cause::canceled:
        case Cause::closed: break;
    }
    return {FL_ACCEL_REASON_CONTEXT_LOST, 0, 0};
}

std::uint32_t Link::end_code() const noexcept {
    const int ended = channel_.ended.load();
    return static_cast<std::uint32_t>(ended < 0 ? -ended : FL_ACCEL_CRASHED_EXIT + ended);
}

std::string Link::why_dead(Cause cause, std::span<const std::pair<std::uint32_t, Outcome>> ended) const {
    std::string text;
    switch (cause) {
        case Cause::none: {
            const int how = channel_.ended.load();
            text = how < 0 ? "was ended by " + signal_name(-how) : "ended by itself with status " + std::to_string(how);
            break;
        }
        case Cause::protocol: text = "was killed: it wrote into its ring what it must not"; break;
        case Cause::time_limit: text = "was killed: a time limit passed"; break;
        case Cause::canceled: text = "was killed: what was canceled did not end"; break;
        case Cause::not_ready: {
            const int how = channel_.ended.load();
            text = "did not get ready";
            if (how != 0) text += ": it ended with " + (how < 0 ? signal_name(-how) : "status " + std::to_string(how));
            break;
        }
        case Cause::closed: break;
    }
    if (crash_told_) text += "; it said itself which kernel it was";
    // What it was at, and what that got for it.
    for (const auto& [slot, outcome] : ended) {
        const Job& job = services_.jobs[slot];
        const bool guilty = outcome.reason == FL_ACCEL_REASON_CRASHED || outcome.reason == FL_ACCEL_REASON_TIME_LIMIT ||
                            outcome.reason == FL_ACCEL_REASON_BUILD_LIMIT;
        if (!guilty) continue;
        const bool builds = job.kind == JobKind::load;
        text += std::string("; ") +
                (builds                        ? "it compiled module "
                 : job.kind == JobKind::launch ? "it ran kernel "
                                               : "it was asked for object ") +
                std::to_string(job.handle) + " of queue pair " + std::to_string(job.owner.stream);
    }
    return text;
}

}  // namespace farlane::backend::worker
