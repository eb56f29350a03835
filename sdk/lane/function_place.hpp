// SPDX-License-Identifier: Apache-2.0
// Receives: the memory of a daemon and the name of a function. Hands on: where its state lies. Owns: nothing.
#pragma once

#include <string>

#include "backend/backend.hpp"
#include "proto/memory.hpp"

namespace farlane::lane {

/// Region `what`, and a line for its counts. `fresh`: no earlier life left it.
[[nodiscard]] Result<proto::FunctionPlace> function_place(backend::Memory& memory, const std::string& what,
                                                          bool& fresh);

}  // namespace farlane::lane
