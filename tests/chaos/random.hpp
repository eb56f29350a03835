// SPDX-License-Identifier: Apache-2.0
// Receives: a seed. Hands on: numbers that follow from it on every machine. Owns: nothing.
#pragma once

#include <cstdint>
#include <string_view>

namespace farlane::chaos {

/// splitmix64. The distributions of the standard library may differ between implementations.
class Random {
public:
    explicit Random(std::uint64_t seed) noexcept : state_(seed) {}
    /// A stream of its own for each purpose: one that draws more leaves the others as they are.
    Random(std::uint64_t seed, std::uint64_t round, std::string_view purpose) noexcept : state_(seed) {
        state_ = next();  // else seed and round could be exchanged
        mix(round);
        for (const char c : purpose) mix(static_cast<unsigned char>(c));
    }

    std::uint64_t next() noexcept {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    /// 0 to below - 1.
    std::uint64_t below(std::uint64_t below) noexcept { return next() % below; }
    std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept { return low + below(high - low + 1); }
    bool percent(unsigned p) noexcept { return below(100) < p; }

private:
    void mix(std::uint64_t value) noexcept {
        state_ ^= value + 1;
        state_ = next();
    }
    std::uint64_t state_;
};

}  // namespace farlane::chaos
