// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the kernels of kernels.cu as PTX. Owns: nothing.
#pragma once

#include <string>

namespace farlane::bench {

[[nodiscard]] const std::string& kernels_ptx();

}  // namespace farlane::bench
