// SPDX-License-Identifier: Apache-2.0
// Receives: a device. Hands on: what of a worker's life works there, line by line. Owns: check.hpp.
#include "backend/worker/program/check.hpp"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "backend/worker/channel.hpp"
#include "backend/worker/handle.hpp"
#include "backend/worker/program/memory.hpp"
#include "backend/worker/program/refusals.hpp"
#include "backend/worker/program/runtime.hpp"
#include "backend/worker/program/sandbox.hpp"

namespace farlane::backend::worker {
namespace {

constexpr int kFailed = 1, kNoDevice = 77;
constexpr std::uint64_t kWaitNs = 60'000'000'000;
constexpr std::uint64_t kAperture = std::uint64_t{1} << 42, kApertureBytes = 16 << 20, kLocalBytes = 8 << 20;
constexpr std::uint32_t kStepTimes = 40;  // more than one batch
constexpr const char* kPtx = R"(.version 6.5
.target sm_75
.address_size 64
.visible .entry step(.param .u64 step_p, .param .u32 step_n)
{
    .reg .pred %p<2>;
    .reg .b32 %r<4>;
    .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [step_p];
    ld.param.u32 %r1, [step_n];
    cvta.to.global.u64 %rd2, %rd1;
    ld.global.u32 %r2, [%rd2];
    setp.ne.u32 %p1, %r2, %r1;
    @%p1 bra $done;
    add.u32 %r3, %r1, 1;
    st.global.u32 [%rd2], %r3;
$done:
    ret;
}
)";
constexpr const char* kSource =
    "extern \"C\" __global__ void step(unsigned* p, unsigned n) { if (*p == n) *p = n + 1; }\n";

class Ends final : public Sink {
public:
    void done(const Ticket&, const Outcome& outcome, std::uint64_t) noexcept override {
        if (!outcome.ok()) last_ = outcome;
        ++count_;
    }
    [[nodiscard]] unsigned count() const { return count_; }
    [[nodiscard]] const Outcome& failure() const { return last_; }

private:
    std::atomic<unsigned> count_{0};
    Outcome last_;
};

/// The life of a context.
class Try {
public:
    explicit Try(const Setup& setup) : setup_(setup) {}

    [[nodiscard]] bool run() {
        return step("memory at fixed addresses", [&] { return map(); }) &&
               step("driver, context, addresses", [&] { return start(); }) &&
               step("device memory", [&] { return waited(runtime_->commit(ticket(), local_, kLocalBytes)); }) &&
               step("PTX", [&] { return build(FL_ACCEL_MODULE_PTX, kPtx); }) &&
               step("copies and launches", [&] { return work(); }) &&
               step("built-in kernels", [&] { return build(FL_ACCEL_MODULE_BUILTIN, ""); }) &&
               step("CUDA C", [&] { return build(FL_ACCEL_MODULE_CUDA_C, kSource); }) &&
               step("kernels of CUDA C", [&] { return work(); }) && step("freeing", [&] {
                   runtime_->decommit(local_);
                   runtime_->decommit(kAperture);
                   return std::string();
               });
    }

private:
    /// What is wrong, or nothing.
    using Work = std::function<std::string()>;

    static bool step(const char* name, const Work& work) {
        const std::uint64_t start = now_ns();
        const std::string wrong = work();
        std::printf("  %-28s %8.1f ms  %s\n", name, static_cast<double>(now_ns() - start) / 1e6,
                    wrong.empty() ? "ok" : wrong.c_str());
        std::fflush(stdout);
        return wrong.empty() || wrong.starts_with("no CUDA C");
    }
    static std::string text_of(const Outcome& o) {
        if (o.ok()) return {};
        return "failed: reason " + std::to_string(o.reason) + ", detail " + std::to_string(o.detail);
    }
    Ticket ticket() {
        ++given_;
        return {{}, 0, 1, given_};
    }
    std::string waited(const Runtime::Answer& answer) {
        if (answer) {
            ++answered_;
            if (!answer->ok()) return text_of(*answer);
        }
        const std::uint64_t until = now_ns() + kWaitNs;
        while (ends_.count() + answered_ < given_ && !runtime_->dead()) {
            runtime_->flush();
            if (!runtime_->poll()) std::this_thread::yield();
            if (now_ns() > until) return "failed: it does not end";
        }
        return text_of(ends_.failure());
    }
    std::string map() {
        const Handle file(::memfd_create("farlane-check", MFD_CLOEXEC));
        if (!file.valid() || ::ftruncate(file.get(), kApertureBytes) != 0) return "failed: no memory file";
        if (!memory_.map(file.get(), setup_) || !memory_.open(kAperture, kApertureBytes)) return "failed: it is taken";
        return {};
    }
    std::string start() {
        Started started = start_cuda(setup_, ends_);
        runtime_ = std::move(started.runtime);
        if (runtime_ == nullptr) return "failed: " + started.why;
        return waited(runtime_->commit(ticket(), kAperture, kApertureBytes));
    }
    std::string build(fl_accel_module_kind kind, const std::string& image) {
        Built built;
        // Workers build in a thread of their own.
        std::thread([&] { built = runtime_->build(kind, std::as_bytes(std::span(image)), ""); }).join();
        if (kind == FL_ACCEL_MODULE_CUDA_C && built.outcome.reason == FL_ACCEL_REASON_BAD_KIND) {
            return "no CUDA C: NVRTC not found";
        }
        if (!built.outcome.ok()) return text_of(built.outcome) + " " + built.log;
        if (kind == FL_ACCEL_MODULE_BUILTIN) return {};
        Bound bound = runtime_->bind(*built.module, "step");
        kernel_ = std::move(bound.kernel);
        module_ = std::move(built.module);
        return text_of(bound.outcome);
    }
    std::string work() {
        if (kernel_ == nullptr) return {};
        auto* host = reinterpret_cast<std::uint32_t*>(kAperture);
        host[0] = 0;
        if (auto wrong = waited(runtime_->copy(ticket(), local_, kAperture, kLocalBytes)); !wrong.empty()) return wrong;
        for (std::uint32_t i = 0; i < kStepTimes; ++i) {
            const Arguments arguments = {{fl_le32(FL_ACCEL_ARGUMENT_ADDRESS), fl_le32(8)},
                                         fl_le64(local_),
                                         {fl_le32(FL_ACCEL_ARGUMENT_VALUE), fl_le32(4)},
                                         fl_le64(i)};
            AskLaunch shape;
            shape.dimensions = 1;
            shape.grid[0] = shape.block[0] = 1;
            const auto answer = runtime_->launch(ticket(), *kernel_, shape, std::as_bytes(std::span(&arguments, 1)));
            if (answer) ++answered_;
            if (answer && !answer->ok()) return text_of(*answer);
        }
        if (auto wrong = waited(runtime_->copy(ticket(), kAperture, local_, kLocalBytes)); !wrong.empty()) return wrong;
        return host[0] == kStepTimes ? "" : "failed: the kernels made " + std::to_string(host[0]);
    }

    struct Arguments {
        fl_accel_argument first;
        fl_le64 address;
        fl_accel_argument second;
        fl_le64 value;
    };

    Setup setup_;
    std::uint64_t local_ = setup_.local_address;
    Memory memory_;
    Ends ends_;
    unsigned given_ = 0, answered_ = 0;
    std::unique_ptr<Runtime> runtime_;
    std::unique_ptr<LoadedModule> module_;
    std::unique_ptr<BoundKernel> kernel_;
};

/// In a process of its own, which does not take this one along.
int in_child(const std::function<int()>& work) {
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
        const int code = work();
        std::fflush(nullptr);
        std::_Exit(code);
    }
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child) return kFailed;
    if (WIFSIGNALED(status)) std::printf("  died of signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : kFailed;
}

/// What --probe says, from a process of its own.
std::string probe_apart() {
    int ends[2];
    if (::pipe(ends) != 0) return {};
    const Handle from(ends[0]);
    Handle to(ends[1]);
    std::string text;
    std::thread reader([&] {
        char part[4096];
        for (ssize_t n = 0; (n = ::read(from.get(), part, sizeof part)) > 0;) {
            text.append(part, static_cast<std::size_t>(n));
        }
    });
    (void)in_child([&] {
        const std::string said = probe_cuda();
        return ::write(to.get(), said.data(), said.size()) == static_cast<ssize_t>(said.size()) ? 0 : kFailed;
    });
    to.reset();
    reader.join();
    return text;
}

}  // namespace

int check_cuda(std::uint32_t device) {
    const std::string said = probe_apart();
    std::printf("%s\n", said.c_str());
    const auto found = nlohmann::json::parse(said, nullptr, false);
    Setup setup;
    setup.executor = FL_ACCEL_EXECUTOR_CUDA;
    setup.place = Place::local;
    setup.device = device;
    setup.aperture_address = kAperture;
    setup.aperture_bytes = kApertureBytes;
    try {
        const auto& one = found.at("devices").at(device);
        if (const auto why = one.value("why_not", ""); !why.empty()) throw std::runtime_error(why);
        setup.local_address = one.at("local_address").get<std::uint64_t>();
        setup.local_bytes = one.at("memory_bytes").get<std::uint64_t>();
    } catch (const std::exception& e) {
        std::printf("no such device to check: %s\n", e.what());
        return kNoDevice;
    }
    // As workers have it (process.cpp).
    char folder[] = "/tmp/farlane-check-XXXXXX";
    if (::mkdtemp(folder) == nullptr) return kFailed;
    for (const char* name : {"HOME", "TMPDIR", "XDG_CACHE_HOME", "CUDA_CACHE_PATH"}) ::setenv(name, folder, 1);
    const pid_t parent = ::getpid();
    std::printf("free:\n");
    int code = in_child([&] { return Try(setup).run() ? 0 : kFailed; });
    std::printf("confined, as workers are:\n");
    code |= in_child([&] {
        if (!confine_and_tell(parent, true)) {
            std::printf("  this kernel does not tell what is refused\n");
            if (!confine(parent, true)) std::printf("  nor does it take the rules, so no worker starts\n");
        }
        return Try(setup).run() ? 0 : kFailed;
    });
    std::error_code error;
    std::filesystem::remove_all(folder, error);
    std::printf(code == 0 ? "all of it works\n" : "something failed\n");
    return code;
}

}  // namespace farlane::backend::worker
