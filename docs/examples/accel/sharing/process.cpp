// SPDX-License-Identifier: Apache-2.0
// Receives: a command. Hands on: a process (process.hpp). Owns: nothing further.
#include "sharing/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <farlane/status.hpp>

#include "common/interrupts.hpp"

namespace example {

Process::Process(const std::vector<std::string>& command) {
    std::array<int, 2> in{-1, -1}, out{-1, -1};  // ends for it: in[0], out[1]
    // A socket for its input: a write to a process that has ended then fails, and is no signal.
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in.data()) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0)
        throw farlane::Error(farlane::Status::io, std::string("pipes for a process: ") + std::strerror(errno));
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {  // only what is allowed between fork and exec
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(1);
        unblock_signals();
        ::dup2(in[0], STDIN_FILENO);
        ::dup2(out[1], STDOUT_FILENO);
        ::execv(arguments[0], arguments.data());
        ::_exit(127);
    }
    const int why = errno;
    ::close(in[0]);
    ::close(out[1]);
    input_ = in[1];
    output_ = out[0];
    if (pid_ < 0) throw farlane::Error(farlane::Status::io, std::string("no further process: ") + std::strerror(why));
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      input_(std::exchange(other.input_, -1)),
      output_(std::exchange(other.output_, -1)),
      rest_(std::move(other.rest_)) {}

Process::~Process() {
    if (pid_ > 0) {
        kill();
        (void)wait();
    }
    if (input_ >= 0) ::close(input_);
    if (output_ >= 0) ::close(output_);
}

std::vector<std::string> Process::lines() {
    std::array<char, 4096> part{};
    const ssize_t n = ::read(output_, part.data(), part.size());
    if (n < 0 && errno == EINTR) return {};
    if (n <= 0) {
        ::close(output_);
        output_ = -1;
        return {};
    }
    rest_.append(part.data(), static_cast<std::size_t>(n));
    std::vector<std::string> lines;
    for (std::size_t end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n')) {
        lines.push_back(rest_.substr(0, end));
        rest_.erase(0, end + 1);
    }
    return lines;
}

bool Process::say(const std::string& line) {
    const std::string text = line + "\n";
    return ::send(input_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

void Process::kill() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
}

int Process::wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace example
