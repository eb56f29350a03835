// SPDX-License-Identifier: Apache-2.0
// Receives: a role. Hands on: a second application, in a process of its own, with the same provider.
// Owns: that process.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

#include <farlane/fabric.hpp>

namespace farlane::test {

enum class Role {
    hold,      ///< attaches, leaves traces in the device, says "ready" and holds it until it is told to end
    vanish,    ///< the same, and ends without a word to anybody
    attempt,   ///< attaches and says what came of it
    stranger,  ///< the same, as a user who may not
};

/// This program once more, with another job; killed with the object.
class Application {
public:
    Application(Role role, const FabricOptions& options);
    ~Application();
    Application(const Application&) = delete;
    Application& operator=(const Application&) = delete;

    /// Its next line. Throws when it ended without one.
    [[nodiscard]] std::string line();
    /// It may end; its exit code, or 128 + the signal.
    int end();
    /// kill -9, and gone.
    void kill();
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }

    /// The other side: main() of such a process. Not a role: -1.
    static int main(const std::vector<std::string>& arguments);

private:
    int wait();
    pid_t pid_ = -1;
    int to_ = -1, from_ = -1;
};

/// Where `hold` and `vanish` leave something in the accelerator's memory.
constexpr std::uint64_t kTraceOffset = 0x200000;
constexpr std::uint64_t kTrace = 0x1122334455667788;

}  // namespace farlane::test
