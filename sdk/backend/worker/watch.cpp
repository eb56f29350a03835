// SPDX-License-Identifier: Apache-2.0
// Receives: begins and ends of contexts, deadlines, bells and deaths of workers. Hands on: processes, `wake`.
// Owns: watch.hpp.
#include "backend/worker/watch.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>

namespace farlane::backend::worker {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kBellPauseNs = 100'000;  // a lane that polls needs no bell: not more than one in this time
constexpr unsigned long kTimerSlackNs = 5'000;
constexpr std::uint64_t kStartNs = 60'000 * kMs;
constexpr std::uint64_t kGraceNs = 100 * kMs;  // for a lane that has not read yet that a job ended in time
constexpr std::uint64_t kLookAgainNs = kMs;

std::uint64_t sooner(std::uint64_t a, std::uint64_t b) noexcept {
    if (a == 0 || b == 0) return a | b;
    return std::min(a, b);
}

}  // namespace

Watch::Watch(std::vector<Channel>& channels, Aperture& aperture, Janitor& janitor, Options options)
    : channels_(channels),
      aperture_(aperture),
      janitor_(janitor),
      options_(std::move(options)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      kick_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      workers_(channels.size()) {
    if (!epoll_.valid() || !kick_.valid() || !watch_for(kick_.get(), What::kick, 0, EPOLLIN)) {
        throw Error(Status::limit, "no file descriptor left for an accelerator; raise the limit (ulimit -n)");
    }
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

Watch::~Watch() {
    thread_.request_stop();
    kick();
    thread_.join();
}

// --- for the lane

void Watch::put(Request request) {
    {
        const std::lock_guard lock(mutex_);
        requests_.push_back(std::move(request));
    }
    kick();
}
void Watch::start(std::uint32_t context, Handle control) {
    put({Request::Kind::start, context, Cause::none, 0, std::move(control)});
}
void Watch::kill(std::uint32_t context, Cause cause) {
    put({Request::Kind::kill, context, cause, 0, {}});
}
void Watch::end(std::uint32_t context, std::uint64_t job) {
    put({Request::Kind::end, context, Cause::closed, job, {}});
}
void Watch::kick() noexcept {
    const std::uint64_t one = 1;
    (void)!::write(kick_.get(), &one, sizeof one);  // full: it will look anyway
}

// --- the thread

void Watch::run(const std::stop_token& stop) {
    (void)::prctl(PR_SET_TIMERSLACK, kTimerSlackNs);
    std::array<epoll_event, 16> events;
    while (!stop.stop_requested()) {
        serve();
        const std::uint64_t next = look_at_all();
        const std::uint64_t now = now_ns();
        const std::uint64_t wait = next > now ? next - now : 0;
        const timespec time{static_cast<time_t>(wait / 1'000'000'000), static_cast<long>(wait % 1'000'000'000)};
        const int count = ::epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                         next == 0 ? nullptr : &time, nullptr);
        for (int i = 0; i < count; ++i) {
            const auto context = static_cast<std::uint32_t>(events[static_cast<std::size_t>(i)].data.u64);
            switch (static_cast<What>(events[static_cast<std::size_t>(i)].data.u64 >> 32)) {
                case What::kick: {
                    std::uint64_t ignored;
                    (void)!::read(kick_.get(), &ignored, sizeof ignored);
                    break;
                }
                case What::bell: rang(context); break;
                case What::death: died(context); break;
            }
        }
    }
    for (Worker& w : workers_) w.process.kill();  // all at once; they are reaped one by one
    workers_.clear();
}

/// When to look again; 0 = when something happens.
std::uint64_t Watch::look_at_all() {
    const auto look = [this] {
        std::uint64_t next = 0;
        const std::uint64_t now = now_ns();
        for (std::uint32_t c = 0; c < workers_.size(); ++c) next = sooner(next, look_at(c, now));
        return next;
    };
    timed_.store(true, std::memory_order_relaxed);
    if (const std::uint64_t next = look(); next != 0) return next;
    // The lane sets a deadline and then looks at timed_; here it is the other way round.
    timed_.store(false, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const std::uint64_t next = look();
    timed_.store(next != 0, std::memory_order_relaxed);
    return next;
}

std::uint64_t Watch::look_at(std::uint32_t context, std::uint64_t now) {
    Worker& w = workers_[context];
    if (!w.process.running()) return 0;
    std::uint64_t next = 0;
    if (!channels_[context].ready.load(std::memory_order_relaxed)) {
        if (now < w.start_by_ns) {
            next = w.start_by_ns;
        } else {
            end_process(context, Cause::not_ready);
        }
    }
    next = sooner(next, look_at_bell(context, now));
    return sooner(next, look_at_deadlines(context, now));
}

std::uint64_t Watch::look_at_bell(std::uint32_t context, std::uint64_t now) {
    Worker& w = workers_[context];
    if (w.rearm_ns == 0 || now < w.rearm_ns) return w.rearm_ns;
    w.rearm_ns = 0;
    if (!watch_for(w.bell.get(), What::bell, context, EPOLLIN | EPOLLONESHOT)) return w.rearm_ns = now + kLookAgainNs;
    channels_[context].control->bell_armed.store(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!channels_[context].has_unread()) return 0;
    options_.wake();
    return w.rearm_ns = now + kLookAgainNs;
}

std::uint64_t Watch::look_at_deadlines(std::uint32_t context, std::uint64_t now) {
    Channel& channel = channels_[context];
    std::uint64_t next = 0;
    const auto look = [&](std::uint64_t deadline, Cause cause) {
        if (deadline == 0) return;
        if (now < deadline) {
            next = sooner(next, deadline);
        } else if (channel.has_unread() && now < deadline + kGraceNs) {
            options_.wake();
            next = sooner(next, now + kLookAgainNs);
        } else {
            end_process(context, cause);
        }
    };
    const std::uint32_t streams = std::min<std::uint32_t>(channel.streams.load(std::memory_order_acquire),
                                                          static_cast<std::uint32_t>(channel.deadline_ns.size()));
    for (std::uint32_t s = 0; s < streams; ++s) {
        look(channel.deadline_ns[s].load(std::memory_order_relaxed), Cause::time_limit);
    }
    look(channel.idle_build_by_ns.load(std::memory_order_relaxed), Cause::time_limit);
    look(channel.cancel_by_ns.load(std::memory_order_relaxed), Cause::canceled);
    return next;
}

void Watch::serve() {
    std::vector<Request> all;
    {
        const std::lock_guard lock(mutex_);
        all.swap(requests_);
    }
    for (Request& r : all) serve(r);
}

void Watch::serve(Request& request) {
    switch (request.kind) {
        case Request::Kind::start: return launch(request.context, request.control);
        case Request::Kind::kill: return end_process(request.context, request.cause);
        case Request::Kind::end:
            workers_[request.context].ending = true;
            workers_[request.context].job = request.job;
            if (workers_[request.context].process.running()) return end_process(request.context, request.cause);
            return finish(request.context);
    }
}

void Watch::launch(std::uint32_t context, const Handle& control) {
    const auto started = try_launch(context, control);
    if (started.ok()) return;
    options_.log("accelerator '" + options_.name + "': context " + std::to_string(context) +
                 " gets no worker process: " + started.failure().detail);
    workers_[context] = {};
    channels_[context].cause = Cause::not_ready;
    channels_[context].dead.store(true, std::memory_order_release);
    options_.wake();
}

Result<bool> Watch::try_launch(std::uint32_t context, const Handle& control) {
    Worker& w = workers_[context];
    auto folder = Folder::make();
    if (!folder) return folder.failure();
    w.folder = std::move(*folder);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return {Status::limit, "no file descriptor left"};
    w.bell = Handle(ends[0]);
    const Handle ring(ends[1]);
    // Full, it takes no more, and nobody waits for it.
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return {Status::limit, "no file descriptor left"};
    w.output = Handle(ends[0]);
    const Handle printed(ends[1]);
    const std::array<Passed, 4> passed = {Passed{control.get(), kControlFd},
                                          {aperture_.file_of(context), kMemoryFd},
                                          {ring.get(), kBellFd},
                                          {printed.get(), STDOUT_FILENO}};
    auto process =
        Process::spawn({options_.program, options_.kind, "context", std::to_string(context)}, passed, w.folder.path());
    if (!process) return process.failure();
    w.process = std::move(*process);
    w.statm = Handle(::open(("/proc/" + std::to_string(w.process.pid()) + "/statm").c_str(), O_RDONLY | O_CLOEXEC));
    w.start_by_ns = now_ns() + kStartNs;
    w.rearm_ns = 1;
    if (!watch_for(w.process.pidfd(), What::death, context, EPOLLIN)) return {Status::limit, "no watch on a process"};
    // Nothing can fail any more: the lane never has numbers of files that were closed.
    channels_[context].statm = w.statm.get();
    channels_[context].pid = w.process.pid();
    channels_[context].output = w.output.get();
    return true;
}

void Watch::rang(std::uint32_t context) {
    Worker& w = workers_[context];
    if (!w.process.running()) return;
    std::array<char, 4096> ignored;
    (void)!::read(w.bell.get(), ignored.data(), ignored.size());
    // What is unread by now met a lane that sleeps: the next shall ring as well.
    const bool unread = channels_[context].has_unread();
    w.rearm_ns = unread ? 1 : now_ns() + kBellPauseNs;
    if (unread) options_.wake();
}

void Watch::died(std::uint32_t context) {
    Worker& w = workers_[context];
    if (!w.process.running()) return;
    channels_[context].ended = w.process.reap();
    if (w.ending) return finish(context);
    channels_[context].dead.store(true, std::memory_order_release);
    options_.wake();
}

/// The process is gone; so is its memory, then.
void Watch::finish(std::uint32_t context) {
    Worker gone = std::move(workers_[context]);
    workers_[context] = {};
    channels_[context].statm = -1;
    channels_[context].output = -1;
    janitor_.put(gone.job, [&aperture = aperture_, context, folder = std::make_shared<Folder>(std::move(gone.folder))] {
        aperture.renew(context);
        *folder = {};
    });
}

void Watch::end_process(std::uint32_t context, Cause cause) noexcept {
    Worker& w = workers_[context];
    if (!w.process.running()) return;
    auto none = Cause::none;
    if (channels_[context].cause.compare_exchange_strong(none, cause)) channels_[context].killed_ns = now_ns();
    w.process.kill();
}

bool Watch::watch_for(int fd, What what, std::uint32_t context, std::uint32_t flags) noexcept {
    epoll_event event{};
    event.events = flags;
    event.data.u64 = static_cast<std::uint64_t>(what) << 32 | context;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0) return true;
    return errno == ENOENT && ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace farlane::backend::worker
