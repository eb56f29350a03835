// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the built-in kernels as PTX (builtin.ptx), for machines without NVRTC. Owns: nothing.
#pragma once

#include <string>

namespace farlane::backend::worker::cuda {

[[nodiscard]] std::string builtin_ptx();

}  // namespace farlane::backend::worker::cuda
