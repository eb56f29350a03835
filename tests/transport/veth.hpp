// SPDX-License-Identifier: Apache-2.0
// Receives: a kind of port on kernel interfaces. Hands on: the verdict of a process of its own.
// Owns: nothing.
#pragma once

#include <string>

namespace farlane::transport::test {

constexpr int kVethSkipped = 77;

/// The child's main for "--veth KIND": a network namespace with a veth pair, a port on each end,
/// frames both ways. Returns 0, kVethSkipped with the reason printed, or 1 with it.
[[nodiscard]] int run_veth(const std::string& kind);

}  // namespace farlane::transport::test
