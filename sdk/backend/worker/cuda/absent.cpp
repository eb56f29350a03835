// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: that this build has no CUDA. Owns: nothing.
#include "backend/worker/program/runtime.hpp"

namespace farlane::backend::worker {

Started start_cuda(const Setup&, Sink&) {
    return {nullptr, {FL_ACCEL_REASON_NO_WORKER, 0, 0}};
}

std::string probe_cuda() {
    return R"({"devices": [], "why": "this version has no CUDA executor"})";
}

}  // namespace farlane::backend::worker
