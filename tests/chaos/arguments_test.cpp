// SPDX-License-Identifier: Apache-2.0
// Receives: command lines. Hands on: proof that what a failed run prints to be run again is understood, and that
// mistakes are named. Owns: nothing.
#include "chaos/arguments.hpp"

#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

namespace farlane::chaos {
namespace {

Arguments parse(std::vector<const char*> words) {
    words.insert(words.begin(), "chaos_runner");
    return parse_arguments(static_cast<int>(words.size()), words.data());
}

std::string mistake(const std::vector<const char*>& words) {
    try {
        (void)parse(words);
        return "";
    } catch (const std::invalid_argument& e) {
        return e.what();
    }
}

TEST(ChaosArguments, AreUnderstood) {
    const Arguments none = parse({});
    EXPECT_FALSE(none.seed_given);
    EXPECT_EQ(none.rounds, 10U);
    EXPECT_EQ(none.sabotage, Sabotage::none);
    const Arguments all = parse({"--seed", "18446744073709551615", "--rounds", "200", "--verbose", "--json", "x"});
    EXPECT_EQ(all.seed, UINT64_MAX);
    EXPECT_TRUE(all.seed_given && all.verbose);
    EXPECT_EQ(all.rounds, 200U);
    EXPECT_EQ(all.json, "x");
    EXPECT_EQ(parse({"--seed", "3", "--round", "7"}).only, 7U);
    EXPECT_EQ(parse({"--sabotage", "swap"}).sabotage, Sabotage::swap);
    EXPECT_TRUE(parse({"--help"}).help);
}

TEST(ChaosArguments, MistakesAreNamed) {
    EXPECT_NE(mistake({"--sed", "1"}).find("--sed"), std::string::npos);
    EXPECT_NE(mistake({"--seed"}).find("needs a value"), std::string::npos);
    EXPECT_NE(mistake({"--seed", "-1"}).find("'-1'"), std::string::npos);
    EXPECT_NE(mistake({"--rounds", "0"}).find("from 1"), std::string::npos);
    EXPECT_NE(mistake({"--rounds", "5x"}).find("'5x'"), std::string::npos);
    EXPECT_NE(mistake({"--rounds", "5", "--round", "2"}).find("exclude"), std::string::npos);
    EXPECT_NE(mistake({"--sabotage", "hope"}).find("swap"), std::string::npos);
}

}  // namespace
}  // namespace farlane::chaos
