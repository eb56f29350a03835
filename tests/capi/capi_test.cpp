// SPDX-License-Identifier: Apache-2.0
// Receives: the subjects of capi_calls.c. Hands on: verdicts. Owns: a target in a thread.
#include <gtest/gtest.h>

#include "capi/capi_calls.h"
#include "lane/scratch_device.hpp"
#include "lane/target_thread.hpp"

namespace {

using D = farlane::test::ScratchDevice;

void complain(const char* file, int line, const char* what) {
    ADD_FAILURE_AT(file, line) << what;
}

class CApi : public ::testing::Test {
protected:
    void SetUp() override {
        static int number = 0;
        port_ = "loop:capi" + std::to_string(number++);
        target_ = std::make_unique<farlane::test::TargetThread>(port_);
        target_->add("scratch0", std::make_unique<D>());
        target_->start();
    }

    std::string port_;
    std::unique_ptr<farlane::test::TargetThread> target_;
    scratch_layout layout_{D::kIdentValue, D::kIdent, D::kScratch, D::kIova,      D::kLength,    D::kMemory,
                           D::kGo,         D::kDone,  D::kRefused, D::kBar0Bytes, D::kBar2Bytes, D::kVectors};
};

TEST(CApiAlone, statusTable) {
    capi_status(complain);
}
TEST(CApiAlone, nullPointersAreRefused) {
    capi_arguments(complain);
}
TEST(CApiAlone, openSaysWhatIsWrong) {
    capi_open_errors(complain);
}
TEST_F(CApi, listAndAttach) {
    capi_list_and_attach(port_.c_str(), &layout_, complain);
}
TEST_F(CApi, registers) {
    capi_registers(port_.c_str(), &layout_, complain);
}
TEST_F(CApi, dmaAndInterrupts) {
    capi_dma(port_.c_str(), &layout_, complain);
}

}  // namespace
