// SPDX-License-Identifier: Apache-2.0
// Receives: two results. Hands on: what became worse, as text. Owns: nothing.
#pragma once

#include <cstdio>

#include <nlohmann/json.hpp>

namespace farlane::bench {

/// Prints one line for each row of both and returns how many are regressions: worse by more than `tolerance` (0.1 =
/// 10 %) and outside of what the old run's own repeats spread. Rows with a limit are compared by their ratio, since
/// the machine moves both; others by their figure. A row that had a figure and has none is a regression.
[[nodiscard]] int compare(const nlohmann::json& before, const nlohmann::json& now, double tolerance, std::FILE* out);

}  // namespace farlane::bench
