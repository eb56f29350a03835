// SPDX-License-Identifier: Apache-2.0
// Receives: connections to a control socket of its own. Hands on: canned answers.
// Owns: the socket, its folder and one thread. Stands in for farlaned (docs/control-socket.md).
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "lib/daemon_wire.hpp"

namespace farlane::test {

using Json = nlohmann::json;

/// Serves one connection after the other until it is destroyed.
class FakeDaemon {
public:
    /// Answers a request object with {"result": ...} or {"error": ...}; "events" (an array) are
    /// sent behind the answer, and with "hang_up" the connection ends then.
    using Answer = std::function<Json(const std::string& verb, const Json& args)>;

    explicit FakeDaemon(Answer answer) : answer_(std::move(answer)) {
        std::string folder = (std::filesystem::temp_directory_path() / "farlane-cli-XXXXXX").string();
        if (mkdtemp(folder.data()) == nullptr) std::abort();
        folder_ = folder;
        path_ = folder + "/socket";
        listener_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path_.copy(address.sun_path, sizeof address.sun_path - 1);
        if (bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
        if (listen(listener_.get(), 8) != 0) std::abort();
        stop_.reset(eventfd(0, EFD_CLOEXEC));
        thread_ = std::thread([this] { serve(); });
    }
    FakeDaemon(const FakeDaemon&) = delete;
    FakeDaemon& operator=(const FakeDaemon&) = delete;
    ~FakeDaemon() {
        const std::uint64_t one = 1;
        if (write(stop_.get(), &one, sizeof one) != sizeof one) std::abort();
        thread_.join();
        std::filesystem::remove_all(folder_);
    }

    [[nodiscard]] const std::string& path() const { return path_; }
    /// Requests so far: {"verb", "args"}.
    [[nodiscard]] std::vector<Json> requests() {
        const std::lock_guard lock(mutex_);
        return requests_;
    }

private:
    /// False when it is time to stop.
    [[nodiscard]] bool wait(int fd) const {
        pollfd fds[2] = {{.fd = fd, .events = POLLIN, .revents = 0},
                         {.fd = stop_.get(), .events = POLLIN, .revents = 0}};
        while (poll(fds, 2, -1) < 0) {
        }
        return fds[1].revents == 0;
    }

    void serve() {
        while (wait(listener_.get())) {
            const control::UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (client.valid() && !talk(client.get())) return;
        }
    }

    bool talk(int fd) {
        control::MessageReader reader(control::kMaxRequestBytes);
        while (wait(fd)) {
            const Status s = reader.read_from(fd);
            if (s != Status::ok && s != Status::would_block) return true;
            while (auto message = reader.next()) reply(fd, Json::parse(message->text));
        }
        return false;
    }

    void reply(int fd, const Json& request) {
        const std::string verb = request.at("verb");
        const Json args = request.value("args", Json::object());
        {
            const std::lock_guard lock(mutex_);
            requests_.push_back({{"verb", verb}, {"args", args}});
        }
        if (verb == "hello") {
            send_line(fd,
                      {{"id", request.at("id")},
                       {"ok", true},
                       {"result", {{"protocol", 1}, {"version", FARLANE_VERSION}, {"name", "fake"}, {"pid", 4711}}}});
            return;
        }
        Json answer = answer_(verb, args);
        const Json events = answer.value("events", Json::array());
        const bool hang_up = answer.value("hang_up", false);
        answer.erase("events");
        answer["id"] = request.at("id");
        answer["ok"] = answer.contains("result");
        send_line(fd, answer);
        for (const Json& e : events) send_line(fd, {{"event", e}});
        if (hang_up) shutdown(fd, SHUT_RDWR);
    }

    static void send_line(int fd, const Json& message) {
        const std::string text = message.dump() + "\n";
        std::size_t sent = 0;
        while (sent < text.size()) {
            const ssize_t n = send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
            if (n <= 0) return;
            sent += static_cast<std::size_t>(n);
        }
    }

    Answer answer_;
    std::string folder_, path_;
    control::UniqueFd listener_, stop_;
    std::mutex mutex_;
    std::vector<Json> requests_;
    std::thread thread_;
};

}  // namespace farlane::test
