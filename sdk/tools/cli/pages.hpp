// SPDX-License-Identifier: Apache-2.0
// Receives: a program's definition. Hands on: its man pages (roff) and its bash completion.
// Owns: nothing. Used at build time only.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cli/program.hpp"

namespace farlane::cli {

/// A file to install: "farlane-list.1" and its text.
using Page = std::pair<std::string, std::string>;

/// The program's page and one for each of its verbs.
[[nodiscard]] std::vector<Page> man_pages(const Program& program);
/// A bash completion script for all `programs`; needs nothing but bash 4.
[[nodiscard]] std::string bash_completion(std::span<const Program* const> programs);

}  // namespace farlane::cli
