// SPDX-License-Identifier: Apache-2.0
// Receives: verbs and arguments. Hands on: what farlaned answers, and its events.
// Owns: one connection to the control socket. Protocol: docs/control-socket.md.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <farlane/status.hpp>
#include <farlane/types.hpp>

#include "lib/daemon_wire.hpp"

namespace farlane::control {

using Json = nlohmann::json;

/// What the daemon said about a verb that failed; `extra` is the error object of the reply
/// ({"status", "code", "message", ...}: for `busy` it has "holders").
class CallError : public Error {
public:
    CallError(Status s, const std::string& what, Json extra) : Error(s, what), extra_(std::move(extra)) {}
    [[nodiscard]] const Json& extra() const noexcept { return extra_; }

private:
    Json extra_;
};

/// A connection to farlaned. One thread at a time. Everything that fails throws Error:
/// CallError when the daemon refused a verb; unreachable when nobody listens or the daemon
/// went away; timeout; version; protocol.
class ControlClient {
public:
    /// Connects and says hello. `socket` "" = kDefaultSocket.
    [[nodiscard]] static ControlClient connect(const std::string& socket,
                                               std::chrono::milliseconds timeout = std::chrono::milliseconds(5000));
    ControlClient(ControlClient&&) noexcept = default;
    ControlClient& operator=(ControlClient&&) noexcept = default;
    ~ControlClient() = default;

    /// One request, one reply: the "result" of the reply. `give` are lent for the call (the
    /// daemon gets duplicates); `take` gets the descriptors of the reply.
    Json call(const std::string& verb, Json args = Json::object(),
              std::chrono::milliseconds timeout = std::chrono::milliseconds(20000));
    Json call_fds(const std::string& verb, Json args, const std::vector<int>& give, std::vector<UniqueFd>* take,
                  std::chrono::milliseconds timeout = std::chrono::milliseconds(20000));

    /// Asks for events on this connection; call once.
    void subscribe();
    /// The next event object ({"kind", "function", ...}), or nothing within `timeout`.
    [[nodiscard]] std::optional<Json> next_event(std::chrono::milliseconds timeout);

    /// What the daemon said of itself: {"version", "protocol", "name", "instance", "pid", ...}.
    [[nodiscard]] const Json& hello() const noexcept { return hello_; }
    /// For poll(): readable when something came.
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    [[nodiscard]] const std::string& socket() const noexcept { return socket_; }

private:
    ControlClient(std::string socket, UniqueFd fd);
    [[nodiscard]] std::optional<Message> receive(std::chrono::steady_clock::time_point until);
    void send(Message message, std::chrono::steady_clock::time_point until);

    std::string socket_;
    UniqueFd fd_;
    MessageReader reader_;
    Json hello_;
    std::deque<Json> events_;  ///< came while a reply was awaited; at most kMaxQueuedEvents
    std::uint64_t next_id_ = 1;
    static constexpr std::size_t kMaxQueuedEvents = 4096;
};

/// The "function" objects of list, show and attach <-> FunctionInfo. from_json throws
/// Error(protocol) when it is not one.
[[nodiscard]] Json function_to_json(const FunctionInfo& info);
[[nodiscard]] FunctionInfo function_from_json(const Json& j);
/// The "event" objects <-> Event (initiator role only; others give nothing).
[[nodiscard]] Json event_to_json(const Event& event);
[[nodiscard]] std::optional<Event> event_from_json(const Json& j);

}  // namespace farlane::control
