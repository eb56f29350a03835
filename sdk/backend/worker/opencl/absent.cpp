// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: that this build has no OpenCL. Owns: nothing.
#include "backend/worker/program/runtime.hpp"

namespace farlane::backend::worker {

Started start_opencl(const Setup&, Sink&) {
    return {nullptr, {FL_ACCEL_REASON_NO_WORKER, 0, 0}};
}

std::string probe_opencl() {
    return R"({"devices": [], "why": "built without the headers of OpenCL (Debian: opencl-c-headers)"})";
}

}  // namespace farlane::backend::worker
