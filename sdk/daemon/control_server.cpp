// SPDX-License-Identifier: Apache-2.0
// Receives: connections and lines of the control socket. Hands on: requests, with who asks.
// Owns: the socket and the clients. Every byte of a client is hostile.
#include "daemon/control_server.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>

#include <grp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <spdlog/spdlog.h>

namespace farlane::daemon {
namespace {

constexpr int kBacklog = 64;
constexpr std::uint64_t kMaxId = std::uint64_t{1} << 53;

std::string comm_of(pid_t pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/comm");
    std::string name;
    std::getline(in, name);
    std::ranges::replace_if(
        name, [](unsigned char c) { return c < 0x20 || c > 0x7e; }, '?');
    return name;
}

std::string dump(const Json& j) {
    return j.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json error_json(const Reply& r) {
    Json e = r.body.is_object() ? r.body : Json::object();
    e["status"] = status_name(r.status);
    e["code"] = static_cast<unsigned>(r.status);
    e["message"] = r.message.empty() ? std::string(status_text(r.status)) : r.message;
    return e;
}

Result<gid_t> group_of(const std::string& text) {
    if (std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c) != 0; }))
        return static_cast<gid_t>(std::stoul(text));
    std::array<char, 16384> buffer;
    group entry{};
    group* found = nullptr;
    if (::getgrnam_r(text.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
        return {Status::invalid, "socket_group '" + text + "' does not exist"};
    return found->gr_gid;
}

Result<bool> give_access(const std::string& path, std::uint32_t mode, const std::string& group) {
    if (!group.empty()) {
        auto gid = group_of(group);
        if (!gid.ok()) return gid.failure();
        if (::chown(path.c_str(), static_cast<uid_t>(-1), *gid) != 0)
            return {Status::denied, "group of " + path + ": " + std::strerror(errno)};
    }
    if (::chmod(path.c_str(), mode) != 0) return {Status::io, path + ": " + std::strerror(errno)};
    return true;
}

// Nesting deeper than any request needs is refused before the parser recurses into it.
bool too_deep(std::string_view text) {
    int depth = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted) {
            if (c == '\\') ++i;
            if (c == '"') quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > 16) return true;
        } else if (c == '}' || c == ']') {
            --depth;
        }
    }
    return false;
}

// Empty text = it is a request.
std::string not_a_request(const Json& j, std::size_t fds) {
    if (!j.is_object()) return "not a JSON object";
    const auto id = j.find("id");
    if (id == j.end() || !id->is_number_unsigned() || id->get<std::uint64_t>() > kMaxId)
        return "'id' is missing or not a number from 0 to 2^53";
    if (!j.contains("verb") || !j["verb"].is_string()) return "'verb' is missing or not a string";
    if (j.contains("args") && !j["args"].is_object()) return "'args' is not an object";
    const std::uint64_t said = j.contains("fds") && j["fds"].is_number_unsigned() ? j["fds"].get<std::uint64_t>() : 0;
    if (said != fds) return "'fds' says " + std::to_string(said) + ", " + std::to_string(fds) + " came";
    return {};
}

}  // namespace

struct ControlServer::Connection {
    Client client;
    control::UniqueFd fd;
    control::MessageReader reader{control::kMaxRequestBytes};
    control::MessageWriter writer;
    std::size_t outstanding = 0;
    int holds = 0;                                     ///< attachments
    std::chrono::steady_clock::time_point last_heard;  ///< accepted, or bytes came
    std::uint64_t heard = 0;                           ///< requests
    std::uint64_t lost_events = 0;
    bool subscribed = false;
    bool closing = false;  ///< after what is queued
    std::uint32_t events = EPOLLIN;
};

ControlServer::ControlServer(EventLoop& loop, std::string path, control::UniqueFd fd)
    : loop_(loop), path_(std::move(path)), fd_(std::move(fd)) {
    loop_.add(fd_.get(), EPOLLIN, [this](std::uint32_t) { accept_one(); });
}

ControlServer::~ControlServer() {
    *alive_ = false;
    for (const auto& [id, c] : clients_) loop_.remove(c->fd.get());
    if (!fd_.valid()) return;  // handed over
    loop_.remove(fd_.get());
    ::unlink(path_.c_str());
}

control::UniqueFd ControlServer::hand_over() {
    loop_.remove(fd_.get());
    return std::move(fd_);
}

Result<std::unique_ptr<ControlServer>> ControlServer::open(EventLoop& loop, const std::string& path, std::uint32_t mode,
                                                           const std::string& group, control::UniqueFd listener) {
    if (listener.valid()) {
        if (auto done = give_access(path, mode, group); !done.ok()) return done.failure();
        return std::unique_ptr<ControlServer>(new ControlServer(loop, path, std::move(listener)));
    }
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return {Status::invalid, "socket path '" + path + "' is empty or too long"};
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    struct stat there {};
    if (::lstat(path.c_str(), &there) == 0) {
        if (!S_ISSOCK(there.st_mode)) return {Status::busy, path + " exists and is not a socket; remove it"};
        ::unlink(path.c_str());  // of a daemon that was killed: we hold the lock
    }
    control::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) return {Status::io, std::string("socket: ") + std::strerror(errno)};
    // Nobody may connect before mode and group are as configured.
    const mode_t before = ::umask(0777);
    const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int why = errno;
    ::umask(before);
    if (bound != 0) return {why == EACCES ? Status::denied : Status::io, "bind " + path + ": " + std::strerror(why)};
    if (auto done = give_access(path, mode, group); !done.ok()) return done.failure();
    if (::listen(fd.get(), kBacklog) != 0) return {Status::io, path + ": " + std::strerror(errno)};
    return std::unique_ptr<ControlServer>(new ControlServer(loop, path, std::move(fd)));
}

void ControlServer::accept_one() {
    control::UniqueFd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.valid()) return;
    if (clients_.size() >= kMaxClients && !make_room()) {
        ++counters_.turned_away;
        const std::string text = dump({{"id", nullptr},
                                       {"ok", false},
                                       {"error", error_json(refusal(Status::limit, "too many connections"))}}) +
                                 "\n";
        (void)!::send(fd.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        return;
    }
    auto c = std::make_unique<Connection>();
    ucred who{};
    socklen_t size = sizeof who;
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return;
    const ClientId id = next_client_++;
    c->client = {id, who.pid, who.uid, who.gid, comm_of(who.pid), role_of(who.uid, who.gid)};
    c->fd = std::move(fd);
    c->last_heard = std::chrono::steady_clock::now();
    loop_.add(c->fd.get(), EPOLLIN, [this, id](std::uint32_t events) { on_ready(id, events); });
    clients_.emplace(id, std::move(c));
}

// Connections are few, and one that says nothing costs nothing to open. When they are short, the one
// that matters least goes: first who never asked anything, then who has been idle longest. Never one
// that waits for an answer, wants events or holds an attachment.
bool ControlServer::make_room() {
    const Connection* idle = nullptr;
    for (const auto& [id, c] : clients_) {
        if (c->subscribed || c->holds > 0 || c->outstanding != 0) continue;
        const auto rank = [](const Connection& x) { return std::pair(x.heard != 0, x.last_heard); };
        if (idle == nullptr || rank(*c) < rank(*idle)) idle = c.get();
    }
    if (idle == nullptr) return false;
    ++counters_.evicted;
    const auto now = std::chrono::steady_clock::now();
    if (now >= next_eviction_line_) {
        const auto silent = std::chrono::duration_cast<std::chrono::milliseconds>(now - idle->last_heard);
        spdlog::warn("all {} connections were in use: that of {} (pid {}, idle for {} ms) made room; {} so far",
                     kMaxClients, idle->client.comm, idle->client.pid, silent.count(), counters_.evicted);
        next_eviction_line_ = now + std::chrono::seconds(1);
    }
    const ClientId id = idle->client.id;
    send_error(*clients_.at(id), nullptr, refusal(Status::limit, "closed: idle, and others wait for a connection"));
    close(id);
    return true;
}

void ControlServer::on_ready(ClientId id, std::uint32_t events) {
    const auto at = clients_.find(id);
    if (at == clients_.end()) return;
    Connection& c = *at->second;
    if ((events & EPOLLOUT) != 0) flush(c);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && clients_.contains(id)) read_from(c);
}

void ControlServer::read_from(Connection& c) {
    const ClientId id = c.client.id;
    switch (c.reader.read_from(c.fd.get())) {
        case Status::ok: c.last_heard = std::chrono::steady_clock::now(); break;
        case Status::would_block: return;
        case Status::limit:
            ++counters_.malformed;
            send_error(c, nullptr,
                       refusal(Status::limit, "a request is one line of at most 64 KiB with at most " +
                                                  std::to_string(control::kMaxFdsPerMessage) + " descriptors"));
            if (clients_.contains(id)) close(id);
            return;
        default: return close(id);
    }
    while (clients_.contains(id) && !c.closing) {
        std::optional<control::Message> m = c.reader.next();
        if (!m) return;
        handle(c, std::move(*m));
    }
}

void ControlServer::handle(Connection& c, control::Message message) {
    const ClientId id = c.client.id;
    Json j = too_deep(message.text) ? Json() : Json::parse(message.text, nullptr, false);
    const std::string wrong = not_a_request(j, message.fds.size());
    if (!wrong.empty()) {
        ++counters_.malformed;
        c.closing = true;
        return send_error(c, nullptr, refusal(Status::malformed, "not a request: " + wrong));
    }
    ++counters_.requests;
    ++c.heard;
    if (c.outstanding >= kMaxOutstanding)
        return send_error(
            c, j["id"],
            refusal(Status::limit, "more than " + std::to_string(kMaxOutstanding) + " requests without an answer"));
    ++c.outstanding;
    Request r{c.client, j["verb"].get<std::string>(), j.value("args", Json::object()), std::move(message.fds)};
    // The answer may come from any thread, once; the client may be gone by then.
    auto once = std::make_shared<std::atomic_flag>();
    on_request_(std::move(r), [this, alive = alive_, loop = &loop_, id, once, request_id = j["id"]](Reply reply) {
        if (once->test_and_set()) return;
        auto box = std::make_shared<Reply>(std::move(reply));
        loop->post([this, alive, id, request_id, box] {
            if (*alive) answered(id, request_id, std::move(*box));
        });
    });
}

void ControlServer::answered(ClientId id, const Json& request_id, Reply reply) {
    const auto at = clients_.find(id);
    if (at == clients_.end()) return;
    Connection& c = *at->second;
    --c.outstanding;
    c.holds += reply.holds;
    c.last_heard = std::chrono::steady_clock::now();  // idle counts from its answer
    if (reply.status != Status::ok) {
        ++counters_.refused;
        return send_error(c, request_id, reply);
    }
    Json j = {{"id", request_id}, {"ok", true}, {"result", std::move(reply.body)}};
    if (!reply.fds.empty()) j["fds"] = reply.fds.size();
    send(c, dump(j), std::move(reply.fds));
}

void ControlServer::send_error(Connection& c, const Json& id, const Reply& r) {
    send(c, dump({{"id", id}, {"ok", false}, {"error", error_json(r)}}), {});
}

void ControlServer::send(Connection& c, std::string text, std::vector<control::UniqueFd> fds) {
    if (text.size() >= control::kMaxReplyBytes || c.writer.queued_bytes() + text.size() > kMaxQueuedBytes) {
        spdlog::warn("client {} (pid {}) does not read its answers; closed", c.client.comm, c.client.pid);
        return close(c.client.id);
    }
    c.writer.push(std::move(text), std::move(fds));
    flush(c);
}

void ControlServer::flush(Connection& c) {
    switch (c.writer.write_to(c.fd.get())) {
        case Status::ok: break;
        case Status::would_block:
            if ((c.events & EPOLLOUT) == 0) loop_.modify(c.fd.get(), c.events |= EPOLLOUT);
            return;
        default: return close(c.client.id);
    }
    if (c.closing) return close(c.client.id);
    if ((c.events & EPOLLOUT) != 0) loop_.modify(c.fd.get(), c.events &= ~static_cast<std::uint32_t>(EPOLLOUT));
}

void ControlServer::close(ClientId id) {
    const auto at = clients_.find(id);
    if (at == clients_.end()) return;
    const std::shared_ptr<Connection> c = std::move(at->second);
    clients_.erase(at);
    loop_.remove(c->fd.get());
    if (on_gone_) on_gone_(id);
    // Callers up the stack may still look at the connection: it goes with the next turn.
    loop_.post([c] {});
}

void ControlServer::close_client(ClientId id, const std::string& why) {
    const auto at = clients_.find(id);
    if (at == clients_.end()) return;
    spdlog::warn("connection of {} (pid {}) closed: {}", at->second->client.comm, at->second->client.pid, why);
    close(id);
}

void ControlServer::subscribe(ClientId client) {
    if (const auto at = clients_.find(client); at != clients_.end()) at->second->subscribed = true;
}

void ControlServer::publish(const Json& event) {
    const std::string text = dump({{"event", event}});
    std::vector<ClientId> subscribers;
    for (const auto& [id, c] : clients_)
        if (c->subscribed) subscribers.push_back(id);
    for (const ClientId id : subscribers) {
        const auto at = clients_.find(id);
        if (at == clients_.end()) continue;
        Connection& c = *at->second;
        if (c.writer.queued_bytes() > kMaxQueuedEventBytes) {
            ++c.lost_events;
            continue;
        }
        if (c.lost_events != 0) {
            const Json overflow = {{"role", "daemon"}, {"kind", "overflow"}, {"lost", c.lost_events}, {"detail", ""}};
            c.lost_events = 0;
            c.writer.push(dump({{"event", overflow}}));
        }
        send(c, text, {});
    }
}

void ControlServer::drain(std::chrono::milliseconds at_most) {
    const auto until = std::chrono::steady_clock::now() + at_most;
    for (const auto& [id, c] : clients_) {
        while (c->writer.write_to(c->fd.get()) == Status::would_block && std::chrono::steady_clock::now() < until) {
            pollfd p{c->fd.get(), POLLOUT, 0};
            (void)::poll(&p, 1, 10);
        }
    }
}

}  // namespace farlane::daemon
