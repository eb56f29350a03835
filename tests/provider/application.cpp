// SPDX-License-Identifier: Apache-2.0
// Receives: roles. Hands on: what they say, line by line. Owns: the process, and its two pipes.
#include "provider/application.hpp"

#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "provider/copier.hpp"
#include "provider/stage.hpp"

namespace farlane::test {
namespace {

constexpr const char* kFlag = "--application";
constexpr std::array kRoles{"hold", "vanish", "attempt", "stranger"};

void say(const std::string& text) {
    const std::string line = text + "\n";
    (void)!::write(STDOUT_FILENO, line.data(), line.size());
}

int attempt(const FabricOptions& options) {
    try {
        Fabric fabric = Fabric::open(options);
        Device device = fabric.attach(kAccelerator);
        say("ok");
    } catch (const Error& e) {
        say(std::string(status_name(e.status())) + " " + e.what());
    }
    return 0;
}

int stranger(const FabricOptions& options) {
    constexpr uid_t kNobody = 65534;
    if (::setgroups(0, nullptr) != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) return 3;
    return attempt(options);
}

// Uses all there is: memory behind a BAR, a queue that does DMA, interrupts, mappings.
int hold(const FabricOptions& options, bool vanish) {
    Fabric fabric = Fabric::open(options);
    Device device = fabric.attach(kAccelerator);
    device.enable();
    Copier copier(device);
    device.write64(2, kTraceOffset, kTrace);
    DmaBuffer buffer = device.domain().allocate(1 << 20);
    const Mapping mapping = device.domain().map(buffer, DmaDirection::bidirectional);
    if (!copier.to_device(mapping.iova(), 0, buffer.size()).ok()) return 4;
    say("ready");
    char end = 0;
    (void)!::read(STDIN_FILENO, &end, 1);
    if (vanish) ::_exit(0);
    return 0;
}

}  // namespace

Application::Application(Role role, const FabricOptions& options) {
    std::array<int, 2> in{}, out{};
    if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    const std::vector<std::string> words{
        "/proc/self/exe", kFlag,       kRoles[static_cast<unsigned>(role)], kind_name(options.provider), options.socket,
        options.port,     options.peer};
    std::vector<char*> argv;
    for (const std::string& w : words) argv.push_back(const_cast<char*>(w.c_str()));
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork");
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::dup2(in[0], STDIN_FILENO);
        ::dup2(out[1], STDOUT_FILENO);
        ::execv(argv[0], argv.data());
        ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    to_ = in[1];
    from_ = out[0];
}

Application::~Application() {
    kill();
    ::close(to_);
    ::close(from_);
}

std::string Application::line() {
    std::string text;
    for (;;) {
        pollfd p{from_, POLLIN, 0};
        const int left = static_cast<int>(std::chrono::milliseconds(kPatience).count());
        if (::poll(&p, 1, left) != 1) throw std::runtime_error("the other application says nothing");
        char c = 0;
        if (::read(from_, &c, 1) != 1)
            throw std::runtime_error("the other application ended with " + std::to_string(wait()) + ": " + text);
        if (c == '\n') return text;
        text += c;
    }
}

int Application::wait() {
    int status = 0;
    if (pid_ <= 0 || ::waitpid(pid_, &status, 0) != pid_) return -1;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int Application::end() {
    (void)!::write(to_, "\n", 1);
    return wait();
}

void Application::kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    (void)wait();
}

int Application::main(const std::vector<std::string>& a) {
    if (a.size() != 6 || a[0] != kFlag) return -1;
    FabricOptions options;
    options.provider = kind_of(a[2]);
    options.socket = a[3];
    options.port = a[4];
    options.peer = a[5];
    try {
        if (a[1] == "hold") return hold(options, false);
        if (a[1] == "vanish") return hold(options, true);
        return a[1] == "stranger" ? stranger(options) : attempt(options);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s: %s\n", a[1].c_str(), e.what());
        return 5;
    }
}

}  // namespace farlane::test
