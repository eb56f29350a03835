// SPDX-License-Identifier: Apache-2.0
// Receives: reads and writes of blocks. Hands on: commands. Owns: the controller while it exists.
#include "nvme_user/controller.hpp"

#include <algorithm>
#include <cstring>

#include <farlane/uapi/types.h>

namespace farlane::nvme_user {
namespace {

constexpr std::uint32_t kCap = 0x00, kVs = 0x08, kCc = 0x14, kCsts = 0x1c, kAqa = 0x24, kAsq = 0x28, kAcq = 0x30;
constexpr std::uint32_t kEnable = 1, kReady = 1, kFatal = 2;
constexpr std::uint32_t kEntrySizes = 6u << 16 | 4u << 20;  // CC.IOSQES, CC.IOCQES
constexpr unsigned kAdminDepth = 32;
constexpr std::size_t kPage = 4096;

std::uint32_t get32(std::span<const std::byte> b, std::size_t at) noexcept {
    fl_le32 v;
    std::memcpy(&v, b.data() + at, sizeof v);
    return v.get();
}
std::uint64_t get64(std::span<const std::byte> b, std::size_t at) noexcept {
    return std::uint64_t{get32(b, at + 4)} << 32 | get32(b, at);
}
unsigned get8(std::span<const std::byte> b, std::size_t at) noexcept {
    return std::to_integer<unsigned>(b[at]);
}

std::string text(std::span<const std::byte> b, std::size_t at, std::size_t n) {
    std::string s;
    for (std::size_t i = at; i < at + n && b[i] != std::byte{0}; ++i) s += static_cast<char>(b[i]);
    while (!s.empty() && s.back() == ' ') s.pop_back();
    return s;
}

class Deadline {
public:
    explicit Deadline(std::chrono::milliseconds t) : end_(std::chrono::steady_clock::now() + t) {}
    [[nodiscard]] bool over() const { return std::chrono::steady_clock::now() > end_; }

private:
    std::chrono::steady_clock::time_point end_;
};

void check(const Completion& c, const char* what) {
    if (!c.ok()) throw Error(Status::io, std::string("nvme: ") + what + " failed: " + status_text(c.status));
}

}  // namespace

std::string status_text(std::uint16_t status) {
    static constexpr struct {
        unsigned code;
        const char* text;
    } kKnown[] = {
        {0x001, "invalid command opcode"}, {0x002, "invalid field in command"}, {0x004, "data transfer error"},
        {0x006, "internal error"},         {0x007, "command abort requested"},  {0x00b, "invalid namespace or format"},
        {0x00c, "command sequence error"}, {0x013, "PRP offset invalid"},       {0x080, "LBA out of range"},
        {0x084, "format in progress"},     {0x100, "completion queue invalid"}, {0x101, "invalid queue identifier"},
        {0x102, "invalid queue size"},     {0x105, "asynchronous event limit"}, {0x108, "invalid interrupt vector"},
        {0x109, "invalid log page"},       {0x10a, "invalid format"},           {0x10c, "invalid queue deletion"},
        {0x10d, "feature not saveable"},   {0x10e, "feature not changeable"},   {0x280, "write fault"},
        {0x281, "unrecovered read error"}, {0x285, "compare failure"},
    };
    static constexpr char kHex[] = "0123456789abcdef";
    const unsigned code = status & 0x7ff;
    const std::string number = {kHex[code >> 8], kHex[code >> 4 & 15], kHex[code & 15], 'h'};
    for (const auto& k : kKnown)
        if (k.code == code) return std::string(k.text) + " (" + number + ")";
    return "status " + number;
}

Controller::Controller(Access& access, const Options& options) : access_(access), options_(options) {
    cap_ = access_.read64(kCap);
    if (cap_ == ~std::uint64_t{0}) throw Error(Status::device_lost, "nvme: the controller does not answer");
    const auto entries = static_cast<unsigned>(cap_ & 0xffff) + 1;
    options_.queue_depth = std::clamp(options_.queue_depth, 2u, std::min(entries, 1024u));
    enable();
    identify_controller();
    identify_namespace();
    make_queues();
}

Controller::~Controller() {
    try {
        shutdown();
    } catch (const Error&) {  // the controller is gone already
    }
}

void Controller::wait_ready(bool ready) {
    // CAP.TO in units of 500 ms says how long it may take (3.1.1)
    const Deadline deadline(std::max(options_.timeout, std::chrono::milliseconds((cap_ >> 24 & 0xff) * 500)));
    while (true) {
        const std::uint32_t csts = access_.read32(kCsts);
        if (csts == 0xffffffff) throw Error(Status::device_lost, "nvme: the controller does not answer");
        if (ready && (csts & kFatal) != 0) throw Error(Status::io, "nvme: controller fatal status (CSTS.CFS)");
        if (((csts & kReady) != 0) == ready) return;
        if (deadline.over()) throw Error(Status::timeout, "nvme: the controller does not get ready");
        access_.progress();
    }
}

void Controller::enable() {
    if ((access_.read32(kCc) & kEnable) != 0) disable();
    wait_ready(false);
    const auto stride = 4u << (cap_ >> 32 & 0xf);
    admin_ = std::make_unique<QueuePair>(access_, 0, kAdminDepth, stride);
    access_.write32(kAqa, (kAdminDepth - 1) << 16 | (kAdminDepth - 1));
    access_.write64(kAsq, admin_->sq_iova());
    access_.write64(kAcq, admin_->cq_iova());
    if (options_.interrupts) access_.enable_interrupts(options_.io_queues + 1);
    access_.write32(kCc, kEntrySizes | kEnable);
    enabled_ = true;
    wait_ready(true);
}

void Controller::disable() {
    access_.write32(kCc, access_.read32(kCc) & ~(kEnable | 3u << 14));
    wait_ready(false);
    enabled_ = false;
}

void Controller::shutdown() {
    if (!enabled_) return;
    access_.write32(kCc, (access_.read32(kCc) & ~(3u << 14)) | 1u << 14);
    const Deadline deadline(options_.timeout);
    for (std::uint32_t csts = access_.read32(kCsts); (csts >> 2 & 3) != 2; csts = access_.read32(kCsts)) {
        if (csts == 0xffffffff) throw Error(Status::device_lost, "nvme: the controller does not answer");
        if (deadline.over()) throw Error(Status::timeout, "nvme: shutdown does not end");
        access_.progress();
    }
    disable();
    io_.clear();
    admin_.reset();
}

void Controller::reset() {
    disable();
    io_.clear();
    enable();
    make_queues();
}

void Controller::identify_controller() {
    const Memory page = access_.allocate(kPage);
    check(admin({.opcode = kIdentify, .dw10 = 1}, page, kPage), "identify controller");
    const auto b = page.bytes;
    info_.vendor_id = static_cast<std::uint16_t>(get32(b, 0));
    info_.serial = text(b, 4, 20);
    info_.model = text(b, 24, 40);
    info_.firmware = text(b, 64, 8);
    info_.version = access_.read32(kVs);
    info_.namespaces = get32(b, 516);
    info_.nqn = text(b, 768, 256);
    info_.volatile_cache = (get8(b, 525) & 1) != 0;
    // A list page of ours holds 2 MiB
    constexpr std::uint32_t kMost = 2u << 20;
    const unsigned mdts = get8(b, 77);
    info_.max_transfer_bytes = mdts == 0 || mdts > 8 ? kMost : std::min(kMost, 4096u << mdts);
}

void Controller::identify_namespace() {
    const Memory page = access_.allocate(kPage);
    check(admin({.opcode = kIdentify, .nsid = 1, .dw10 = 0}, page, kPage), "identify namespace");
    const auto b = page.bytes;
    const std::uint32_t format = get32(b, 128 + (get8(b, 26) & 0xf) * 4);
    const unsigned shift = format >> 16 & 0xff;
    if (shift < 9 || shift > 16) throw Error(Status::unsupported, "nvme: block size of the namespace");
    namespace_.blocks = get64(b, 0);
    namespace_.block_bytes = 1u << shift;
}

void Controller::make_queues() {
    const Completion got =
        admin({.opcode = kSetFeatures, .dw10 = 7, .dw11 = (options_.io_queues - 1) << 16 | (options_.io_queues - 1)});
    check(got, "set number of queues");
    const unsigned count = std::min({options_.io_queues, (got.dw0 & 0xffff) + 1, (got.dw0 >> 16) + 1});
    const auto stride = 4u << (cap_ >> 32 & 0xf);
    for (unsigned id = 1; id <= count; ++id) {
        auto q = std::make_unique<QueuePair>(access_, id, options_.queue_depth, stride);
        const std::uint32_t size = (q->depth() - 1) << 16 | id;
        const std::uint32_t interrupt = options_.interrupts ? id << 16 | 2u : 0;
        check(admin({.opcode = kCreateCq, .prp1 = q->cq_iova(), .dw10 = size, .dw11 = interrupt | 1}),
              "create completion queue");
        check(admin({.opcode = kCreateSq, .prp1 = q->sq_iova(), .dw10 = size, .dw11 = id << 16 | 1}),
              "create submission queue");
        io_.push_back(std::move(q));
    }
}

Completion Controller::wait(QueuePair& q) {
    const Deadline deadline(options_.timeout);
    q.ring();
    for (unsigned turns = 1;; ++turns) {
        if (const auto c = q.poll()) return *c;
        if (options_.interrupts)
            access_.wait_interrupt(q.id(), std::chrono::milliseconds(100));
        else
            access_.progress();
        if (turns % 64 != 0) continue;
        if ((access_.read32(kCsts) & kFatal) != 0) throw Error(Status::io, "nvme: controller fatal status (CSTS.CFS)");
        if (deadline.over())
            throw Error(Status::timeout, "nvme: a command of queue " + std::to_string(q.id()) + " does not end");
    }
}

Completion Controller::admin(const Command& c) {
    admin_->submit(c);
    return wait(*admin_);
}

Completion Controller::admin(const Command& c, const Memory& data, std::size_t bytes) {
    admin_->submit(c, data, 0, bytes);
    return wait(*admin_);
}

Completion Controller::io(const Command& c, unsigned index) {
    queue(index).submit(c);
    return wait(queue(index));
}

Completion Controller::io(const Command& c, const Memory& data, std::size_t offset, std::size_t bytes, unsigned index) {
    queue(index).submit(c, data, offset, bytes);
    return wait(queue(index));
}

void Controller::transfer(std::uint8_t opcode, std::uint64_t lba, const Memory& data, std::size_t offset,
                          std::size_t bytes) {
    const std::size_t block = namespace_.block_bytes;
    if (bytes % block != 0)
        throw Error(Status::invalid,
                    "nvme: " + std::to_string(bytes) + " bytes are not whole blocks of " + std::to_string(block));
    if (lba > namespace_.blocks || bytes / block > namespace_.blocks - lba)
        throw Error(Status::out_of_bounds, "nvme: blocks beyond the end of the namespace");
    QueuePair& q = queue();
    const char* what = opcode == kRead ? "read" : "write";
    std::optional<Error> failed;
    for (std::size_t done = 0; done < bytes || q.in_flight() != 0;) {
        while (!failed && done < bytes && q.room() != 0) {
            const std::size_t n = std::min<std::size_t>(bytes - done, info_.max_transfer_bytes);
            const std::uint64_t at = lba + done / block;
            q.submit({.opcode = opcode,
                      .nsid = 1,
                      .dw10 = static_cast<std::uint32_t>(at),
                      .dw11 = static_cast<std::uint32_t>(at >> 32),
                      .dw12 = static_cast<std::uint32_t>(n / block - 1)},
                     data, offset + done, n);
            done += n;
        }
        if (failed && q.in_flight() == 0) break;
        const Completion c = wait(q);
        if (!c.ok() && !failed)
            failed.emplace(Status::io, std::string("nvme: ") + what + " failed: " + status_text(c.status));
    }
    if (failed) throw *failed;
}

void Controller::read(std::uint64_t lba, const Memory& data, std::size_t offset, std::size_t bytes) {
    transfer(kRead, lba, data, offset, bytes);
}

void Controller::write(std::uint64_t lba, const Memory& data, std::size_t offset, std::size_t bytes) {
    transfer(kWrite, lba, data, offset, bytes);
}

void Controller::flush() {
    check(io({.opcode = kFlush, .nsid = 1}), "flush");
}

}  // namespace farlane::nvme_user
