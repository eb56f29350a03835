// SPDX-License-Identifier: Apache-2.0
// Receives: gtest's flags, or a role. Hands on: verdicts. Owns: the end of what tests shared.
#include <csignal>
#include <cstdio>

#include "provider/application.hpp"
#include "provider/stage.hpp"

int main(int argc, char** argv) {
    if (const int code = farlane::test::Application::main({argv + 1, argv + argc}); code >= 0) return code;
    std::signal(SIGPIPE, SIG_IGN);  // an application may have ended before it is told to
    testing::InitGoogleTest(&argc, argv);
    const int result = RUN_ALL_TESTS();
    const std::string complaints = farlane::test::end_stages();
    if (!complaints.empty()) std::fprintf(stderr, "%s\n", complaints.c_str());
    return complaints.empty() ? result : 1;
}
