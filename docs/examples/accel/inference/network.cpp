// SPDX-License-Identifier: Apache-2.0
// Receives: files of weights and digits. Hands on: the network and the digits (network.hpp). Owns: nothing.
#include "inference/network.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

#include <farlane/status.hpp>

#include "common/picture.hpp"

namespace example {
namespace {

using farlane::Error;
using farlane::Status;

constexpr std::string_view kMagic{"FLNET\0001\n", 8};
constexpr std::uint32_t kMaxSide = 1U << 16, kMaxLayers = 16;
constexpr std::uint64_t kMaxWeights = std::uint64_t{1} << 26;

class Reader {
public:
    explicit Reader(const std::string& path) : path_(path), in_(path, std::ios::binary) {
        if (!in_) throw Error(Status::invalid, path + ": can not be read; train.py writes it");
    }
    void read(void* to, std::size_t bytes) {
        in_.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes));
        if (static_cast<std::size_t>(in_.gcount()) != bytes) fail("it ends too early");
    }
    std::uint32_t number(std::uint32_t low, std::uint32_t high, const char* what) {
        std::uint32_t value = 0;
        read(&value, sizeof value);
        if (value < low || value > high) fail(std::to_string(value) + " " + what);
        return value;
    }
    std::vector<float> floats(std::uint64_t count) {
        if (count > kMaxWeights) fail("more than 64 Mi weights in a layer");
        std::vector<float> values(count);
        read(values.data(), count * sizeof(float));
        for (const float v : values) {
            if (!std::isfinite(v)) fail("a weight is no number");
        }
        return values;
    }
    void expect_end() {
        if (in_.peek() != std::ifstream::traits_type::eof()) fail("there is more than the layers it tells of");
    }
    [[noreturn]] void fail(const std::string& why) const {
        throw Error(Status::invalid, path_ + ": no weights of train.py: " + why);
    }

private:
    std::string path_;
    std::ifstream in_;
};

}  // namespace

Network read_network(const std::string& path) {
    Reader in(path);
    std::string magic(kMagic.size(), ' ');
    in.read(magic.data(), magic.size());
    if (magic != kMagic) in.fail("it begins otherwise");
    Network network;
    network.expected_right = in.number(0, ~0U, "right");
    const std::uint32_t layers = in.number(1, kMaxLayers, "layers");
    for (std::uint32_t i = 0; i < layers; ++i) {
        Layer layer;
        layer.inputs = in.number(1, kMaxSide, "inputs");
        layer.outputs = in.number(1, kMaxSide, "outputs");
        if (i > 0 && layer.inputs != network.layers.back().outputs) in.fail("layers do not fit to each other");
        layer.weights = in.floats(std::uint64_t{layer.inputs} * layer.outputs);
        layer.biases = in.floats(layer.outputs);
        network.layers.push_back(std::move(layer));
    }
    in.expect_end();
    return network;
}

Digits read_digits(const std::string& sheet_path, const std::string& labels_path) {
    const Picture sheet = read_png(sheet_path);
    std::ifstream in(labels_path);
    Digits digits;
    std::size_t columns = 0, rows = 0;
    for (std::string line; std::getline(in, line); ++rows) {
        if (rows == 0) columns = line.size();
        const bool right = !line.empty() && line.size() == columns &&
                           std::all_of(line.begin(), line.end(), [](char c) { return c >= '0' && c <= '9'; });
        if (!right)
            throw Error(Status::invalid, labels_path + ":" + std::to_string(rows + 1) + ": not a line of digits");
        for (const char c : line) digits.labels.push_back(static_cast<std::uint8_t>(c - '0'));
    }
    if (rows == 0) throw Error(Status::invalid, labels_path + ": can not be read, or is empty");
    const std::size_t side = sheet.width / columns;
    if (side == 0 || side * columns != sheet.width || side * rows != sheet.height)
        throw Error(Status::invalid, sheet_path + ": does not have as many square digits as " + labels_path);
    digits.count = static_cast<std::uint32_t>(rows * columns);
    digits.pixels = static_cast<std::uint32_t>(side * side);
    for (std::size_t i = 0; i < digits.count; ++i) {
        for (std::size_t p = 0; p < digits.pixels; ++p) {
            const std::size_t x = i % columns * side + p % side, y = i / columns * side + p / side;
            digits.pictures.push_back(static_cast<float>(sheet.pixels[y * sheet.width + x].r) / 255.0F);
        }
    }
    return digits;
}

std::vector<double> reference_scores(const Network& network, std::span<const float> picture) {
    std::vector<double> values(picture.begin(), picture.end());
    for (const Layer& layer : network.layers) {
        if (&layer != &network.layers.front()) {
            for (double& v : values) v = std::max(v, 0.0);
        }
        std::vector<double> sums(layer.biases.begin(), layer.biases.end());
        for (std::size_t i = 0; i < layer.inputs; ++i) {
            for (std::size_t o = 0; o < layer.outputs; ++o)
                sums[o] += values[i] * double{layer.weights[i * layer.outputs + o]};
        }
        values = std::move(sums);
    }
    return values;
}

}  // namespace example
