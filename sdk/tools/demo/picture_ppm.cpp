// SPDX-License-Identifier: Apache-2.0
// Receives: PPM files, hostile. Hands on: pictures, or what is wrong. Owns: nothing.
// The format: netpbm's ppm(5), raw (P6) and plain (P3).
#include <optional>

#include "demo/picture.hpp"

namespace farlane::demo {
namespace {

constexpr std::uint32_t kMaxValue = 65535;

/// Reads a PPM from the start; never beyond its end.
class Reader {
public:
    explicit Reader(std::span<const std::byte> file) : file_(file) {}

    /// The next decimal number, over blanks and comments; nothing when there is none up to `limit`.
    std::optional<std::uint32_t> number(std::uint32_t limit) {
        skip_blanks();
        std::uint64_t value = 0;
        bool any = false;
        for (; at_ < file_.size() && is_digit(file_[at_]); ++at_, any = true) {
            value = value * 10 + (std::to_integer<std::uint32_t>(file_[at_]) - '0');
            if (value > limit) return std::nullopt;
        }
        return any ? std::optional(static_cast<std::uint32_t>(value)) : std::nullopt;
    }
    /// The one blank between header and raw data.
    bool blank() { return at_ < file_.size() && is_blank(file_[at_++]); }
    void skip(std::size_t bytes) { at_ += std::min(bytes, file_.size() - at_); }
    [[nodiscard]] std::span<const std::byte> rest() const { return file_.subspan(at_); }

private:
    static bool is_digit(std::byte b) { return b >= std::byte{'0'} && b <= std::byte{'9'}; }
    static bool is_blank(std::byte b) { return b == std::byte{' '} || (b >= std::byte{'\t'} && b <= std::byte{'\r'}); }
    void skip_blanks() {
        while (at_ < file_.size()) {
            if (file_[at_] == std::byte{'#'}) {
                while (at_ < file_.size() && file_[at_] != std::byte{'\n'}) ++at_;
            } else if (is_blank(file_[at_])) {
                ++at_;
            } else {
                return;
            }
        }
    }
    std::span<const std::byte> file_;
    std::size_t at_ = 0;
};

std::uint8_t scaled(std::uint32_t value, std::uint32_t max) {
    return static_cast<std::uint8_t>((std::min(value, max) * 255 + max / 2) / max);
}

bool read_raw(std::span<const std::byte> data, std::uint32_t max, Picture& picture) {
    const std::size_t width = max > 255 ? 2 : 1;
    if (data.size() / (3 * width) < picture.pixels.size()) return false;
    const auto value = [&](std::size_t i) {
        const std::size_t at = i * width;
        const auto high = std::to_integer<std::uint32_t>(data[at]);
        return scaled(width == 1 ? high : high << 8 | std::to_integer<std::uint32_t>(data[at + 1]), max);
    };
    for (std::size_t i = 0; i < picture.pixels.size(); ++i) {
        picture.pixels[i] = {value(i * 3), value(i * 3 + 1), value(i * 3 + 2), 255};
    }
    return true;
}

bool read_plain(Reader& reader, std::uint32_t max, Picture& picture) {
    for (Rgba8& p : picture.pixels) {
        const auto r = reader.number(max), g = reader.number(max), b = reader.number(max);
        if (!r || !g || !b) return false;
        p = {scaled(*r, max), scaled(*g, max), scaled(*b, max), 255};
    }
    return true;
}

}  // namespace

Result<Picture> decode_ppm(std::span<const std::byte> file) {
    Reader reader(file);
    if (file.size() < 2) return {Status::malformed, "PPM: too short"};
    const bool plain = file[1] == std::byte{'3'};
    reader.skip(2);
    const auto width = reader.number(kMaxSide), height = reader.number(kMaxSide);
    const auto max = reader.number(kMaxValue);
    if (!width || !height || !max || *width == 0 || *height == 0 || *max == 0) {
        return {Status::malformed,
                "PPM: the header must say width, height (1 to 65536) and largest value (1 to 65535)"};
    }
    const std::uint64_t pixels = std::uint64_t{*width} * *height;
    if (pixels > kMaxPixels) return {Status::limit, "PPM: more than 64 Mi pixels"};
    if (!reader.blank()) return {Status::malformed, "PPM: no blank behind the header"};
    // Before memory is asked for: a pixel takes three bytes raw, six plain ("0 0 0 ").
    if (reader.rest().size() / (plain ? 5 : 3) + 1 < pixels) return {Status::malformed, "PPM: the file ends too early"};
    Picture picture{*width, *height, std::vector<Rgba8>(pixels)};
    const bool whole = plain ? read_plain(reader, *max, picture) : read_raw(reader.rest(), *max, picture);
    if (!whole) return {Status::malformed, "PPM: the file ends too early, or has a value that is too large"};
    return picture;
}

}  // namespace farlane::demo
