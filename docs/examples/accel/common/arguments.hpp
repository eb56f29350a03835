// SPDX-License-Identifier: Apache-2.0
// Receives: what options a program has, and its command line. Hands on: their values, checked; the text of --help.
// Owns: the values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace example {

struct Option {
    std::string name;      ///< "--picture"
    std::string value;     ///< "FILE"; "" = a switch
    std::string text;      ///< for --help
    std::string standard;  ///< value when it is not given; "" = none
};

struct About {
    std::string name;     ///< of the program
    std::string summary;  ///< what it does, in a sentence
    std::vector<Option> options;
};

class Arguments {
public:
    /// Throws farlane::Error invalid: an option that there is not, or one without its value.
    Arguments(const About& about, int argc, const char* const* argv);

    [[nodiscard]] bool has(std::string_view name) const { return given_.contains(name); }
    /// What was given, or the standard value.
    [[nodiscard]] std::string text(std::string_view name) const;
    /// Throws farlane::Error invalid, naming the option and the range.
    [[nodiscard]] std::uint32_t number(std::string_view name, std::uint32_t low, std::uint32_t high) const;
    /// Of the values in `choices` ("cpu|opencl"), which stand in its help. Throws farlane::Error invalid.
    [[nodiscard]] std::string choice(std::string_view name, std::string_view choices) const;

private:
    const About& about_;
    std::map<std::string, std::string, std::less<>> given_;
};

[[nodiscard]] std::string help(const About& about);

}  // namespace example
