// SPDX-License-Identifier: Apache-2.0
// Receives: what accelerator to have. Hands on: running daemons (own_fabric.hpp). Owns: nothing further.
#include "common/own_fabric.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace example {
namespace {

using farlane::Error;
using farlane::Status;

constexpr int kReadyWithinMs = 60'000;  ///< a device whose runtime starts slowly
constexpr int kEndWithinMs = 5'000;
constexpr int kPortAttempts =
    3;  ///< between our looking for a free port and the daemon's opening it, others may take it

[[noreturn]] void fail(const std::string& what) {
    throw Error(Status::io, what + ": " + std::strerror(errno));
}

std::filesystem::path make_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "farlane-example-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) fail(name);
    return name;
}

std::uint16_t free_udp_port() {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    const bool bound = fd >= 0 && ::bind(fd, generic, size) == 0 && ::getsockname(fd, generic, &size) == 0;
    if (fd >= 0) ::close(fd);
    if (!bound) fail("no free UDP port on 127.0.0.1");
    return ntohs(address.sin_port);
}

/// Why a daemon ended, as it said itself.
std::string last_line(const std::string& log) {
    std::ifstream in(log);
    std::string last = "it said nothing";
    for (std::string line; std::getline(in, line);) {
        if (!line.empty()) last = line;
    }
    return last;
}

/// A socket that a service tells on when it is ready: sd_notify(3).
int open_notices(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) throw Error(Status::invalid, path + ": too long for a socket");
    std::memcpy(address.sun_path, path.data(), path.size());
    const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail(path);
    return fd;
}

std::string daemon_table(const std::filesystem::path& folder, const std::string& name) {
    return "[daemon]\nname = \"" + name + "\"\nsocket = \"" + (folder / (name + ".sock")).string() +
           "\"\nstate_dir = \"" + (folder / (name + ".state")).string() + "\"\n[[port]]\nname = \"link\"\n";
}

std::string target_config(const std::filesystem::path& folder, const OwnFabricOptions& o, std::uint16_t port) {
    return daemon_table(folder, "target") + "url = \"udp:127.0.0.1:" + std::to_string(port) +
           "\"\nlisten = true\n[[export]]\nname = \"accel0\"\ndevice = \"accel\"\nexecutor = \"" + o.executor +
           "\"\nmemory = \"" + o.memory + "\"\n";
}

std::string initiator_config(const std::filesystem::path& folder, const std::string& peer) {
    return daemon_table(folder, "initiator") + "url = \"udp:127.0.0.1:0\"\n[[peer]]\naddress = \"" + peer + "\"\n";
}

}  // namespace

Daemon::Daemon(const std::string& program, const std::filesystem::path& folder, const std::string& name,
               const std::string& config)
    : log_((folder / (name + ".log")).string()) {
    const std::string config_path = (folder / (name + ".toml")).string();
    std::ofstream(config_path) << config;
    const std::string ready_path = (folder / (name + ".ready")).string();
    const int notices = open_notices(ready_path);
    const std::string notify = "NOTIFY_SOCKET=" + ready_path;
    std::vector<char*> environment;
    for (char** e = environ; *e != nullptr; ++e) environment.push_back(*e);
    environment.push_back(const_cast<char*>(notify.c_str()));
    environment.push_back(nullptr);
    const char* const arguments[] = {program.c_str(), "--config", config_path.c_str(), nullptr};
    const int log = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {  // only what is allowed between fork and exec
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (::getppid() != parent) ::_exit(1);
        unblock_signals();
        ::setpgid(0, 0);  // ^C in the terminal ends the program; the daemon ends behind it
        ::dup2(log, STDOUT_FILENO);
        ::dup2(log, STDERR_FILENO);
        ::execvpe(program.c_str(), const_cast<char* const*>(arguments), environment.data());
        const int why = errno;
        ::dprintf(STDERR_FILENO, "%s: %s\n", program.c_str(), std::strerror(why));
        ::_exit(127);
    }
    ::close(log);
    if (pid_ > 0) exited_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    try {
        if (pid_ < 0 || exited_ < 0) fail("can not start " + program);
        wait_until_ready(notices);
    } catch (...) {
        ::close(notices);
        stop();
        throw;
    }
    ::close(notices);
}

void Daemon::wait_until_ready(int notices) {
    std::array<pollfd, 2> wanted{{{notices, POLLIN, 0}, {exited_, POLLIN, 0}}};
    for (;;) {
        const int n = ::poll(wanted.data(), wanted.size(), kReadyWithinMs);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) throw Error(Status::timeout, "farlaned does not become ready: " + last_line(log_));
        if (wanted[1].revents != 0) throw Error(Status::invalid, last_line(log_));
        std::array<char, 512> notice{};
        const ssize_t bytes = ::recv(notices, notice.data(), notice.size(), 0);
        if (std::string_view(notice.data(), bytes > 0 ? static_cast<std::size_t>(bytes) : 0).starts_with("READY=1"))
            return;
    }
}

Daemon::~Daemon() {
    stop();
}

void Daemon::stop() noexcept {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    pollfd ended{exited_, POLLIN, 0};
    if (exited_ >= 0 && ::poll(&ended, 1, kEndWithinMs) == 0) ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    if (exited_ >= 0) ::close(exited_);
    pid_ = -1;
}

OwnFabric::OwnFabric(const OwnFabricOptions& options)
    : folder_(make_folder()), interrupts_([this] {
          const std::lock_guard lock(mutex_);
          clean_up();
      }) {
    const std::lock_guard lock(mutex_);
    try {
        start(options);
    } catch (...) {
        clean_up();
        throw;
    }
}

void OwnFabric::start(const OwnFabricOptions& options) {
    std::string program = options.farlaned;
    if (program.empty()) program = std::filesystem::exists(EXAMPLE_FARLANED) ? EXAMPLE_FARLANED : "farlaned";
    std::string peer;
    for (int attempt = 1; peer.empty(); ++attempt) {
        const std::uint16_t port = free_udp_port();
        try {
            daemons_.push_back(
                std::make_unique<Daemon>(program, folder_, "target", target_config(folder_, options, port)));
            peer = "127.0.0.1:" + std::to_string(port);
        } catch (const Error& e) {
            const bool port_taken = e.detail().find("another socket has") != std::string::npos;
            if (!port_taken || attempt == kPortAttempts) throw;
            std::filesystem::remove(folder_ / "target.ready");
        }
    }
    if (!options.shared) {  // this process is the initiator
        reach_.provider = farlane::ProviderKind::embedded;
        reach_.port = "udp:127.0.0.1:0";
        reach_.peer = peer;
        return;
    }
    daemons_.push_back(std::make_unique<Daemon>(program, folder_, "initiator", initiator_config(folder_, peer)));
    reach_.socket = (folder_ / "initiator.sock").string();
}

void OwnFabric::clean_up() noexcept {
    while (!daemons_.empty()) daemons_.pop_back();  // the initiator first
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

OwnFabric::~OwnFabric() {
    const std::lock_guard lock(mutex_);
    clean_up();
}

}  // namespace example
