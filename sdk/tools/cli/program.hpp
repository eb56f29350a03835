// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the definition of a command-line program as data.
// Owns: nothing. From one definition come the parser with --help (parse.hpp), the man pages
// and the shell completion (pages.hpp), so that the three can not disagree.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace farlane::cli {

/// What completion offers where a value is expected.
enum class Completes : std::uint8_t {
    nothing,
    file,
    function,  ///< names of functions, asked from `farlane list`
    choice,    ///< one of `choices`
};

struct Option {
    std::string_view name = {};      ///< "--output"; a positional argument: "NAME"
    char letter = 0;                 ///< 'o' for -o, 0 = none
    std::string_view value = {};     ///< what stands for the value ("SECONDS"); empty = a flag
    std::string_view text = {};      ///< one sentence for people
    std::string_view standard = {};  ///< value when it is not given
    Completes completes = Completes::nothing;
    std::vector<std::string_view> choices = {};
    bool required = false;
};

struct Example {
    std::string_view command;
    std::string_view text;
};

/// A verb of a program, or the program itself when it has none.
struct Verb {
    std::string_view name;
    std::string_view summary;                        ///< one line
    std::vector<std::string_view> description = {};  ///< paragraphs
    std::vector<Option> arguments = {};              ///< positional, in order
    std::vector<Option> options = {};
    std::vector<Example> examples = {};
};

struct Paragraphs {
    std::string_view title;
    std::vector<std::string_view> text;
};

struct Program {
    Verb self;        ///< name, summary, description and global options
    int section = 1;  ///< of the manual
    std::vector<Verb> verbs = {};
    bool exit_codes = false;         ///< the status table's exit codes apply
    std::string_view help_end = {};  ///< end of --help of a program that has no manual page
    std::vector<Paragraphs> sections = {};
    std::vector<std::string_view> see_also = {};  ///< "farlaned(8)"
};

/// Exit code and what it means; one row for each code of the status table.
struct ExitCode {
    int code = 0;
    std::string_view name;
    std::string_view text;
};
[[nodiscard]] std::span<const ExitCode> exit_codes();

/// The programs of Farlane.
[[nodiscard]] const Program& farlane_program();
[[nodiscard]] const Program& farlaned_program();
[[nodiscard]] const Program& fldump_program();
[[nodiscard]] const Program& demo_program();

}  // namespace farlane::cli
