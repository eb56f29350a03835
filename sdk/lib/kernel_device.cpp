// SPDX-License-Identifier: Apache-2.0
// Receives: what an application asks of one device by its node. Hands on: ioctls of the node.
// Owns: see the header. docs/kernel-interface.md, "An application".
#include "lib/kernel_device.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <sys/ioctl.h>

#include <farlane/uapi/ioctl.h>

#include "lib/own_memory.hpp"
#include "lib/shared_pages.hpp"

namespace farlane::provider {
namespace {

constexpr channel::Geometry kGeometry{1024, 512, 1 << 20};
constexpr std::chrono::seconds kPlugTime{10};  // until the kernel has found a function on its bus
constexpr std::chrono::seconds kFreeTime{3};
constexpr std::chrono::milliseconds kRetry{5};

int call(int fd, unsigned long number, void* argument) noexcept {
    int result = 0;
    do result = ::ioctl(fd, number, argument);
    while (result != 0 && errno == EINTR);
    return result;
}

// "COMMAND (pid N)", from the module; "": no application has it.
std::string holder_of(const std::string& node) {
    std::ifstream file("/sys/class/farlane/" + node.substr(node.rfind('/') + 1) + "/holder");
    std::string text;
    std::getline(file, text);
    std::ranges::replace_if(
        text, [](unsigned char c) { return std::iscntrl(c) != 0; }, '?');
    return text;
}

[[noreturn]] void fail(const std::string& node, int error) {
    switch (error) {
        case ENOENT:
        case ENODEV:
        case ENXIO:
            throw Error(Status::not_found, node + " is not there: attach the function first (farlane attach NAME)");
        case EBUSY: {
            const std::string holder = holder_of(node);
            throw Error(Status::busy, node + " is in use by " + (holder.empty() ? "a driver of this kernel" : holder));
        }
        case EACCES:
        case EPERM: throw Error(Status::denied, node + ": no permission (its group and mode say who may use it)");
        default: throw Error(Status::io, node + ": " + std::strerror(error));
    }
}

// A function that was attached a moment ago is on its way onto the bus.
void create_channel(int fd, const std::string& node, int complete_bell) {
    const auto deadline = std::chrono::steady_clock::now() + kPlugTime;
    for (;;) {
        fl_ioc_channel_create c{};
        c.bytes = sizeof c;
        c.submit_entries = kGeometry.submit_entries;
        c.complete_entries = kGeometry.complete_entries;
        c.staging_bytes = kGeometry.staging_bytes;
        c.complete_bell = complete_bell;
        if (call(fd, FL_IOC_CHANNEL_CREATE, &c) == 0) {
            if (c.channel_bytes == kGeometry.total_bytes()) return;
            throw Error(Status::version, node + ": the module lays channels out in another way than this library");
        }
        if (errno != EAGAIN) fail(node, errno);
        if (std::chrono::steady_clock::now() > deadline)
            throw Error(Status::timeout, node + ": the kernel has not found the function on its PCI bus");
        std::this_thread::sleep_for(kRetry);
    }
}

// Of the application before the daemon lets go a moment after it has ended, when the device is reset.
control::UniqueFd open_node(const std::string& node) {
    const auto deadline = std::chrono::steady_clock::now() + kFreeTime;
    for (;;) {
        control::UniqueFd fd(::open(node.c_str(), O_RDWR | O_CLOEXEC));
        if (fd.valid()) return fd;
        const int error = errno;
        if (error != EBUSY || !holder_of(node).empty() || std::chrono::steady_clock::now() > deadline)
            fail(node, error);
        std::this_thread::sleep_for(kRetry);
    }
}

}  // namespace

std::shared_ptr<KernelDevice> KernelDevice::open(const std::string& node, const FunctionInfo& info) {
    control::UniqueFd fd = open_node(node);
    std::vector<control::UniqueFd> fds;
    fds.push_back(control::UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)));
    if (!fds[0].valid()) fail(node, errno);
    fds.emplace_back();  // no submit bell: an ioctl
    fds.push_back(make_eventfd());
    create_channel(fd.get(), node, fds[2].get());
    auto ring = std::make_unique<channel::AppChannel>(kGeometry, std::move(fds), [n = fd.get()] {
        fl_ioc_channel_bell b{sizeof b, 0};
        (void)call(n, FL_IOC_CHANNEL_BELL, &b);
    });
    return std::shared_ptr<KernelDevice>(new KernelDevice(std::move(fd), info, std::move(ring)));
}

KernelDevice::KernelDevice(control::UniqueFd node, FunctionInfo info, std::unique_ptr<channel::AppChannel> channel)
    : RingDevice(std::move(info), std::move(channel)), node_(std::move(node)) {}

KernelDevice::~KernelDevice() {
    try {
        detach();
    } catch (const std::exception&) {
        // Closing the node ends it in any case.
    }
}

// A function that its daemon did not come back for is removed without a word in the channel.
bool KernelDevice::still_there() {
    fl_ioc_unmap u{sizeof u, 0, 0};  // no mapping has this address
    return call(node_.get(), FL_IOC_UNMAP, &u) == 0 || errno != ENODEV;
}

std::shared_ptr<Buffer> KernelDevice::allocate(std::size_t bytes) {
    return SharedPages::make(bytes);
}

std::uint64_t KernelDevice::map(const std::shared_ptr<Buffer>& buffer, std::size_t offset, std::size_t bytes,
                                DmaDirection direction) {
    const std::span<std::byte> memory = buffer->bytes();
    if (bytes == 0 || offset > memory.size() || bytes > memory.size() - offset)
        throw Error(Status::out_of_bounds, "bytes " + std::to_string(offset) + "+" + std::to_string(bytes) +
                                               " are not inside the buffer of " + std::to_string(memory.size()));
    const std::uint64_t iova = pin(memory.subspan(offset, bytes), direction);
    const Lock held(lists_);
    mapped_[iova] = buffer;
    return iova;
}

std::uint64_t KernelDevice::map_own(std::span<std::byte> memory, DmaDirection direction) {
    const std::uint64_t iova = pin(memory, direction);
    const Lock held(lists_);
    mapped_[iova] = nullptr;
    return iova;
}

std::uint64_t KernelDevice::pin(std::span<std::byte> memory, DmaDirection direction) {
    fl_ioc_map m{};
    m.bytes = sizeof m;
    m.direction = static_cast<std::uint32_t>(direction);
    m.address = reinterpret_cast<std::uintptr_t>(memory.data());
    m.length_bytes = memory.size();
    if (call(node_.get(), FL_IOC_MAP, &m) == 0) return m.iova;
    const std::string what = std::to_string(memory.size()) + " bytes can not be mapped: ";
    switch (errno) {
        case ENOMEM: throw Error(Status::no_memory, what + "no memory, or beyond RLIMIT_MEMLOCK (ulimit -l)");
        case ENOSPC:
            throw Error(Status::limit, what + "a device has at most " + std::to_string(Domain::kMaxMappings) +
                                           " mappings, in 256 TiB of addresses; unmap some");
        case EOPNOTSUPP: throw Error(Status::unsupported, what + kKindsThatCanBeMapped);
        case EACCES: throw Error(Status::denied, what + kReadOnly);
        case EFAULT:
        case EINVAL: throw Error(Status::invalid, what + kNothingThere);
        case EBADF:
        case ENOTCONN:
        case ENODEV: refuse(Status::device_lost, "map");
        default: throw Error(Status::io, what + std::strerror(errno));
    }
}

void KernelDevice::unmap(std::uint64_t iova) {
    fl_ioc_unmap u{sizeof u, 0, iova};
    // Gone with the device: no byte of it is reached any more.
    if (call(node_.get(), FL_IOC_UNMAP, &u) != 0 && errno != ENOENT && errno != ENODEV && errno != EBADF)
        throw Error(Status::io, std::string("unmap: ") + std::strerror(errno));
    std::shared_ptr<Buffer> last;
    const Lock held(lists_);
    if (const auto at = mapped_.find(iova); at != mapped_.end()) {
        last = std::move(at->second);
        mapped_.erase(at);
    }
}

void KernelDevice::enable_interrupts(unsigned count) {
    const unsigned most = std::min<unsigned>(info_.msix_vectors, FL_NODE_VECTORS);
    if (count == 0 || count > most)
        throw Error(Status::limit, "'" + info_.name + "' has " + std::to_string(most) +
                                       " interrupt vectors; ask for 1 to " + std::to_string(most));
    while (vectors_.size() < count) {
        control::UniqueFd fd = make_eventfd();
        fl_ioc_interrupt_fd i{sizeof i, static_cast<std::uint32_t>(vectors_.size()), fd.get(), 0};
        if (call(node_.get(), FL_IOC_INTERRUPT_FD, &i) != 0)
            throw Error(Status::io, std::string("interrupt: ") + std::strerror(errno));
        const Lock held(lists_);
        vectors_.push_back(std::move(fd));
    }
    program_msix(*this, count);
}

// A device that lost its state is removed from the bus and plugged anew: another one.
void KernelDevice::acknowledge_reset() {
    refuse(Status::unsupported, "it is plugged anew after it lost its state: attach it again");
}

void KernelDevice::detach() {
    {
        const Lock held(mutex_);
        if (detached_) return;
    }
    try {
        flush();  // what was written before reaches the device
    } catch (const Error&) {
        // It is detached all the same.
    }
    // Mappings and contexts of the application may keep this object; the node is free for others now.
    close_channel();
    const Lock held(lists_);
    node_ = control::UniqueFd();
    mapped_.clear();
}

}  // namespace farlane::provider
