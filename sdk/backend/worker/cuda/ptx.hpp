// SPDX-License-Identifier: Apache-2.0
// Receives: PTX text. Hands on: its kernels and their parameters. Owns: nothing. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace farlane::backend::worker::cuda {

struct PtxParameter {
    std::uint32_t bytes = 0;  ///< 0 = not understood
    bool is_pointer = false;  ///< it says so (.ptr)
};
/// By name of the kernel. PTX ISA 8.0, 5.4 and 11.1: `.entry name ( .param ..., .param ... )`.
[[nodiscard]] std::map<std::string, std::vector<PtxParameter>> ptx_kernels(std::string_view text);

}  // namespace farlane::backend::worker::cuda
