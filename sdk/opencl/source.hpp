// SPDX-License-Identifier: Apache-2.0
// Receives: source text and build options of applications. Hands on: one text that can be compiled elsewhere.
// Owns: nothing. OpenCL 3.0, 5.8.6 (compiler options).
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "opencl/api.hpp"

namespace farlane::opencl {

/// Build options, taken apart as far as they matter on this side.
struct BuildOptions {
    std::vector<std::string> include_dirs;
    std::vector<std::pair<std::string, std::string>> definitions;  ///< name and value
    std::vector<std::string> others;
    bool create_library = false;

    /// Text for the remote compiler: everything but the include directories, which are of this machine, and what
    /// preamble() has.
    [[nodiscard]] std::string remote() const;
    /// Definitions that not every compiler takes from a command line: with blanks, with quotes. Ahead of the source.
    [[nodiscard]] std::string preamble() const;
    /// All of it, as parse_options() takes it.
    [[nodiscard]] std::string text() const;
};
/// Errors: `otherwise`.
[[nodiscard]] BuildOptions parse_options(const char* options, cl_int otherwise);

/// Puts the text of `headers`, which win, and of files in the directories, in the place of the #include lines that name
/// them. A name that is not found stays for the remote compiler to complain of.
[[nodiscard]] std::string expand_includes(std::string_view source, const std::vector<std::string>& dirs,
                                          const std::map<std::string, std::string>& headers);

/// Whether SPIR-V calls printf; also when it can not be told.
[[nodiscard]] bool il_prints(std::string_view il) noexcept;

/// What CL_PROGRAM_BINARIES gives: the text itself, with what it was built with.
struct Binary {
    enum class Content : std::uint32_t { source = 1, il = 2 } content = Content::source;
    cl_program_binary_type type = CL_PROGRAM_BINARY_TYPE_NONE;
    std::string options, image;
};
[[nodiscard]] std::string pack(const Binary& binary);
[[nodiscard]] std::optional<Binary> unpack(std::span<const unsigned char> bytes);

/// One text of several that were compiled apart: each behind its own definitions.
struct Part {
    BuildOptions options;
    std::string source;
};
[[nodiscard]] Part link_parts(const std::vector<Part>& parts);

}  // namespace farlane::opencl
