// SPDX-License-Identifier: Apache-2.0
// Receives: a measurement of ours and of its limit. Hands on: the same, made while both cores stayed where they were.
// Owns: nothing.
#include "still.hpp"

#include <algorithm>

#include "run.hpp"

namespace farlane::bench {
namespace {

constexpr double kSame = 1.4;  // near and far differ by more than 3
constexpr unsigned kTries = 3;

}  // namespace

void Cores::look() {
    lines_ns_.push_back(
        json::parse(output_of({bench_folder() + "/cacheline", "--repeat", "1"})).at("round_trip_median_ns"));
}

bool Cores::stayed() const {
    const auto [least, most] = std::ranges::minmax(lines_ns_);
    return most <= kSame * least;
}

std::vector<double> measured_still(json& more, const std::function<std::vector<double>(Cores&)>& measure) {
    for (unsigned tries = 1;; ++tries) {
        Cores cores;
        cores.look();
        auto figures = measure(cores);
        cores.look();
        if (!cores.stayed() && tries < kTries) continue;
        more["core_to_core_ns"].push_back(cores.line_ns());
        more["measured_again"] = more.value("measured_again", 0U) + tries - 1;
        more["moved_all_the_same"] = more.value("moved_all_the_same", 0U) + (cores.stayed() ? 0U : 1U);
        return figures;
    }
}

}  // namespace farlane::bench
