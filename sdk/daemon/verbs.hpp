// SPDX-License-Identifier: Apache-2.0
// Receives: requests of clients. Hands on: work for the lane, and its answers. Owns: the table
// of verbs. docs/control-socket.md.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "daemon/control_server.hpp"
#include "daemon/engine.hpp"

namespace farlane::daemon {

class Verbs {
public:
    Verbs(Engine& engine, ControlServer& server, const Identity& identity);
    /// Control thread. `answer` is called once, by this or the lane's thread.
    void handle(Request request, const Answer& answer);
    [[nodiscard]] static const std::vector<std::string>& names();
    /// Who replaces this daemon; control thread. `answer` is called before this one ends, or with the reason why not.
    using Upgrade = std::function<void(std::chrono::milliseconds at_most, bool force, const Answer& answer)>;
    void on_upgrade(Upgrade f) { upgrade_ = std::move(f); }

private:
    using Verb = void (Verbs::*)(Request&, const Answer&);
    [[nodiscard]] static const std::map<std::string, Verb>& table();

    void hello(Request& r, const Answer& answer);
    void ping(Request& r, const Answer& answer);
    void list(Request& r, const Answer& answer);
    void show(Request& r, const Answer& answer);
    void attach(Request& r, const Answer& answer);
    void detach(Request& r, const Answer& answer);
    void events(Request& r, const Answer& answer);
    void stats(Request& r, const Answer& answer);
    void top(Request& r, const Answer& answer);
    void doctor(Request& r, const Answer& answer);
    void upgrade(Request& r, const Answer& answer);
    // --- of one attachment
    void open_channel(Request& r, const Answer& answer);
    void register_buffer(Request& r, const Answer& answer);
    void unregister_buffer(Request& r, const Answer& answer);
    void map(Request& r, const Answer& answer);
    void unmap(Request& r, const Answer& answer);
    void enable_interrupts(Request& r, const Answer& answer);
    void open_context(Request& r, const Answer& answer);
    void close_context(Request& r, const Answer& answer);
    void make_queue(Request& r, const Answer& answer);
    void drop_queue(Request& r, const Answer& answer);
    void reset(Request& r, const Answer& answer);
    void acknowledge_reset(Request& r, const Answer& answer);
    void resume_attachment(Request& r, const Answer& answer);
    void resume_channel(Request& r, const Answer& answer);
    void resume_done(Request& r, const Answer& answer);

    /// Runs `work` with the client's attachment `id` in the lane.
    void with(const Client& client, std::uint32_t id, const Answer& answer,
              std::function<void(Holding&, const Answer&)> work);
    void note_standing(Reply& reply, bool stands, Use use, uid_t uid);
    void note_standing(Json& functions) const;
    void detach_named(const Client& client, const std::string& name, bool force, std::optional<lane::Duration> drain,
                      const Answer& answer);
    [[nodiscard]] Json daemon_json() const;

    Engine& engine_;
    ControlServer& server_;
    Identity identity_;
    Upgrade upgrade_;
    std::int64_t started_ms_;  ///< system clock: tells this life from the next
    std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

/// Host-side part of doctor: build, memory, limits. Any thread.
[[nodiscard]] Json doctor_json(const Config& config, const Identity& identity);
/// The rows that are meant to be printed, from the complete doctor object.
[[nodiscard]] Json doctor_checks(const Json& doctor);

}  // namespace farlane::daemon
