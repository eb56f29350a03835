// SPDX-License-Identifier: Apache-2.0
// Receives: the subjects of capi_accel.c. Hands on: verdicts. Owns: a target with an accelerator.
#include <gtest/gtest.h>

#include "backend/backend.hpp"
#include "capi/capi_calls.h"
#include "lane/target_thread.hpp"

namespace {

void complain(const char* file, int line, const char* what) {
    ADD_FAILURE_AT(file, line) << what;
}

TEST(CApiAccel, nullPointersAreRefused) {
    capi_accel_arguments(complain);
}

TEST(CApiAccel, memoryKernelsStreamsAndEvents) {
    const auto memory = farlane::backend::process_memory();
    auto device = farlane::backend::make_device(
        {.name = "accel0", .kind = "accel", .options = {{"memory", "64M"}, {"threads", "1"}}}, *memory);
    ASSERT_TRUE(device.ok()) << device.failure().detail;
    farlane::test::TargetThread target("loop:capi-accel");
    target.add("accel0", std::move(device.value()));
    target.start();
    capi_accel_work("loop:capi-accel", complain);
}

}  // namespace
