// SPDX-License-Identifier: Apache-2.0
// Receives: a command. Hands on: what it printed. Owns: the child while it runs.
#pragma once

#include <string>
#include <vector>

namespace farlane::bench {

/// Output of a program, run to its end; looked for in PATH when its name has no slash. Ended after `seconds`.
/// Throws std::runtime_error with its last words.
[[nodiscard]] std::string output_of(const std::vector<std::string>& argv, unsigned seconds = 120);

/// Whether PATH has it.
[[nodiscard]] bool in_path(const std::string& program);

/// A child that runs until stop() or the destructor; its output is thrown away. Dies with this process.
class Background {
public:
    explicit Background(const std::vector<std::string>& argv);
    ~Background() { stop(); }
    Background(const Background&) = delete;
    Background& operator=(const Background&) = delete;
    void stop() noexcept;

private:
    int pid_;
};

/// Where the programs of this build are: bench/ beside bin/.
[[nodiscard]] std::string bench_folder();
[[nodiscard]] std::string bin_folder();

}  // namespace farlane::bench
