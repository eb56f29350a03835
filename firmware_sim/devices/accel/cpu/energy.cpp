// SPDX-License-Identifier: Apache-2.0
// Receives: files of the powercap class. Hands on: microjoules. Owns: nothing beyond the object.
#include "devices/accel/cpu/energy.hpp"

#include <filesystem>
#include <fstream>
#include <optional>

namespace farlane::firmware::accel {
namespace {

std::optional<std::uint64_t> number_in(const std::string& file) {
    std::ifstream in(file);
    std::uint64_t value = 0;
    return in >> value ? std::optional(value) : std::nullopt;
}

}  // namespace

/// Packages are intel-rapl:N; what has a second colon (cores, memory) is a part of one.
PackageEnergy::PackageEnergy(const std::string& folder) {
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
        const std::string name = entry.path().filename();
        const auto colon = name.find(':');
        if (!name.starts_with("intel-rapl:") || name.find(':', colon + 1) != std::string::npos) continue;
        const std::string file = entry.path() / "energy_uj";
        const auto now = number_in(file);
        const auto range = number_in(entry.path() / "max_energy_range_uj");
        if (now && range) packages_.push_back({file, *range, *now});
    }
}

std::uint64_t PackageEnergy::used_uj() {
    for (Package& p : packages_) {
        const auto now = number_in(p.file);
        if (!now) continue;
        used_ += *now >= p.last ? *now - p.last : p.range - p.last + *now;
        p.last = *now;
    }
    return used_;
}

}  // namespace farlane::firmware::accel
