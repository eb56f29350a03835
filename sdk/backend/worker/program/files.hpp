// SPDX-License-Identifier: Apache-2.0
// Receives: a process that is about to run foreign code. Hands on: one that reaches few files. Owns: nothing.
#pragma once

namespace farlane::backend::worker {

/// By Landlock, where the kernel has it: libraries and vendors' settings to read, devices to use, the folder HOME to
/// write. Processes outside are out of its reach then, too (ptrace).
/// `cuda`: what its driver has to write besides.
void confine_files(bool cuda) noexcept;

}  // namespace farlane::backend::worker
