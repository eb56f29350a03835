// SPDX-License-Identifier: Apache-2.0
// Receives: options of an executor in worker processes. Hands on: that this build has none.
// Owns: nothing.
#include "backend/executor.hpp"

namespace farlane::backend {

Result<std::unique_ptr<Executor>> make_worker_executor(const WorkerExecutorOptions&) {
    return {Status::unsupported, "this build has no executors but cpu"};
}

}  // namespace farlane::backend
