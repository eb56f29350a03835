// SPDX-License-Identifier: Apache-2.0
// Receives: an accelerator that several clients are to share. Hands on: the device, reset and with its interrupts
// programmed, or the reason why it can not be shared. Owns: see the header. What the device says is hostile.
#include <cstring>

#include "daemon/sharing.hpp"

namespace farlane::daemon {
namespace {

constexpr auto kReadyTime = std::chrono::seconds(5);
constexpr auto kBetweenReads = std::chrono::milliseconds(1);
constexpr std::uint32_t kCommand = 4;  // PCIe 6.0, 7.5.1.1.3
constexpr std::uint32_t kMemoryAndBusMaster = 6;
constexpr std::uint32_t kMsixEnable = 0x8000;  // 7.7.2.2
constexpr std::uint32_t kMaxContexts = 65536;
constexpr std::uint64_t kMsixEntry = 16;

std::uint32_t config8(const ConfigSpace& s, std::uint32_t offset) {
    return std::to_integer<std::uint32_t>(s[offset & 0xfffU]);
}
std::uint32_t config16(const ConfigSpace& s, std::uint32_t offset) {
    return config8(s, offset) | config8(s, offset + 1) << 8;
}
std::uint32_t config32(const ConfigSpace& s, std::uint32_t offset) {
    return config16(s, offset) | config16(s, offset + 2) << 16;
}

/// [first, +stride * contexts) does not wrap.
bool ranges_fit(std::uint64_t first, std::uint64_t bytes, std::uint64_t stride, std::uint64_t contexts) {
    if (bytes > ~std::uint64_t{0} - first) return false;
    if (stride == 0) return true;
    return bytes <= stride && (contexts - 1) <= (~std::uint64_t{0} - first - bytes) / stride;
}

}  // namespace

Sharing::Sharing(lane::Lane& lane, lane::Attachment& device, OwnRequests& config, std::uint32_t places, Warn warn)
    : lane_(lane), device_(device), config_(config), places_(places), warn_(std::move(warn)), bars_(device) {}

void Sharing::open() {
    known_ = false;
    phase_ = Phase::opening;
    deadline_ = lane_.now() + kReadyTime;
    const FunctionInfo& info = device_.info();
    if (info.class_code != FL_ACCEL_CLASS_CODE)
        return fail(Status::unsupported,
                    "'" + info.name + "' is no accelerator (class 12.00.00): nothing else can be shared");
    config_.read_space(device_, [this](Status status, const std::shared_ptr<ConfigSpace>& space) {
        if (status != Status::ok) return fail(status, "its configuration space could not be read");
        look_at_space(*space);
    });
}

void Sharing::fail(Status status, std::string why) {
    if (phase_ == Phase::over) return;
    phase_ = Phase::failed;
    why_status_ = status;
    why_ = std::move(why);
    registers_at_ = lane::kNever;
    for (const Ready& then : std::exchange(waiting_, {})) then(Failure{why_status_, why_});
}

void Sharing::when_ready(Ready then) {
    if (phase_ == Phase::ready) return then(true);
    if (phase_ == Phase::opening) return waiting_.push_back(std::move(then));
    then(Failure{phase_ == Phase::failed ? why_status_ : Status::device_lost,
                 phase_ == Phase::failed ? why_ : "'" + device_.info().name + "' was removed"});
}

void Sharing::look_at_space(const ConfigSpace& space) {
    msix_ = {};
    std::uint32_t cap = (config16(space, 0x06) & 0x10) != 0 ? config8(space, 0x34) & 0xfcU : 0;
    for (int i = 0; i < 48 && cap >= 0x40 && config8(space, cap) != 0x11; ++i) cap = config8(space, cap + 1) & 0xfcU;
    if (cap >= 0x40 && config8(space, cap) == 0x11) {
        msix_.capability = cap;
        msix_.vectors = (config16(space, cap + 2) & 0x7ffU) + 1;
        const std::uint32_t table = config32(space, cap + 4);
        msix_.bar = table & 7U;
        msix_.table = table & ~7U;
    }
    const std::uint32_t command = config16(space, kCommand) | kMemoryAndBusMaster;
    const Status s = config_.write(device_, kCommand, 2, command, [this](Status status, std::uint32_t) {
        if (status != Status::ok) return fail(status, "memory decoding could not be switched on");
        check_magic();
    });
    if (s != Status::ok) fail(s, "no room for a configuration write; try again");
}

// Nothing is written to registers that are not those of the specification.
void Sharing::check_magic() {
    bars_.read(FL_ACCEL_BAR_REGISTERS, 0, sizeof registers_, [this](Status status, std::span<const std::byte> raw) {
        if (phase_ != Phase::opening) return;
        if (status != Status::ok) return fail(status, "its registers could not be read");
        std::memcpy(static_cast<void*>(&registers_), raw.data(), sizeof registers_);
        known_ = registers_.magic.get() == FL_ACCEL_MAGIC && registers_.version.get() >> 16 == FL_ACCEL_VERSION >> 16;
        if (known_) return reset_device();
        fail(Status::unsupported, "'" + device_.info().name + "' can not be shared: " + unfit());
    });
}

// Whatever an earlier user left: queue pairs, contexts, memory.
void Sharing::reset_device() {
    bars_.write32(FL_ACCEL_BAR_REGISTERS, offsetof(fl_accel_registers, control), FL_ACCEL_CONTROL_RESET);
    read_registers();
}

void Sharing::read_registers() {
    registers_at_ = lane::kNever;
    bars_.read(FL_ACCEL_BAR_REGISTERS, 0, sizeof registers_, [this](Status status, std::span<const std::byte> raw) {
        if (phase_ != Phase::opening) return;
        if (status != Status::ok) return fail(status, "its registers could not be read");
        look_at_registers(raw);
    });
}

void Sharing::look_at_registers(std::span<const std::byte> raw) {
    std::memcpy(static_cast<void*>(&registers_), raw.data(), sizeof registers_);
    const bool ours = registers_.magic.get() == FL_ACCEL_MAGIC;
    if (ours && (registers_.status.get() & FL_ACCEL_STATUS_READY) == 0) {
        if (lane_.now() > deadline_) return fail(Status::timeout, "it is not ready after its reset");
        registers_at_ = lane_.now() + kBetweenReads;
        return;
    }
    if (const std::string why = unfit(); !why.empty())
        return fail(Status::unsupported, "'" + device_.info().name + "' can not be shared: " + why);
    contexts_.resize(registers_.max_contexts.get());
    queues_.resize(registers_.max_queues.get());
    program_vectors();
}

std::string Sharing::unfit() const {
    const fl_accel_registers& r = registers_;
    if (r.magic.get() != FL_ACCEL_MAGIC) return "it has not the registers of docs/accelerator.md";
    if (r.version.get() >> 16 != FL_ACCEL_VERSION >> 16) return "it speaks another version of docs/accelerator.md";
    if ((r.capabilities.get() & FL_ACCEL_CAP_PASID) == 0)
        return "it can not say whose its DMA is (capability FL_ACCEL_CAP_PASID)";
    const bool apart = r.context_stride.get() != 0 || (r.capabilities.get() & FL_ACCEL_CAP_CONTEXT_PART) != 0;
    if (!apart) return "its contexts share one range of memory, and it can not give them parts of it";
    const std::uint64_t page = FL_ACCEL_PAGE_BYTES;
    const std::uint64_t contexts = r.max_contexts.get();
    const bool sane = r.max_queues.get() >= 1 && r.max_queues.get() <= FL_ACCEL_MAX_QUEUES && contexts >= 1 &&
                      contexts <= kMaxContexts && r.page_bytes.get() == page && r.memory_address.get() % page == 0 &&
                      r.aperture_bytes.get() <= ~std::uint64_t{0} - r.aperture_address.get() &&
                      ranges_fit(r.memory_address.get(), r.memory_bytes.get(), r.context_stride.get(), contexts) &&
                      ranges_fit(r.local_address.get(), r.local_bytes.get(), r.local_stride.get(), contexts);
    return sane ? "" : "it shows limits that can not be";
}

// Vector 1 + i is of queue pair i, or of several where there are fewer vectors. Vector 0 is the function's own.
void Sharing::program_vectors() {
    const std::uint32_t wanted = std::min(msix_.vectors, registers_.max_queues.get() + 1);
    if (wanted < 2) {
        msix_.vectors = 0;
        return ready();
    }
    msix_.vectors = wanted;
    for (std::uint32_t v = 0; v < wanted; ++v) {
        const std::uint64_t entry = msix_.table + kMsixEntry * v;
        bars_.write64(msix_.bar, entry, lane::kMsiAddress);
        bars_.write64(msix_.bar, entry + 8, v);  // data, and unmasked
    }
    device_.allow_interrupts(wanted);
    // The table stands before the enable bit does.
    bars_.read(FL_ACCEL_BAR_REGISTERS, 0, 4, [this](Status status, std::span<const std::byte>) {
        if (phase_ != Phase::opening) return;
        if (status != Status::ok) return fail(status, "its interrupts could not be programmed");
        const Status s =
            config_.write(device_, msix_.capability + 2, 2, kMsixEnable, [this](Status done, std::uint32_t) {
                if (phase_ != Phase::opening) return;
                if (done != Status::ok) return fail(done, "its interrupts could not be enabled");
                ready();
            });
        if (s != Status::ok) fail(s, "no room for a configuration write; try again");
    });
}

void Sharing::ready() {
    phase_ = Phase::ready;
    for (const Ready& then : std::exchange(waiting_, {})) then(true);
}

// The device lost its state, or is gone: nobody has a context or a queue pair any more.
void Sharing::forget_all(Status status) {
    const std::string why =
        status == Status::device_reset ? "the accelerator was reset" : "the accelerator was removed";
    std::vector<Answer> waiting;
    const auto take = [&waiting](std::vector<Answer>& from) {
        waiting.insert(waiting.end(), from.begin(), from.end());
        from.clear();
    };
    for (QueueSlot& q : queues_) {
        take(q.answers);
        q = {};
    }
    lost_ = 0;
    changed_ = ~0U;
    for (ContextSlot& c : contexts_) {
        take(c.closed);
        c = {};
    }
    for (const Answer& answer : waiting) answer(refusal(status, why));
}

}  // namespace farlane::daemon
