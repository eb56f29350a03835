// SPDX-License-Identifier: Apache-2.0
// Receives: a command. Hands on: what it printed. Owns: the child while it runs.
#include "run.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <stdexcept>

namespace farlane::bench {
namespace {

[[noreturn]] void become(const std::vector<std::string>& argv, int out, int err) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    std::vector<char*> raw;
    for (const auto& a : argv) raw.push_back(const_cast<char*>(a.c_str()));
    raw.push_back(nullptr);
    execvp(raw[0], raw.data());
    _exit(127);
}

/// Appends what is there; false at the end.
bool take(int fd, std::string& text) {
    char buffer[4096];
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n > 0) text.append(buffer, static_cast<std::size_t>(n));
    return n > 0;
}

}  // namespace

std::string output_of(const std::vector<std::string>& argv, unsigned seconds) {
    int out[2], err[2];
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    const pid_t child = fork();
    if (child == 0) become(argv, out[1], err[1]);
    close(out[1]);
    close(err[1]);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    std::string text, complaints;
    pollfd fds[2] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
    bool late = false;
    while (!late && (fds[0].fd >= 0 || fds[1].fd >= 0)) {
        if (poll(fds, 2, 100) > 0) {
            if (fds[0].revents != 0 && !take(out[0], text)) fds[0].fd = -1;
            if (fds[1].revents != 0 && !take(err[0], complaints)) fds[1].fd = -1;
        }
        late = std::chrono::steady_clock::now() > end;
    }
    if (late) kill(child, SIGKILL);
    close(out[0]);
    close(err[0]);
    int status = 0;
    waitpid(child, &status, 0);
    const auto tail = complaints.substr(complaints.size() > 600 ? complaints.size() - 600 : 0);
    if (late) throw std::runtime_error(argv[0] + " took more than " + std::to_string(seconds) + " s: " + tail);
    if (status != 0) throw std::runtime_error(argv[0] + " failed: " + tail);
    return text;
}

bool in_path(const std::string& program) {
    const char* path = std::getenv("PATH");
    std::stringstream all(path != nullptr ? path : "/usr/bin:/bin");
    for (std::string folder; std::getline(all, folder, ':');)
        if (access((folder + "/" + program).c_str(), X_OK) == 0) return true;
    return false;
}

Background::Background(const std::vector<std::string>& argv) : pid_(fork()) {
    if (pid_ < 0) throw std::runtime_error("fork");
    if (pid_ != 0) return;
    const int null = open("/dev/null", O_RDWR);
    become(argv, null, null);
}

void Background::stop() noexcept {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
}

std::string bench_folder() {
    return std::filesystem::canonical("/proc/self/exe").parent_path();
}

std::string bin_folder() {
    return std::filesystem::canonical("/proc/self/exe").parent_path().parent_path() / "bin";
}

}  // namespace farlane::bench
