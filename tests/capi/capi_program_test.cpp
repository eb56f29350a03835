// SPDX-License-Identifier: Apache-2.0
// Receives: the subjects of capi_program.c. Hands on: verdicts. Owns: a target with an accelerator that takes programs.
#include <gtest/gtest.h>

#include "accel/module_executor.hpp"
#include "capi/capi_calls.h"

namespace {

void complain(const char* file, int line, const char* what) {
    ADD_FAILURE_AT(file, line) << what;
}

TEST(CApiProgram, nullPointersAreRefused) {
    capi_program_arguments(complain);
}

TEST(CApiProgram, programsKernelsAndCallbacks) {
    farlane::test::TargetThread target("loop:capi-program");
    target.add("accel0", farlane::test::make_program_device(false).device);
    target.start();
    capi_program_work("loop:capi-program", complain);
}

}  // namespace
