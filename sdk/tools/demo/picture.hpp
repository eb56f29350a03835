// SPDX-License-Identifier: Apache-2.0
// Receives: picture files, which are hostile. Hands on: pixels, and files of them.
// Owns: nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <farlane/accel_kernels.hpp>
#include <farlane/status.hpp>

namespace farlane::demo {

using accel::Rgba8;

struct Picture {
    std::uint32_t width = 0, height = 0;
    std::vector<Rgba8> pixels;  ///< row by row
    [[nodiscard]] std::size_t size_bytes() const noexcept { return pixels.size() * sizeof(Rgba8); }
    [[nodiscard]] std::string size_text() const { return std::to_string(width) + " x " + std::to_string(height); }
};

/// Pictures with more pixels are refused: a few bytes of file must not ask for all memory.
inline constexpr std::uint64_t kMaxPixels = std::uint64_t{64} << 20;
inline constexpr std::uint32_t kMaxSide = 65536;
inline constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 30;

/// A whole file. Throws Error: not_found, limit, io.
[[nodiscard]] std::vector<std::byte> read_file(const std::filesystem::path& path, std::uint64_t max_bytes);
/// Throws Error io.
void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes);

/// PNG or PPM by content, whatever the name. Throws Error: not_found, malformed, limit, io.
[[nodiscard]] Picture read_picture(const std::filesystem::path& path);
/// As a PNG. Throws Error io.
[[nodiscard]] std::vector<std::byte> encode_png(const Picture& picture);

[[nodiscard]] Result<Picture> decode_picture(std::span<const std::byte> file);
/// Netpbm P6 and P3, 1 to 65535 values a channel.
[[nodiscard]] Result<Picture> decode_ppm(std::span<const std::byte> file);
[[nodiscard]] Result<Picture> decode_png(std::span<const std::byte> file);

/// A picture with smooth areas, edges and fine detail; always the same.
[[nodiscard]] Picture draw_picture(std::uint32_t width, std::uint32_t height);

/// What the filters do, in other words than the accelerator's: one pixel at a time, from the definition.
struct IntegerFilter {
    std::vector<std::int16_t> weights;  ///< size x size
    std::uint32_t size = 1;
    std::uint32_t shift = 0;
    std::int32_t bias = 0;
};
[[nodiscard]] Picture filter_reference(const Picture& picture, const IntegerFilter& filter);

}  // namespace farlane::demo
