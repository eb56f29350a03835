// SPDX-License-Identifier: Apache-2.0
// Receives: a device. Hands on: what of a worker's life works there, line by line. Owns: the processes that try.
#pragma once

#include <cstdint>

namespace farlane::backend::worker {

/// Does what a context on a CUDA device does, once in a free process, once in one confined as workers are, where every
/// refusal is told. Exit code of the program: 0, 1 something failed, 77 there is no such device.
[[nodiscard]] int check_cuda(std::uint32_t device);

}  // namespace farlane::backend::worker
