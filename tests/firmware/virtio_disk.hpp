// SPDX-License-Identifier: Apache-2.0
// Receives: block requests of a test. Hands on: them, through a virtqueue. Owns: their headers and data in the
// memory of a fake host.
#pragma once

#include <cstring>
#include <deque>
#include <map>
#include <random>

#include <farlane/uapi/types.h>

#include "firmware/virtio_driver.hpp"

namespace farlane::firmware::test {

constexpr std::uint32_t kBlkIn = 0, kBlkOut = 1, kBlkFlush = 4, kBlkId = 8, kBlkDiscard = 11, kBlkZeroes = 13;
constexpr std::uint8_t kBlkOk = 0, kBlkIoError = 1, kBlkUnsupported = 2;

/// Requests one at a time.
class VirtioDisk {
public:
    explicit VirtioDisk(FakeHost& host, VirtioQueue& queue)
        : host_(host), queue_(queue), memory_(host.allocate(8192)) {}

    /// Data to write or to read into at `data`, in pieces of `piece` bytes.
    std::uint8_t request(std::uint32_t type, std::uint64_t sector, VirtioBuffer data = {}, std::uint32_t piece = 0) {
        std::memset(memory_.bytes.data(), 0, 16);
        const fl_le32 t(type);
        const fl_le64 s(sector);
        std::memcpy(memory_.bytes.data(), &t, sizeof t);
        std::memcpy(memory_.bytes.data() + 8, &s, sizeof s);
        memory_.bytes[4096] = std::byte{0xee};
        std::vector<VirtioBuffer> out{{memory_.iova, 16}}, in;
        auto& where = type == kBlkIn || type == kBlkId ? in : out;
        for (std::uint32_t at = 0; at < data.bytes; at += piece == 0 ? data.bytes : piece)
            where.push_back({data.iova + at, piece == 0 ? data.bytes : std::min(piece, data.bytes - at)});
        in.push_back({memory_.iova + 4096, 1});
        EXPECT_TRUE(queue_.add(out, in).has_value());
        queue_.kick();
        last = queue_.wait();
        return std::to_integer<std::uint8_t>(memory_.bytes[4096]);
    }
    VirtioQueue::Used last{};

private:
    FakeHost& host_;
    VirtioQueue& queue_;
    nvme_user::Memory memory_;
};

inline void fill_random(std::span<std::byte> b, unsigned seed) {
    std::mt19937 r(seed);
    for (std::byte& x : b) x = static_cast<std::byte>(r());
}

inline bool equal(std::span<const std::byte> a, std::span<const std::byte> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

/// Random reads and writes, many at a time, each against a model of the disk.
class VirtioRandomIo {
public:
    VirtioRandomIo(FakeHost& host, VirtioDriver& driver, unsigned queues, std::uint64_t sectors, unsigned seed)
        : host_(host),
          driver_(driver),
          queues_(queues),
          random_(seed),
          model_(sectors * 512),
          busy_(sectors),
          headers_(host.allocate(std::size_t{kDeep} * 4096)),
          data_(host.allocate(std::size_t{kDeep} * kMostBytes)) {
        for (unsigned i = kDeep; i-- > 0;) free_.push_back(i);
    }

    void run(unsigned requests) {
        for (unsigned sent = 0; sent < requests || !open_.empty();) {
            if (sent < requests && !free_.empty() && send())
                ++sent;
            else
                host_.progress();
            if (random_() % 3 == 0) host_.progress();
            collect();
        }
    }
    unsigned failures = 0;

private:
    static constexpr unsigned kDeep = 48, kMostBytes = 65536;
    struct Open {
        unsigned slot, queue;
        std::uint32_t type;
        std::uint64_t sector, sectors;
    };

    bool send() {
        const std::uint64_t most = std::min<std::uint64_t>(kMostBytes / 512, busy_.size());
        const std::uint64_t count = 1 + random_() % (random_() % 4 == 0 ? most : 8);
        const std::uint64_t sector = random_() % (busy_.size() - count + 1);
        for (std::uint64_t i = 0; i < count; ++i)
            if (busy_[sector + i]) return false;
        const unsigned slot = free_.back(), q = static_cast<unsigned>(random_() % queues_);
        const std::uint32_t type = random_() % 2 == 0 ? kBlkIn : kBlkOut;
        const auto bytes = static_cast<std::uint32_t>(count * 512);
        auto header = headers_.bytes.subspan(std::size_t{slot} * 4096, 4096);
        auto data = data_.bytes.subspan(std::size_t{slot} * kMostBytes, bytes);
        std::memset(header.data(), 0, 64);
        const fl_le32 t(type);
        const fl_le64 s(sector);
        std::memcpy(header.data(), &t, sizeof t);
        std::memcpy(header.data() + 8, &s, sizeof s);
        header[16] = std::byte{0xee};
        fill_random(data, static_cast<unsigned>(random_()));
        const std::uint64_t at = headers_.iova + std::uint64_t{slot} * 4096;
        std::vector<VirtioBuffer> out{{at, 16}}, in;
        auto& where = type == kBlkIn ? in : out;
        const std::uint32_t piece =
            random_() % 2 == 0 ? 4096 : 1 + static_cast<std::uint32_t>(random_() % 5000 + bytes / 32);
        for (std::uint32_t o = 0; o < bytes; o += piece)
            where.push_back({data_.iova + std::uint64_t{slot} * kMostBytes + o, std::min(piece, bytes - o)});
        in.push_back({at + 16, 1});
        const auto head = driver_.queue(q).add(out, in);
        if (!head) return false;
        free_.pop_back();
        for (std::uint64_t i = 0; i < count; ++i) busy_[sector + i] = true;
        if (type == kBlkOut) std::memcpy(model_.data() + sector * 512, data.data(), bytes);
        open_[{q, *head}] = {slot, q, type, sector, count};
        driver_.queue(q).kick();
        return true;
    }

    void collect() {
        for (unsigned q = 0; q < queues_; ++q) {
            while (const auto used = driver_.queue(q).poll()) {
                const auto found = open_.find({q, used->head});
                if (found == open_.end()) throw Error(Status::protocol, "used twice");
                const Open o = found->second;
                open_.erase(found);
                const auto bytes = o.sectors * 512;
                const auto data = data_.bytes.subspan(std::size_t{o.slot} * kMostBytes, bytes);
                const auto status = headers_.bytes[std::size_t{o.slot} * 4096 + 16];
                const bool right =
                    status == std::byte{0} && equal(data, std::span(model_).subspan(o.sector * 512, bytes));
                if (!right) ++failures;
                for (std::uint64_t i = 0; i < o.sectors; ++i) busy_[o.sector + i] = false;
                free_.push_back(o.slot);
            }
        }
    }

    FakeHost& host_;
    VirtioDriver& driver_;
    unsigned queues_;
    std::mt19937 random_;
    std::vector<std::byte> model_;
    std::vector<bool> busy_;
    nvme_user::Memory headers_, data_;
    std::vector<unsigned> free_;
    std::map<std::pair<unsigned, std::uint16_t>, Open> open_;
};

}  // namespace farlane::firmware::test
