// SPDX-License-Identifier: Apache-2.0
// Receives: facts about a host. Hands on: checks with a verdict, a reason and what to do.
// Owns: nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace farlane::cli {

enum class Verdict : std::uint8_t { ok, warn, fail };

struct Check {
    std::string name;
    Verdict verdict = Verdict::ok;
    std::string detail;  ///< what was found
    std::string hint;    ///< what to do; "" when it is ok
};

[[nodiscard]] const char* verdict_name(Verdict v) noexcept;

/// Where the checks look; tests point it elsewhere.
struct HostPaths {
    std::string proc = "/proc";
    std::string dev = "/dev";
};

/// Checks that need no daemon: huge pages, locked memory, processors, socket buffers, kernel.
[[nodiscard]] std::vector<Check> check_host(const HostPaths& paths);

}  // namespace farlane::cli
