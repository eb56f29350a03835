// SPDX-License-Identifier: Apache-2.0
// Receives: a program's definition and argv. Hands on: verb, options and arguments as text.
// Owns: nothing.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/program.hpp"

namespace farlane::cli {

/// What the user asked for. Values are checked for presence and choice, not for meaning.
class Arguments {
public:
    [[nodiscard]] const std::string& verb() const noexcept { return verb_; }
    [[nodiscard]] bool has(std::string_view name) const { return values_.contains(name); }
    /// Value given, or the definition's standard value, or "".
    [[nodiscard]] std::string get(std::string_view name) const;
    /// Value as a number in [low, high]; throws Error(invalid) with a sentence that names the
    /// option and the range.
    [[nodiscard]] double number(std::string_view name, double low, double high) const;

private:
    friend struct Parser;
    std::string verb_;
    std::map<std::string, std::string, std::less<>> values_;
};

/// Outcome of parsing: arguments to work on, or a text to print and an exit code.
struct Parsed {
    std::optional<Arguments> arguments;
    std::string text;   ///< --help or --version: for stdout; otherwise for stderr
    int exit_code = 0;  ///< 0 with --help and --version, 2 on a usage error
    bool json = false;  ///< usage error: -o json stood on the command line
};

[[nodiscard]] Parsed parse(const Program& program, int argc, const char* const* argv);

}  // namespace farlane::cli
