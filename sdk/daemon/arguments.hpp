// SPDX-License-Identifier: Apache-2.0
// Receives: the "args" object of a request. Hands on: checked values. Owns: the names asked for,
// so that an unknown one is refused. Control thread.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "daemon/reply.hpp"

namespace farlane::daemon {

class Arguments {
public:
    explicit Arguments(const Json& args) : args_(args) {}

    /// Required ones throw Error(invalid) when they are missing.
    [[nodiscard]] std::string text(const char* name);
    [[nodiscard]] std::uint64_t number(const char* name, std::uint64_t max = std::uint64_t{1} << 53);
    [[nodiscard]] std::uint32_t number32(const char* name) {
        return static_cast<std::uint32_t>(number(name, std::numeric_limits<std::uint32_t>::max()));
    }
    [[nodiscard]] std::optional<std::string> optional_text(const char* name);
    [[nodiscard]] std::optional<std::uint64_t> optional_number(const char* name,
                                                               std::uint64_t max = std::uint64_t{1} << 53);
    [[nodiscard]] bool flag(const char* name, bool fallback);
    /// To be called last: whatever was not asked for is an error.
    void finish() const;

private:
    [[nodiscard]] const Json* find(const char* name);
    const Json& args_;
    std::vector<std::string> known_;
};

}  // namespace farlane::daemon
