// SPDX-License-Identifier: Apache-2.0
// Receives: a process that confines itself. Hands on: lines that name what it is refused. Owns: the thread that says
// so.
#pragma once

#include <sys/types.h>

namespace farlane::backend::worker {

/// confine() of sandbox.hpp with the same rules, and on stderr a line for every system call and every file that they
/// refuse to any thread from then on. For people who look why a runtime does not start; slower. False: as confine(), or
/// a kernel older than Linux 5.5.
[[nodiscard]] bool confine_and_tell(pid_t parent, bool cuda);

}  // namespace farlane::backend::worker
