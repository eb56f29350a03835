// SPDX-License-Identifier: Apache-2.0
// Receives: requests of clients about the daemon as a whole. Hands on: work for the lane, and its
// answers. Owns: the table of verbs. Verbs of one attachment: verbs_attachment.cpp.
#include "daemon/verbs.hpp"

#include <unistd.h>

#include "daemon/arguments.hpp"
#include "daemon/version.hpp"

namespace farlane::daemon {
namespace {

constexpr std::uint32_t kMaxTimeoutMs = 3'600'000;

// How long the client is ready to wait for what targets say.
std::optional<lane::Duration> time_of(Arguments& args) {
    const auto ms = args.optional_number("timeout_ms", kMaxTimeoutMs);
    if (!ms) return std::nullopt;
    return std::chrono::milliseconds(*ms);
}

/// Longer than a request may take, which is 8 s.
constexpr std::chrono::milliseconds kUpgradeTime{10000};

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& n : names) text += (text.empty() ? "" : ", ") + n;
    return text;
}

}  // namespace

Verbs::Verbs(Engine& engine, ControlServer& server, const Identity& identity)
    : engine_(engine),
      server_(server),
      identity_(identity),
      started_ms_(
          std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
              .count()) {}

const std::map<std::string, Verbs::Verb>& Verbs::table() {
    static const std::map<std::string, Verb> verbs = {
        {"hello", &Verbs::hello},
        {"ping", &Verbs::ping},
        {"list", &Verbs::list},
        {"show", &Verbs::show},
        {"attach", &Verbs::attach},
        {"detach", &Verbs::detach},
        {"events", &Verbs::events},
        {"stats", &Verbs::stats},
        {"top", &Verbs::top},
        {"doctor", &Verbs::doctor},
        {"upgrade", &Verbs::upgrade},
        {"open_channel", &Verbs::open_channel},
        {"register_buffer", &Verbs::register_buffer},
        {"unregister_buffer", &Verbs::unregister_buffer},
        {"map", &Verbs::map},
        {"unmap", &Verbs::unmap},
        {"enable_interrupts", &Verbs::enable_interrupts},
        {"open_context", &Verbs::open_context},
        {"close_context", &Verbs::close_context},
        {"make_queue", &Verbs::make_queue},
        {"drop_queue", &Verbs::drop_queue},
        {"reset", &Verbs::reset},
        {"acknowledge_reset", &Verbs::acknowledge_reset},
        {"resume_attachment", &Verbs::resume_attachment},
        {"resume_channel", &Verbs::resume_channel},
        {"resume_done", &Verbs::resume_done},
    };
    return verbs;
}

const std::vector<std::string>& Verbs::names() {
    static const std::vector<std::string> all = [] {
        std::vector<std::string> v;
        for (const auto& [name, verb] : table()) v.push_back(name);
        return v;
    }();
    return all;
}

void Verbs::handle(Request request, const Answer& answer) {
    const auto at = table().find(request.verb);
    if (at == table().end()) {
        const std::string near = nearest(request.verb, names());
        return answer(refusal(Status::invalid, "unknown verb '" + request.verb + "'" +
                                                   (near.empty() ? "" : "; did you mean '" + near + "'?") +
                                                   "; valid: " + joined(names())));
    }
    try {
        (this->*at->second)(request, answer);
    } catch (const Error& e) {
        answer(refusal(e.status(), e.detail()));
    }
}

void Verbs::hello(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const auto protocol = args.optional_number("protocol");
    args.finish();
    if (protocol && *protocol != control::kProtocolVersion)
        return answer(refusal(Status::version, "this farlaned speaks protocol " +
                                                   std::to_string(control::kProtocolVersion) + ", not " +
                                                   std::to_string(*protocol)));
    const Config& c = engine_.config();
    Reply reply;
    reply.body = {{"protocol", control::kProtocolVersion},
                  {"version", kVersion},
                  {"name", c.daemon.name},
                  {"instance", to_hex(identity_.instance)},
                  {"incarnation", identity_.incarnation},
                  {"pid", ::getpid()},
                  {"started_ms", started_ms_},
                  {"role", role_name(r.client.role)},
                  {"grace_ms", c.session.grace.count()},
                  {"state_dir", c.daemon.state_dir},
                  {"insecure", true}};
    answer(std::move(reply));
}

void Verbs::ping(Request& r, const Answer& answer) {
    Arguments(r.args).finish();
    // By way of the lane: an answer says that it turns.
    engine_.post([answer] { answer({}); });
}

void Verbs::list(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const auto timeout = time_of(args);
    args.finish();
    const auto with_peers = [this, answer](Reply reply) {
        Json waiting = engine_.standing().waiting(), exports = engine_.exports();
        if (reply.status == Status::unreachable && !(waiting.empty() && exports.empty()))
            reply = {Status::ok, "", {{"functions", Json::array()}}, {}};
        if (reply.status == Status::ok) reply.body["peers"] = engine_.peers();
        if (reply.status == Status::ok) reply.body["waiting"] = std::move(waiting);
        if (reply.status == Status::ok) reply.body["exports"] = std::move(exports);
        if (reply.status == Status::ok) note_standing(reply.body.at("functions"));
        answer(std::move(reply));
    };
    engine_.post([this, with_peers, timeout] { engine_.holdings().list(timeout.value_or(kLookTime), with_peers); });
}

void Verbs::show(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const std::string name = args.text("name");
    const bool may_attach = args.flag("attach", true);
    const auto timeout = time_of(args);
    args.finish();
    // An export of this target is shown as such, unless what was found is another target's of the same name.
    const auto with_export = [this, answer, name](Reply reply) {
        Json own = engine_.exports(name);
        if (own.empty()) {
            std::string names;
            for (const Json& e : engine_.exports())
                names += (names.empty() ? "" : ", ") + e.at("name").get<std::string>();
            if (reply.status != Status::ok && !names.empty()) reply.message += "; this host exports " + names;
            return answer(std::move(reply));
        }
        const Json& here = own.front();
        if (reply.status == Status::ok && reply.body.at("function").at("target") != here.at("target")) {
            reply.body["exported_here"] =
                here.at("target").get<std::string>() + "/" + here.at("name").get<std::string>();
            return answer(std::move(reply));
        }
        if (reply.status != Status::ok) {
            Json function = own.front();
            function["attachment"] = nullptr;
            reply = {Status::ok,
                     "",
                     {{"function", std::move(function)},
                      {"config", nullptr},
                      {"config_status", "unsupported"},
                      {"config_detail", "it is exported here, and read at an initiator"}},
                     {}};
        }
        reply.body["export"] = std::move(own.front());
        answer(std::move(reply));
    };
    engine_.post([this, with_export, name, may_attach, timeout, client = r.client] {
        engine_.holdings().show(client, name, may_attach, with_export, timeout);
    });
}

void Verbs::attach(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const std::string name = args.text("name");
    const bool persistent = args.flag("persistent", false);
    const auto chosen = use_of(args.optional_text("provider").value_or("auto"));
    if (!chosen) throw Error(Status::invalid, "'provider' is auto, kernel or daemon");
    const Use use = *chosen;
    const bool stands = args.flag("stands", persistent && engine_.config().daemon.persist);
    if (stands && !persistent) throw Error(Status::invalid, "'stands' is of a persistent attachment");
    const auto timeout = time_of(args);
    const bool shared = args.flag("shared", false);
    args.finish();
    if (shared && (persistent || use == Use::bus))
        throw Error(Status::invalid, "'shared' is of applications: not 'persistent', not provider kernel");
    if (shared)
        return engine_.post([this, answer, name, timeout, client = r.client] {
            engine_.holdings().attach_shared(client, name, answer, timeout);
        });
    // What is on the bus belongs to no connection.
    const auto noted = [this, answer, stands, persistent, use, uid = r.client.uid](Reply reply) {
        if (reply.status == Status::ok && persistent) note_standing(reply, stands, use, uid);
        answer(std::move(reply));
    };
    engine_.post([this, noted, name, persistent = persistent || use == Use::bus, timeout, use, client = r.client] {
        engine_.holdings().attach(client, name, persistent, noted, timeout, use);
    });
}

void Verbs::note_standing(Json& functions) const {
    for (Json& f : functions)
        if (Json& attachment = f.at("attachment"); attachment.is_object())
            attachment["stands"] = engine_.standing().stands(f.at("name"), f.at("target"));
}

// Attached is attached: that it can not be noted is told beside it.
void Verbs::note_standing(Reply& reply, bool stands, Use use, uid_t uid) {
    const Json& f = reply.body.at("function");
    const StandingEntry entry{f.at("name").get<std::string>(), f.at("target").get<std::string>(), use, uid};
    reply.body["stands"] = stands;
    if (!stands) {
        (void)engine_.standing().forget(entry.target + "/" + entry.name);
        return;
    }
    const auto kept = engine_.standing().keep(entry);
    reply.body["stands"] = kept.ok();
    reply.body["survives_reboot"] = kept.ok() && engine_.standing().survives_reboot();
    if (!kept.ok()) reply.body["why"] = kept.failure().detail;
}

// What stands and waits is attached nowhere: it is only forgotten.
void Verbs::detach_named(const Client& client, const std::string& name, bool force, std::optional<lane::Duration> drain,
                         const Answer& answer) {
    const auto owner = engine_.standing().owner_of(name);
    if (!owner) return engine_.holdings().detach(client, name, force, answer, drain);
    const bool may = client.role == Role::admin || client.uid == *owner;
    const auto then = [this, name, may, answer](Reply reply) {
        const bool gone = reply.status == Status::ok || (reply.status == Status::not_found && may) ||
                          reply.status == Status::unreachable || (reply.status == Status::timeout && may);
        if (gone) (void)engine_.standing().forget(name);
        if (reply.status == Status::not_found && may) reply = {};
        answer(std::move(reply));
    };
    engine_.holdings().detach(client, name, force, then, drain);
}

void Verbs::detach(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const auto name = args.optional_text("name");
    const auto id = args.optional_number("attachment", ~std::uint32_t{0});
    const bool force = args.flag("force", false);
    const auto drain_ms = args.optional_number("drain_ms", kMaxTimeoutMs);
    args.finish();
    if (name.has_value() == id.has_value()) throw Error(Status::invalid, "either 'name' or 'attachment' is needed");
    if (id && drain_ms) throw Error(Status::invalid, "'drain_ms' goes with 'name'");
    std::optional<lane::Duration> drain;
    if (drain_ms) drain = std::chrono::milliseconds(*drain_ms);
    engine_.post([this, answer, name, id, force, drain, client = r.client] {
        if (id) return engine_.holdings().give_back(client, static_cast<std::uint32_t>(*id), answer);
        detach_named(client, *name, force, drain, answer);
    });
}

void Verbs::events(Request& r, const Answer& answer) {
    Arguments(r.args).finish();
    server_.subscribe(r.client.id);
    answer({Status::ok, "", {{"subscribed", true}}, {}});
}

Json Verbs::daemon_json() const {
    const Config& c = engine_.config();
    const auto uptime = std::chrono::steady_clock::now() - started_;
    return {{"name", c.daemon.name},
            {"instance", to_hex(identity_.instance)},
            {"incarnation", identity_.incarnation},
            {"pid", ::getpid()},
            {"version", kVersion},
            {"uptime_ms", std::chrono::duration_cast<std::chrono::milliseconds>(uptime).count()},
            {"insecure", true},
            {"clients", server_.client_count()},
            {"requests", server_.counters().requests},
            {"refused", server_.counters().refused},
            {"malformed", server_.counters().malformed},
            {"turned_away", server_.counters().turned_away},
            {"evicted", server_.counters().evicted}};
}

void Verbs::stats(Request& r, const Answer& answer) {
    Arguments(r.args).finish();
    engine_.post([this, answer, daemon = daemon_json()] {
        Reply reply;
        reply.body = engine_.stats();
        reply.body["daemon"] = daemon;
        answer(std::move(reply));
    });
}

void Verbs::upgrade(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const bool force = args.flag("force", false);
    const auto timeout = time_of(args);
    args.finish();
    if (r.client.role != Role::admin)
        return answer(refusal(Status::denied, "only root and the user of farlaned may replace it"));
    if (!upgrade_) return answer(refusal(Status::unsupported, "this farlaned can not be replaced"));
    const auto answered = [this, answer](Reply reply) {
        if (reply.status == Status::ok)
            reply.body = {{"version", kVersion}, {"pid", ::getpid()}, {"started_ms", started_ms_}};
        answer(std::move(reply));
    };
    upgrade_(timeout ? std::chrono::duration_cast<std::chrono::milliseconds>(*timeout) : kUpgradeTime, force, answered);
}

void Verbs::top(Request& r, const Answer& answer) {
    Arguments(r.args).finish();
    engine_.post([this, answer] { answer({Status::ok, "", engine_.top(), {}}); });
}

void Verbs::doctor(Request& r, const Answer& answer) {
    Arguments(r.args).finish();
    engine_.post(
        [this, answer, host = doctor_json(engine_.config(), identity_), kernel = kernel_doctor_json(engine_.config())] {
            Reply reply;
            reply.body = host;
            reply.body["peers"] = engine_.peers();
            reply.body["kernel"] = kernel;
            const Json stats = engine_.stats();
            reply.body["ports"] = stats.at("ports");
            reply.body["exports"] = stats.at("exports").size();
            reply.body["attachments"] = stats.at("attachments").size();
            reply.body["checks"] = doctor_checks(reply.body);
            answer(std::move(reply));
        });
}

}  // namespace farlane::daemon
