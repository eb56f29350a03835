// SPDX-License-Identifier: Apache-2.0
// Receives: calls of a daemon to the kernel module. Hands on: what the module would answer.
// Owns: see the header.
#include "daemon/fake_module.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace farlane::test {

using channel::make_tlp;
using channel::Waiter;
using daemon::KernelFunction;
using daemon::KernelFunctionSpec;
using daemon::KernelModule;
using daemon::SharedMemory;
using daemon::UniqueFd;

namespace {

constexpr auto kPatience = 60s;

UniqueFd copy_of(int fd) {
    return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

void write_header(fl_channel& h, const channel::Geometry& g) {
    std::memset(&h, 0, sizeof h);
    h.magic = FL_CHANNEL_MAGIC;
    h.version = FL_CHANNEL_VERSION;
    h.channel_bytes = g.total_bytes();
    h.submit_offset = g.submit_offset();
    h.submit_entries = g.submit_entries;
    h.complete_offset = g.complete_offset();
    h.complete_entries = g.complete_entries;
    h.staging_offset = g.staging_offset();
    h.staging_bytes = g.staging_bytes;
}

}  // namespace

FakeFunction::FakeFunction(std::uint32_t number, const KernelFunctionSpec& s)
    : id(number), spec(s), config(s.config.begin(), s.config.end()) {
    spec.config = config;
    memory_ = SharedMemory::create("fake-module", spec.geometry.total_bytes()).take();
    write_header(header(), spec.geometry);
    std::vector<UniqueFd> fds;
    fds.push_back(copy_of(memory_->fd()));
    fds.push_back(copy_of(spec.submit_bell));
    fds.push_back(UniqueFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)));
    ring_ = std::make_unique<channel::AppChannel>(spec.geometry, std::move(fds));
}

// A processor that waits for an answer polls, as in the module.
void FakeFunction::wait(Waiter& waiter) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (waiter.outstanding != 0) {
        if (ring_->drain()) continue;
        if (std::chrono::steady_clock::now() > deadline) {
            ring_->forget(waiter);
            throw std::runtime_error("the ring gives no answer");
        }
        std::this_thread::yield();
    }
    last_status_ = waiter.status;
}

std::uint64_t FakeFunction::read(unsigned bar, std::uint64_t offset, unsigned bytes) {
    std::uint64_t value = 0;
    Waiter waiter;
    if (!ring_->request(make_tlp(FL_TLP_MRD, bar, offset, bytes), {},
                        std::as_writable_bytes(std::span(&value, 1)).first(bytes), waiter))
        throw std::runtime_error("the ring is full");
    wait(waiter);
    return value;
}

void FakeFunction::write(unsigned bar, std::uint64_t offset, std::uint64_t value, unsigned bytes) {
    const auto payload = std::as_bytes(std::span(&value, 1)).first(bytes);
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!ring_->write(make_tlp(FL_TLP_MWR, bar, offset, bytes), payload)) {
        if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("the ring stays full");
        (void)ring_->drain();
        std::this_thread::yield();
    }
}

std::uint32_t FakeFunction::config_read(std::uint32_t offset, unsigned bytes) {
    std::uint32_t value = 0;
    Waiter waiter;
    if (!ring_->request(make_tlp(FL_TLP_CFGRD, FL_BAR_NONE, offset, bytes), {},
                        std::as_writable_bytes(std::span(&value, 1)).first(bytes), waiter))
        throw std::runtime_error("the ring is full");
    wait(waiter);
    return value;
}

void FakeFunction::config_write(std::uint32_t offset, std::uint32_t value, unsigned bytes) {
    Waiter waiter;
    if (!ring_->request(make_tlp(FL_TLP_CFGWR, FL_BAR_NONE, offset, bytes),
                        std::as_bytes(std::span(&value, 1)).first(bytes), {}, waiter))
        throw std::runtime_error("the ring is full");
    wait(waiter);
}

void FakeFunction::post_config_write(std::uint32_t offset, std::uint32_t value, unsigned bytes) {
    if (!ring_->request(make_tlp(FL_TLP_CFGWR, FL_BAR_NONE, offset, bytes),
                        std::as_bytes(std::span(&value, 1)).first(bytes), {}, nobody_))
        throw std::runtime_error("the ring is full");
}

std::span<std::byte> FakeFunction::map(std::uint64_t iova, std::size_t bytes, std::uint32_t direction) {
    const std::scoped_lock lock(mutex);
    Range& r = ranges_[iova];
    r = {direction, std::vector<std::byte>(bytes)};
    return r.memory;
}

void FakeFunction::unmap(std::uint64_t iova) {
    const std::scoped_lock lock(mutex);
    ranges_.erase(iova);
}

std::byte* FakeFunction::find(std::uint64_t iova, std::uint64_t bytes, std::uint32_t direction) {
    auto at = ranges_.upper_bound(iova);
    if (at == ranges_.begin()) return nullptr;
    --at;
    Range& r = at->second;
    const std::uint64_t offset = iova - at->first;
    const bool inside = offset <= r.memory.size() && bytes <= r.memory.size() - offset;
    return inside && (r.direction & direction) == direction ? r.memory.data() + offset : nullptr;
}

std::uint32_t FakeFunction::execute(fl_dma_op& op) {
    constexpr std::uint32_t kBoth = FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES;
    const bool reads = op.kind == FL_DMA_READ, writes = op.kind == FL_DMA_WRITE;
    std::byte* const host = find(op.iova, op.length_bytes,
                                 reads    ? FL_MAP_DEVICE_READS
                                 : writes ? FL_MAP_DEVICE_WRITES
                                          : kBoth);
    if (host == nullptr || op.length_bytes == 0 || op.length_bytes > FL_DMA_MAX_OP_BYTES) return FL_STATUS_UR;
    auto* const mine = reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(op.address));
    if (reads) std::memcpy(mine, host, op.length_bytes);
    if (writes) std::memcpy(host, mine, op.length_bytes);
    if (reads || writes) return FL_STATUS_SC;
    std::uint64_t old = 0, operand = 0, swap = 0;
    std::memcpy(&old, host, op.length_bytes);
    std::memcpy(&operand, mine, op.length_bytes);
    if (op.kind == FL_DMA_CAS) std::memcpy(&swap, mine + op.length_bytes, op.length_bytes);
    std::uint64_t next = operand;
    if (op.kind == FL_DMA_FETCHADD) next = old + operand;
    if (op.kind == FL_DMA_CAS) next = old == operand ? swap : old;
    std::memcpy(host, &next, op.length_bytes);
    std::memcpy(mine, &old, op.length_bytes);
    return FL_STATUS_SC;
}

bool FakeFunction::open_node(FakeHost& host) {
    constexpr channel::Geometry kGeometry{256, 256, 256 * 1024};
    {
        const std::scoped_lock lock(mutex);
        if (node_memory_ != nullptr) return false;
        node_memory_ = SharedMemory::create("fake-node", kGeometry.total_bytes()).take();
        std::vector<UniqueFd> fds;
        fds.push_back(copy_of(node_memory_->fd()));
        fds.push_back(copy_of(ring_->fds()[1]));
        fds.push_back(UniqueFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)));
        node_ = std::make_unique<channel::AppChannel>(kGeometry, std::move(fds));
        ++node_generation_;
        node_open_ = true;
    }
    host.tell(id);
    return true;
}

void FakeFunction::close_node(FakeHost& host) {
    {
        const std::scoped_lock lock(mutex);
        node_open_ = false;
        node_.reset();
    }
    host.tell(id);
}

bool FakeFunction::wait_node_free() {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, kPatience, [&] { return node_memory_ == nullptr; });
}

bool FakeFunction::wait_interrupt(std::uint32_t vector, std::uint64_t seen) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, kPatience, [&] { return vectors_[vector] > seen; });
}

std::uint64_t FakeFunction::interrupts(std::uint32_t vector) {
    const std::scoped_lock lock(mutex);
    return vectors_[vector];
}

/// The control node, opened by one daemon.
class FakeModule final : public KernelModule {
public:
    explicit FakeModule(FakeHost& host) : host_(host) {}
    ~FakeModule() override {
        const std::scoped_lock lock(host_.mutex);
        if (!ours_) return;
        host_.daemon_there = false;
        for (auto& [id, f] : host_.functions) f->state = FL_FUNCTION_ORPHANED;
        host_.changed.notify_all();
    }

    Result<fl_ioc_info> info() override {
        fl_ioc_info i{};
        i.bytes = sizeof i;
        i.abi = FL_KERNEL_ABI;
        i.features = host_.features;
        return i;
    }
    Result<std::uint32_t> become(const proto::Instance& instance, std::uint32_t) override {
        const std::scoped_lock lock(host_.mutex);
        if (host_.daemon_there) return {Status::busy, "another daemon"};
        if (host_.instance != instance) host_.functions.clear();
        host_.instance = instance;
        host_.daemon_there = ours_ = true;
        return static_cast<std::uint32_t>(host_.functions.size());
    }
    Result<KernelFunction> add(const KernelFunctionSpec& spec) override {
        const std::scoped_lock lock(host_.mutex);
        if (host_.refuse_add != Status::ok) return {host_.refuse_add, "the test refuses it"};
        auto f = std::make_shared<FakeFunction>(host_.next_id++, spec);
        host_.functions[f->id] = f;
        ++host_.adds;
        host_.changed.notify_all();
        return describe(*f);
    }
    Status remove(std::uint32_t id, bool surprise) override {
        const auto f = of(id);
        if (f == nullptr) return Status::not_found;
        if (!surprise && f->on_remove) f->on_remove();
        {
            const std::scoped_lock lock(f->mutex);
            f->removed = true;
            f->surprise = surprise;
            f->changed.notify_all();
        }
        const std::scoped_lock lock(host_.mutex);
        host_.functions.erase(id);
        host_.changed.notify_all();
        return Status::ok;
    }
    Result<KernelFunction> get(std::uint32_t index) override {
        const std::scoped_lock lock(host_.mutex);
        if (index >= host_.functions.size()) return {Status::not_found, ""};
        return describe(*std::next(host_.functions.begin(), index)->second);
    }
    Status recover(std::uint32_t id, int submit_bell) override {
        const auto f = of(id);
        if (f == nullptr) return Status::not_found;
        if (::dup2(submit_bell, f->ring_->fds()[1]) < 0) return Status::io;
        const std::scoped_lock lock(f->mutex);
        f->state = FL_FUNCTION_LIVE;
        f->changed.notify_all();
        return Status::ok;
    }
    Result<std::shared_ptr<SharedMemory>> map_channel(const KernelFunction& f) override {
        const auto function = of(f.id);
        if (function == nullptr) return {Status::not_found, "no such function"};
        if (f.mmap_offset != 0) {
            const std::scoped_lock lock(function->mutex);
            if (function->node_memory_ == nullptr) return {Status::not_found, "no such channel"};
            return SharedMemory::map(copy_of(function->node_memory_->fd()), 0, f.channel_bytes);
        }
        return SharedMemory::map(copy_of(function->memory_->fd()), 0, f.channel_bytes);
    }
    int event_fd() const noexcept override { return host_.news_bell.get(); }
    std::vector<std::uint32_t> events() override {
        const std::scoped_lock lock(host_.mutex);
        std::uint64_t count = 0;
        (void)!::read(host_.news_bell.get(), &count, sizeof count);
        return std::exchange(host_.news, {});
    }
    Result<daemon::KernelChannel> channel(std::uint32_t id) override {
        const auto f = of(id);
        if (f == nullptr) return {Status::not_found, ""};
        const std::scoped_lock lock(f->mutex);
        if (f->node_memory_ == nullptr) return {Status::not_found, ""};
        return daemon::KernelChannel{
            f->node_generation_, f->node_open_, {256, 256, 256 * 1024}, 1, f->node_memory_->bytes().size()};
    }
    Status release_channel(std::uint32_t id, std::uint32_t generation) override {
        const auto f = of(id);
        if (f == nullptr) return Status::not_found;
        const std::scoped_lock lock(f->mutex);
        if (f->node_memory_ == nullptr || f->node_generation_ != generation) return Status::stale;
        if (f->node_open_) return Status::busy;
        f->node_memory_.reset();
        f->changed.notify_all();
        return Status::ok;
    }
    Status ring_application(std::uint32_t id) noexcept override {
        const auto f = of(id);
        if (f == nullptr) return Status::not_found;
        const std::scoped_lock lock(f->mutex);
        ++f->bells;
        f->changed.notify_all();
        return Status::ok;
    }
    Status set_state(std::uint32_t id, fl_function_state state) override {
        const auto f = of(id);
        if (f == nullptr) return Status::not_found;
        const std::scoped_lock lock(f->mutex);
        f->state = state;
        f->changed.notify_all();
        return Status::ok;
    }
    Status error(std::uint32_t id, std::uint32_t severity, std::uint32_t source) override {
        const auto f = of(id);
        if (f == nullptr) return Status::not_found;
        const std::scoped_lock lock(f->mutex);
        f->errors.emplace_back(severity, source);
        f->changed.notify_all();
        return Status::ok;
    }
    Status interrupt(std::uint32_t id, std::uint32_t first, std::uint64_t mask) noexcept override {
        const auto f = of(id);
        if (f == nullptr) return Status::not_found;
        const std::scoped_lock lock(f->mutex);
        for (std::uint32_t bit = 0; bit < 64; ++bit)
            if ((mask >> bit & 1) != 0) ++f->vectors_[first + bit];
        f->changed.notify_all();
        return Status::ok;
    }
    Status poke(std::uint32_t id) noexcept override {
        const auto f = of(id);
        if (f == nullptr) return Status::not_found;
        const std::scoped_lock lock(f->mutex);
        ++f->pokes;
        f->changed.notify_all();
        return Status::ok;
    }
    Status dma(std::uint32_t id, std::span<fl_dma_op> ops, std::uint32_t& failed) noexcept override {
        const auto f = of(id);
        if (f == nullptr) return Status::not_found;
        const std::scoped_lock lock(f->mutex);
        ++f->dma_calls;
        for (fl_dma_op& op : ops) {
            op.status = f->execute(op);
            ++f->dma_ops;
            if (op.status != FL_STATUS_SC) ++failed, ++f->dma_refused;
        }
        f->changed.notify_all();
        return Status::ok;
    }

private:
    std::shared_ptr<FakeFunction> of(std::uint32_t id) {
        const std::scoped_lock lock(host_.mutex);
        const auto at = host_.functions.find(id);
        return at != host_.functions.end() ? at->second : nullptr;
    }
    static KernelFunction describe(const FakeFunction& f) {
        return {f.id,
                f.id - 1,
                static_cast<std::uint32_t>(f.state),
                f.spec.node,
                f.spec.info.name,
                f.spec.info.target,
                f.spec.geometry,
                0,
                f.spec.geometry.total_bytes()};
    }
    FakeHost& host_;
    bool ours_ = false;
};

FakeHost::FakeHost() : news_bell(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

void FakeHost::tell(std::uint32_t id) {
    const std::scoped_lock lock(mutex);
    news.push_back(id);
    const std::uint64_t one = 1;
    (void)!::write(news_bell.get(), &one, sizeof one);
}

daemon::KernelBus::Opener FakeHost::opener() {
    return [this]() -> Result<std::shared_ptr<KernelModule>> {
        return std::shared_ptr<KernelModule>(std::make_shared<FakeModule>(*this));
    };
}

std::shared_ptr<FakeFunction> FakeHost::function(const std::string& name) {
    std::unique_lock lock(mutex);
    std::shared_ptr<FakeFunction> found;
    (void)changed.wait_for(lock, kPatience, [&] {
        for (auto& [id, f] : functions)
            if (f->spec.info.name == name) found = f;
        return found != nullptr;
    });
    if (found == nullptr) throw std::runtime_error("no function '" + name + "' on the bus");
    return found;
}

bool FakeHost::wait_empty() {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, kPatience, [&] { return functions.empty(); });
}

}  // namespace farlane::test
