// SPDX-License-Identifier: Apache-2.0
// Receives: a process that is about to run foreign code. Hands on: one that can not turn on others. Owns: nothing.
#pragma once

namespace farlane::backend::worker {

/// No signals to other processes, no sockets (or only local ones, which connect to nothing), no tracing, no new corners
/// of the kernel. False: the filter was refused.
[[nodiscard]] bool confine_system_calls(bool local_sockets) noexcept;

}  // namespace farlane::backend::worker
