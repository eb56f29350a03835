// SPDX-License-Identifier: Apache-2.0
// Receives: two CPUs on the command line. Hands on: JSON. Owns: nothing.
#include "common.hpp"

int main(int argc, char** argv) try {
    const limits::Options options(argc, argv, {{"cpu-a", "0"}, {"cpu-b", "1"}, {"repeat", "5"}});
    std::vector<std::int64_t> runs;
    for (std::int64_t i = 0; i < options.number("repeat"); ++i)
        runs.push_back(limits::cacheline_round_trip_ns(static_cast<int>(options.number("cpu-a")),
                                                       static_cast<int>(options.number("cpu-b"))));
    std::sort(runs.begin(), runs.end());
    limits::Json()
        .add("program", "cacheline")
        .add("round_trip_min_ns", static_cast<double>(runs.front()))
        .add("round_trip_median_ns", static_cast<double>(runs[runs.size() / 2]))
        .add("round_trip_max_ns", static_cast<double>(runs.back()))
        .print();
} catch (const std::exception& e) {
    return std::fprintf(stderr, "%s\n", e.what()), 1;
}
