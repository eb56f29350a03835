// SPDX-License-Identifier: Apache-2.0
// Receives: a folder like the powercap class. Hands on: whether what was used adds up, across the end of a counter.
// Owns: that folder.
#include "devices/accel/cpu/energy.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace farlane::test {
namespace {

class AccelEnergy : public ::testing::Test {
protected:
    AccelEnergy() {
        std::string name = std::filesystem::temp_directory_path() / "farlane-energy-XXXXXX";
        folder = mkdtemp(name.data());
    }
    ~AccelEnergy() override { std::filesystem::remove_all(folder); }
    void put(const std::string& package, const std::string& file, std::uint64_t value) const {
        std::filesystem::create_directories(folder / package);
        std::ofstream(folder / package / file) << value << "\n";
    }
    std::filesystem::path folder;
};

TEST_F(AccelEnergy, AddsUpPackagesAndWraps) {
    put("intel-rapl:0", "energy_uj", 1000);
    put("intel-rapl:0", "max_energy_range_uj", 5000);
    put("intel-rapl:1", "energy_uj", 10);
    put("intel-rapl:1", "max_energy_range_uj", 5000);
    put("intel-rapl:0:0", "energy_uj", 7);  // a part of the first
    put("intel-rapl:0:0", "max_energy_range_uj", 5000);
    put("dtpm", "energy_uj", 7);
    firmware::accel::PackageEnergy energy(folder);
    ASSERT_TRUE(energy.available());
    EXPECT_EQ(energy.used_uj(), 0u);
    put("intel-rapl:0", "energy_uj", 4000);
    put("intel-rapl:1", "energy_uj", 15);
    EXPECT_EQ(energy.used_uj(), 3005u);
    put("intel-rapl:0", "energy_uj", 500);
    EXPECT_EQ(energy.used_uj(), 3005u + 1500u);
}

TEST_F(AccelEnergy, WithoutCountersThereIsNone) {
    EXPECT_FALSE(firmware::accel::PackageEnergy(folder).available());
    EXPECT_FALSE(firmware::accel::PackageEnergy(folder / "nothing").available());
    put("intel-rapl:0", "energy_uj", 1000);  // no range: not what we know
    EXPECT_FALSE(firmware::accel::PackageEnergy(folder).available());
}

}  // namespace
}  // namespace farlane::test
