// SPDX-License-Identifier: Apache-2.0
// Receives: commands of queues. Hands on: commands of queue pairs, each behind what it has to wait for.
// Owns: the order of what is sent (engine.hpp). How it is waited for: engine_wait.cpp.
#include "opencl/engine.hpp"

#include <algorithm>

#include "opencl/queue.hpp"

namespace farlane::opencl {
namespace {

constexpr std::uint32_t kUsualSlots = 8;
/// Queue pairs that a process has for its command queues at most, of one device: others are to have some, too.
constexpr unsigned kMostPairs = 4;

fl_accel_command command_of(fl_accel_opcode opcode) {
    fl_accel_command c{};
    c.head.opcode = static_cast<__u8>(opcode);
    return c;
}

}  // namespace

Engine::Engine(std::shared_ptr<lib::ContextState> state, std::atomic<unsigned>& pairs, Notify notify)
    : state_(std::move(state)), notify_(std::move(notify)), host_pool_(state_->provider().domain()), pairs_(pairs) {
    Track& own = tracks_.emplace_back();
    own.queue = &state_->lease();
    own.queue->failures_into = &own.failures;
}

Engine::~Engine() {
    {
        Guard guard(*this);
        stop_ = true;
        wake();
    }
    if (thread_.joinable()) thread_.join();
    chunks_.clear();
    for (Track& t : tracks_) {
        t.in_flight.clear();
        t.output.reset();
    }
    garbage_.clear();
    state_->close();
    pairs_ -= own_pairs_;
}

Track& Engine::take_track(Guard&) {
    const auto unused = std::find_if(tracks_.begin() + 1, tracks_.end(), [](const Track& t) { return t.users == 0; });
    if (unused != tracks_.end()) {
        ++unused->users;
        return *unused;
    }
    if (pairs_++ < kMostPairs) {
        try {
            lib::Queue& q = state_->lease();
            Track& t = tracks_.emplace_back();
            t.queue = &q;
            q.failures_into = &t.failures;
            t.users = 1;
            ++own_pairs_;
            return t;
        } catch (const Error& e) {
            --pairs_;
            if (e.status() != Status::limit) throw;
        }
    } else {
        --pairs_;
    }
    // Command queues share one. All that is sent waits only for what was sent before, so they can not wait for each
    // other in a circle.
    const auto first = tracks_.begin() + (tracks_.size() > 1 ? 1 : 0);
    auto& least =
        *std::min_element(first, tracks_.end(), [](const Track& a, const Track& b) { return a.users < b.users; });
    ++least.users;
    return least;
}

// --- sending

/// What it waits for has ended, or was sent to this device: then the device waits.
bool Engine::may_send(CommandQueue&, Event& event) {
    for (const auto& w : event.waits) {
        if (!w->ended() && !w->sent) return false;
    }
    return event.work == nullptr || event.work->ready(*this);
}

Ref<Event> Engine::next_to_send(CommandQueue& q) {
    for (auto at = q.waiting.begin(); at != q.waiting.end(); ++at) {
        Event& e = **at;
        const bool first = at == q.waiting.begin();
        if ((first || !(e.barrier || e.behind_all)) && may_send(q, e)) {
            auto event = std::move(*at);
            q.waiting.erase(at);
            return event;
        }
        if (q.in_order() || e.barrier) break;
    }
    return {};
}

/// One queue; whoever is at its track already takes over what others add.
bool Engine::advance(Guard& guard, CommandQueue& q) {
    Track& track = *q.track;
    if (track.sending) return false;
    const Ref<CommandQueue> held(&q);
    bool any = false;
    track.sending = true;
    track.sender = std::this_thread::get_id();
    while (const auto event = next_to_send(q)) {
        send(guard, q, *event);
        any = true;
    }
    track.sending = false;
    if (sent_waiters_ != 0) wake();
    return any;
}

void Engine::advance(Guard& guard) {
    for (bool again = true; again && !waiting_.empty();) {
        again = false;
        for (std::size_t i = 0; i < waiting_.size(); ++i) {
            const Ref<CommandQueue> q = waiting_[i];
            again = advance(guard, *q) || again;
        }
        std::erase_if(waiting_, [](const auto& q) { return q->waiting.empty(); });
    }
}

void Engine::enqueue(Guard& guard, CommandQueue& q, const Ref<Event>& event) {
    check();
    q.waiting.push_back(event);
    ++q.unfinished;
    advance(guard, q);
    const bool listed = std::any_of(waiting_.begin(), waiting_.end(), [&](const auto& w) { return w.get() == &q; });
    if (!q.waiting.empty() && !listed) {
        waiting_.emplace_back(&q);
        start_thread();  // what it waits for may come while nobody else looks
        wake();
    }
    if (!waiting_.empty()) advance(guard);
    if (event->failure != CL_SUCCESS && event->sent) fail(event->failure);
}

void Engine::order_behind_waits(Guard& guard, Track& track, Event& event) {
    for (const auto& w : event.waits) {
        if (w->ended() || w->track == nullptr || w->track == &track || w->track->queue->done(w->last)) continue;
        lib::Queue& queue = *w->track->queue;
        const auto& behind = track.queue->behind;
        const bool is_behind = std::any_of(behind.begin(), behind.end(),
                                           [&](const auto& b) { return b.first == &queue && b.second >= w->last; });
        if (is_behind) continue;
        if (w->mark == 0) make_room(guard, *w->track, 1);
        if (w->mark == 0 && queue.last() != w->last) {
            // From when there was no other track. The library would wait for it, too, but with the lock.
            wait_until(guard, [&] { return broken() || queue.done(w->last); });
            check();
            continue;
        }
        state_->order(*track.queue, lib::Use{&queue, w->last, w->mark});
    }
}

void Engine::send(Guard& guard, CommandQueue& q, Event& event) {
    Track& track = *q.track;
    const bool doomed = std::any_of(event.waits.begin(), event.waits.end(),
                                    [](const auto& w) { return w->status() < 0 || w->failure != CL_SUCCESS; });
    if (doomed || broken()) {
        event.failure = doomed ? CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST : CL_OUT_OF_RESOURCES;
        event.work.reset();
    }
    const bool profiled = q.profiles();
    event.set_status(CL_SUBMITTED);
    if (profiled) event.submitted_ns = device_now();
    event.track = &track;
    event.first = track.queue->last();
    track.in_flight.emplace_back(&event);
    try {
        if (event.work != nullptr || !event.waits.empty()) {
            make_room(guard, track,
                      kUsualSlots + static_cast<std::uint32_t>(std::min<std::size_t>(event.waits.size(), 256)));
        }
        if (event.failure == CL_SUCCESS) order_behind_waits(guard, track, event);
        if (profiled && event.failure == CL_SUCCESS) stamp(guard, track, event.start);
        Submission submission{*this, guard, track, event};
        if (event.work != nullptr) event.work->submit(submission);
        if (profiled && event.failure == CL_SUCCESS) stamp(guard, track, event.end);
        const std::size_t used = tracks_.size() - (tracks_.front().users == 0 ? 1 : 0);
        if (event.wanted && used > 1 && !track.queue->idle()) event.mark = state_->mark(*track.queue).mark;
    } catch (const Failure& f) {
        event.failure = f.code;
    } catch (const Error& e) {
        log_error("command", e);
        event.failure = code_of(e);
    } catch (const std::bad_alloc&) {
        event.failure = CL_OUT_OF_HOST_MEMORY;
    }
    event.last = track.queue->last();
    event.sent = true;
    if (armed_ && !track.queue->idle()) track.queue->arm();
    if (callbacks_ != 0 || adopted_) wake();
}

void Engine::stamp(Guard& guard, Track& track, std::shared_ptr<Stamp>& to) {
    to = std::make_shared<Stamp>();
    auto c = command_of(FL_ACCEL_OP_TIMESTAMP);
    lib::Sink sink;
    sink.object = to;
    submit(guard, track, c, std::move(sink));
}

lib::Ticket Engine::submit(Guard& guard, Track& track, fl_accel_command& command, lib::Sink sink) {
    make_room(guard, track, 1);
    return state_->submit(*track.queue, command, {}, "", 0, std::move(sink));
}

void Engine::make_room(Guard& guard, Track& track, std::uint32_t slots) {
    if (track.queue->has_room(slots)) return;
    state_->reap_all();
    if (track.queue->has_room(slots)) return;
    wait_until(guard, [&] { return broken() || track.queue->has_room(slots); });
    check();
}

void Engine::make_own_room(Guard& guard, std::uint32_t slots) {
    const Track& own = tracks_.front();
    const auto free = [&] { return !own.sending || own.sender == std::this_thread::get_id(); };
    make_room(guard, tracks_.front(), slots);
    while (!free()) {
        ++sent_waiters_;
        wait_until(guard, [&] { return broken() || free(); });
        --sent_waiters_;
        check();
        make_room(guard, tracks_.front(), slots);
    }
}

void Engine::wait_sent(Guard& guard, const Event& event) {
    ++sent_waiters_;
    wait_until(guard, [&] { return event.sent || event.ended(); });
    --sent_waiters_;
}

// --- events

void Engine::resolved(Guard& guard, Event& event, cl_int status) {
    end(event, status);
    wake();
    advance(guard);
}

void Engine::end(Event& event, cl_int status) {
    event.set_status(status);
    if (event.callbacks.empty()) return;
    for (const auto& c : event.callbacks) {
        due_.emplace_back([held = Ref<Event>(&event), c, status] {
            c.function(handle_of(held.get()), status < 0 ? status : c.at, c.data);
        });
    }
    callbacks_ -= event.callbacks.size();
    event.callbacks.clear();
    changed_.notify_all();
}

/// Callbacks for the states on the way are called when the command has ended at the latest; it was in them then.
void Engine::add_callback(Guard&, Event& event, const Event::Callback& callback) {
    start_thread();
    if (event.status() > callback.at) {
        event.callbacks.push_back(callback);
        ++callbacks_;
        wake();
        return;
    }
    const cl_int status = event.status() < 0 ? event.status() : callback.at;
    due_.emplace_back([held = Ref<Event>(&event), callback, status] {
        callback.function(handle_of(held.get()), status, callback.data);
    });
    changed_.notify_all();
}

void Engine::call_later(Guard&, std::function<void()> call) {
    start_thread();
    due_.push_back(std::move(call));
    changed_.notify_all();
    wake();
}

void Engine::adopt(Guard&) {
    start_thread();
    adopted_ = true;
    wake();
}

// --- time

std::uint64_t Engine::device_now() const noexcept {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count() +
                                      device_ahead_ns_);
}

void Engine::calibrate(Guard& guard) {
    if (calibrated_) return;
    calibrated_ = true;
    device_ahead_ns_ = 0;
    const std::uint64_t before = device_now();
    std::shared_ptr<Stamp> now;
    make_own_room(guard, 1);
    stamp(guard, tracks_.front(), now);
    lib::Queue& q = *tracks_.front().queue;
    const lib::Ticket t = q.last();
    wait_until(guard, [&] { return broken() || q.done(t); });
    device_ahead_ns_ = static_cast<std::int64_t>(now->ns - (before + (device_now() - before) / 2));
}

}  // namespace farlane::opencl
