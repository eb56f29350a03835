// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: what every fuzz target and its driver share. Owns: nothing.
// A target is one .cpp file with LLVMFuzzerTestOneInput, and one line in CMakeLists.txt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

extern "C" {
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
/// Optional: a mutator that knows the format. Both drivers use it.
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed);
/// The driver's own mutator, for use in a custom one.
std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);
}

namespace farlane::fuzz {

/// What must hold for every input; a failure ends the program, and the driver keeps the input.
inline void require(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "fuzz: violated: %s\n", what);
    std::abort();
}

/// Takes an input apart: small decisions from its front, the rest as bytes.
class Input {
public:
    Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}
    [[nodiscard]] bool empty() const noexcept { return rest_.empty(); }
    /// Next byte; 0 at the end.
    std::uint8_t byte() noexcept {
        if (rest_.empty()) return 0;
        const std::uint8_t b = rest_.front();
        rest_ = rest_.subspan(1);
        return b;
    }
    template <class T>
    T number() noexcept {
        T value = 0;
        for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>(value | (T{byte()} << (8 * i)));
        return value;
    }
    /// Next `bytes` bytes, fewer at the end.
    std::span<const std::uint8_t> bytes(std::size_t bytes) noexcept {
        const auto out = rest_.first(bytes < rest_.size() ? bytes : rest_.size());
        rest_ = rest_.subspan(out.size());
        return out;
    }
    std::span<const std::uint8_t> rest() noexcept { return bytes(rest_.size()); }
    std::string_view text() noexcept {
        const auto all = rest();
        return {reinterpret_cast<const char*>(all.data()), all.size()};
    }

private:
    std::span<const std::uint8_t> rest_;
};

}  // namespace farlane::fuzz
