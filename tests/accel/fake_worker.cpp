// SPDX-License-Identifier: Apache-2.0
// A worker program in hostile hands: the name it is started under says what it does to the executor in context 0. In
// other contexts it does what it is asked for.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <farlane/uapi/accel.h>

#include "backend/worker/ring.hpp"

namespace {

using namespace farlane::backend::worker;

constexpr const char* kProbe = R"({"opencl": {"devices": [
 {"index": 0, "name": "fake", "vendor": "nobody", "driver": "1", "units": 1, "shares_memory": true,
  "memory_bytes": 1048576, "opencl_c": true, "info": "0010000004000000"},
 {"index": 1, "name": "Broken one", "platform": "P", "why_not": "no compiler"}], "why": ""}})";
constexpr const char* kNoCuda = R"({"cuda": {"devices": [], "why": "no libcuda.so.1"}})";
constexpr const char* kNoOpenCl = R"({"opencl": {"devices": [
 {"index": 0, "name": "Broken one", "why_not": "no compiler"}], "why": ""}})";
constexpr const char* kCuda = R"({"cuda": {"devices": [{"index": 0, "name": "fake GPU"}], "why": ""}})";

class Fake {
public:
    Fake(Control& control, std::string mode)
        : control_(control),
          mode_(std::move(mode)),
          in_(control.submit, control.submit_bytes),
          out_(control.complete, control.complete_bytes) {}

    void say(std::uint32_t type, std::initializer_list<std::span<const std::byte>> parts) {
        (void)out_.write(type, parts);
        out_.publish();
        ring();
    }
    void ready(std::uint32_t version = kVersion) {
        say(static_cast<std::uint32_t>(Say::ready), {bytes_of(SayReady{version, 0})});
    }
    /// Says without end, and each time otherwise, that it can not start.
    [[noreturn]] void complain() {
        for (std::uint64_t i = 0;; ++i) {
            say(static_cast<std::uint32_t>(Say::ready), {bytes_of(SayReady{kVersion, 40}), bytes_of(i)});
        }
    }
    void done(const Token& token, std::uint32_t reason = 0, std::span<const std::byte> more = {}) {
        say(static_cast<std::uint32_t>(Say::done), {bytes_of(SayDone{token, reason, 0, 0, ~std::uint64_t{0}}), more});
    }
    /// A record with a head of its own making.
    void raw(std::uint32_t bytes, std::uint32_t tail) {
        const Record head{bytes, static_cast<std::uint32_t>(Say::done)};
        const std::uint32_t at = control_.complete.tail.load();
        std::memcpy(control_.complete_bytes + at, &head, sizeof head);
        control_.complete.tail.store(at + tail);
        ring();
    }

    [[noreturn]] void run() {
        std::vector<std::byte> record(kMaxSubmitRecord);
        for (;;) {
            std::uint32_t type = 0;
            std::size_t bytes = 0;
            if (in_.read(type, record, bytes) != RingReader::Read::record) {
                ::usleep(100);
                continue;
            }
            Token token;
            std::memcpy(&token, record.data(), sizeof token);
            if (mode_ == "builds-on" && builds_on(static_cast<Ask>(type), token)) continue;
            misbehave(token);
            if (type == static_cast<std::uint32_t>(Ask::bind)) {
                fl_accel_kernel_report report{};
                report.argument_report_bytes = fl_le32(sizeof(fl_accel_argument_report));
                done(token, 0, bytes_of(report));
            } else if (type != static_cast<std::uint32_t>(Ask::cancel)) {
                done(token);
            }
        }
    }

private:
    void ring() {
        const char one = 1;
        (void)!::write(kBellFd, &one, 1);
    }
    [[noreturn]] void stay() {
        for (;;) ::pause();
    }
    void misbehave(const Token& token) {
        if (mode_ == "unknown-type") say(99, {bytes_of(token)}), stay();
        if (mode_ == "unknown-job") done({token.slot + 1, token.generation}), stay();
        if (mode_ == "far-job") done({0xfffffff0, 1}), stay();
        if (mode_ == "old-job") done({token.slot, token.generation - 1}), stay();
        if (mode_ == "unknown-reason") done(token, 60000), stay();
        if (mode_ == "short-record") say(static_cast<std::uint32_t>(Say::done), {bytes_of(token)}), stay();
        if (mode_ == "odd-length") raw(13, 24), stay();
        if (mode_ == "no-length") raw(0, 24), stay();
        if (mode_ == "long-record") raw(kCompleteBytes - 8, kCompleteBytes - 8), stay();
        if (mode_ == "longer-than-there") raw(4096, 64), stay();
        if (mode_ == "tail-too-far") control_.complete.tail.store(0x80000000), ring(), stay();
        if (mode_ == "twice") done(token), done(token), stay();
        if (mode_ == "ready-twice") ready(), stay();
        if (mode_ == "unasked-built") say(static_cast<std::uint32_t>(Say::built), {}), stay();
        if (mode_ == "bad-report") done(token, 0, bytes_of(std::uint64_t{~0U})), stay();
        if (mode_ == "lies-about-head") control_.submit.head.store(control_.submit.head.load() + 0x40000000), stay();
        if (mode_ == "storm") storm(token);
        if (mode_ == "shrinks") shrink(token);
        if (mode_ == "exits") ::_exit(0);
        if (mode_ == "exits-with-3") ::_exit(3);
        if (mode_ == "aborts") ::abort();
        if (mode_ == "never") stay();
        if (mode_ == "slow") ::usleep(500'000);
        if (mode_ == "boasts") boast();
    }
    /// Answers a load only when it is canceled, and is never done with it.
    bool builds_on(Ask ask, const Token& token) {
        if (ask == Ask::cancel) {
            const SayDone said{token, FL_ACCEL_REASON_EXECUTION, 0, kBuildsOn, 0};
            say(static_cast<std::uint32_t>(Say::done), {bytes_of(said)});
        }
        return ask == Ask::cancel || ask == Ask::load;
    }
    /// Rings and rings, and lets nobody sleep.
    [[noreturn]] void storm(const Token& token) {
        const int flags = ::fcntl(kBellFd, F_GETFL);
        (void)::fcntl(kBellFd, F_SETFL, flags & ~O_NONBLOCK);
        done(token);
        std::vector<char> many(65536, 1);
        for (;;) {
            control_.worker_sleeps.store(1);
            control_.bell_armed.store(1);
            (void)!::write(kBellFd, many.data(), many.size());
        }
    }
    /// First what may be, then what can not.
    void boast() { control_.energy_uj.store(std::exchange(boasted_, true) ? std::uint64_t{1} << 60 : 1000); }
    /// Takes the files away under the daemon's mappings, or tries to.
    void shrink(const Token& token) {
        const bool failed = ::ftruncate(kMemoryFd, 0) != 0 && ::ftruncate(kControlFd, 0) != 0 &&
                            ::fcntl(kMemoryFd, F_ADD_SEALS, F_SEAL_WRITE) != 0;
        done(token, failed ? 0 : 27);
        stay();
    }

    Control& control_;
    std::string mode_;
    bool boasted_ = false;
    RingReader in_;
    RingWriter out_;
};

}  // namespace

int main(int argc, char** argv) {
    const std::string path = argv[0];
    std::string mode = path.substr(path.rfind('/') + 1);
    if (argc > 1 && std::strcmp(argv[1], "--probe") == 0) {
        if (mode == "no-json") return std::puts("not JSON"), 0;
        if (mode == "no-probe") return 1;
        const bool cuda = argc > 2 && std::strcmp(argv[2], "cuda") == 0;
        if (mode == "only-opencl" && cuda) return std::puts(kNoCuda), 0;
        if (mode == "only-cuda") return std::puts(cuda ? kCuda : kNoOpenCl), 0;
        return std::puts(kProbe), 0;
    }
    if (argc != 4) return 2;
    if (mode == "wild-start") ::abort();
    if (std::strcmp(argv[3], "0") != 0) mode = "good";
    void* at = ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, kControlFd, 0);
    if (at == MAP_FAILED) return 3;
    Fake fake(*static_cast<Control*>(at), mode);
    if (mode == "not-ready") return 0;
    if (mode == "wrong-version") {
        fake.ready(kVersion + 1);
        for (;;) ::pause();
    }
    if (mode == "complains") fake.complain();
    if (mode != "hurry") fake.ready();
    fake.run();
}
