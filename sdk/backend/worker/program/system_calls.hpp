// SPDX-License-Identifier: Apache-2.0
// Receives: a process that is about to run foreign code. Hands on: one that can not turn on others. Owns: nothing.
#pragma once

namespace farlane::backend::worker {

/// No signals to other processes, no sockets (or only local ones, which connect to nothing), no tracing, no new corners
/// of the kernel. False: the filter was refused.
/// With a listener (seccomp_unotify(2)) refused calls, and all that open files, wait for its answer.
[[nodiscard]] bool confine_system_calls(bool local_sockets, int* listener = nullptr) noexcept;
/// The error that a refused call gives.
[[nodiscard]] int refusal_of(int call) noexcept;

}  // namespace farlane::backend::worker
