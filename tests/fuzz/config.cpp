// SPDX-License-Identifier: Apache-2.0
// Receives: any text as a configuration of farlaned. Hands on: nothing; a failure must say where
// and why. Owns: nothing.
#include "daemon/config.hpp"
#include "fuzz/fuzz.hpp"

using namespace farlane;
using fuzz::require;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto config = daemon::parse_config({reinterpret_cast<const char*>(data), size}, "farlaned.toml");
    if (!config) {
        require(config.status() != Status::ok, "a failure has a status");
        require(config.failure().detail.starts_with("farlaned.toml"), "a failure says in which file");
        return 0;
    }
    require(config.value().session.keepalive.count() > 0, "the keep-alive interval is positive");
    for (const auto& port : config.value().ports) require(!port.url.empty(), "a port has a string");
    for (const auto& item : config.value().exports) require(!item.name.empty(), "an export has a name");
    return 0;
}
