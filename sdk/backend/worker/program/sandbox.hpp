// SPDX-License-Identifier: Apache-2.0
// Receives: a process that is about to run foreign code. Hands on: one that can do less harm. Owns: nothing.
#pragma once

#include <sys/types.h>

namespace farlane::backend::worker {

/// Ends with `parent`, opens nothing of other processes, leaves no core behind. `cuda`: its driver needs more than
/// others. False: the parent is gone.
[[nodiscard]] bool confine(pid_t parent, bool cuda) noexcept;
/// The same without the filter of system calls.
[[nodiscard]] bool confine_but_calls(pid_t parent, bool cuda) noexcept;

}  // namespace farlane::backend::worker
