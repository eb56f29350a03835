// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: /dev/farlane/control and channels for the programs that test the
// module in a guest. Owns: descriptors and mappings. Contract: farlane/uapi/ioctl.h.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <farlane/uapi/ioctl.h>
#include <farlane/uapi/status.h>

namespace farlane::kmodtest {

[[noreturn]] inline void fail(const std::string& what) {
    std::fprintf(stderr, "FAIL %s: %s\n", what.c_str(), std::strerror(errno));
    std::exit(1);
}

/// One open control node.
class Control {
public:
    explicit Control(const char* path = "/dev/farlane/control") : fd_(::open(path, O_RDWR | O_CLOEXEC)) {
        if (fd_ < 0) fail(path);
    }
    ~Control() { ::close(fd_); }
    Control(const Control&) = delete;
    Control& operator=(const Control&) = delete;

    [[nodiscard]] int fd() const noexcept { return fd_; }
    /// 0, or the errno.
    template <class T>
    [[nodiscard]] int call(unsigned long number, T& argument) const noexcept {
        return ::ioctl(fd_, number, &argument) == 0 ? 0 : errno;
    }
    /// How many functions are kept; negative: the errno.
    [[nodiscard]] int become(std::uint8_t instance, std::uint32_t grace_ms = 0) const noexcept {
        fl_ioc_daemon_open open{};
        open.bytes = sizeof open;
        open.abi = FL_KERNEL_ABI;
        std::memset(open.instance, instance, sizeof open.instance);
        open.grace_ms = grace_ms;
        const int error = call(FL_IOC_DAEMON_OPEN, open);
        return error != 0 ? -error : static_cast<int>(open.functions);
    }

private:
    int fd_;
};

/// A configuration space that a driver-less function may have: one memory BAR of 64 KiB, PCIe capability.
inline std::array<std::uint8_t, FL_CONFIG_BYTES> plain_config() {
    std::array<std::uint8_t, FL_CONFIG_BYTES> c{};
    const auto put16 = [&c](unsigned at, unsigned v) {
        c[at] = static_cast<std::uint8_t>(v);
        c[at + 1] = static_cast<std::uint8_t>(v >> 8);
    };
    put16(0x00, 0x1234);  // vendor, device: nobody's
    put16(0x02, 0x0f1a);
    put16(0x06, 0x0010);  // capability list
    c[0x0b] = 0x12;       // processing accelerator
    c[0x10] = 0x04;       // BAR 0: 64 bit
    put16(0x2c, 0x1234);
    put16(0x2e, 0x0001);
    c[0x34] = 0x40;
    c[0x40] = 0x10;  // PCI Express, version 2, endpoint
    put16(0x42, 0x0002);
    put16(0x44, 0x8000);  // role-based error reporting
    put16(0x46, 0x1000);  // function level reset
    put16(0x4c, 0x0011);  // x1, 2.5 GT/s
    put16(0x52, 0x0011);
    return c;
}

struct Sizes {
    std::uint32_t submit = 1024, complete = 512, staging = 1 << 20;
};

inline fl_ioc_function_add make_add(const std::string& name, const std::uint8_t* config, int bell, Sizes sizes) {
    fl_ioc_function_add add{};
    add.bytes = sizeof add;
    add.flags = FL_ADD_NODE;
    std::memcpy(add.name, name.data(), std::min(name.size(), sizeof add.name - 1));
    std::memcpy(add.peer, "test", 5);
    add.bars[0].size_bytes = 64 << 10;
    add.bars[0].flags = FL_BAR_FLAG_64;
    add.config = reinterpret_cast<std::uintptr_t>(config);
    add.config_bytes = FL_CONFIG_BYTES;
    add.submit_entries = sizes.submit;
    add.complete_entries = sizes.complete;
    add.staging_bytes = sizes.staging;
    add.submit_bell = bell;
    return add;
}

/// The daemon's view of a channel. Offsets come from the sizes, never from the memory.
class Channel {
public:
    Channel(const Control& control, std::uint64_t offset, std::uint64_t bytes, Sizes sizes)
        : bytes_(bytes), sizes_(sizes) {
        void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, control.fd(), static_cast<off_t>(offset));
        base_ = at == MAP_FAILED ? nullptr : static_cast<std::byte*>(at);
    }
    ~Channel() {
        if (base_ != nullptr) ::munmap(base_, bytes_);
    }
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    /// False: the module did not map it; errno says why.
    [[nodiscard]] bool valid() const noexcept { return base_ != nullptr; }
    [[nodiscard]] std::byte* base() const noexcept { return base_; }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] const Sizes& sizes() const noexcept { return sizes_; }
    [[nodiscard]] fl_channel& header() const noexcept { return *reinterpret_cast<fl_channel*>(base_); }
    [[nodiscard]] fl_slot& submit(std::uint32_t n) const noexcept {
        return reinterpret_cast<fl_slot*>(base_ + FL_CHANNEL_HEADER_BYTES)[n & (sizes_.submit - 1)];
    }
    [[nodiscard]] fl_slot& complete(std::uint32_t n) const noexcept {
        return (&submit(0) + sizes_.submit)[n & (sizes_.complete - 1)];
    }
    [[nodiscard]] std::byte* staging() const noexcept { return base_ + bytes_ - sizes_.staging; }

    static std::uint32_t load(std::uint32_t& word) noexcept {
        return std::atomic_ref<std::uint32_t>(word).load(std::memory_order_acquire);
    }
    static void store(std::uint32_t& word, std::uint32_t value) noexcept {
        std::atomic_ref<std::uint32_t>(word).store(value, std::memory_order_release);
    }

private:
    std::byte* base_ = nullptr;
    std::uint64_t bytes_;
    Sizes sizes_;
};

}  // namespace farlane::kmodtest
