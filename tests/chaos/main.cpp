// SPDX-License-Identifier: Apache-2.0
// Receives: a command line. Hands on: chaos, and whether the failure contract held (README.md). Owns: the process.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>

#include "chaos/arguments.hpp"
#include "chaos/runner.hpp"

namespace {

using namespace farlane::chaos;

std::uint64_t random_seed() {
    std::random_device device;
    return device();  // 32 bits: people have to type it
}

// No destructors: threads of a load may hang in the call that broke.
[[noreturn]] void end_at_once(int code) {
    std::fflush(nullptr);
    std::_Exit(code);
}

void print(const Arguments& arguments, Runner& runner, const std::string& failure) {
    const nlohmann::json summary = runner.summary(failure);
    std::printf("%s%s\n", as_table(summary).c_str(), summary.dump().c_str());
    if (!arguments.json.empty()) std::ofstream(arguments.json) << summary.dump(2) << "\n";
}

int run(const Arguments& arguments) {
    std::unique_ptr<Runner> runner;
    try {
        runner = std::make_unique<Runner>(arguments);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "chaos_runner: the scene can not be set up: %s\n", e.what());
        return kNotSetUp;
    }
    try {
        runner->run();
    } catch (const std::exception& e) {
        std::printf("chaos_runner: FAILED: %s\n%s", e.what(), runner->post_mortem().c_str());
        print(arguments, *runner, e.what());
        runner->abandon();
        end_at_once(kBroken);
    }
    print(arguments, *runner, "");
    return kHeld;
}

}  // namespace

int main(int argc, char** argv) {
    Arguments arguments;
    try {
        arguments = parse_arguments(argc, argv);
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr, "chaos_runner: %s\n%s", e.what(), kUsageText);
        return kUsage;
    }
    if (arguments.help) {
        std::fputs(kUsageText, stdout);
        return kHeld;
    }
    // Hours later it would be too late.
    if (!arguments.json.empty() && !std::ofstream(arguments.json, std::ios::app)) {
        std::fprintf(stderr, "chaos_runner: --json %s can not be written\n", arguments.json.c_str());
        return kUsage;
    }
    if (!arguments.seed_given) arguments.seed = random_seed();
    std::printf("chaos_runner: seed %llu\n", static_cast<unsigned long long>(arguments.seed));
    std::fflush(stdout);
    return run(arguments);
}
