// SPDX-License-Identifier: Apache-2.0
// Receives: I/O commands. Hands on: byte ranges to the media and to transfer.cpp. Owns: nothing.
// NVM Express 1.4, 6.
#include <algorithm>

#include "devices/nvme/controller.hpp"

namespace farlane::firmware::nvme {
namespace {

constexpr std::uint64_t kZeroSliceBytes = 8u << 20;  // per turn of the lane
constexpr std::uint32_t kForceUnitAccess = 1u << 30;

}  // namespace

// Range of a command: SLBA in dwords 10 and 11. Fills media_at.
std::uint16_t Controller::locate(std::uint32_t slot, const Sqe& entry, std::uint32_t count) noexcept {
    const std::uint64_t first = entry.qword(10);
    if (first >= blocks() || count > blocks() - first) return kLbaRange;
    run(slot).media_at = first << state_.lasting.lba_shift;
    return kOk;
}

std::uint16_t Controller::start_io(std::uint32_t slot, const Sqe& entry) noexcept {
    const auto opcode = static_cast<Io>(entry.opcode());
    Run& r = run(slot);
    Lasting& l = state_.lasting;
    switch (opcode) {
        case Io::flush:
        case Io::write:
        case Io::read:
        case Io::compare:
        case Io::write_zeroes:
        case Io::dataset_management: break;
        default: return kInvalidOpcode;
    }
    const bool flush_all = opcode == Io::flush && entry.nsid() == kAllNamespaces;
    if (entry.nsid() != 1 && !flush_all) return kInvalidNamespace;
    if (l.formatting != 0) return kFormatInProgress;
    if (opcode == Io::flush) {
        r.ticket = media_->flush();
        flushing_.push(runs_, slot);
        return kLater;
    }
    if (opcode == Io::dataset_management) {
        const std::uint32_t ranges = (entry.dword(10) & 0xff) + 1;
        return transfer_whole(slot, ranges * 16);
    }
    const std::uint32_t count = (entry.dword(12) & 0xffff) + 1;
    if (const auto s = locate(slot, entry, count); s != kOk) return s;
    const std::uint64_t bytes = std::uint64_t{count} << l.lba_shift;
    if (opcode == Io::write_zeroes) {
        r.cursor = r.media_at;
        r.end = r.media_at + bytes;
        zeroing_.push(runs_, slot);
        return kLater;
    }
    if (bytes > std::uint64_t{kMdtsPages} * kPageBytes) return kInvalidField;  // MDTS
    if (opcode == Io::write) {
        ++l.writes;
        l.bytes_written += bytes;
    } else {
        ++l.reads;
        l.bytes_read += bytes;
    }
    return transfer(slot, opcode == Io::read ? Move::to_host : Move::from_host, static_cast<std::uint32_t>(bytes));
}

// Attribute Deallocate (6.7.1.1); the others are hints.
std::uint16_t Controller::deallocate(std::uint32_t slot) noexcept {
    const Sqe entry = sqe(slot);
    if ((entry.dword(11) & 1u << 2) == 0) return kOk;
    const Scratch& ranges = scratch_[static_cast<std::size_t>(run(slot).scratch)];
    const std::uint32_t count = (entry.dword(10) & 0xff) + 1;
    const std::uint32_t shift = state_.lasting.lba_shift;
    // All ranges are looked at before the first is touched
    for (const bool checking : {true, false}) {
        for (std::uint32_t i = 0; i < count; ++i) {
            fl_le32 length;
            fl_le64 first;
            std::memcpy(&length, ranges.data() + i * 16 + 4, sizeof length);
            std::memcpy(&first, ranges.data() + i * 16 + 8, sizeof first);
            if (checking && (first.get() > blocks() || length.get() > blocks() - first.get())) return kLbaRange;
            if (checking || length.get() == 0) continue;
            if (media_->zero(first.get() << shift, std::uint64_t{length.get()} << shift) != Status::ok)
                return kWriteFault;
        }
    }
    return kOk;
}

// Data is in the media: with FUA, or the volatile write cache off, it has to be durable before the completion.
void Controller::make_durable(std::uint32_t slot) noexcept {
    const bool needed = media_->volatile_cache() && ((sqe(slot).dword(12) & kForceUnitAccess) != 0 ||
                                                     (state_.session.features[kWriteCache] & 1) == 0);
    if (!needed) return finish(slot, kOk);
    run(slot).ticket = media_->flush();
    flushing_.push(runs_, slot);
}

bool Controller::run_flushing() noexcept {
    bool did = false;
    while (!flushing_.empty() && media_->durable() >= run(flushing_.front()).ticket) {
        finish(flushing_.pop(runs_), media_->healthy() ? kOk : kWriteFault);
        did = true;
    }
    return did;
}

// Write Zeroes and Format NVM, one slice per turn, so that other functions of the lane go on.
bool Controller::run_zeroing() noexcept {
    if (zeroing_.empty()) return false;
    const std::uint32_t slot = zeroing_.pop(runs_);
    Run& r = run(slot);
    const std::uint64_t n = std::min(kZeroSliceBytes, r.end - r.cursor);
    std::uint16_t status = media_->zero(r.cursor, n) == Status::ok ? kOk : kWriteFault;
    r.cursor += n;
    if (status == kOk && r.cursor < r.end) {
        zeroing_.push(runs_, slot);
        return true;
    }
    if (command(slot).sqid == 0) {
        faults().point("format: erased");
        if (status == kOk) publish(state_.lasting.lba_shift, state_.lasting.formatting - 1);
        publish(state_.lasting.formatted_by, command(slot).serial);
        faults().point("format: done");
        formatted(slot, status);
        return true;
    }
    if (status == kOk)
        make_durable(slot);
    else
        finish(slot, status);
    return true;
}

// A format that a reset cuts short is brought to its end: half a format is nobody's wish.
void Controller::format_whole() noexcept {
    Lasting& l = state_.lasting;
    if (media_->zero(0, media_->size_bytes()) == Status::ok) publish(l.lba_shift, l.formatting - 1);
    publish(l.formatting, std::uint32_t{0});
}

}  // namespace farlane::firmware::nvme
