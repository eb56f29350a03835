// SPDX-License-Identifier: Apache-2.0
// Receives: calls of the public API. Hands on: transactions to a lane in this process.
// Owns: the lane, its port, the initiator role, and the thread that turns them when asked to.
#include "lib/embedded.hpp"

#include <sched.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/embedded_device.hpp"

namespace farlane::provider {
namespace {

constexpr std::size_t kMaxEvents = 1024;
constexpr auto kSpin = std::chrono::microseconds(50);  // of empty turns before a sleep at most, as Lane::run
constexpr auto kListTimeout = std::chrono::seconds(5);

proto::Instance random_instance() {
    proto::Instance id{};
    if (getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size()))
        throw Error(Status::io, "getrandom failed");
    return id;
}

lane::InitiatorConfig initiator_config(const FabricOptions& o) {
    lane::InitiatorConfig c;
    c.session.instance = random_instance();
    c.session.incarnation =
        static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
    c.session.name =
        !o.name.empty() ? o.name : std::string(program_invocation_short_name) + "-" + std::to_string(getpid());
    c.session.name.resize(std::min<std::size_t>(c.session.name.size(), FL_NAME_BYTES - 1));
    c.session.keepalive = o.keepalive;
    c.session.grace = o.grace;
    c.session.integrity = o.integrity;
    c.limits.completion_timeout = o.completion_timeout;
    return c;
}

constexpr std::size_t kMaxFurtherPaths = 7;

lane::Time after(std::chrono::nanoseconds d) {
    return lane::Lane::clock() + d;
}

}  // namespace

EmbeddedFabric::EmbeddedFabric(const FabricOptions& options)
    : threaded_(options.progress == Progress::thread), window_(kSpin), memory_(backend::process_memory()) {
    initiator_ = std::make_unique<lane::Initiator>(lane_, initiator_config(options), *memory_);
    initiator_->on_watch([this](const Event& e) { push(e); });
}

lane::PeerPath EmbeddedFabric::open_path(lane::PortId port, const std::string& url, const std::string& peer) {
    if (lane_.port(port).info().point_to_point) return {port, {}, peer};
    if (peer.empty())
        throw Error(Status::invalid, "port '" + url + "' needs the address of the target: set `peer` to host:port");
    return {port, lane_.port(port).resolve(peer).take(), peer};
}

void EmbeddedFabric::connect(const FabricOptions& options) {
    if (options.further_paths.size() > kMaxFurtherPaths)
        throw Error(Status::invalid, "further_paths: at most " + std::to_string(kMaxFurtherPaths));
    std::vector<lane::PeerPath> paths;
    paths.push_back(open_path(lane_.add_port(transport::open_port(options.port).take()), options.port, options.peer));
    for (const PathOptions& p : options.further_paths) {
        const auto port = p.port.empty() ? paths[0].port : lane_.add_port(transport::open_port(p.port).take());
        paths.push_back(open_path(port, p.port.empty() ? options.port : p.port, p.peer));
    }
    initiator_->connect(std::move(paths));
    if (threaded_) thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    auto held = lock();
    const bool open = turn_until(held, after(options.connect_timeout), [this] {
        const auto peers = initiator_->peers();
        return peers[0].state == proto::SessionState::open || peers[0].why == Status::version;
    });
    const auto why = initiator_->peers()[0].why;
    if (open && why != Status::version) return;
    throw Error(why == Status::version ? why : Status::unreachable,
                "no target answers on '" + options.port + "'" + (options.peer.empty() ? "" : " at " + options.peer) +
                    (why == Status::ok ? "" : " (" + std::string(status_text(why)) + ")") +
                    "; is farlaned running there?");
}

EmbeddedFabric::~EmbeddedFabric() {
    if (thread_.joinable()) {
        thread_.request_stop();
        lane_.wake();
        thread_.join();
    }
    initiator_->close(false);
    for (int i = 0; i < 8; ++i) lane_.turn();  // lets the goodbye out
}

// Runs beside application threads that turn the lane themselves while they wait.
void EmbeddedFabric::run(const std::stop_token& stop) {
    lane::SpinWindow window(kSpin);  // what the callers' turns find does not count
    lane::Time busy_at = lane::Lane::clock();
    while (!stop.stop_requested()) {
        auto held = lock();
        const bool busy = lane_.turn();
        if (busy) {
            window.found(lane_.now() - busy_at);
            busy_at = lane_.now();
        }
        if (window.polls(lane_.now() - busy_at)) {
            held.unlock();
            if (!busy) sched_yield();
            continue;
        }
        const auto limit = lane_.before_sleep(std::chrono::seconds(1));
        held.unlock();
        if (limit > lane::Duration::zero()) lane_.wait(limit);
        held.lock();
        lane_.after_sleep();
    }
}

// A waiting caller has turned the lane in vain for a while: let others run, then sleep.
void EmbeddedFabric::rest(std::unique_lock<std::mutex>& held, lane::Time busy_at, lane::Time deadline) {
    const bool spin = window_.polls(lane_.now() - busy_at);
    if (threaded_) held.unlock();
    if (spin) {
        sched_yield();
    } else if (threaded_) {
        usleep(20);  // the library's thread owns the interrupts
    } else {
        lane_.sleep(std::min<lane::Duration>(deadline - lane_.now(), std::chrono::milliseconds(100)));
    }
    if (threaded_) held.lock();
}

void EmbeddedFabric::push(Event e) {
    const std::scoped_lock guard(events_mutex_);
    if (events_.size() >= kMaxEvents) {
        ++events_lost_;
        return;
    }
    events_.push_back(std::move(e));
    events_arrived_.notify_one();
}

std::optional<Event> EmbeddedFabric::next_event(std::chrono::milliseconds timeout) {
    const auto take = [this]() -> std::optional<Event> {
        if (events_.empty()) return std::nullopt;
        Event e = std::move(events_.front());
        events_.pop_front();
        if (events_lost_ != 0) {
            e.detail += " (" + std::to_string(events_lost_) + " later events were lost: read faster)";
            events_lost_ = 0;
        }
        return e;
    };
    if (!threaded_) {
        auto held = lock();
        turn_until(held, after(timeout), [this] { return !events_.empty(); });
        return take();
    }
    std::unique_lock guard(events_mutex_);
    events_arrived_.wait_for(guard, timeout, [this] { return !events_.empty(); });
    return take();
}

bool EmbeddedFabric::poll() {
    auto held = lock();
    return lane_.turn();
}

std::vector<FunctionInfo> EmbeddedFabric::list() {
    std::optional<Result<std::vector<FunctionInfo>>> answer;
    auto held = lock();
    initiator_->list(kListTimeout, [&](auto r) { answer = std::move(r); });
    turn_until(held, lane::kNever, [&] { return answer.has_value(); });
    return answer->take();
}

std::shared_ptr<DeviceProvider> EmbeddedFabric::attach(const std::string& name, AttachMode mode) {
    if (mode == AttachMode::shared)
        throw Error(Status::unsupported,
                    "'" + name +
                        "' can not be shared by the embedded provider: no process is trusted to keep others "
                        "apart; attach it through farlaned (ProviderKind::daemon)");
    std::optional<Result<lane::Attachment*>> answer;
    auto held = lock();
    initiator_->attach(name, [&](auto r) { answer = std::move(r); });
    turn_until(held, lane::kNever, [&] { return answer.has_value(); });
    return std::make_shared<EmbeddedDevice>(shared_from_this(), *answer->take());
}

std::shared_ptr<Provider> open_embedded(const FabricOptions& options) {
    auto fabric = std::make_shared<EmbeddedFabric>(options);
    fabric->connect(options);
    return fabric;
}

}  // namespace farlane::provider
