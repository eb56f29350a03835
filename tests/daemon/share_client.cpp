// SPDX-License-Identifier: Apache-2.0
// Receives: a farlaned's socket and what to do. Hands on: exit code 0 when every result was right. Owns: one share
// of the accelerator "accel0". An application of the sharing tests:
//   share_client SOCKET work ROUNDS SEED     checked work
//   share_client SOCKET stream FIFO SEED     checked work, then a word into FIFO, then work without an end
//   share_client SOCKET greedy FIFO SEED     takes all it gets, says what it was refused with, then as stream does
//   share_client SOCKET hold FIFO SEED       checked work, then a word into FIFO, then keeps what it has
//   share_client SOCKET wait FIFO SEED       checked work, a word into FIFO, checked work until it is device_lost
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

#include "daemon/share_work.hpp"

namespace {

using farlane::test::ShareWork;

void say_ready(const char* fifo) {
    const int fd = ::open(fifo, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ::write(fd, "r", 1) != 1) throw std::runtime_error("fifo");
    ::close(fd);
}

/// Calls `take` until it throws, and tells what.
void take_all(auto&& take) {
    try {
        for (;;) take();
    } catch (const farlane::Error& e) {
        std::printf("%s\n", e.what());
        std::fflush(stdout);
    }
}

[[noreturn]] void be_greedy(const char* fifo, farlane::Device& device, std::uint32_t seed) {
    std::vector<std::unique_ptr<ShareWork>> works;
    std::vector<farlane::accel::Stream> streams;
    std::vector<farlane::accel::Buffer<float>> buffers;
    take_all([&] { works.push_back(std::make_unique<ShareWork>(device, seed)); });
    take_all([&] { streams.push_back(works.at(0)->context().create_stream()); });
    for (auto& work : works) work->round();
    for (auto& work : works) {
        take_all([&] {
            for (int i = 0; i < 128; ++i) buffers.push_back(work->context().allocate<float>(1));  // a page each
            work->context().stream().synchronize();
        });
    }
    say_ready(fifo);
    for (;;) {
        for (auto& work : works) work->flood();
    }
}

int run(std::string_view what, const char* how, farlane::Device& device, std::uint32_t seed) {
    if (what == "greedy") be_greedy(how, device, seed);
    ShareWork work(device, seed);
    work.round();
    if (what == "work") {
        for (int i = std::atoi(how); i > 0; --i) work.round();
        return 0;
    }
    say_ready(how);
    if (what == "hold")
        for (;;) ::pause();
    if (what == "wait") {
        try {
            for (;;) work.round();
        } catch (const farlane::Error& e) {
            std::printf("%s: %s\n", std::string(farlane::status_name(e.status())).c_str(), e.what());
            return e.status() == farlane::Status::device_lost ? 3 : 4;
        }
    }
    for (;;) work.begin();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    try {
        farlane::Fabric fabric = farlane::test::open_fabric(argv[1]);
        farlane::Device device = fabric.attach("accel0", farlane::AttachMode::shared);
        return run(argv[2], argv[3], device, static_cast<std::uint32_t>(std::atoi(argv[4])));
    } catch (const std::exception& e) {
        std::printf("%s\n", e.what());
        return 1;
    }
}
