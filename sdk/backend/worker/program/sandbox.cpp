// SPDX-License-Identifier: Apache-2.0
// Receives: a process that is about to run foreign code. Hands on: one that can do less harm. Owns: nothing.
#include "backend/worker/program/sandbox.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backend/worker/program/files.hpp"
#include "backend/worker/program/system_calls.hpp"

namespace farlane::backend::worker {
namespace {

constexpr rlim_t kFileBytes = rlim_t{1} << 30;  // of one file of compiled kernels

void limit(decltype(RLIMIT_CORE) what, rlim_t value) noexcept {
    const rlimit both{value, value};
    (void)::setrlimit(what, &both);
}

}  // namespace

bool confine_but_calls(pid_t parent, bool cuda) noexcept {
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) return false;  // it died before
    (void)::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)::prctl(PR_SET_DUMPABLE, 0);  // other contexts' workers are of the same user
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, kFileBytes);
    confine_files(cuda);
    return true;
}

bool confine(pid_t parent, bool cuda) noexcept {
    return confine_but_calls(parent, cuda) && confine_system_calls(cuda);
}

}  // namespace farlane::backend::worker
