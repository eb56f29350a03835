// SPDX-License-Identifier: Apache-2.0
// Receives: connections and lines of the control socket. Hands on: requests, with who asks.
// Owns: the socket and the clients. Control thread. docs/control-socket.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/event_loop.hpp"
#include "daemon/reply.hpp"

namespace farlane::daemon {

constexpr std::size_t kMaxClients = 64;      ///< one more: the one that is idle longest, and holds nothing, goes
constexpr std::size_t kMaxOutstanding = 32;  ///< requests of one client without an answer
constexpr std::size_t kMaxQueuedBytes = 32 * 1024 * 1024;  ///< answers a client does not read
constexpr std::size_t kMaxQueuedEventBytes = 256 * 1024;   ///< beyond: events are dropped and counted

struct Request {
    Client client;
    std::string verb;
    Json args = Json::object();
    std::vector<control::UniqueFd> fds;
};

struct ControlCounters {
    std::uint64_t requests = 0, refused = 0, malformed = 0, turned_away = 0;
    std::uint64_t evicted = 0;  ///< idle connections that made room for another
};

class ControlServer {
public:
    using OnRequest = std::function<void(Request, Answer)>;
    using OnGone = std::function<void(ClientId)>;

    /// Listens on `path`. A socket that is there and that nobody answers is taken over; the
    /// caller holds the lock that makes this safe (lock_file.hpp).
    /// `listener`: the socket of an earlier life that listens on `path`, or none.
    [[nodiscard]] static Result<std::unique_ptr<ControlServer>> open(EventLoop& loop, const std::string& path,
                                                                     std::uint32_t mode, const std::string& group,
                                                                     control::UniqueFd listener = {});
    /// Goes on listening without accepting: who connects from now on waits for the next life.
    [[nodiscard]] control::UniqueFd hand_over();
    ~ControlServer();
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

    void on_request(OnRequest f) { on_request_ = std::move(f); }
    void on_gone(OnGone f) { on_gone_ = std::move(f); }
    /// The client gets events from now on.
    void subscribe(ClientId client);
    /// To every subscriber. Never waits for one.
    void publish(const Json& event);
    void close_client(ClientId client, const std::string& why);
    [[nodiscard]] std::size_t client_count() const noexcept { return clients_.size(); }
    [[nodiscard]] const ControlCounters& counters() const noexcept { return counters_; }
    /// Tries to send what is queued, for at most `at_most`: last words at a stop.
    void drain(std::chrono::milliseconds at_most);

private:
    struct Connection;
    ControlServer(EventLoop& loop, std::string path, control::UniqueFd fd);
    void accept_one();
    [[nodiscard]] bool make_room();
    void on_ready(ClientId id, std::uint32_t events);
    void read_from(Connection& c);
    void handle(Connection& c, control::Message message);
    void send(Connection& c, std::string text, std::vector<control::UniqueFd> fds);
    void send_error(Connection& c, const Json& id, const Reply& r);
    void answered(ClientId id, const Json& request_id, Reply reply);
    void flush(Connection& c);
    void close(ClientId id);

    EventLoop& loop_;
    std::string path_;
    control::UniqueFd fd_;
    std::map<ClientId, std::unique_ptr<Connection>> clients_;
    ClientId next_client_ = 1;
    ControlCounters counters_;
    std::chrono::steady_clock::time_point next_eviction_line_{};
    OnRequest on_request_;
    OnGone on_gone_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// Role of a connection, from what the kernel says of it. The seam for configured roles.
[[nodiscard]] Role role_of(uid_t uid, gid_t gid) noexcept;
[[nodiscard]] const char* role_name(Role r) noexcept;

}  // namespace farlane::daemon
