// SPDX-License-Identifier: Apache-2.0
// Receives: port strings. Hands on: processes that hold such a port and obey commands.
// Owns: the child processes. Also the main() of the tests that need them.
#include "peer_process.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "port_test_util.hpp"
#include "veth.hpp"

extern char** environ;

namespace farlane::transport::test {
namespace {

// Sends every frame back. True = did something.
bool echo(Port& port) {
    std::array<RxFrame, 32> in;
    const std::size_t n = port.rx_burst(in);
    for (const RxFrame& frame : std::span(in).first(n)) {
        std::array<TxFrame, 1> out;
        if (port.tx_alloc(out) == 0) break;  // the protocol above would send again
        const std::uint32_t size = frame.size_bytes < out[0].capacity_bytes ? frame.size_bytes : out[0].capacity_bytes;
        std::memcpy(out[0].data, frame.data, size);
        out[0].size_bytes = size;
        out[0].to = frame.from;
        port.tx_send(out);
    }
    port.rx_release(std::span(in).first(n));
    port.flush();
    return n != 0;
}

bool ended(int commands) {
    pollfd p{commands, POLLIN, 0};
    return ::poll(&p, 1, 0) == 1;
}

}  // namespace

PeerProcess::PeerProcess(const std::string& url) {
    int command_pair[2], reply_pair[2];
    if (::pipe(command_pair) != 0 || ::pipe(reply_pair) != 0) throw std::runtime_error("pipe");
    const std::string command_fd = std::to_string(command_pair[0]), reply_fd = std::to_string(reply_pair[1]);
    const char* const argv[] = {"port-peer", "--port-peer", url.c_str(), command_fd.c_str(), reply_fd.c_str(), nullptr};
    pid_ = ::fork();
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::close(command_pair[1]);
        ::close(reply_pair[0]);
        ::execve("/proc/self/exe", const_cast<char* const*>(argv), environ);
        ::_exit(127);
    }
    ::close(command_pair[0]);
    ::close(reply_pair[1]);
    commands_ = command_pair[1];
    ::fcntl(commands_, F_SETFD, FD_CLOEXEC);
    std::string reply;
    char c = 0;
    while (::read(reply_pair[0], &c, 1) == 1) reply += c;
    ::close(reply_pair[0]);
    if (reply == "open") return;
    kill();
    throw std::runtime_error("the peer did not open " + url + ": " + reply);
}

void PeerProcess::kill() {
    if (commands_ >= 0) ::close(commands_);
    commands_ = -1;
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
}

bool PeerProcess::stop() {
    if (pid_ <= 0) return false;
    ::close(commands_);
    commands_ = -1;
    int status = -1;
    const bool gone = eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; });
    if (gone) pid_ = -1;
    return gone && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int run_again(const std::vector<std::string>& arguments, std::string& output) {
    int out[2];
    if (::pipe(out) != 0) throw std::runtime_error("pipe");
    const pid_t child = ::fork();
    if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::dup2(out[1], STDOUT_FILENO);
        ::dup2(out[1], STDERR_FILENO);
        ::close(out[0]);
        ::close(out[1]);
        std::vector<char*> argv = {const_cast<char*>("transport-test")};
        for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
        argv.push_back(nullptr);
        ::execve("/proc/self/exe", argv.data(), environ);
        ::_exit(127);
    }
    ::close(out[1]);
    char text[512];
    for (ssize_t n = 0; (n = ::read(out[0], text, sizeof text)) > 0;) output.append(text, static_cast<std::size_t>(n));
    ::close(out[0]);
    int status = -1;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int run_peer(const std::vector<std::string>& arguments) {
    const int commands = std::stoi(arguments.at(2)), reply = std::stoi(arguments.at(3));
    auto port = open_port(arguments.at(1));
    const std::string answer = port ? "open" : port.failure().detail;
    (void)!::write(reply, answer.data(), answer.size());
    ::close(reply);
    if (!port) return 1;
    while (!ended(commands))
        if (!echo(**port)) ::usleep(100);
    return 0;
}

}  // namespace farlane::transport::test

int main(int argc, char** argv) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    if (!arguments.empty() && arguments[0] == "--port-peer") return farlane::transport::test::run_peer(arguments);
    if (!arguments.empty() && arguments[0] == "--veth") {
        const int rc = farlane::transport::test::run_veth(arguments.at(1));
        std::fflush(nullptr);
        ::_exit(rc);  // libxdp leaks two records, which is not for the leak checker to judge here
    }
    ::testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
