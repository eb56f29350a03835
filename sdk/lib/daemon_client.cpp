// SPDX-License-Identifier: Apache-2.0
// Receives: verbs and arguments. Hands on: what farlaned answers, and its events.
// Owns: one connection to the control socket. docs/control-socket.md.
#include "lib/daemon_client.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>

namespace farlane::control {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

// False = time is up.
bool wait_for(int fd, short what, SteadyTime until) {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        const int timeout = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1 << 30));
        pollfd p{fd, what, 0};
        const int n = ::poll(&p, 1, timeout);
        if (n > 0) return true;
        if (n == 0) return false;
        if (errno != EINTR) throw Error(Status::io, std::string("poll: ") + std::strerror(errno));
    }
}

[[noreturn]] void throw_refusal(const std::string& verb, const Json& reply) {
    const Json error = reply.value("error", Json::object());
    const auto code = error.is_object() ? error.find("code") : error.end();
    const bool known = error.is_object() && code != error.end() && code->is_number_unsigned();
    const Status s = known ? status_from_code(code->get<unsigned>()) : Status::protocol;
    std::string message = "farlaned refused '" + verb + "' without a reason";
    if (error.is_object() && error.contains("message") && error["message"].is_string())
        message = error["message"].get<std::string>();
    throw CallError(s == Status::ok ? Status::protocol : s, message, error);
}

}  // namespace

ControlClient::ControlClient(std::string socket, UniqueFd fd)
    : socket_(std::move(socket)), fd_(std::move(fd)), reader_(kMaxReplyBytes) {}

ControlClient ControlClient::connect(const std::string& socket, std::chrono::milliseconds timeout) {
    const std::string path = socket.empty() ? kDefaultSocket : socket;
    ControlClient c(path, connect_unix(path).take());
    c.hello_ = c.call("hello", {{"protocol", kProtocolVersion}}, timeout);
    return c;
}

Json ControlClient::call(const std::string& verb, Json args, std::chrono::milliseconds timeout) {
    return call_fds(verb, std::move(args), {}, nullptr, timeout);
}

Json ControlClient::call_fds(const std::string& verb, Json args, const std::vector<int>& give,
                             std::vector<UniqueFd>* take, std::chrono::milliseconds timeout) {
    const SteadyTime until = std::chrono::steady_clock::now() + timeout;
    const std::uint64_t id = next_id_++;
    Json request = {{"id", id}, {"verb", verb}, {"args", std::move(args)}};
    if (!give.empty()) request["fds"] = give.size();
    Message m;
    m.text = request.dump(-1, ' ', false, Json::error_handler_t::replace);
    for (const int fd : give) {
        m.fds.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
        if (!m.fds.back().valid()) throw Error(Status::io, std::string("dup: ") + std::strerror(errno));
    }
    send(std::move(m), until);
    for (;;) {
        std::optional<Message> got = receive(until);
        if (!got)
            throw Error(Status::timeout, "farlaned on " + socket_ + " did not answer '" + verb + "' within " +
                                             std::to_string(timeout.count()) + " ms");
        Json reply = Json::parse(got->text, nullptr, false);
        if (!reply.is_object()) throw Error(Status::protocol, "farlaned on " + socket_ + " sent what is not JSON");
        if (reply.contains("event")) {
            if (events_.size() < kMaxQueuedEvents) events_.push_back(std::move(reply["event"]));
            continue;
        }
        if (reply.contains("id") && reply["id"].is_number_unsigned() && reply["id"].get<std::uint64_t>() != id)
            continue;  // answer to a call that timed out
        if (!reply.contains("ok") || reply["ok"] != true) throw_refusal(verb, reply);
        if (take != nullptr) *take = std::move(got->fds);
        return reply.value("result", Json::object());
    }
}

void ControlClient::subscribe() {
    (void)call("events");
}

std::optional<Json> ControlClient::next_event(std::chrono::milliseconds timeout) {
    const SteadyTime until = std::chrono::steady_clock::now() + timeout;
    while (events_.empty()) {
        std::optional<Message> got = receive(until);
        if (!got) return std::nullopt;
        Json message = Json::parse(got->text, nullptr, false);
        if (!message.is_object()) throw Error(Status::protocol, "farlaned on " + socket_ + " sent what is not JSON");
        if (message.contains("event")) events_.push_back(std::move(message["event"]));
    }
    Json e = std::move(events_.front());
    events_.pop_front();
    return e;
}

std::optional<Message> ControlClient::receive(SteadyTime until) {
    for (;;) {
        if (std::optional<Message> m = reader_.next()) return m;
        switch (reader_.read_from(fd_.get())) {
            case Status::ok: break;
            case Status::would_block:
                if (!wait_for(fd_.get(), POLLIN, until)) return std::nullopt;
                break;
            case Status::unreachable:
                throw Error(Status::unreachable, "farlaned on " + socket_ + " closed the connection");
            default: throw Error(Status::io, "reading from farlaned on " + socket_ + " failed");
        }
    }
}

void ControlClient::send(Message message, SteadyTime until) {
    MessageWriter writer;
    writer.push(std::move(message.text), std::move(message.fds));
    for (;;) {
        switch (writer.write_to(fd_.get())) {
            case Status::ok: return;
            case Status::would_block:
                if (!wait_for(fd_.get(), POLLOUT, until))
                    throw Error(Status::timeout, "farlaned on " + socket_ + " takes no requests");
                break;
            case Status::unreachable:
                throw Error(Status::unreachable, "farlaned on " + socket_ + " closed the connection");
            default: throw Error(Status::io, "sending to farlaned on " + socket_ + " failed");
        }
    }
}

}  // namespace farlane::control
