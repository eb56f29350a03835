// SPDX-License-Identifier: Apache-2.0
// Receives: the energy counters of the processor packages. Hands on: what was used since construction.
// Owns: what it has read so far. Documentation/power/powercap/powercap.rst of Linux.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace farlane::firmware::accel {

/// Counters of whole packages, whoever used them. One thread.
class PackageEnergy {
public:
    static constexpr const char* kFolder = "/sys/class/powercap";
    explicit PackageEnergy(const std::string& folder = kFolder);

    /// There are counters, and they may be read.
    [[nodiscard]] bool available() const noexcept { return !packages_.empty(); }
    [[nodiscard]] std::uint64_t used_uj();

private:
    struct Package {
        std::string file;
        std::uint64_t range = 0;  ///< the counter starts again behind it
        std::uint64_t last = 0;
    };
    std::vector<Package> packages_;
    std::uint64_t used_ = 0;
};

}  // namespace farlane::firmware::accel
