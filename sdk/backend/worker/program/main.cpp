// SPDX-License-Identifier: Apache-2.0
// Receives: the command line and descriptors of an executor. Hands on: the runtime and the loop, or what --probe found.
// Owns: the process. It runs foreign code: whatever the executor must rely on, the executor does.
#include <malloc.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "backend/worker/program/check.hpp"
#include "backend/worker/program/loop.hpp"
#include "backend/worker/program/sandbox.hpp"

namespace farlane::backend::worker {
namespace {

constexpr int kUsage = 2;
constexpr int kHeapStepBytes = 1 << 20;
constexpr int kHeapKeptBytes = 64 << 20;

int probe_all(std::string_view which) {
    std::string text = "{";
    const auto add = [&](const char* name, std::string (*probe)()) {
        if (!which.empty() && which != name) return;
        text += std::string(text.size() > 1 ? ",\n" : "\n") + '"' + name + "\": " + probe();
    };
    add("opencl", probe_opencl);
    add("cuda", probe_cuda);
    std::printf("%s\n}\n", text.c_str());
    // Runtimes of vendors do not always survive their own end.
    std::fflush(stdout);
    std::_Exit(0);
}

int run_context() {
    // A heap that grows and shrinks with every launch would stop the kernels' page faults each time; those of threads
    // grow page by page.
    (void)::mallopt(M_ARENA_MAX, 1);
    (void)::mallopt(M_TOP_PAD, kHeapStepBytes);
    (void)::mallopt(M_TRIM_THRESHOLD, kHeapKeptBytes);
    (void)std::setvbuf(stdout, nullptr, _IONBF, 0);  // what kernels print is there when they have ended
    void* at = ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, kControlFd, 0);
    if (at == MAP_FAILED) return kUsage;
    auto& control = *static_cast<Control*>(at);
    const Setup setup = control.setup;
    if (setup.version != kVersion || !confine(setup.parent, setup.executor == FL_ACCEL_EXECUTOR_CUDA)) return kUsage;
    Memory memory;
    Outbox outbox(control, kBellFd);
    Streams streams(outbox);
    Started started;
    if (!memory.map(kMemoryFd, setup)) {
        started.outcome = {FL_ACCEL_REASON_NO_WORKER, 0, 0};
    } else {
        (void)::close(kMemoryFd);
        (void)::close(kControlFd);
        started = setup.executor == FL_ACCEL_EXECUTOR_CUDA ? start_cuda(setup, streams) : start_opencl(setup, streams);
    }
    const std::string why = started.why.substr(0, kMaxReasonBytes);
    outbox.say(Say::ready, {bytes_of(SayReady{kVersion, started.outcome.reason}), std::as_bytes(std::span(why))});
    if (!started.runtime) return 1;
    Loop(control, memory, outbox, streams, *started.runtime).run();
}

}  // namespace
}  // namespace farlane::backend::worker

int main(int argc, char** argv) {
    using namespace farlane::backend::worker;
    const std::string_view first = argc > 1 ? argv[1] : "";
    if (first == "--probe" && argc <= 3) return probe_all(argc == 3 ? argv[2] : "");
    if (first == "--check" && (argc == 3 || argc == 4) && std::string_view(argv[2]) == "cuda") {
        return check_cuda(argc == 4 ? static_cast<std::uint32_t>(std::strtoul(argv[3], nullptr, 10)) : 0);
    }
    if (argc == 4 && std::string_view(argv[2]) == "context") return run_context();
    std::fprintf(
        stderr,
        "usage: farlane-accel-worker --probe [opencl|cuda]\n"
        "       farlane-accel-worker --check cuda [DEVICE]\n"
        "Lists the accelerators that vendors' runtimes offer, or tries one of them step by step, free and confined as\n"
        "workers are. farlaned starts it by itself for each context.\n");
    return kUsage;
}
