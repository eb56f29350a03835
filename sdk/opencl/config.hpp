// SPDX-License-Identifier: Apache-2.0
// Receives: the configuration file of the ICD. Hands on: where accelerators are looked for.
// Owns: nothing. docs/opencl.md, "Configuration".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <farlane/fabric.hpp>

namespace farlane::opencl {

/// One place where accelerators are.
struct FabricSource {
    FabricOptions options;
    std::vector<std::string> accelerators;  ///< names; empty = all
};

struct Config {
    std::string file;  ///< "" = nobody configured anything
    std::vector<FabricSource> fabrics;
    std::string log;      ///< "" = none, "stderr", or a path
    std::string trouble;  ///< why the file can not be used, and what to do; "" = it can
};

/// The file that $FARLANE_OPENCL_CONFIG names, else $XDG_CONFIG_HOME/farlane/opencl.toml (or ~/.config/...), else
/// /etc/farlane/opencl.toml, else the local farlaned and all its accelerators.
[[nodiscard]] Config load_config();
/// Errors: invalid (the text says where).
[[nodiscard]] Config parse_config(const std::string& text, const std::string& path);

/// Where errors go from now on.
void set_log(const std::string& where);
/// To stderr, once, whatever the log is, since somebody configured what does not work: the first, and how many more.
/// Each of them is in the log. Never to stdout, which is the program's.
void tell_user(const std::string& file, const std::vector<std::string>& troubles) noexcept;
void log_line(const std::string& text) noexcept;

}  // namespace farlane::opencl
