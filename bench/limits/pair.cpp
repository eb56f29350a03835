// SPDX-License-Identifier: Apache-2.0
// Receives: a medium and two CPUs. Hands on: two pinned processes, one wire between them.
// Owns: the child process and the socket's directory.
#include "pair.hpp"

#include <sys/prctl.h>
#include <csignal>

namespace limits {
namespace {

// The client of a socket needs its server first, and memif and virtio_user give up at once.
void wait_for(const std::function<bool()>& condition, const char* what) {
    const std::int64_t end = now_ns() + 10'000'000'000;
    while (!condition()) {
        if (now_ns() > end) throw std::runtime_error(what);
        ::usleep(1000);
    }
}

int run_end(int end, const Options& options, const std::string& socket, Shared& shared,
            const std::function<void(Wire&, Shared&)>& body) {
    try {
        if (end == 1) wait_for([&] { return shared.open.load() >= 1; }, "the other process");
        const auto wire = open_wire(options.text("medium"), end, socket);
        ++shared.open;
        wait_for([&] { return shared.open.load() == 2 && wire->ready(); }, "the link");
        pin(static_cast<int>(options.number(end == 0 ? "cpu-a" : "cpu-b")));
        body(*wire, shared);
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "end %d: %s\n", end, error.what());
        shared.done = true;
        return 1;
    }
}

}  // namespace

std::unique_ptr<Wire> open_wire(const std::string& medium, int end, const std::string& socket) {
    if (medium == "udp") return open_udp_wire(end, 47930);
    if (medium == "vhost" || medium == "memif") return open_dpdk_wire(medium, end, socket);
    throw std::runtime_error("no medium \"" + medium + "\"; valid: vhost, memif, udp");
}

const Shared& run_pair(const Options& options, const std::function<void(Wire&, Shared&)>& near,
                       const std::function<void(Wire&, Shared&)>& far) {
    char directory[] = "/tmp/farlane-limits-XXXXXX";
    if (::mkdtemp(directory) == nullptr) throw std::runtime_error("mkdtemp");
    const std::string socket = std::string(directory) + "/s";
    Shared* const common = shared<Shared>();
    const pid_t child = ::fork();
    if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::_exit(run_end(1, options, socket, *common, far));
    }
    const int rc = run_end(0, options, socket, *common, near);
    common->done = true;
    int status = 0;
    ::waitpid(child, &status, 0);
    ::unlink(socket.c_str());
    ::rmdir(directory);
    if (rc != 0 || status != 0) std::exit(1);
    return *common;
}

}  // namespace limits
