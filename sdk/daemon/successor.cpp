// SPDX-License-Identifier: Apache-2.0
// Receives: the command line of this daemon. Hands on: the program that is there by now, in its place. Owns: nothing.
#include "daemon/successor.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <linux/close_range.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/daemon_wire.hpp"

namespace farlane::daemon {
namespace {

constexpr std::chrono::seconds kCheckTime{10};
constexpr std::chrono::milliseconds kChildLook{5};
constexpr int kListener = 3;  // SD_LISTEN_FDS_START
constexpr std::size_t kMaxSaid = 2000;

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> all;
    for (const std::string& t : texts) all.push_back(const_cast<char*>(t.c_str()));
    all.push_back(nullptr);
    return all;
}

/// Exit code, or -1 when it had to be ended.
int wait_for(pid_t child) {
    const auto until = std::chrono::steady_clock::now() + kCheckTime;
    int status = 0;
    while (::waitpid(child, &status, WNOHANG) == 0) {
        if (std::chrono::steady_clock::now() > until) {
            (void)::kill(child, SIGKILL);
            (void)::waitpid(child, &status, 0);
            return -1;
        }
        std::this_thread::sleep_for(kChildLook);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string read_all(int fd) {
    std::array<char, kMaxSaid> text;
    const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
    std::string said(text.data(), static_cast<std::size_t>(got > 0 ? got : 0));
    while (!said.empty() && said.back() == '\n') said.pop_back();
    return said;
}

}  // namespace

Successor::Successor(int argc, char** argv) : arguments_(argv, argv + argc) {
    std::array<char, PATH_MAX> path;
    const ssize_t got = ::readlink("/proc/self/exe", path.data(), path.size());
    program_ = got > 0 ? std::string(path.data(), static_cast<std::size_t>(got)) : arguments_.at(0);
}

Result<bool> Successor::check(const std::string& config_file) const {
    const control::UniqueFd said(::memfd_create("farlaned-check", MFD_CLOEXEC));
    if (!said.valid()) return {Status::limit, std::string("memfd: ") + std::strerror(errno)};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (const int to : {STDOUT_FILENO, STDERR_FILENO}) posix_spawn_file_actions_adddup2(&actions, said.get(), to);
    const std::vector<std::string> command = {program_, "--check", config_file};
    pid_t child = -1;
    const int error = ::posix_spawn(&child, program_.c_str(), &actions, nullptr, pointers(command).data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) return {Status::not_found, program_ + ": " + std::strerror(error)};
    const int code = wait_for(child);
    if (code == 0) return true;
    return {Status::invalid, program_ + " --check " + config_file +
                                 (code < 0 ? " crashed or took too long" : " ended with " + std::to_string(code)) +
                                 ": " + read_all(said.get())};
}

Failure Successor::take_over(int listener) const {
    // Whatever a library has opened: the next life opens what it needs.
    (void)::close_range(kListener, ~0U, CLOSE_RANGE_CLOEXEC);
    const bool there = listener == kListener ? ::fcntl(kListener, F_SETFD, 0) == 0 : ::dup2(listener, kListener) >= 0;
    if (there) {
        (void)::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
        (void)::setenv("LISTEN_FDS", "1", 1);
    }
    ::execv(program_.c_str(), pointers(arguments_).data());
    return {Status::io, program_ + ": " + std::strerror(errno)};
}

control::UniqueFd inherited_listener(const std::string& path) {
    const char* pid = std::getenv("LISTEN_PID");
    const char* count = std::getenv("LISTEN_FDS");
    const bool ours = pid != nullptr && count != nullptr && std::atol(pid) == ::getpid() && std::atol(count) == 1;
    (void)::unsetenv("LISTEN_PID");
    (void)::unsetenv("LISTEN_FDS");
    if (!ours) return {};
    control::UniqueFd fd(kListener);
    int listens = 0;
    socklen_t size = sizeof listens;
    sockaddr_un at{};
    socklen_t at_size = sizeof at;
    const bool good = ::getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens == 1 &&
                      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &at_size) == 0 &&
                      at.sun_family == AF_UNIX && at_size > offsetof(sockaddr_un, sun_path) && at.sun_path[0] == '/';
    if (!good) return {};
    const std::string bound(at.sun_path, ::strnlen(at.sun_path, sizeof at.sun_path));
    struct stat there {};
    const bool same = bound == path && ::stat(path.c_str(), &there) == 0 && S_ISSOCK(there.st_mode);
    if (!same) {
        if (bound != path) (void)::unlink(bound.c_str());  // the configuration has another one by now
        return {};
    }
    (void)::fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
    (void)::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
    return fd;
}

}  // namespace farlane::daemon
