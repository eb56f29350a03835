// SPDX-License-Identifier: Apache-2.0
// Receives: the command line. Hands on: run_program()'s exit code. Owns: nothing.
#include <iostream>

#include "farlane/verbs.hpp"

int main(int argc, char** argv) {
    return farlane::cli::run_program(argc, argv, std::cout, std::cerr);
}
