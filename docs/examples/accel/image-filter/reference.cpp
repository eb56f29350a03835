// SPDX-License-Identifier: Apache-2.0
// Receives: pictures. Hands on: what the filters make of them (filters.hpp): from the definition, one pixel at a time.
// Owns: nothing.
#include <algorithm>
#include <array>
#include <cmath>

#include "image-filter/filters.hpp"

namespace example {
namespace {

using Channels = std::array<int, 3>;

/// The nearest pixel of the picture.
Channels pixel(const Picture& p, std::int64_t x, std::int64_t y) {
    const auto inside = [](std::int64_t v, std::uint32_t n) {
        return static_cast<std::uint32_t>(std::clamp<std::int64_t>(v, 0, std::int64_t{n} - 1));
    };
    const Rgba8& c = p.at(inside(x, p.width), inside(y, p.height));
    return {c.r, c.g, c.b};
}

template <class Filter>
Picture every_pixel(const Picture& in, const Filter& filter) {
    Picture out(in.width, in.height);
    for (std::uint32_t y = 0; y < in.height; ++y) {
        for (std::uint32_t x = 0; x < in.width; ++x) {
            const Channels c = filter(std::int64_t{x}, std::int64_t{y});
            const auto byte = [](int v) { return static_cast<std::uint8_t>(std::clamp(v, 0, 255)); };
            out.at(x, y) = {byte(c[0]), byte(c[1]), byte(c[2]), in.at(x, y).a};
        }
    }
    return out;
}

}  // namespace

Picture reference_median(const Picture& in) {
    return every_pixel(in, [&](std::int64_t x, std::int64_t y) {
        Channels median{};
        for (std::size_t c = 0; c < 3; ++c) {
            std::array<int, 9> around{};
            for (int i = 0; i < 9; ++i)
                around[static_cast<std::size_t>(i)] = pixel(in, x + i % 3 - 1, y + i / 3 - 1)[c];
            std::nth_element(around.begin(), around.begin() + 4, around.end());
            median[c] = around[4];
        }
        return median;
    });
}

Picture reference_correlation(const Picture& in, const Correlation& filter) {
    const int size = static_cast<int>(filter.size), half = size / 2;
    const int round = filter.shift == 0 ? 0 : 1 << (filter.shift - 1);
    return every_pixel(in, [&](std::int64_t x, std::int64_t y) {
        Channels sum{round, round, round};
        for (int j = 0; j < size; ++j) {
            for (int i = 0; i < size; ++i) {
                const Channels c = pixel(in, x + i - half, y + j - half);
                for (std::size_t k = 0; k < 3; ++k)
                    sum[k] += filter.weights[static_cast<std::size_t>(j * size + i)] * c[k];
            }
        }
        for (int& v : sum) v = (v >> filter.shift) + filter.bias;
        return sum;
    });
}

Picture reference_sobel(const Picture& in) {
    return every_pixel(in, [&](std::int64_t x, std::int64_t y) {
        Channels edge{};
        for (std::size_t c = 0; c < 3; ++c) {
            const auto at = [&](int dx, int dy) { return pixel(in, x + dx, y + dy)[c]; };
            const int gx = at(1, -1) + 2 * at(1, 0) + at(1, 1) - at(-1, -1) - 2 * at(-1, 0) - at(-1, 1);
            const int gy = at(-1, 1) + 2 * at(0, 1) + at(1, 1) - at(-1, -1) - 2 * at(0, -1) - at(1, -1);
            edge[c] = (std::abs(gx) + std::abs(gy)) / 2;
        }
        return edge;
    });
}

Picture draw_noisy_picture(std::uint32_t width, std::uint32_t height) {
    Picture picture(width, height);
    std::uint32_t random = 1;
    for (std::uint32_t y = 0; y < height; ++y) {
        for (std::uint32_t x = 0; x < width; ++x) {
            double re = 3.0 * (x - 0.5 * width) / width, im = 3.0 * (y - 0.5 * height) / width;
            int steps = 0;
            for (; steps < 120 && re * re + im * im < 16; ++steps) {
                const double next = re * re - im * im - 0.76;
                im = 2 * re * im + 0.12;
                re = next;
            }
            const double t = std::sqrt(steps / 120.0);
            const auto byte = [](double v) { return static_cast<std::uint8_t>(std::clamp(255 * v, 0.0, 255.0)); };
            picture.at(x, y) = {byte(1.6 * t - 0.3), byte(t * t), byte(0.25 + 0.9 * t - t * t), 255};
            random = random * 1664525 + 1013904223;  // one pixel in 32 is lost: black or white
            if (random >> 27 == 0) {
                const auto speck = static_cast<std::uint8_t>((random >> 26 & 1) != 0 ? 255 : 0);
                picture.at(x, y) = {speck, speck, speck, 255};
            }
        }
    }
    return picture;
}

}  // namespace example
