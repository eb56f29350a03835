// SPDX-License-Identifier: Apache-2.0
// Receives: calls of the daemon. Hands on: ioctls of /dev/farlane/control, and its errors in
// words. Owns: the node. The one place of the daemon that needs a privilege: opening it.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "daemon/kernel_module.hpp"

namespace farlane::daemon {
namespace {

Status status_of(int error) noexcept {
    switch (error) {
        case ENOENT: return Status::not_found;
        case EBUSY: return Status::busy;
        case EPERM:
        case EACCES: return Status::denied;
        case EINVAL: return Status::invalid;
        case ENOSPC: return Status::limit;
        case ENOMEM: return Status::no_memory;
        case ENODEV: return Status::device_lost;
        case ESTALE: return Status::stale;
        case ETIMEDOUT: return Status::timeout;
        case EOPNOTSUPP: return Status::unsupported;
        case EEXIST: return Status::busy;
        default: return Status::io;
    }
}

Failure failure(const std::string& what, int error) {
    return {status_of(error), what + ": " + std::strerror(error)};
}

void copy_name(char (&to)[FL_NAME_BYTES], const std::string& from) noexcept {
    std::memset(to, 0, sizeof to);
    std::copy_n(from.data(), std::min(from.size(), sizeof to - 1), to);
}

std::string text_of(const char (&raw)[FL_NAME_BYTES]) {
    return {raw, strnlen(raw, sizeof raw)};
}

class KernelDevice final : public KernelModule {
public:
    explicit KernelDevice(UniqueFd fd) noexcept : fd_(std::move(fd)) {}

    Result<fl_ioc_info> info() override {
        fl_ioc_info i{};
        i.bytes = sizeof i;
        if (call(FL_IOC_INFO, &i) != 0) return failure("the kernel module does not say what it is", errno);
        i.version[sizeof i.version - 1] = 0;
        return i;
    }

    Result<std::uint32_t> become(const proto::Instance& instance, std::uint32_t grace_ms) override {
        fl_ioc_daemon_open o{};
        o.bytes = sizeof o;
        o.abi = FL_KERNEL_ABI;
        static_assert(sizeof o.instance == std::tuple_size_v<proto::Instance>);
        std::memcpy(o.instance, instance.data(), sizeof o.instance);
        o.grace_ms = grace_ms;
        if (call(FL_IOC_DAEMON_OPEN, &o) == 0) return o.functions;
        if (errno == EBUSY)
            return {Status::busy, "another farlaned feeds the kernel module of this host; one host has one"};
        return failure("the kernel module does not take this daemon", errno);
    }

    Result<KernelFunction> add(const KernelFunctionSpec& spec) override {
        fl_ioc_function_add a{};
        a.bytes = sizeof a;
        a.flags = spec.node ? FL_ADD_NODE : 0;
        copy_name(a.name, spec.info.name);
        copy_name(a.peer, spec.info.target);
        for (std::size_t i = 0; i < spec.info.bars.size(); ++i) {
            const BarInfo& bar = spec.info.bars[i];
            a.bars[i].size_bytes = bar.size_bytes;
            a.bars[i].flags = (bar.is_64bit ? FL_BAR_FLAG_64 : 0) | (bar.prefetchable ? FL_BAR_FLAG_PREFETCH : 0);
        }
        a.config = reinterpret_cast<std::uintptr_t>(spec.config.data());
        a.config_bytes = static_cast<std::uint32_t>(spec.config.size());
        a.completion_timeout_ms = spec.completion_timeout_ms;
        a.submit_entries = spec.geometry.submit_entries;
        a.complete_entries = spec.geometry.complete_entries;
        a.staging_bytes = spec.geometry.staging_bytes;
        a.submit_bell = spec.submit_bell;
        if (call(FL_IOC_FUNCTION_ADD, &a) != 0) return add_failure(spec.info.name, errno);
        return KernelFunction{a.function_id,    a.slot,        FL_FUNCTION_LIVE, spec.node,      spec.info.name,
                              spec.info.target, spec.geometry, a.mmap_offset,    a.channel_bytes};
    }

    Status remove(std::uint32_t id, bool surprise) override {
        fl_ioc_function_remove r{sizeof r, id, surprise ? std::uint32_t{FL_REMOVE_SURPRISE} : 0, 0};
        return called(FL_IOC_FUNCTION_REMOVE, &r);
    }

    Result<KernelFunction> get(std::uint32_t index) override {
        fl_ioc_function_get g{};
        g.bytes = sizeof g;
        g.index = index;
        if (call(FL_IOC_FUNCTION_GET, &g) != 0) return failure("function " + std::to_string(index), errno);
        return KernelFunction{g.function_id,
                              g.slot,
                              g.state,
                              (g.flags & FL_ADD_NODE) != 0,
                              text_of(g.name),
                              text_of(g.peer),
                              {g.submit_entries, g.complete_entries, g.staging_bytes},
                              g.mmap_offset,
                              g.channel_bytes};
    }

    Status recover(std::uint32_t id, int submit_bell) override {
        fl_ioc_function_recover r{sizeof r, id, submit_bell, 0};
        return called(FL_IOC_FUNCTION_RECOVER, &r);
    }

    Result<std::shared_ptr<SharedMemory>> map_channel(const KernelFunction& f) override {
        UniqueFd fd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
        if (!fd.valid()) return failure("channel of '" + f.name + "'", errno);
        return SharedMemory::map(std::move(fd), f.mmap_offset, f.channel_bytes);
    }

    int event_fd() const noexcept override { return fd_.get(); }

    std::vector<std::uint32_t> events() override {
        std::array<fl_ioc_event, 64> raw;
        std::vector<std::uint32_t> ids;
        const ssize_t n = ::read(fd_.get(), raw.data(), sizeof raw);
        for (std::size_t i = 0; n > 0 && (i + 1) * sizeof raw[0] <= static_cast<std::size_t>(n); ++i)
            ids.push_back(raw[i].function_id);
        return ids;
    }

    Result<KernelChannel> channel(std::uint32_t id) override {
        fl_ioc_channel_get g{};
        g.bytes = sizeof g;
        g.function_id = id;
        if (call(FL_IOC_CHANNEL_GET, &g) != 0) return failure("channel of an application", errno);
        return KernelChannel{g.generation,
                             g.state == FL_CHANNEL_OPEN,
                             {g.submit_entries, g.complete_entries, g.staging_bytes},
                             g.mmap_offset,
                             g.channel_bytes};
    }

    Status release_channel(std::uint32_t id, std::uint32_t generation) override {
        fl_ioc_channel_release r{sizeof r, id, generation, 0};
        return called(FL_IOC_CHANNEL_RELEASE, &r);
    }

    Status ring_application(std::uint32_t id) noexcept override {
        fl_ioc_channel_bell b{sizeof b, id};
        return called(FL_IOC_CHANNEL_BELL, &b);
    }

    Status set_state(std::uint32_t id, fl_function_state state) override {
        fl_ioc_function_state s{sizeof s, id, static_cast<std::uint32_t>(state), 0};
        return called(FL_IOC_FUNCTION_STATE, &s);
    }

    Status error(std::uint32_t id, std::uint32_t severity, std::uint32_t source) override {
        fl_ioc_error e{sizeof e, id, severity, source};
        return called(FL_IOC_ERROR, &e);
    }

    Status interrupt(std::uint32_t id, std::uint32_t first, std::uint64_t mask) noexcept override {
        fl_ioc_interrupt i{sizeof i, id, first, 0, mask};
        return called(FL_IOC_INTERRUPT, &i);
    }

    Status poke(std::uint32_t id) noexcept override {
        fl_ioc_poke p{sizeof p, id};
        return called(FL_IOC_POKE, &p);
    }

    Status dma(std::uint32_t id, std::span<fl_dma_op> ops, std::uint32_t& failed) noexcept override {
        fl_ioc_dma_copy c{sizeof c, id, static_cast<std::uint32_t>(ops.size()), 0,
                          reinterpret_cast<std::uintptr_t>(ops.data())};
        const Status status = called(FL_IOC_DMA_COPY, &c);
        failed = c.failed;
        return status;
    }

private:
    int call(unsigned long number, void* argument) const noexcept {
        int result = 0;
        do result = ::ioctl(fd_.get(), number, argument);
        while (result != 0 && errno == EINTR);
        return result;
    }
    [[nodiscard]] Status called(unsigned long number, void* argument) const noexcept {
        return call(number, argument) == 0 ? Status::ok : status_of(errno);
    }
    static Failure add_failure(const std::string& name, int error) {
        switch (error) {
            case EINVAL:
                return {Status::invalid, "the kernel module refuses the configuration space of '" + name +
                                             "' (BAR sizes, capabilities or vectors that can not be); dmesg says what"};
            case ENOSPC: return {Status::limit, "no free slot on Farlane's PCI bus; load farlane.ko with more slots="};
            case ENXIO:
                return {Status::limit,
                        "no free slot on Farlane's PCI bus has its root port, somebody removed it; "
                        "'echo 1 > /sys/bus/pci/rescan' brings it back"};
            case EEXIST:
            case EBUSY: return {Status::busy, "the kernel module has a function '" + name + "' already"};
            default: return failure("'" + name + "' can not be put on the PCI bus", error);
        }
    }
    UniqueFd fd_;
};

}  // namespace

Result<std::shared_ptr<KernelModule>> open_kernel_device(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd.valid()) {
        if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
            return {Status::not_found, path + " is not there: the kernel module is not loaded (modprobe farlane)"};
        if (errno == EACCES || errno == EPERM)
            return {Status::denied, path + ": no permission; farlaned runs as root, or as a user the node belongs to"};
        if (errno == EBUSY) return {Status::busy, path + " is in use by another farlaned"};
        return failure(path, errno);
    }
    auto device = std::make_shared<KernelDevice>(std::move(fd));
    auto info = device->info();
    if (!info.ok()) return info.failure();
    if (info->abi != FL_KERNEL_ABI)
        return {Status::version, "farlane.ko " + std::string(info->version) + " speaks interface " +
                                     std::to_string(info->abi) + ", this farlaned " + std::to_string(FL_KERNEL_ABI) +
                                     ": install module and daemon of one version"};
    return std::shared_ptr<KernelModule>(std::move(device));
}

}  // namespace farlane::daemon
