// SPDX-License-Identifier: Apache-2.0
// Receives: files that train.py wrote, which are not trusted. Hands on: a network; digits to read; what a digit is,
// computed on this host. Owns: nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace example {

/// outputs = inputs * weights + biases
struct Layer {
    std::uint32_t inputs = 0, outputs = 0;
    std::vector<float> weights;  ///< inputs x outputs
    std::vector<float> biases;
};

struct Network {
    std::vector<Layer> layers;         ///< with max(0, x) between them
    std::uint32_t expected_right = 0;  ///< of the held-out set, as the training measured it
};

struct Digits {
    std::uint32_t count = 0, pixels = 0;  ///< how many; pixels of each
    std::vector<float> pictures;          ///< count x pixels, 0 to 1
    std::vector<std::uint8_t> labels;     ///< what they show
};

/// Throws farlane::Error invalid, naming what is wrong.
[[nodiscard]] Network read_network(const std::string& path);
/// A sheet of square digits, line by line, and a text with their labels, in lines of as many as the sheet has in a
/// line.
[[nodiscard]] Digits read_digits(const std::string& sheet, const std::string& labels);

/// Scores of one picture, in double precision.
[[nodiscard]] std::vector<double> reference_scores(const Network& network, std::span<const float> picture);

}  // namespace example
