// SPDX-License-Identifier: Apache-2.0
// Receives: a seed. Hands on: random commands at full depth, each result checked. Owns: what the namespace should hold.
#pragma once

#include <map>
#include <vector>

#include "firmware/nvme_fixture.hpp"

namespace farlane::firmware::test {

/// Random I/O against a reference. Commands that are open at the same time never overlap (unless both read), so
/// that every result is known.
class RandomIo {
public:
    RandomIo(FakeHost& host, nvme_user::Controller& driver, unsigned seed)
        : host_(host), driver_(driver), random_(seed), reference_(driver.space().bytes()) {
        for (unsigned q = 0; q < driver.queues(); ++q)
            for (unsigned i = 0; i + 1 < driver.queue(q).depth(); ++i) buffers_.push_back(host.allocate(kMost + 8192));
    }

    /// Until `commands` have completed and nothing is open.
    void run(unsigned commands) {
        const unsigned end = done_ + commands;
        for (unsigned idle = 0; (done_ < end || !open_.empty()) && idle < 200000; ++idle) {
            const unsigned before = done_;
            for (unsigned q = 0; q < driver_.queues(); ++q) {
                while (done_ + open_.size() < end && driver_.queue(q).room() != 0 && submit(q)) {
                }
                driver_.queue(q).ring();
                while (const auto c = driver_.queue(q).poll()) complete(q, *c);
            }
            host_.step();
            if (done_ != before) idle = 0;
        }
        ASSERT_TRUE(open_.empty()) << open_.size() << " commands never completed";
    }
    /// The whole namespace, read back.
    void verify_all() {
        const auto m = host_.allocate(reference_.size());
        driver_.read(0, m, 0, reference_.size());
        ASSERT_TRUE(same(m.bytes.first(reference_.size()), reference_));
    }
    /// Everything open was lost by a reset: what was being written is undefined, so it is written anew.
    void forget_open() {
        for (const auto& [key, o] : open_)
            if (o.changes) {
                const auto m = host_.allocate(o.bytes);
                std::memcpy(m.bytes.data(), reference_.data() + o.at, o.bytes);
                lost_.push_back({o.at, o.bytes, m});
            }
        open_.clear();
        free_buffers();
    }
    void rewrite_lost() {
        for (const Lost& l : lost_) driver_.write(l.at / driver_.space().block_bytes, l.data, 0, l.bytes);
        lost_.clear();
    }
    [[nodiscard]] std::size_t open() const { return open_.size(); }
    /// Submits as much as fits, completes nothing.
    void flood() {
        for (unsigned q = 0; q < driver_.queues(); ++q) {
            for (unsigned tries = 0; tries < 1000 && driver_.queue(q).room() != 0; ++tries) (void)submit(q);
            driver_.queue(q).ring();
        }
    }

private:
    static constexpr std::size_t kMost = 64u << 10;
    struct Open {
        std::uint8_t opcode;
        std::size_t at, bytes, buffer, offset;
        bool changes;
        unsigned expected;
    };
    struct Lost {
        std::size_t at, bytes;
        nvme_user::Memory data;
    };

    [[nodiscard]] bool collides(std::size_t at, std::size_t bytes, bool changes) const {
        for (const auto& [key, o] : open_)
            if (at < o.at + o.bytes && o.at < at + bytes && (changes || o.changes)) return true;
        return false;
    }
    void free_buffers() { used_.assign(buffers_.size(), false); }
    bool submit(unsigned q) {
        using namespace nvme_user;
        if (used_.size() != buffers_.size()) free_buffers();
        static constexpr std::uint8_t kOps[] = {
            kRead, kRead, kRead, kWrite, kWrite, kWrite, kCompare, kWriteZeroes, kDatasetManagement, kFlush};
        const std::uint8_t op = kOps[random_() % std::size(kOps)];
        const std::size_t block = driver_.space().block_bytes;
        const std::size_t most = random_() % 4 == 0 ? kMost : 3 * 4096;
        const std::size_t bytes = (1 + random_() % (most / block)) * block;
        const std::size_t at = random_() % ((reference_.size() - bytes) / block) * block;
        Open o{op, at, bytes, 0, random_() % 1024 * 4, op == kWrite || op == kWriteZeroes || op == kDatasetManagement,
               0};
        if (op != kFlush && collides(at, bytes, o.changes)) return false;
        while (used_[o.buffer]) ++o.buffer;
        used_[o.buffer] = true;
        const Memory& m = buffers_[o.buffer];
        Command c = NvmeFixture::command(op, at / block, static_cast<unsigned>(bytes / block));
        std::uint16_t cid = 0;
        switch (op) {
            case kRead:
                std::memset(m.bytes.data(), 0xcd, m.bytes.size());
                cid = driver_.queue(q).submit(c, m, o.offset, bytes);
                break;
            case kWrite:
                fill(m.bytes.subspan(o.offset, bytes), random_());
                std::memcpy(reference_.data() + at, m.bytes.data() + o.offset, bytes);
                cid = driver_.queue(q).submit(c, m, o.offset, bytes);
                break;
            case kCompare:
                std::memcpy(m.bytes.data() + o.offset, reference_.data() + at, bytes);
                if (random_() % 2 != 0) {
                    m.bytes[o.offset + random_() % bytes] ^= std::byte{0x40};
                    o.expected = kCompareFailure;
                }
                cid = driver_.queue(q).submit(c, m, o.offset, bytes);
                break;
            case kWriteZeroes:
                std::memset(reference_.data() + at, 0, bytes);
                cid = driver_.queue(q).submit(c);
                break;
            case kDatasetManagement: {
                std::memset(reference_.data() + at, 0, bytes);
                const std::uint64_t words[2] = {std::uint64_t{bytes / block} << 32, at / block};
                std::memcpy(m.bytes.data() + o.offset, words, sizeof words);
                cid = driver_.queue(q).submit({.opcode = op, .nsid = 1, .dw10 = 0, .dw11 = 4}, m, o.offset, 16);
                break;
            }
            default:
                o.bytes = 0;
                cid = driver_.queue(q).submit({.opcode = op, .nsid = 1});
                break;
        }
        open_.emplace(std::pair(q, cid), o);
        return true;
    }
    void complete(unsigned q, const nvme_user::Completion& c) {
        const auto it = open_.find({q, c.cid});
        ASSERT_NE(it, open_.end());
        const Open o = it->second;
        open_.erase(it);
        used_[o.buffer] = false;
        ++done_;
        ASSERT_EQ(c.code(), o.expected) << "opcode " << int{o.opcode};
        if (o.opcode != nvme_user::kRead) return;
        const auto got = buffers_[o.buffer].bytes;
        ASSERT_TRUE(same(got.subspan(o.offset, o.bytes), std::span(reference_).subspan(o.at, o.bytes)))
            << "block " << o.at / driver_.space().block_bytes;
        if (o.offset != 0) {
            ASSERT_EQ(got[o.offset - 1], std::byte{0xcd});
        }
        ASSERT_EQ(got[o.offset + o.bytes], std::byte{0xcd});
    }

    FakeHost& host_;
    nvme_user::Controller& driver_;
    std::mt19937 random_;
    std::vector<std::byte> reference_;
    std::vector<nvme_user::Memory> buffers_;
    std::vector<bool> used_;
    std::map<std::pair<unsigned, std::uint16_t>, Open> open_;
    std::vector<Lost> lost_;
    unsigned done_ = 0;
};

}  // namespace farlane::firmware::test
