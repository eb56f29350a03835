// SPDX-License-Identifier: Apache-2.0
// Receives: options. Hands on: rows that another program of this build measures. Owns: nothing.
#include <stdexcept>

#include "groups.hpp"
#include "run.hpp"

namespace farlane::bench {

// The limit is the budget that ctest holds it to.
void measure_cycles(const Options&, Report& report) {
    const std::string folder = FARLANE_SOURCE_DIR "/bench/cycles";
    if (!in_path("valgrind")) {
        for (const char* key : {"cycles", "cycles_read"})
            report.missing(key, "instr", "valgrind is not installed (Debian package valgrind)");
        return;
    }
    progress("cycles", 1, 1);
    try {
        const auto counted = json::parse(
            output_of({"python3", folder + "/cycles.py", "--json", "--program", bench_folder() + "/hot_path"}));
        const auto budget = json::parse(output_of({"cat", folder + "/budget.json"}));
        for (const auto& [key, operation] : {std::pair{"cycles", "posted_write"}, {"cycles_read", "read"}}) {
            Series s{key, "instr", 1 + budget.at("tolerance").get<double>(), true};
            s.ours = {counted.at(operation).at("instructions").get<double>()};
            s.limit = {budget.at("instructions").at(operation).get<double>()};
            s.more = {{"operation", operation}, {"ends", 2}, {"limit_is", "the budget"}};
            s.more["top"] = counted.at(operation).at("top");
            report.add(s);
        }
    } catch (const std::exception& e) {
        report.fail("cycles", e.what());
    }
}

// The rows that are judged in simulated time: the same program, the same shape.
void measure_simulated(const Options& o, Report& report) {
    progress("simulated", 1, 1);
    try {
        std::vector<std::string> command = {bench_folder() + "/farlane_sim_bench", "--quiet", "--out", "-"};
        if (o.only.size() == 1 && o.only[0] != "simulated") command.insert(command.end(), {"--only", o.only[0]});
        const auto rows = json::parse(output_of(command, 600));
        for (const auto& [key, row] : rows.items())
            if (wants(o, key)) report.add(key, row);
    } catch (const std::exception& e) {
        report.fail("simulated", e.what());
    }
}

}  // namespace farlane::bench
