// SPDX-License-Identifier: Apache-2.0
// Receives: the path of the worker program. Hands on: processes of it. Owns: a process and the folder it may write to.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <farlane/status.hpp>

#include "backend/worker/handle.hpp"

namespace farlane::backend::worker {

/// Where the program is: `wanted` when not empty; else beside the running program or where it is installed with it.
/// Errors: not_found, which lists where it was looked for.
[[nodiscard]] Result<std::string> find_program(const std::string& wanted);

/// A folder of its own for one process: vendors' runtimes keep compiled kernels in files.
class Folder {
public:
    Folder() = default;
    [[nodiscard]] static Result<Folder> make();
    /// Removes those that a killed process of this user left behind. A younger one than `age` may not be locked yet,
    /// if its owner lives; `self`: nor does this process have any from before.
    static void sweep(std::chrono::seconds age = std::chrono::seconds(60), bool self = false) noexcept;
    Folder(Folder&& other) noexcept : path_(std::exchange(other.path_, {})), lock_(std::move(other.lock_)) {}
    Folder& operator=(Folder&& other) noexcept {
        if (this != &other) {
            remove();
            path_ = std::exchange(other.path_, {});
            lock_ = std::move(other.lock_);
        }
        return *this;
    }
    ~Folder() { remove(); }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
    void remove() noexcept;
    std::string path_;
    Handle lock_;  ///< of the folder: somebody lives who will remove it
};

/// A descriptor and the number the program finds it under.
struct Passed {
    int fd = -1;
    int as = -1;
};

/// A child. Killed and reaped by whoever owns it, at the latest here.
class Process {
public:
    Process() = default;
    /// Runs `command` (its first word is the path) in a session of its own, with nothing open but `passed`; standard
    /// input and output are the null device unless passed. Errors: not_found, no_memory.
    [[nodiscard]] static Result<Process> spawn(const std::vector<std::string>& command, std::span<const Passed> passed,
                                               const std::string& folder);
    Process(Process&&) noexcept = default;
    Process& operator=(Process&& other) noexcept;
    ~Process() { end(); }

    [[nodiscard]] bool running() const noexcept { return pidfd_.valid(); }
    /// Readable once it has ended.
    [[nodiscard]] int pidfd() const noexcept { return pidfd_.get(); }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// It and what it started in its session.
    void kill() noexcept;
    /// After its end (waits for it): exit code, or -signal.
    int reap() noexcept;

private:
    void end() noexcept {
        if (!running()) return;
        kill();
        (void)reap();
    }
    pid_t pid_ = -1;
    Handle pidfd_;
};

}  // namespace farlane::backend::worker
