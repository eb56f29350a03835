// SPDX-License-Identifier: Apache-2.0
// Receives: DMA and interrupts of a device. Hands on: host memory as it should look, and events.
// Owns: host memory and the records it has not released. For tests of one device without a fabric.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

#include "backend/backend.hpp"

namespace farlane::test {

/// A host that a test controls: what is mapped, when records are released, when there is room.
class FakeHost final : public backend::HostPort {
public:
    struct Interrupt {
        std::uint64_t address;
        std::uint32_t data;
    };
    struct Error {
        std::uint32_t severity, source;
    };

    /// Maps `bytes` zeroed bytes at `iova`.
    std::span<std::byte> map(std::uint64_t iova, std::size_t bytes, bool writable = true, bool readable = true) {
        Region& r = regions_[iova];
        r = Region{std::vector<std::byte>(bytes), writable, readable};
        return r.bytes;
    }
    void unmap(std::uint64_t iova) { regions_.erase(iova); }

    /// Writes arrive at once, or, deferred, with release_all(), from the source as it is then: a device
    /// that changes a source too early is caught.
    bool defer = false;
    /// Writes that are taken before dma_write says would_block; refilled by the test.
    std::size_t room = ~std::size_t{0};
    std::vector<Interrupt> interrupts;
    std::vector<Error> errors;
    std::size_t hurried = 0;
    std::uint64_t refused = 0;
    std::uint32_t last_pasid = 0;  ///< of the last access
    std::int64_t clock_ns = 1000;

    Status dma_write(std::uint64_t iova, std::span<const std::byte> source, bool relaxed, std::uint64_t cookie,
                     bool notify, std::uint32_t pasid) noexcept override {
        if (room == 0) return Status::would_block;
        last_pasid = pasid;
        const auto to = find(iova, source.size(), true);
        if (to.empty()) {
            ++refused;
            return Status::out_of_bounds;
        }
        --room;
        ++submitted_;
        Record r{iova, source, {}, cookie, notify, relaxed};
        if (source.size() <= 64) {
            r.copy.assign(source.begin(), source.end());
            r.source = {};
        }
        // Place it now: what a device relies on is the content at submission.
        std::memcpy(to.data(), source.data(), source.size());
        records_.push_back(std::move(r));
        if (!defer) release_all_later_ = true;
        return Status::ok;
    }
    Status dma_read(std::uint64_t iova, std::span<std::byte> into, std::uint64_t cookie,
                    std::uint32_t pasid) noexcept override {
        if (room == 0) return Status::would_block;
        last_pasid = pasid;
        if (find(iova, into.size(), false).empty()) {
            ++refused;
            return Status::out_of_bounds;
        }
        --room;
        reads_.push_back({iova, into, cookie});
        return Status::ok;
    }
    Status interrupt(std::uint64_t address, std::uint32_t data) noexcept override {
        interrupts.push_back({address, data});
        return Status::ok;
    }
    Status error(std::uint32_t severity, std::uint32_t source) noexcept override {
        errors.push_back({severity, source});
        return Status::ok;
    }
    std::uint64_t writes_submitted() const noexcept override { return submitted_; }
    std::uint64_t writes_released() const noexcept override { return released_; }
    void hurry() noexcept override { ++hurried; }
    std::int64_t now_ns() const noexcept override { return clock_ns; }
    void wake() noexcept override {
        {
            const std::lock_guard lock(mutex_);
            woken_ = true;
        }
        changed_.notify_all();
    }

    /// Waits until wake() was called, and forgets it.
    void wait_for_wake() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return woken_; });
        woken_ = false;
    }

    /// Sends every unreleased record once more, as a lossy link would, and releases it.
    void release_all(backend::Device& device) {
        release_all_later_ = false;
        while (!records_.empty()) {
            const Record r = std::move(records_.front());
            records_.pop_front();
            const auto to = find(r.iova, r.copy.empty() ? r.source.size() : r.copy.size(), true);
            const auto from = r.copy.empty() ? r.source : std::span<const std::byte>(r.copy);
            if (!to.empty() && defer) std::memcpy(to.data(), from.data(), from.size());
            ++released_;
            if (r.notify) device.released(r.cookie);
        }
    }
    /// Answers reads; `status` other than ok leaves their memory alone.
    void answer_reads(backend::Device& device, Status status = Status::ok) {
        std::deque<Read> now;
        now.swap(reads_);
        for (const Read& r : now) {
            const auto from = find(r.iova, r.into.size(), false);
            if (status == Status::ok) std::memcpy(r.into.data(), from.data(), r.into.size());
            device.read_done(r.cookie, status);
        }
    }
    /// One round of what a prompt host does. True = something was done.
    bool serve(backend::Device& device) {
        bool did = false;
        if (release_all_later_) {
            release_all(device);
            did = true;
        }
        if (!hold_reads && !reads_.empty()) {
            answer_reads(device);
            did = true;
        }
        return did;
    }
    bool hold_reads = false;
    [[nodiscard]] std::size_t reads_waiting() const { return reads_.size(); }
    [[nodiscard]] std::size_t unreleased() const { return records_.size(); }
    /// As after a detach.
    void forget() {
        records_.clear();
        reads_.clear();
    }

private:
    struct Region {
        std::vector<std::byte> bytes;
        bool writable = true, readable = true;
    };
    struct Record {
        std::uint64_t iova;
        std::span<const std::byte> source;
        std::vector<std::byte> copy;
        std::uint64_t cookie;
        bool notify, relaxed;
    };
    struct Read {
        std::uint64_t iova;
        std::span<std::byte> into;
        std::uint64_t cookie;
    };

    std::span<std::byte> find(std::uint64_t iova, std::size_t bytes, bool write) {
        auto it = regions_.upper_bound(iova);
        if (it == regions_.begin()) return {};
        --it;
        Region& r = it->second;
        const std::uint64_t offset = iova - it->first;
        if (offset > r.bytes.size() || bytes > r.bytes.size() - offset) return {};
        if (write ? !r.writable : !r.readable) return {};
        return std::span(r.bytes).subspan(offset, bytes);
    }

    std::map<std::uint64_t, Region> regions_;
    std::deque<Record> records_;
    std::deque<Read> reads_;
    std::uint64_t submitted_ = 0, released_ = 0;
    bool release_all_later_ = false;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool woken_ = false;
};

}  // namespace farlane::test
