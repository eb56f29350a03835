// SPDX-License-Identifier: Apache-2.0
// Receives: a command. Hands on: a process whose lines are read and which is told to go on.
// Owns: the process; it is ended with the object.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

namespace example {

class Process {
public:
    /// Starts it. Throws farlane::Error io.
    explicit Process(const std::vector<std::string>& command);
    Process(Process&& other) noexcept;
    Process& operator=(Process&&) = delete;
    ~Process();

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// File descriptor of what it says; -1 once it has ended.
    [[nodiscard]] int output() const noexcept { return output_; }
    /// The lines that are there, without their ends. Call it when output() is readable; closes that when there are no
    /// more.
    [[nodiscard]] std::vector<std::string> lines();
    /// A line to its standard input. False when it has ended.
    bool say(const std::string& line);
    void kill();
    /// Waits for its end: exit code, or 128 + number of the signal.
    int wait();

private:
    pid_t pid_ = -1;
    int input_ = -1, output_ = -1;
    std::string rest_;  ///< of a line
};

}  // namespace example
