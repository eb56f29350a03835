// SPDX-License-Identifier: Apache-2.0
// Receives: a command line. Hands on: values of options (arguments.hpp). Owns: nothing.
#include "common/arguments.hpp"

#include <algorithm>
#include <charconv>

#include <farlane/status.hpp>

namespace example {
namespace {

using farlane::Error;
using farlane::Status;

const Option* find(const About& about, std::string_view name) {
    const auto at =
        std::find_if(about.options.begin(), about.options.end(), [&](const Option& o) { return o.name == name; });
    return at == about.options.end() ? nullptr : &*at;
}

}  // namespace

Arguments::Arguments(const About& about, int argc, const char* const* argv) : about_(about) {
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        const Option* option = find(about, name);
        if (option == nullptr) throw Error(Status::invalid, "no option '" + name + "'; --help lists them");
        if (!option->value.empty() && i + 1 == argc)
            throw Error(Status::invalid, name + " needs a value: " + name + " " + option->value);
        given_[name] = option->value.empty() ? "" : argv[++i];
    }
}

std::string Arguments::text(std::string_view name) const {
    const auto at = given_.find(name);
    if (at != given_.end()) return at->second;
    const Option* option = find(about_, name);
    return option == nullptr ? "" : option->standard;
}

std::uint32_t Arguments::number(std::string_view name, std::uint32_t low, std::uint32_t high) const {
    const std::string value = text(name);
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size() || number < low || number > high) {
        throw Error(Status::invalid, std::string(name) + " '" + value + "': a number from " + std::to_string(low) +
                                         " to " + std::to_string(high));
    }
    return number;
}

std::string Arguments::choice(std::string_view name, std::string_view choices) const {
    const std::string value = text(name);
    for (std::string_view rest = choices; !rest.empty();) {
        const auto bar = std::min(rest.find('|'), rest.size());
        if (rest.substr(0, bar) == value) return value;
        rest.remove_prefix(std::min(bar + 1, rest.size()));
    }
    throw Error(Status::invalid, std::string(name) + " '" + value + "': one of " + std::string(choices));
}

std::string help(const About& about) {
    std::string text = "usage: " + about.name + " [OPTION...]\n" + about.summary + "\n\n";
    std::size_t width = 0;
    for (const Option& o : about.options) width = std::max(width, o.name.size() + 1 + o.value.size());
    for (const Option& o : about.options) {
        std::string left = o.name + " " + o.value;
        left.resize(width, ' ');
        text += "  " + left + "  " + o.text + (o.standard.empty() ? "" : " (" + o.standard + ")") + "\n";
    }
    return text;
}

}  // namespace example
