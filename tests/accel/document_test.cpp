// SPDX-License-Identifier: Apache-2.0
// Receives: docs/accelerator.md and the contract header. Hands on: whether reasons, kernels and the
// sizes of argument blocks agree (tests/contract compares structs and constants). Owns: nothing.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "devices/accel/builtin.hpp"

namespace farlane::test {
namespace {

std::string document() {
    std::ifstream in(FARLANE_DOCS_DIR "/accelerator.md");
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

TEST(AccelDocument, ReasonTableMatchesTheHeader) {
    const std::string text = document();
    ASSERT_FALSE(text.empty());
    std::string expected = "| code | name | status | text |\n|---|---|---|---|\n";
#define ROW(NAME, name, code, status, words) \
    expected += "| " + std::to_string(code) + " | " #name " | " #status " | " words " |\n";
    FL_ACCEL_REASON_TABLE(ROW)
#undef ROW
    EXPECT_NE(text.find(expected), std::string::npos) << "the table should be:\n" << expected;
}

TEST(AccelDocument, KernelsAreListed) {
    using namespace firmware::accel;
    const std::string text = document();
    for (std::uint32_t i = 0; i < kBuiltinCount; ++i) {
        const auto kernel = static_cast<Builtin>(i);
        const std::string name(builtin_name(kernel));
        EXPECT_EQ(find_builtin(name), kernel);
        EXPECT_NE(text.find("| `\"" + name + "\"` | `fl_accel_args_" + name + "` |"), std::string::npos) << name;
        const std::string heading = "### " + name + ", `struct fl_accel_args_" + name + "`, " +
                                    std::to_string(builtin_argument_bytes(kernel)) + " bytes\n";
        EXPECT_NE(text.find(heading), std::string::npos) << heading;
    }
}

}  // namespace
}  // namespace farlane::test
