// SPDX-License-Identifier: Apache-2.0
// Receives: JSON of a file. Hands on: its values, checked, or a sentence about the first mistake.
// Owns: nothing.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "native_host.hpp"

namespace farlane::link {

/*
 * The configuration of farlane-link:
 *   {"control": "SOCKET", "pcap": "FILE", "mtu": 9000, "seed": 1,
 *    "endpoints": {"i0": {"stream": "SOCKET"},
 *                  "t0": {"native": {"address": "10.77.0.2", "mac": "02:77:00:00:00:02",
 *                                    "ports": {"4793": "127.0.0.1:40001"}}}},
 *    "switches": ["sw"], "links": {"net": ["i0", "t0"]}}
 */

/// Reads the keys of one object. Every failure is a std::runtime_error that says where.
class Keys {
public:
    Keys(const nlohmann::json& object, std::string where, const std::vector<std::string>& valid);
    [[nodiscard]] std::uint64_t number(const std::string& key, std::uint64_t standard, std::uint64_t low,
                                       std::uint64_t high) const;
    [[nodiscard]] std::string text(const std::string& key, const std::string& standard) const;
    [[nodiscard]] const nlohmann::json& object(const std::string& key) const;
    [[nodiscard]] std::vector<std::string> names(const std::string& key) const;

private:
    [[noreturn]] void bad(const std::string& key, const std::string& wanted) const;

    const nlohmann::json& object_;
    std::string where_;
};

[[nodiscard]] nlohmann::json read_config_file(const std::string& path);
[[nodiscard]] NativeHost::Config read_native(const nlohmann::json& config, const std::string& name);

}  // namespace farlane::link
