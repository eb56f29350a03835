// SPDX-License-Identifier: Apache-2.0
// Receives: files. Hands on: pictures and PNG files, through libpng's simplified API.
// Owns: nothing.
#include "demo/picture.hpp"

#include <png.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace farlane::demo {
namespace {

constexpr std::array<unsigned char, 8> kPngSignature = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

bool starts_with(std::span<const std::byte> file, std::span<const unsigned char> text) {
    return file.size() >= text.size() && std::memcmp(file.data(), text.data(), text.size()) == 0;
}

}  // namespace

std::vector<std::byte> read_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw Error(Status::not_found, path.string() + ": " + std::strerror(errno));
    std::vector<std::byte> bytes;
    std::array<char, 65536> part;
    while (in) {
        in.read(part.data(), part.size());
        const auto n = static_cast<std::size_t>(in.gcount());
        if (bytes.size() + n > max_bytes) {
            throw Error(Status::limit, path.string() + ": longer than " + std::to_string(max_bytes) + " bytes");
        }
        const auto* from = reinterpret_cast<const std::byte*>(part.data());
        bytes.insert(bytes.end(), from, from + n);
    }
    if (in.bad()) throw Error(Status::io, path.string() + ": can not be read");
    return bytes;
}

void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    out.close();
    if (!out) throw Error(Status::io, path.string() + ": can not be written: " + std::strerror(errno));
}

Picture read_picture(const std::filesystem::path& path) {
    const std::string forms = "; a picture is a PNG or a PPM (P6, P3) file of at most 64 Mi pixels";
    std::vector<std::byte> file;
    try {
        file = read_file(path, kMaxFileBytes);
    } catch (const Error& e) {
        throw Error(Status::invalid, e.detail() + forms);
    }
    auto picture = decode_picture(file);
    if (!picture) throw Error(Status::invalid, path.string() + ": " + picture.failure().detail + forms);
    return picture.take();
}

Result<Picture> decode_picture(std::span<const std::byte> file) {
    if (starts_with(file, kPngSignature)) return decode_png(file);
    const bool ppm =
        file.size() >= 2 && file[0] == std::byte{'P'} && (file[1] == std::byte{'6'} || file[1] == std::byte{'3'});
    if (ppm) return decode_ppm(file);
    return {Status::malformed, "neither a PNG nor a PPM (P6, P3) file"};
}

Result<Picture> decode_png(std::span<const std::byte> file) {
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    if (png_image_begin_read_from_memory(&image, file.data(), file.size()) == 0) {
        return {Status::malformed, std::string("PNG: ") + image.message};
    }
    const bool fits =
        image.width <= kMaxSide && image.height <= kMaxSide && std::uint64_t{image.width} * image.height <= kMaxPixels;
    if (!fits) {
        png_image_free(&image);
        return {Status::limit, "PNG: more than 64 Mi pixels, or a side longer than 65536"};
    }
    image.format = PNG_FORMAT_RGBA;
    Picture picture{image.width, image.height, {}};
    picture.pixels.resize(std::size_t{image.width} * image.height);
    if (png_image_finish_read(&image, nullptr, picture.pixels.data(), 0, nullptr) == 0) {
        const std::string why = image.message;
        png_image_free(&image);
        return {Status::malformed, "PNG: " + why};
    }
    return picture;
}

std::vector<std::byte> encode_png(const Picture& picture) {
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = picture.width;
    image.height = picture.height;
    image.format = PNG_FORMAT_RGBA;
    image.flags = PNG_IMAGE_FLAG_FAST;
    png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
    std::vector<std::byte> file(bytes);
    if (png_image_write_to_memory(&image, file.data(), &bytes, 0, picture.pixels.data(), 0, nullptr) == 0) {
        throw Error(Status::io, std::string("PNG: ") + image.message);
    }
    file.resize(bytes);
    return file;
}

}  // namespace farlane::demo
