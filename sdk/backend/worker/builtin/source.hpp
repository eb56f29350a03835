// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the built-in kernels as source text. Owns: nothing.
#pragma once

#include <string>

namespace farlane::backend::worker {

/// For compilers of OpenCL C and of CUDA C.
[[nodiscard]] std::string builtin_source_opencl();
[[nodiscard]] std::string builtin_source_cuda();

}  // namespace farlane::backend::worker
