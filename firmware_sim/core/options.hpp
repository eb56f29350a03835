// SPDX-License-Identifier: Apache-2.0
// Receives: the options of a device as text. Hands on: checked values; errors that list what is valid.
// Owns: which keys were asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.hpp"

namespace farlane::firmware {

/// Reads the options of one device. Ask for every key, then check(): the first error wins.
class Options {
public:
    explicit Options(const backend::DeviceConfig& config) : config_(config) {}

    /// Text of `key`, at most `max_length` printable ASCII characters; `hint` says what is valid.
    [[nodiscard]] std::optional<std::string> text(std::string_view key, std::size_t max_length, std::string_view hint);
    /// A size with an optional suffix K, M, G, T (powers of 1024), within [min, max].
    [[nodiscard]] std::optional<std::uint64_t> size(std::string_view key, std::uint64_t min, std::uint64_t max);
    /// A number, decimal or 0x, within [min, max].
    [[nodiscard]] std::optional<std::uint64_t> number(std::string_view key, std::uint64_t min, std::uint64_t max);
    /// One of `values`; the index of it.
    [[nodiscard]] std::optional<std::size_t> choice(std::string_view key, const std::vector<std::string_view>& values);

    void fail(std::string_view key, const std::string& why);
    /// The first error, or keys nobody asked for, or keys given twice.
    [[nodiscard]] Result<bool> check();

private:
    [[nodiscard]] const std::string* find(std::string_view key, std::string hint);

    const backend::DeviceConfig& config_;
    std::vector<std::pair<std::string, std::string>> known_;  // key and what is valid
    std::optional<Failure> error_;
};

/// "64M" as bytes; nothing when it is no size.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text) noexcept;

}  // namespace farlane::firmware
