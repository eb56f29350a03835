// SPDX-License-Identifier: Apache-2.0
// Receives: pictures. Hands on: what each filter of image_filter.cpp makes of them, computed plainly on this host; the
// picture to filter when the user has none. Owns: nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "common/picture.hpp"

namespace example {

/// Weights of a correlation in integers: ((sum + half) >> shift) + bias, clamped to 0..255.
struct Correlation {
    std::vector<std::int16_t> weights;  ///< size x size
    std::uint32_t size = 3, shift = 0;
    std::int32_t bias = 0;
};

[[nodiscard]] Picture reference_median(const Picture& in);
[[nodiscard]] Picture reference_correlation(const Picture& in, const Correlation& filter);
[[nodiscard]] Picture reference_sobel(const Picture& in);

/// A Julia set with specks in it, as a bad sensor or line makes them. Always the same.
[[nodiscard]] Picture draw_noisy_picture(std::uint32_t width, std::uint32_t height);

}  // namespace example
