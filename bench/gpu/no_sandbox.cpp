// SPDX-License-Identifier: Apache-2.0
// Receives: a worker that is about to confine itself. Hands on: the same worker, free. Owns: nothing. Only in the
// folder of bundle.sh: when a driver does not start under the rules, the figures are measured all the same, and say so.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "backend/worker/program/sandbox.hpp"

namespace farlane::backend::worker {

bool confine_but_calls(pid_t parent, bool) noexcept {
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
    return ::getppid() == parent;
}

bool confine(pid_t parent, bool cuda) noexcept {
    return confine_but_calls(parent, cuda);
}

}  // namespace farlane::backend::worker
