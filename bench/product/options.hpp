// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the definition of farlane-bench's command line. Owns: nothing.
#pragma once

#include "cli/program.hpp"

namespace farlane::bench {

[[nodiscard]] const cli::Program& bench_program();

}  // namespace farlane::bench
