// SPDX-License-Identifier: Apache-2.0
// Receives: any bytes as what a client writes to the control socket, and as what a daemon
// answers a client. Hands on: nothing; every answer must be one line of JSON, and the daemon must go on. Owns:
// a daemon without ports, its folder and a client connection. docs/control-socket.md.
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include <spdlog/spdlog.h>

#include "daemon/control_server.hpp"
#include "daemon/engine.hpp"
#include "daemon/verbs.hpp"
#include "fuzz/fuzz.hpp"
#include "lib/daemon_client.hpp"

using namespace farlane;
using fuzz::require;

namespace {

class Daemon {
public:
    Daemon() {
        spdlog::set_level(spdlog::level::off);
        std::string pattern = (std::filesystem::temp_directory_path() / "farlane-fuzz-XXXXXX").string();
        require(::mkdtemp(pattern.data()) != nullptr, "a folder for the daemon can be made");
        folder_ = pattern;
        daemon::Config config;
        config.daemon.name = "fuzz";
        config.daemon.socket = folder_ + "/socket";
        config.daemon.state_dir = folder_ + "/state";
        std::filesystem::create_directory(config.daemon.state_dir);
        identity_ = daemon::read_identity(config.daemon.state_dir, "").take();
        engine_ = daemon::Engine::open(config, identity_,
                                       {.event = [](daemon::Json) {},
                                        .kick = [](daemon::ClientId, const std::string&) {},
                                        .log = {},
                                        .open_kernel = {}})
                      .take();
        server_ = daemon::ControlServer::open(loop_, config.daemon.socket, 0600, "").take();
        verbs_ = std::make_unique<daemon::Verbs>(*engine_, *server_, identity_);
        server_->on_request([this](daemon::Request r, const daemon::Answer& a) { verbs_->handle(std::move(r), a); });
        socket_ = config.daemon.socket;
        engine_->start();
    }
    ~Daemon() {
        engine_->stop();
        server_.reset();
        std::filesystem::remove_all(folder_);
    }
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

    // Writes the bytes as the socket takes them, reads what comes, and hangs up.
    void client(std::span<const std::uint8_t> bytes) {
        auto connected = control::connect_unix(socket_);
        require(connected.ok(), "the daemon still listens");
        const int fd = connected.value().get();
        for (unsigned idle = 0; idle < 3;) {
            const ssize_t sent =
                bytes.empty() ? 0 : ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent > 0) bytes = bytes.subspan(static_cast<std::size_t>(sent));
            loop_.turn(std::chrono::milliseconds(idle < 2 ? 0 : 1));  // the lane answers from its own thread
            const bool came = read_answers(fd);
            idle = sent > 0 || came ? 0 : idle + 1;
        }
        unread_.clear();
        connected.value().reset();
        loop_.turn(std::chrono::milliseconds(0));
    }

private:
    bool read_answers(int fd) {
        char part[4096];
        const ssize_t got = ::recv(fd, part, sizeof(part), MSG_DONTWAIT);
        if (got <= 0) return false;
        unread_.append(part, static_cast<std::size_t>(got));
        for (std::size_t end = unread_.find('\n'); end != std::string::npos; end = unread_.find('\n')) {
            const auto answer = daemon::Json::parse(unread_.substr(0, end), nullptr, false);
            require(answer.is_object() && (answer.contains("ok") || answer.contains("event")),
                    "an answer is one line of JSON with \"ok\" or \"event\"");
            unread_.erase(0, end + 1);
        }
        return true;
    }

    std::string folder_, socket_, unread_;
    daemon::Identity identity_;
    daemon::EventLoop loop_;
    std::unique_ptr<daemon::Engine> engine_;
    std::unique_ptr<daemon::ControlServer> server_;
    std::unique_ptr<daemon::Verbs> verbs_;
};

// What a client makes of a daemon's objects.
void read_objects(std::string_view text) {
    const auto json = control::Json::parse(text, nullptr, false);
    if (json.is_discarded()) return;
    try {
        const FunctionInfo info = control::function_from_json(json);
        (void)control::function_to_json(info);
    } catch (const Error& e) {
        require(e.status() == Status::protocol, "what is no function is a protocol error");
    }
    try {
        (void)control::event_from_json(json);
    } catch (const Error& e) {
        require(e.status() == Status::protocol, "what is no event is a protocol error");
    }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Daemon daemon;
    fuzz::Input input(data, size);
    if (input.byte() % 2 == 0)
        daemon.client(input.rest());
    else
        read_objects(input.text());
    return 0;
}
