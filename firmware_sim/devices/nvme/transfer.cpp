// SPDX-License-Identifier: Apache-2.0
// Receives: PRP entries of a command. Hands on: its data, page by page, through staging memory.
// Owns: nothing. NVM Express 1.4, 4.3.
#include "devices/nvme/controller.hpp"

#include <algorithm>
#include <bit>

namespace farlane::firmware::nvme {
namespace {

constexpr std::uint32_t kOffsetMask = kPageBytes - 1;

}  // namespace

std::uint16_t Controller::transfer(std::uint32_t slot, Move move, std::uint32_t bytes) noexcept {
    Run& r = run(slot);
    const Sqe entry = sqe(slot);
    const std::uint64_t prp1 = entry.prp1(), prp2 = entry.prp2();
    const auto offset = static_cast<std::uint32_t>(prp1 & kOffsetMask);
    if ((prp1 & 3) != 0) return kPrpOffset;  // dword aligned
    r.move = move;
    r.bytes = bytes;
    r.pages = (offset + bytes + kPageBytes - 1) / kPageBytes;
    r.prp[0] = prp1;
    r.have = 1;
    if (r.pages == 2) {
        if ((prp2 & kOffsetMask) != 0) return kPrpOffset;
        r.prp[1] = prp2;
        r.have = 2;
    } else if (r.pages > 2) {
        if ((prp2 & 7) != 0) return kPrpOffset;  // the list is qword aligned and may begin within a page
        r.list = prp2;
    }
    proceed(slot);
    return kLater;
}

// For data that is looked at whole. Waits in stalled_ when all scratch memory is in use.
std::uint16_t Controller::transfer_whole(std::uint32_t slot, std::uint32_t bytes) noexcept {
    Run& r = run(slot);
    if (scratch_used_ == kScratchMask) {
        r.restart = r.stalled = true;
        stalled_.push(runs_, slot);
        return kLater;
    }
    r.scratch = std::countr_one(scratch_used_);
    scratch_used_ |= std::uint64_t{1} << r.scratch;
    return transfer(slot, Move::from_host, bytes);
}

bool Controller::can_move() const noexcept {
    return dma().ready() && !staging_.empty() && dma().room() >= 2;
}

// Does what can be done now: ask for PRP entries, give pages to the DMA engine, end.
void Controller::proceed(std::uint32_t slot) noexcept {
    Run& r = run(slot);
    if (r.stalled || r.executed) return;
    while (r.status == kOk && r.started < r.bytes) {
        if (!can_move()) {
            r.stalled = true;
            stalled_.push(runs_, slot);
            return;
        }
        if (r.have < r.pages) {
            if (r.in_flight == 0) ask_list(slot);
            if (r.status == kOk) return;
            break;
        }
        if (!give_chunk(slot)) break;
    }
    settle(slot);
}

void Controller::ask_list(std::uint32_t slot) noexcept {
    Run& r = run(slot);
    const auto in_page = static_cast<std::uint32_t>((kPageBytes - (r.list & kOffsetMask)) / 8);
    const std::uint32_t entries = std::min(in_page, r.pages - r.have);
    const std::uint32_t index = staging_.take();
    staging_[index] = {Block::Use::list, slot, epoch_, r.have, entries * 8};
    const Status s = dma().read(r.list, staging_.bytes(index, entries * 8), index);
    if (s == Status::ok) {
        staging_[index].pending = 1;
        ++r.in_flight;
        return;
    }
    staging_.give(index);
    r.status = kDataTransferError;
}

// Entries of a list page. When more are needed than it holds, its last entry points to the next list page.
std::uint16_t Controller::take_list(std::uint32_t slot, std::span<const std::byte> raw) noexcept {
    Run& r = run(slot);
    const auto entries = static_cast<std::uint32_t>(raw.size() / 8);
    const bool chained = r.pages - r.have > entries;
    for (std::uint32_t i = 0; i < entries; ++i) {
        fl_le64 v;
        std::memcpy(&v, raw.data() + i * 8, sizeof v);
        if ((v.get() & kOffsetMask) != 0) return kPrpOffset;
        if (chained && i == entries - 1)
            r.list = v.get();
        else
            r.prp[r.have++] = v.get();
    }
    // A whole list page always brings entries; a first one that is only a pointer is followed once
    return kOk;
}

// One staging block carries 4 KiB of the transfer, whole logical blocks, so that none of them is ever seen half
// written (6.4: AWUN 0). With an offset in PRP1 it lies in two pages of the host. False = the transfer failed.
bool Controller::give_chunk(std::uint32_t slot) noexcept {
    Run& r = run(slot);
    const std::uint32_t n = std::min(kPageBytes, r.bytes - r.started);
    const std::uint32_t index = staging_.take();
    const auto bytes = staging_.bytes(index, n);
    Block& b = staging_[index];
    b = {r.move == Move::to_host ? Block::Use::to_host : Block::Use::from_host, slot, epoch_, r.started, n};
    if (r.move == Move::to_host) r.status = produce(slot, r.started, bytes);

    const std::uint32_t in_host = static_cast<std::uint32_t>(r.prp[0] & kOffsetMask) + r.started;
    const std::uint32_t first = std::min(n, kPageBytes - (in_host & kOffsetMask));
    if (r.status == kOk) r.status = give_piece(slot, index, in_host, bytes.first(first));
    if (r.status == kOk && first < n) r.status = give_piece(slot, index, in_host + first, bytes.subspan(first));
    if (b.pending == 0)
        staging_.give(index);
    else if (r.move == Move::from_host)
        ++r.in_flight;
    r.started += n;
    return r.status == kOk;
}

// `in_host`: offset from the start of the page that PRP1 points into.
std::uint16_t Controller::give_piece(std::uint32_t slot, std::uint32_t index, std::uint32_t in_host,
                                     std::span<std::byte> bytes) noexcept {
    Run& r = run(slot);
    const std::uint64_t at = (r.prp[in_host / kPageBytes] & ~std::uint64_t{kOffsetMask}) + (in_host & kOffsetMask);
    Status s = Status::ok;
    if (r.move == Move::to_host) {
        s = dma().write(at, bytes, DmaOrder::relaxed, index);
        if (s == Status::pending) ++r.in_flight;
    } else {
        s = dma().read(at, bytes, index);
    }
    if (s != Status::ok && s != Status::pending) return kDataTransferError;
    ++staging_[index].pending;
    return kOk;
}

// Ends the command once nothing of it is on its way.
void Controller::settle(std::uint32_t slot) noexcept {
    Run& r = run(slot);
    if (r.executed || r.stalled || r.in_flight != 0) return;
    if (r.status != kOk)
        finish(slot, r.status);
    else if (r.started == r.bytes)
        complete(slot);
}

bool Controller::run_stalled() noexcept {
    bool did = false;
    for (std::uint32_t n = stalled_.size(); n != 0; --n) {
        if (!can_move() || (run(stalled_.front()).restart && scratch_used_ == kScratchMask)) break;
        const std::uint32_t slot = stalled_.pop(runs_);
        run(slot).stalled = false;
        if (run(slot).restart)
            start(slot);
        else
            proceed(slot);
        did = true;
    }
    return did;
}

std::uint16_t Controller::consume(std::uint32_t slot, std::uint32_t offset, std::span<const std::byte> in) noexcept {
    Run& r = run(slot);
    if (r.scratch >= 0) {
        std::memcpy(scratch_[static_cast<std::size_t>(r.scratch)].data() + offset, in.data(), in.size());
        return kOk;  // transfer_whole() asked for no more than fits
    }
    if (sqe(slot).opcode() == static_cast<std::uint8_t>(Io::compare)) {
        Scratch there;
        if (media_->read(r.media_at + offset, std::span(there).first(in.size())) != Status::ok) return kReadError;
        return std::memcmp(there.data(), in.data(), in.size()) == 0 ? kOk : kCompareFailure;
    }
    if (media_->write(r.media_at + offset, in) == Status::ok) return kOk;
    ++state_.lasting.media_errors;
    return kWriteFault;
}

std::uint16_t Controller::produce(std::uint32_t slot, std::uint32_t offset, std::span<std::byte> out) noexcept {
    const Sqe entry = sqe(slot);
    if (command(slot).sqid != 0) {
        if (media_->read(run(slot).media_at + offset, out) == Status::ok) return kOk;
        ++state_.lasting.media_errors;
        return kReadError;
    }
    // Admin data structures have one page; what is asked for beyond reads zero
    Scratch page{};
    std::size_t at = offset;
    switch (static_cast<Admin>(entry.opcode())) {
        case Admin::identify: identify_page(entry, page); break;
        case Admin::get_log_page:
            log_page(static_cast<std::uint8_t>(entry.dword(10)), page);
            at += static_cast<std::size_t>(entry.qword(12));
            break;
        default: Page(page).u64(0, timestamp()); break;
    }
    const std::size_t n = at < page.size() ? std::min(page.size() - at, out.size()) : 0;
    std::copy_n(page.begin() + static_cast<std::ptrdiff_t>(n != 0 ? at : 0), n, out.begin());
    std::fill(out.begin() + static_cast<std::ptrdiff_t>(n), out.end(), std::byte{0});
    return kOk;
}

void Controller::complete(std::uint32_t slot) noexcept {
    const Sqe entry = sqe(slot);
    Run& r = run(slot);
    if (command(slot).sqid == 0) {
        if (entry.opcode() == static_cast<std::uint8_t>(Admin::set_features)) {
            fl_le64 v;
            std::memcpy(&v, scratch_[static_cast<std::size_t>(r.scratch)].data(), sizeof v);
            state_.session.timestamp_ms = v.get() & 0xffff'ffff'ffff;
            state_.session.timestamp_at_ns = port() != nullptr ? port()->now_ns() : 0;
            publish(state_.session.timestamp_set, std::uint64_t{1});
        }
        if (entry.opcode() == static_cast<std::uint8_t>(Admin::get_log_page) && (entry.dword(10) >> 15 & 1) == 0)
            event_read(static_cast<std::uint8_t>(entry.dword(10)));
        return finish(slot, kOk);
    }
    switch (static_cast<Io>(entry.opcode())) {
        case Io::write: return make_durable(slot);
        case Io::dataset_management: {
            const std::uint16_t status = deallocate(slot);
            if (status != kLater) finish(slot, status);
            return;
        }
        default: return finish(slot, kOk);
    }
}

}  // namespace farlane::firmware::nvme
