// SPDX-License-Identifier: Apache-2.0
// Receives: PNG files, and things to draw. Hands on: pixels, PNG files (picture.hpp); libpng's simplified API.
// Owns: nothing.
#include "common/picture.hpp"

#include <png.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>

#include <farlane/status.hpp>

namespace example {
namespace {

using farlane::Error;
using farlane::Status;

constexpr std::uint64_t kMaxPixels = std::uint64_t{64} << 20;  ///< a few bytes of file must not ask for all memory

std::uint8_t mix(std::uint8_t below, std::uint8_t above, double part) {
    return static_cast<std::uint8_t>(std::lround(below + part * (above - below)));
}

}  // namespace

Picture read_png(const std::string& path) {
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    if (png_image_begin_read_from_file(&image, path.c_str()) == 0)
        throw Error(Status::invalid, path + ": " + image.message + "; a picture is a PNG file");
    if (std::uint64_t{image.width} * image.height > kMaxPixels) {
        png_image_free(&image);
        throw Error(Status::limit, path + ": more than 64 Mi pixels");
    }
    image.format = PNG_FORMAT_RGBA;
    Picture picture(image.width, image.height);
    if (png_image_finish_read(&image, nullptr, picture.pixels.data(), 0, nullptr) == 0) {
        const std::string why = image.message;
        png_image_free(&image);
        throw Error(Status::invalid, path + ": " + why);
    }
    return picture;
}

void check_writable(const std::string& path) {
    const auto folder = std::filesystem::path(path).parent_path();
    const std::string where = folder.empty() ? "." : folder.string();
    const bool there = ::access(path.c_str(), F_OK) == 0;
    if (::access(there ? path.c_str() : where.c_str(), W_OK) == 0) return;
    throw Error(Status::invalid,
                path + ": can not be written: " + std::strerror(errno) + (there ? "" : " (folder '" + where + "')"));
}

void write_png(const std::string& path, const Picture& picture) {
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = picture.width;
    image.height = picture.height;
    image.format = PNG_FORMAT_RGBA;
    if (png_image_write_to_file(&image, path.c_str(), 0, picture.pixels.data(), 0, nullptr) == 0)
        throw Error(Status::io, path + ": " + image.message);
}

void draw_disc(Picture& picture, double x, double y, double radius, Rgba8 colour) {
    const auto low = [](double v) { return static_cast<std::uint32_t>(std::max(0.0, std::floor(v))); };
    const auto high = [](double v, std::uint32_t most) {
        return static_cast<std::uint32_t>(std::clamp(std::ceil(v), 0.0, static_cast<double>(most)));
    };
    for (std::uint32_t py = low(y - radius - 1); py < high(y + radius + 1, picture.height); ++py) {
        for (std::uint32_t px = low(x - radius - 1); px < high(x + radius + 1, picture.width); ++px) {
            const double part = std::clamp(radius + 0.5 - std::hypot(px - x, py - y), 0.0, 1.0) * colour.a / 255;
            Rgba8& pixel = picture.at(px, py);
            pixel = {mix(pixel.r, colour.r, part), mix(pixel.g, colour.g, part), mix(pixel.b, colour.b, part), 255};
        }
    }
}

}  // namespace example
