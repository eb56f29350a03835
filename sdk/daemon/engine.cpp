// SPDX-License-Identifier: Apache-2.0
// Receives: a configuration. Hands on: a running lane with both roles. Owns: see the header.
// What it tells of itself: engine_stats.cpp.
#include "daemon/engine.hpp"

#include <algorithm>
#include <cstring>
#include <future>

#include <pthread.h>
#include <sched.h>

#include <spdlog/spdlog.h>

#include "lib/daemon_client.hpp"

namespace farlane::daemon {
namespace {

Json target_event(const lane::TargetEvent& e) {
    Event stamp;
    stamp.when = std::chrono::system_clock::now();
    return {{"role", "target"}, {"kind", e.what},     {"function", e.function},
            {"peer", e.peer},   {"detail", e.detail}, {"when", control::event_to_json(stamp).at("when")}};
}

lane::LaneConfig lane_config(const LaneSettings& s) {
    lane::LaneConfig c;
    c.spin = s.spin;
    c.never_sleep = s.never_sleep;
    return c;
}

}  // namespace

Engine::Engine(const Config& config, const Identity& identity, Callbacks callbacks)
    : config_(config),
      identity_(identity),
      callbacks_(std::move(callbacks)),
      lane_(lane_config(config.lane)),
      host_{lane_, bells_, [this](const Event& e) { callbacks_.event(control::event_to_json(e)); }} {}

Engine::~Engine() {
    if (thread_.joinable()) stop();
    drain_.reset();
    standing_.reset();
    holdings_.reset();
    target_.reset();
    initiator_.reset();
}

proto::SessionConfig Engine::session_config() const {
    proto::SessionConfig s;
    s.instance = identity_.instance;
    s.incarnation = identity_.incarnation;
    s.name = config_.daemon.name;
    s.keepalive = config_.session.keepalive;
    s.grace = config_.session.grace;
    s.integrity = config_.session.integrity;
    s.max_paths = kMaxPaths;
    return s;
}

Result<std::unique_ptr<Engine>> Engine::open(const Config& config, const Identity& identity, Callbacks callbacks) {
    auto e = std::unique_ptr<Engine>(new Engine(config, identity, std::move(callbacks)));
    auto memory = backend::directory_memory(config.daemon.state_dir + "/memory");
    if (!memory.ok()) return memory.failure();
    e->memory_ = std::move(*memory);
    lane::InitiatorConfig ic;
    ic.session = e->session_config();
    ic.limits.completion_timeout = config.session.completion_timeout;
    ic.reconnect_delay = config.session.reconnect_delay;
    lane::TargetConfig tc;
    tc.session = e->session_config();
    tc.limits = ic.limits;
    e->initiator_ = std::make_unique<lane::Initiator>(e->lane_, ic, *e->memory_);
    e->target_ = std::make_unique<lane::Target>(e->lane_, tc, *e->memory_);
    e->kernel_ = std::make_unique<KernelBus>(e->lane_, config, identity, *e->memory_, e->callbacks_.open_kernel);
    e->host_.kernel = e->kernel_.get();
    e->host_.share_places = config.daemon.share_places;
    e->host_.warn = [raw = e.get()](const std::string& line) {
        const auto told = raw->lost_contexts_.take(raw->lane_.now().time_since_epoch(), line);
        if (told) raw->log(spdlog::level::warn, *told);
    };
    e->holdings_ = std::make_unique<Holdings>(e->host_, *e->initiator_, config.daemon.state_dir, config.session.grace,
                                              e->callbacks_.kick);
    e->standing_ = std::make_unique<Standing>(e->host_, *e->initiator_, *e->holdings_, config.daemon.persist_file);
    e->drain_ = std::make_unique<Drain>(e->lane_, *e->holdings_, *e->target_);
    Engine* raw = e.get();
    e->initiator_->on_watch([raw](const Event& event) { raw->callbacks_.event(control::event_to_json(event)); });
    // What a start that fails had exported is nobody's news.
    std::vector<Json> early;
    e->target_->on_watch([&early](const lane::TargetEvent& event) { early.push_back(target_event(event)); });
    for (const auto step : {&Engine::open_exports, &Engine::open_ports, &Engine::open_peers})
        if (auto done = (raw->*step)(); !done.ok()) return done.failure();
    for (const Json& event : early) raw->callbacks_.event(event);
    e->target_->on_watch([raw](const lane::TargetEvent& event) { raw->callbacks_.event(target_event(event)); });
    return e;
}

Result<bool> Engine::open_ports() {
    for (const PortSettings& p : config_.ports) {
        auto port = transport::open_port(p.url);
        if (!port.ok())
            return {port.failure().status, p.where + ": [[port]] '" + p.name + "': " + port.failure().detail};
        const lane::PortId id = lane_.add_port(std::move(*port));
        ports_.push_back({p, id});
        if (p.listen) target_->listen(id);
    }
    return true;
}

Result<bool> Engine::open_peers() {
    for (const PeerSettings& peer : config_.peers) {
        std::vector<lane::PeerPath> paths;
        for (const PathSettings& p : peer.paths) {
            auto path = resolve(p);
            if (!path.ok()) return path.failure();
            paths.push_back(std::move(*path));
        }
        initiator_->connect(std::move(paths));
    }
    return true;
}

Result<lane::PeerPath> Engine::resolve(const PathSettings& p) {
    const auto port = std::ranges::find(ports_, p.port, [](const NamedPort& n) { return n.settings.name; });
    if (p.address.empty() && lane_.port(port->id).info().point_to_point) return lane::PeerPath{port->id, {}, ""};
    auto address = lane_.port(port->id).resolve(p.address);
    if (!address.ok()) return {address.failure().status, p.where + ": [[peer]] address: " + address.failure().detail};
    return lane::PeerPath{port->id, *address, p.address};
}

Result<bool> Engine::add_export(const ExportSettings& e) {
    const auto warn = [this](const std::string& line) { log(spdlog::level::warn, line); };
    auto device = backend::make_device({e.name, e.device, e.options, warn}, *memory_);
    if (!device.ok()) return {device.failure().status, e.where + ": [[export]] " + device.failure().detail};
    if (const auto added = target_->add(e.name, std::move(*device)); !added.ok())
        return {added.status(), e.where + ": [[export]] '" + e.name + "': " + added.failure().detail};
    exports_.push_back(e);
    return true;
}

Result<bool> Engine::open_exports() {
    for (const ExportSettings& e : config_.exports)
        if (auto added = add_export(e); !added.ok()) return added;
    return true;
}

std::vector<std::string> Engine::apply_exports(const std::vector<ExportSettings>& wanted) {
    std::vector<std::string> report;
    for (const ExportSettings& e : std::vector<ExportSettings>(exports_)) {
        if (std::ranges::find(wanted, e) != wanted.end()) continue;
        const Status s = target_->remove(e.name);
        report.push_back("export '" + e.name + "' removed" +
                         (s == Status::ok ? "" : ": " + std::string(status_text(s))));
        std::erase(exports_, e);
    }
    for (const ExportSettings& e : wanted) {
        if (std::ranges::find(exports_, e) != exports_.end()) continue;
        const auto added = add_export(e);
        report.push_back(added.ok() ? "export '" + e.name + "' added" : added.failure().detail);
    }
    return report;
}

void Engine::start() {
    lane_.post([this] {
        bells_.adopt_thread();
        for (const std::string& line : holdings_->restore()) log(spdlog::level::info, line);
        for (const std::string& line : standing_->restore()) log(spdlog::level::info, line);
    });
    thread_ = std::jthread([this](const std::stop_token& stop) {
        ::pthread_setname_np(::pthread_self(), "farlane-lane");
        if (config_.lane.cpu) {
            cpu_set_t set;
            CPU_ZERO(&set);
            CPU_SET(*config_.lane.cpu, &set);
            if (const int error = ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set); error != 0)
                log(spdlog::level::err, fmt::format("[lane] cpu = {}: {}", *config_.lane.cpu, std::strerror(error)));
        }
        lane_.run(stop);
    });
}

void Engine::log(spdlog::level::level_enum level, const std::string& line) const {
    if (callbacks_.log) return callbacks_.log(level, line);
    spdlog::log(level, "{}", line);
}

void Engine::leave() {
    if (std::exchange(left_, true)) return;
    standing_->leave();
    holdings_->leave();
    initiator_->close(true);
    target_->close(true);
}

void Engine::leave_settled(lane::Duration at_most, bool force, std::function<void(Reply)> done) {
    drain_->start(at_most, force, [this, done = std::move(done)](Reply reply) {
        if (reply.status == Status::ok) leave();  // in this very turn
        done(std::move(reply));
    });
}

void Engine::stop() {
    lane_.post([this] { leave(); });
    // The goodbyes leave with the turn that runs the work above; the next one says that it is over.
    auto said = std::make_shared<std::promise<void>>();
    lane_.post([this, said] { lane_.post([said] { said->set_value(); }); });
    said->get_future().wait();
    thread_.request_stop();
    thread_.join();
}

}  // namespace farlane::daemon
