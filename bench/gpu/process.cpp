// SPDX-License-Identifier: Apache-2.0
// Receives: work that must not leave anything in this process. Hands on: its numbers. Owns: process.hpp.
#include "gpu/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace farlane::bench::gpu {
namespace {

/// A process, and what it writes to the end that `work` is given.
pid_t start(const std::function<void(int)>& work, int& from) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        work(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    from = ends[0];
    if (child < 0) throw std::runtime_error("fork");
    return child;
}

void write_all(int to, const std::string& text) {
    if (write(to, text.data(), text.size()) != static_cast<ssize_t>(text.size())) _exit(1);
}

void end(pid_t child) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
}

}  // namespace

std::vector<double> in_child(const std::function<std::vector<double>()>& measure) {
    int from = -1;
    const pid_t child = start(
        [&](int to) {
            std::string answer;
            try {
                const auto numbers = measure();
                answer.assign(1, 'y').append(reinterpret_cast<const char*>(numbers.data()),
                                             numbers.size() * sizeof(double));
            } catch (const std::exception& e) {
                answer = std::string("n") + e.what();
            }
            write_all(to, answer);
        },
        from);
    std::string answer;
    char part[4096];
    for (ssize_t n = 0; (n = read(from, part, sizeof part)) > 0;) answer.append(part, static_cast<std::size_t>(n));
    close(from);
    waitpid(child, nullptr, 0);
    if (answer.empty() || answer[0] != 'y') {
        throw std::runtime_error(answer.empty() ? "the measurement died" : answer.substr(1));
    }
    std::vector<double> numbers((answer.size() - 1) / sizeof(double));
    std::memcpy(numbers.data(), answer.data() + 1, numbers.size() * sizeof(double));
    return numbers;
}

Holder::Holder(const std::function<void()>& work) {
    int from = -1;
    pid_ = start(
        [&](int to) {
            try {
                work();
                write_all(to, "y");
            } catch (const std::exception& e) {
                write_all(to, e.what());
                _exit(1);
            }
            for (;;) pause();
        },
        from);
    char text[256] = {};
    const ssize_t got = read(from, text, sizeof text - 1);
    close(from);
    if (got == 1 && text[0] == 'y') return;
    end(pid_);
    throw std::runtime_error(got > 0 ? text : "the process died");
}

Holder::~Holder() {
    end(pid_);
}

double Holder::resident_bytes() const {
    std::ifstream file("/proc/" + std::to_string(pid_) + "/statm");
    double all = 0, resident = 0;
    file >> all >> resident;
    return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

}  // namespace farlane::bench::gpu
