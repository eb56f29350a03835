// SPDX-License-Identifier: Apache-2.0
// Receives: nodes of a parsed TOML file. Hands on: checked values. Owns: the first error.
// Private to the configuration: config.cpp and config_keys.cpp.
#pragma once

#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#define TOML_HEADER_ONLY 1
// Version 3.3 asserts where a file is merely wrong ("[;"); without the assertion it reports the error.
#define TOML_ASSERT(expr) static_assert(true)
#include <toml++/toml.h>

#include "daemon/config.hpp"

namespace farlane::daemon {

/// Thrown inside the parser only; parse_config turns it into a Failure.
struct ConfigError {
    std::string text;
};

/// Throws when the parser must not see this text, with its place.
void check_text(std::string_view text, const std::string& name);

class Reader {
public:
    explicit Reader(std::string file) : file_(std::move(file)) {}

    [[nodiscard]] std::string place(const toml::node& n) const;
    [[nodiscard]] std::string place(const toml::source_region& r) const;
    [[noreturn]] void fail(const toml::node& n, const std::string& what) const;
    [[noreturn]] void fail(const toml::source_region& r, const std::string& what) const;

    [[nodiscard]] std::string text(const toml::node& n, const std::string& key) const;
    [[nodiscard]] bool boolean(const toml::node& n, const std::string& key) const;
    [[nodiscard]] std::int64_t integer(const toml::node& n, const std::string& key, std::int64_t min, std::int64_t max,
                                       const char* unit) const;
    [[nodiscard]] std::string choice(const toml::node& n, const std::string& key,
                                     const std::vector<std::string>& valid) const;

private:
    std::string file_;
};

/// Puts the value of one key into `config`; array sections fill their last element.
using Apply = void (*)(Config& config, const Reader& reader, const std::string& key, const toml::node& value);
struct KeyEntry {
    KeyRow row;
    Apply apply;
};
[[nodiscard]] const std::vector<KeyEntry>& key_entries();

}  // namespace farlane::daemon
