// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the counters of everything the engine runs, as JSON.
// Owns: nothing. Lane thread. docs/control-socket.md, "stats", "top", "doctor".
#include <algorithm>
#include <cstring>

#include "daemon/engine.hpp"
#include "daemon/stats_json.hpp"
#include "lane/grip.hpp"
#include "lib/daemon_client.hpp"

namespace farlane::daemon {
namespace {

const char* state_name(proto::SessionState s) {
    switch (s) {
        case proto::SessionState::idle: return "idle";
        case proto::SessionState::hello: return "hello";
        case proto::SessionState::open: return "open";
        case proto::SessionState::silent: return "silent";
        case proto::SessionState::closed: return "closed";
    }
    return "closed";
}

std::string text_of(const char (&raw)[FL_NAME_BYTES]) {
    return {raw, strnlen(raw, sizeof raw)};
}

const char* export_state(unsigned state) {
    static constexpr const char* kNames[] = {"free", "attached", "grace", "failed"};
    return kNames[std::min<unsigned>(state, FL_FUNCTION_FAILED)];
}

Json drops_json(const lane::Drops& drops) {
    Json all = Json::object();
    for (unsigned i = 0; i < proto::kDrops; ++i)
        all[std::string(proto::drop_name(static_cast<proto::Drop>(i)))] = drops[i];
    return all;
}

const char* path_state(proto::PathState s) {
    switch (s) {
        case proto::PathState::opening: return "opening";
        case proto::PathState::up: return "up";
        case proto::PathState::dead: return "dead";
    }
    return "dead";
}

std::int64_t rtt_ns(const proto::Session* s) {
    if (s == nullptr) return 0;
    for (const proto::Session::PathInfo& p : s->paths())
        if (p.usable) return p.smoothed_rtt.count();
    return 0;
}

std::uint64_t sum(const std::uint64_t (&n)[proto::kClasses]) {
    std::uint64_t total = 0;
    for (const std::uint64_t v : n) total += v;
    return total;
}

Json top_row(const char* role, const std::string& name, const std::string& peer, const std::string& state,
             const proto::FunctionCounters& c, std::uint64_t interrupts, std::int64_t rtt) {
    return {{"role", role},
            {"name", name},
            {"peer", peer},
            {"state", state},
            {"records_out", sum(c.submitted)},
            {"records_in", sum(c.executed)},
            {"payload_bytes_out", c.payload_bytes_out},
            {"payload_bytes_in", c.payload_bytes_in},
            {"interrupts", interrupts},
            {"resent", sum(c.resent)},
            {"smoothed_rtt_ns", rtt}};
}

Json accelerator_json(const backend::AcceleratorUse& use) {
    Json contexts = Json::array();
    for (const auto& c : use.contexts_used)
        contexts.push_back({{"context", c.number},
                            {"queue_pairs", c.queue_pairs},
                            {"lost", c.lost},
                            {"memory_used_bytes", c.memory_bytes},
                            {"kernels", c.kernels},
                            {"busy_ns", c.busy_ns},
                            {"worker_bytes", c.worker_bytes}});
    return {{"executor", use.executor},
            {"device_name", use.device_name},
            {"vendor", use.vendor},
            {"driver_version", use.driver_version},
            {"units", use.units},
            {"time_limit_ms", use.time_limit_ms},
            {"contexts", use.contexts},
            {"queue_pairs", use.queue_pairs},
            {"memory_bytes", use.memory_bytes},
            {"memory_used_bytes", use.memory_used_bytes},
            {"local_bytes", use.local_bytes},
            {"local_used_bytes", use.local_used_bytes},
            {"kernels", use.kernels},
            {"busy_ns", use.busy_ns},
            {"energy_uj", use.energy_uj ? Json(*use.energy_uj) : Json(nullptr)},
            {"contexts_used", std::move(contexts)}};
}

}  // namespace

Json Engine::exports(const std::string& name) const {
    Json all = Json::array();
    target_->each([&](const std::string& here, const lane::ExportStatus& e, const backend::Device& device) {
        if (!name.empty() && name != here && name != config_.daemon.name + "/" + here) return;
        const auto settings = std::ranges::find(exports_, here, &ExportSettings::name);
        const auto use = device.accelerator();
        Json j = control::function_to_json(lane::to_info(e.desc, config_.daemon.name));
        j["kind"] = settings != exports_.end() ? settings->device : "";
        j["accelerator"] = use ? accelerator_json(*use) : Json(nullptr);
        all.push_back(std::move(j));
    });
    return all;
}

std::string Engine::port_name(lane::PortId id) const {
    const auto named = std::ranges::find(ports_, id, &NamedPort::id);
    return named != ports_.end() ? named->settings.name : "";
}

Json Engine::paths_json(const proto::Session& s) const {
    Json all = Json::array();
    for (const proto::Session::PathInfo& p : s.paths()) {
        const lane::Lane::PathPlace place = lane_.place_of(s, p.id);
        all.push_back({{"id", p.id},
                       {"port", port_name(place.port)},
                       {"address", place.address},
                       {"state", path_state(p.state)},
                       {"usable", p.usable},
                       {"frame_bytes", p.frame_bytes},
                       {"smoothed_rtt_ns", p.smoothed_rtt.count()},
                       {"min_rtt_ns", p.min_rtt.count()},
                       {"congestion_window_bytes", p.congestion_window_bytes},
                       {"in_flight_bytes", p.in_flight_bytes},
                       {"packets_sent", p.packets_sent},
                       {"packets_lost", p.packets_lost},
                       {"packets_received", p.packets_received}});
    }
    return all;
}

Json Engine::port_stats() {
    Json all = Json::array();
    for (const NamedPort& p : ports_) {
        const transport::Port& port = lane_.port(p.id);
        const transport::PortInfo& info = port.info();
        const transport::PortCounters c = port.counters();
        all.push_back({{"name", p.settings.name},
                       {"url", info.url},
                       {"kind", info.kind},
                       {"max_frame_bytes", info.max_frame_bytes},
                       {"link_up", port.link_up()},
                       {"listen", p.settings.listen},
                       {"rx_frames", c.rx_frames},
                       {"rx_bytes", c.rx_bytes},
                       {"tx_frames", c.tx_frames},
                       {"tx_bytes", c.tx_bytes},
                       {"rx_dropped", c.rx_dropped},
                       {"tx_dropped", c.tx_dropped},
                       {"faults_lost", c.faults_lost},
                       {"faults_delayed", c.faults_delayed},
                       {"faults_reordered", c.faults_reordered},
                       {"faults_duplicated", c.faults_duplicated},
                       {"faults_corrupted", c.faults_corrupted},
                       {"drops", drops_json(lane_.drops(p.id))}});
    }
    return all;
}

Json Engine::session_stats() {
    Json all = Json::array();
    const std::vector<lane::PeerStatus> peers = initiator_->peers();
    lane_.each_session([&](proto::Session& s, lane::PortId port) {
        if (half_open(s)) return;  // anybody can make many of them: they are only counted
        const auto peer = std::ranges::find(peers, &s, &lane::PeerStatus::session);
        if (peer != peers.end()) port = lane_.place_of(s, 0).port;  // as its address: of the first path
        const proto::SessionCounters& c = s.counters();
        all.push_back({{"session", s.session_id()},
                       {"role", peer != peers.end() ? "initiator" : "target"},
                       {"peer", s.peer().name},
                       {"address", peer != peers.end() ? peer->address : lane_.address_of(s)},
                       {"port", port_name(port)},
                       {"state", state_name(s.state())},
                       {"frames_in", c.frames_in},
                       {"frames_out", c.frames_out},
                       {"bytes_in", c.bytes_in},
                       {"bytes_out", c.bytes_out},
                       {"records_in", c.records_in},
                       {"records_out", c.records_out},
                       {"packets_lost", c.packets_lost},
                       {"tail_probes", c.tail_probes},
                       {"drops", drops_json(c.drops)},
                       {"paths", paths_json(s)}});
    });
    return all;
}

Json Engine::export_stats() {
    Json all = Json::array();
    target_->each([&](const std::string& name, const lane::ExportStatus& e, const backend::Device& device) {
        const auto settings = std::ranges::find(exports_, name, &ExportSettings::name);
        Json counters = Json::object();
        device.counters([&](std::string_view key, std::uint64_t value) { counters[std::string(key)] = value; });
        all.push_back({{"name", name},
                       {"kind", settings != exports_.end() ? settings->device : ""},
                       {"model", text_of(e.desc.model)},
                       {"state", export_state(e.desc.state.get())},
                       {"holder", text_of(e.desc.holder)},
                       {"writes_refused", e.writes_refused},
                       {"reads_refused", e.reads_refused},
                       {"dma_refused", e.dma_refused},
                       {"interrupts", e.interrupts},
                       {"records", e.counters != nullptr ? records_json(*e.counters) : Json(nullptr)},
                       {"device", std::move(counters)}});
    });
    return all;
}

// Greeted by a target, and nothing heard since.
bool Engine::half_open(const proto::Session& s) const {
    if (s.state() != proto::SessionState::hello) return false;
    const std::vector<lane::PeerStatus> peers = initiator_->peers();
    return std::ranges::find(peers, &s, &lane::PeerStatus::session) == peers.end();
}

// Of the reasons that an operator should know of. A stranger's datagrams are not one of them.
std::map<std::string_view, std::uint64_t> Engine::odd_drops() {
    lane::Drops all = lane_.ended_sessions().drops;
    lane_.each_session([&](proto::Session& s, lane::PortId) {
        for (unsigned d = 0; d < proto::kDrops; ++d) all[d] += s.counters().drops[d];
    });
    for (const NamedPort& p : ports_)
        for (const proto::Drop d : {proto::Drop::frame_crc, proto::Drop::hello_refused})
            all[static_cast<unsigned>(d)] += lane_.drops(p.id)[static_cast<unsigned>(d)];
    std::map<std::string_view, std::uint64_t> odd;
    for (unsigned d = 0; d < proto::kDrops; ++d)
        if (const auto reason = static_cast<proto::Drop>(d); all[d] != 0 && proto::drop_is_odd(reason))
            odd[proto::drop_name(reason)] = all[d];
    return odd;
}

Json Engine::stats() {
    std::uint64_t half_open_sessions = 0;
    lane_.each_session([&](proto::Session& s, lane::PortId) { half_open_sessions += half_open(s) ? 1 : 0; });
    const lane::LaneCounters& l = lane_.counters();
    Json attachments = Json::array();
    holdings_->each([&](const Holding& h) {
        attachments.push_back(h.stats());
        attachments.back()["shares"] = holdings_->shares_json(h);
    });
    return {{"lane",
             {{"turns", l.turns},
              {"busy_turns", l.busy_turns},
              {"sleeps", l.sleeps},
              {"naps", l.naps},
              {"unknown_session", l.unknown_session},
              {"not_ours", l.not_ours},
              {"bad_hello", l.bad_hello},
              {"hints_sent", l.hints_sent},
              {"hints_taken", l.hints_taken},
              {"hints_ignored", l.hints_ignored},
              {"half_open_sessions", half_open_sessions}}},
            {"ports", port_stats()},
            {"sessions", session_stats()},
            {"ended_sessions",
             {{"count", lane_.ended_sessions().count}, {"drops", drops_json(lane_.ended_sessions().drops)}}},
            {"exports", export_stats()},
            {"attachments", std::move(attachments)}};
}

Json Engine::top() {
    Json rows = Json::array();
    const std::vector<lane::PeerStatus> peers = initiator_->peers();
    holdings_->each([&](const Holding& h) {
        const lane::Attachment* a = h.attachment();
        if (a == nullptr) return;
        const auto peer = std::ranges::find(peers, a->peer(), &lane::PeerStatus::id);
        rows.push_back(top_row("initiator", h.info().name, h.info().target, h.json().at("state"),
                               a->function_counters(), a->counters().interrupts,
                               peer != peers.end() ? rtt_ns(peer->session) : 0));
    });
    target_->each([&](const std::string& name, const lane::ExportStatus& e, const backend::Device&) {
        static const proto::FunctionCounters kNone{};
        rows.push_back(top_row("target", name, text_of(e.desc.holder), export_state(e.desc.state.get()),
                               e.counters != nullptr ? *e.counters : kNone, e.interrupts, 0));
    });
    const lane::LaneCounters& l = lane_.counters();
    return {{"when_ns", lane::Lane::clock().time_since_epoch().count()},
            {"lane", {{"turns", l.turns}, {"busy_turns", l.busy_turns}, {"sleeps", l.sleeps}}},
            {"rows", std::move(rows)}};
}

Json Engine::peers() const {
    Json all = Json::array();
    for (const lane::PeerStatus& p : initiator_->peers()) {
        const auto named = std::ranges::find_if(ports_, [&](const NamedPort& n) { return n.settings.url == p.port; });
        all.push_back({{"id", p.id},
                       {"name", p.name},
                       {"address", p.address},
                       {"port", named != ports_.end() ? named->settings.name : p.port},
                       {"state", state_name(p.state)},
                       {"status", status_name(p.why)},
                       {"smoothed_rtt_ns", rtt_ns(p.session)},
                       {"paths", p.session != nullptr ? paths_json(*p.session) : Json::array()}});
    }
    return all;
}

}  // namespace farlane::daemon
