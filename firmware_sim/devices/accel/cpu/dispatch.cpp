// SPDX-License-Identifier: Apache-2.0
// Receives: the name of an instruction set. Hands on: its table, or why not. Owns: nothing.
// For processors without tables of their own.
#include <string>

#include "devices/accel/cpu/kernels.hpp"

namespace farlane::firmware::accel {

Result<const KernelTable*> select_kernels(std::string_view isa) {
    if (isa == "auto" || isa == "portable") return &portable_kernels();
    return {Status::invalid, "isa = \"" + std::string(isa) + "\": valid here are auto, portable"};
}

}  // namespace farlane::firmware::accel
