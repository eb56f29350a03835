// SPDX-License-Identifier: Apache-2.0
// Receives: the command line. Hands on: a daemon that runs until SIGTERM. Owns: the order of
// start and stop. docs/configuration.md.
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <iostream>

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "backend/executor.hpp"
#include "cli/parse.hpp"
#include "daemon/event_log.hpp"
#include "daemon/event_loop.hpp"
#include "daemon/lock_file.hpp"
#include "daemon/notify.hpp"
#include "daemon/successor.hpp"
#include "daemon/verbs.hpp"
#include "daemon/version.hpp"

using namespace farlane;
using namespace farlane::daemon;

namespace {

constexpr std::chrono::milliseconds kBellCheck{200};

int fail(const Failure& f) {
    std::cerr << "farlaned: " << f.detail << '\n';
    return status_exit_code(f.status);
}

// Signals come by a descriptor; blocked before any thread is there.
control::UniqueFd signal_descriptor() {
    sigset_t set;
    sigemptyset(&set);
    for (const int s : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) sigaddset(&set, s);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    return control::UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

// What the lane has to say is printed by the control thread: a log that is not read must not stop the lane.
void log_later(EventLoop& loop, spdlog::level::level_enum level, std::string line) {
    loop.post_if_room([level, line = std::move(line)] { spdlog::log(level, "{}", line); });
}

// While nobody reads the log, what peers cause must not fill the memory either. `events` are some of what the loop
// left out, and told to who asked for them.
void tell_left_out(EventLoop& loop, ControlServer& control, std::atomic<std::uint64_t>& events) {
    if (const std::uint64_t lost = loop.take_left_out(); lost != 0)
        spdlog::warn("{} events and lines were left out: the log was not read", lost);
    if (const std::uint64_t lost = events.exchange(0); lost != 0)
        control.publish({{"role", "daemon"}, {"kind", "overflow"}, {"lost", lost}, {"detail", ""}});
}

std::chrono::nanoseconds now() {
    return std::chrono::steady_clock::now().time_since_epoch();
}

void reload_exports(EventLoop& loop, Engine& engine, const std::string& file) {
    auto config = read_config(file);
    const auto good = config.ok() ? check_config(*config) : config.failure();
    if (!good.ok()) {
        spdlog::error("SIGHUP: nothing changed: {}", good.failure().detail);
        return;
    }
    engine.post([&loop, &engine, exports = config->exports] {
        for (const std::string& line : engine.apply_exports(exports))
            log_later(loop, spdlog::level::info, "SIGHUP: " + line);
    });
}

struct Locks {
    control::UniqueFd state, socket;
};

Result<Locks> take_locks(const Config& c) {
    Locks locks;
    if (auto there = check_folders(c); !there.ok()) return there.failure();
    if (auto made = make_directory(c.daemon.state_dir); !made.ok()) return made.failure();
    auto state = lock_file(c.daemon.state_dir + "/lock", "state_dir " + c.daemon.state_dir);
    if (!state.ok()) return state.failure();
    auto socket = lock_file(c.daemon.socket + ".lock", "socket " + c.daemon.socket);
    if (!socket.ok()) return socket.failure();
    locks.state = std::move(*state);
    locks.socket = std::move(*socket);
    return locks;
}

// Drops are counted for ever in `stats`; the log says so at most once in a while, and only of what
// somebody should look at.
void log_drops(EventLoop& loop, Engine& engine) {
    engine.post([&loop, &engine] {
        static std::map<std::string_view, std::uint64_t> logged;
        const auto now = engine.odd_drops();
        std::string news;
        for (const auto& [reason, count] : now)
            if (count > logged[reason])
                news += " " + std::string(reason) + " " + std::to_string(count - logged[reason]);
        if (!news.empty())
            log_later(loop, spdlog::level::warn, "dropped lately:" + news + " (farlane stats says more)");
        logged = now;
    });
}

void log_peers(EventLoop& loop, Engine& engine) {
    engine.post([&loop, &engine] {
        for (std::string& line : engine.look_at_peers()) log_later(loop, spdlog::level::warn, std::move(line));
    });
}

/// Replaces this daemon, one attempt at a time. Control thread, but for the check.
class Upgrades {
public:
    Upgrades(EventLoop& loop, Engine& engine, const Successor& successor, std::string file)
        : loop_(loop), engine_(engine), successor_(successor), file_(std::move(file)) {}

    void begin(std::chrono::milliseconds at_most, bool force, const Answer& answer) {
        if (busy_) return answer(refusal(Status::busy, "an upgrade is under way"));
        busy_ = true;
        // The old one goes on meanwhile: what would not start does not replace it.
        check_ = std::jthread([this, at_most, force, answer] {
            auto good = successor_.check(file_);
            loop_.post([this, at_most, force, answer, good = std::move(good)] {
                if (!good.ok()) {
                    busy_ = false;
                    return answer(refusal(good.failure()));
                }
                engine_.post([this, at_most, force, answer] {
                    engine_.leave_settled(at_most, force, [this, answer](Reply reply) {
                        const bool left = reply.status == Status::ok;
                        if (!left) loop_.post([this] { busy_ = false; });  // before anybody hears of it
                        answer(std::move(reply));
                        if (left) loop_.post([this] { leave(); });
                    });
                });
            });
        });
    }
    /// This daemon is to stop. That ends what an upgrade waits for, too: it is none by that.
    void give_up() noexcept {
        given_up_ = true;
        left_ = false;
    }
    [[nodiscard]] bool left() const noexcept { return left_; }

private:
    void leave() {
        if (given_up_) return;
        left_ = true;
        loop_.stop();
    }

    EventLoop& loop_;
    Engine& engine_;
    const Successor& successor_;
    std::string file_;
    bool busy_ = false, left_ = false, given_up_ = false;
    std::jthread check_;
};

void upgrade_by_signal(Upgrades& upgrades) {
    upgrades.begin(std::chrono::seconds(10), false, [](const Reply& reply) {
        if (reply.status != Status::ok) spdlog::error("SIGUSR2: not upgraded: {}", reply.message);
    });
}

/// Exit code, or nothing: this life is over, and the successor's begins.
/// `listener`: the control socket of the life before, or none; of the next one, when there is to be one.
std::optional<int> run(const Config& config, const Successor& successor, control::UniqueFd& listener) {
    const control::UniqueFd signals = signal_descriptor();
    auto locks = take_locks(config);
    if (!locks.ok()) return fail(locks.failure());
    auto identity = read_identity(config.daemon.state_dir, config.daemon.instance);
    if (!identity.ok()) return fail(identity.failure());

    EventLoop loop;
    auto server = ControlServer::open(loop, config.daemon.socket, config.daemon.socket_mode, config.daemon.socket_group,
                                      std::move(listener));
    if (!server.ok()) return fail(server.failure());
    ControlServer& control = **server;
    Engine::Callbacks callbacks;
    EventLog events([](const std::string& line) { spdlog::info("{}", line); });
    std::atomic<std::uint64_t> lost_events{0};
    callbacks.event = [&](const Json& e) {
        const bool kept = loop.post_if_room([&control, &events, e] {
            events.tell(now(), e);
            control.publish(e);
        });
        if (!kept) ++lost_events;
    };
    callbacks.log = [&](spdlog::level::level_enum level, std::string line) { log_later(loop, level, std::move(line)); };
    callbacks.kick = [&](ClientId client, const std::string& why) {
        loop.post([&control, client, why] { control.close_client(client, why); });
    };
    backend::sweep_worker_folders();
    auto engine = Engine::open(config, *identity, callbacks);
    if (!engine.ok()) return fail(engine.failure());
    Engine& running = **engine;
    Verbs verbs(running, control, *identity);
    Upgrades upgrades(loop, running, successor, config.file);
    verbs.on_upgrade([&](std::chrono::milliseconds at_most, bool force, const Answer& answer) {
        upgrades.begin(at_most, force, answer);
    });
    control.on_request([&](Request r, const Answer& answer) { verbs.handle(std::move(r), answer); });
    control.on_gone(
        [&](ClientId client) { running.post([&running, client] { running.holdings().client_gone(client); }); });

    loop.add(signals.get(), EPOLLIN, [&](std::uint32_t) {
        signalfd_siginfo info{};
        while (::read(signals.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
            if (info.ssi_signo == SIGHUP) {
                reload_exports(loop, running, config.file);
            } else if (info.ssi_signo == SIGUSR2) {
                upgrade_by_signal(upgrades);
            } else {
                upgrades.give_up();
                loop.stop();
            }
        }
    });
    loop.every(kBellCheck, [&] { running.check_bells(); });
    loop.every(std::chrono::seconds(30), [&] { log_drops(loop, running); });
    loop.every(std::chrono::seconds(1), [&] {
        events.tell_rest(now());
        tell_left_out(loop, control, lost_events);
    });
    if (!config.peers.empty()) loop.every(std::chrono::seconds(1), [&] { log_peers(loop, running); });
    if (const auto interval = watchdog_interval())
        // By way of the lane: a lane that is stuck is what the watchdog is for.
        loop.every(std::chrono::ceil<std::chrono::milliseconds>(*interval / 3),
                   [&] { running.post([] { (void)notify("WATCHDOG=1"); }); });

    running.start();
    if (::geteuid() == 0) spdlog::warn("runs as root and keeps the privileges it was given");
    spdlog::warn("frames are not encrypted: use it only on networks where every host is trusted");
    spdlog::info("farlaned {} '{}' on {}: {} port(s), {} peer(s), {} export(s)", kVersion, config.daemon.name,
                 config.daemon.socket, config.ports.size(), config.peers.size(), config.exports.size());
    (void)notify("READY=1\nSTATUS=" + std::to_string(config.exports.size()) + " exports, " +
                 std::to_string(config.peers.size()) + " peers");
    loop.run();
    if (!upgrades.left()) (void)notify("STOPPING=1");
    spdlog::info("{}; attachments are kept for {} ms", upgrades.left() ? "nothing is in doubt: upgrading" : "stopping",
                 config.session.grace.count());
    running.stop();
    loop.turn(std::chrono::milliseconds(0));  // answers that the lane gave last
    events.tell_last();
    tell_left_out(loop, control, lost_events);
    control.drain(std::chrono::milliseconds(200));
    (void)::unlink((config.daemon.socket + ".lock").c_str());  // still locked: nobody else can have it
    if (!upgrades.left()) return 0;
    listener = control.hand_over();
    return std::nullopt;
}

}  // namespace

int main(int argc, char** argv) {
    const cli::Parsed parsed = cli::parse(cli::farlaned_program(), argc, argv);
    if (!parsed.arguments) {
        if (parsed.exit_code != 0) return fail({Status::invalid, parsed.text});
        std::cout << parsed.text;
        return 0;
    }
    const std::string check_file = parsed.arguments->get("--check");
    if (parsed.arguments->has("--print-defaults")) {
        std::cout << default_config();
        return 0;
    }
    auto config = read_config(check_file.empty() ? parsed.arguments->get("--config") : check_file);
    if (!config.ok()) return fail(config.failure());
    if (const auto good = check_config(*config); !good.ok()) return fail(good.failure());
    if (!check_file.empty()) {
        if (const auto there = check_folders(*config); !there.ok()) return fail(there.failure());
        std::cout << check_file << ": valid\n";
        return 0;
    }
    spdlog::set_default_logger(spdlog::stderr_color_mt("farlaned"));
    spdlog::set_level(
        spdlog::level::from_str(config->daemon.log_level == "warn" ? "warning" : config->daemon.log_level));
    const Successor successor(argc, argv);
    try {
        control::UniqueFd listener = inherited_listener(config->daemon.socket);
        for (;;) {
            if (const auto code = run(*config, successor, listener)) return *code;
            const Failure failure = successor.take_over(listener.get());
            spdlog::error("not upgraded: {}; this program goes on", failure.detail);
        }
    } catch (const std::exception& e) {
        return fail({Status::io, e.what()});
    }
}
