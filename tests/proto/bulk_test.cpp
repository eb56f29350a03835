// SPDX-License-Identifier: Apache-2.0
// Long payloads: copied, summed while they are copied, and sealed in frames. docs/wire.md, "Trailer".
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/crc32c.hpp"
#include "proto/endpoint.hpp"
#include "proto/sim.hpp"

namespace farlane::proto::sim {
namespace {

constexpr std::size_t kAlignments = 64;

std::vector<std::byte> noise(std::size_t bytes, std::uint64_t seed) {
    Random random(seed);
    std::vector<std::byte> all(bytes);
    for (std::byte& b : all) b = static_cast<std::byte>(random.next() >> 32);
    return all;
}

/// Room for a copy at any alignment, with bytes around it that no copy may touch.
struct Place {
    explicit Place(std::size_t bytes) : all(bytes + 3 * kAlignments, kAround) {}
    std::byte* at(std::size_t alignment) {
        const auto base = reinterpret_cast<std::uintptr_t>(all.data());
        return all.data() + (kAlignments - base % kAlignments) + kAlignments + alignment;
    }
    void expect(const std::byte* to, std::span<const std::byte> copy, const std::string& what) {
        const auto first = all.data();
        const auto before = static_cast<std::size_t>(to - first);
        ASSERT_EQ(std::memcmp(to, copy.data(), copy.size()), 0) << what;
        for (std::size_t i = 0; i < all.size(); ++i) {
            const bool around = i < before || i >= before + copy.size();
            ASSERT_TRUE(!around || all[i] == kAround) << what << ", byte " << i;
        }
        std::fill(all.begin(), all.end(), kAround);
    }
    static constexpr std::byte kAround{0xa5};
    std::vector<std::byte> all;
};

TEST(Crc32c, InPartsAsInOne) {
    const auto data = noise(700, 2);
    const std::span<const std::byte> all(data);
    for (std::size_t cut = 0; cut <= all.size(); ++cut) {
        const auto first = crc_register(~0u, all.first(cut));
        ASSERT_EQ(~crc_register(first, all.subspan(cut)), crc32c(all)) << cut;
    }
}

TEST(Crc32c, SummedCopiesOfEveryLengthAndAlignment) {
    if (!copies_sum()) GTEST_SKIP() << "this processor does not sum while it copies";
    const auto source = noise(kSumMostBytes + kAlignments, 3);
    Place place(kSumMostBytes);
    unsigned lengths = 0;
    for (std::size_t bytes = 0; bytes <= kSumMostBytes; ++bytes) {
        if (!can_sum(bytes)) continue;
        ++lengths;
        for (std::size_t from = 0; from < kAlignments; ++from) {
            const auto data = std::span(source).subspan(from, bytes);
            const auto expected = crc_register(0, data);
            std::byte* const to = place.at((from * 29 + lengths) % kAlignments);
            ASSERT_EQ(copy_summed(to, data.data(), bytes), expected) << bytes << " from " << from;
            place.expect(to, data, std::to_string(bytes) + " from " + std::to_string(from));
        }
    }
    EXPECT_EQ(lengths, 13U);
}

TEST(Crc32c, EveryBitOfASummedCopyCounts) {
    if (!copies_sum()) GTEST_SKIP() << "this processor does not sum while it copies";
    auto data = noise(kSumMostBytes, 4);
    std::vector<std::byte> to(data.size());
    for (std::size_t bit = 0; bit < data.size() * 8; ++bit) {
        data[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
        if (bit % 8 != bit / 8 % 8) continue;
        ASSERT_EQ(copy_summed(to.data(), data.data(), data.size()), crc_register(0, data)) << bit;
    }
}

// An application may write to what it has given: then some of it is sent, and the sum is that of what is.
TEST(Crc32c, ASumIsThatOfTheCopy) {
    if (!copies_sum()) GTEST_SKIP() << "this processor does not sum while it copies";
    const int fd = ::memfd_create("farlane-bulk-test", MFD_CLOEXEC);
    ASSERT_EQ(::ftruncate(fd, kSumMostBytes), 0);
    const auto map = [fd] {  // at two places, as an application and its daemon have it
        void* const at = ::mmap(nullptr, kSumMostBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        EXPECT_NE(at, MAP_FAILED);
        return static_cast<std::byte*>(at);
    };
    std::byte *const theirs = map(), *const ours = map();
    ::close(fd);
    std::atomic<bool> stop{false};
    std::thread writer([&] {
        for (unsigned i = 0; !stop; ++i)
            for (std::size_t at = 0; at < kSumMostBytes; at += 61) theirs[at] = static_cast<std::byte>(i * 7 + at);
    });
    std::vector<std::byte> to(kSumMostBytes), before(kSumMostBytes);
    unsigned changed = 0;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    for (unsigned i = 0; (i < 2000 || changed == 0) && std::chrono::steady_clock::now() < until; ++i) {
        const std::uint32_t sum = copy_summed(to.data(), ours, to.size());
        EXPECT_EQ(sum, crc_register(0, to));
        if (testing::Test::HasFailure()) break;
        changed += std::exchange(before, to) != to;
    }
    stop = true;
    writer.join();
    EXPECT_GT(changed, 0U);
    ::munmap(theirs, kSumMostBytes);
    ::munmap(ours, kSumMostBytes);
}

TEST(Crc32c, JoinedRegisters) {
    if (!copies_sum()) GTEST_SKIP() << "this processor does not sum while it copies";
    const auto data = noise(kSumMostBytes, 5);
    Random random(6);
    for (std::size_t bytes = kSumLeastBytes; bytes <= kSumMostBytes; bytes += kSumBlockBytes)
        for (unsigned i = 0; i < 200; ++i) {
            const auto before = static_cast<std::uint32_t>(random.next() >> 16);
            const auto part = std::span(data).first(bytes);
            ASSERT_EQ(crc_join(before, crc_register(0, part), bytes), crc_register(before, part)) << bytes;
        }
}

TEST(Seal, SummedPartsGiveTheSameTrailer) {
    if (!ClearSeal{}.takes_sums()) GTEST_SKIP() << "this processor does not sum while it copies";
    Random random(7);
    for (unsigned round = 0; round < 500; ++round) {
        auto frame = noise(FL_FRAME_MAX_BYTES - random.below(4000), round + 10);
        std::vector<SummedPart> parts;
        for (std::size_t at = random.below(600); at + kSumLeastBytes <= frame.size() - FL_FRAME_CRC_BYTES;) {
            const auto bytes = kSumLeastBytes + random.below(13) * kSumBlockBytes;
            if (at + bytes > frame.size() - FL_FRAME_CRC_BYTES) break;
            const auto part = std::span(frame).subspan(at, bytes);
            parts.push_back({part.data(), static_cast<std::uint32_t>(bytes), crc_register(0, part)});
            at += bytes + (random.chance(0.2) ? 0 : random.below(400));
        }
        auto plain = frame;
        ClearSeal{}.seal(plain, round);
        ClearSeal{}.seal_summed(frame, round, parts);
        ASSERT_EQ(frame, plain) << round << ", parts: " << parts.size();
    }
}

/// What it is told of a frame must be true.
struct WitnessSeal final : Seal {
    struct Seen {
        unsigned sealed = 0, parts = 0, wrong = 0;
        bool sums = true;
    };
    explicit WitnessSeal(Seen& s) : seen(s) {}
    [[nodiscard]] std::size_t trailer_bytes() const noexcept override { return clear.trailer_bytes(); }
    [[nodiscard]] std::uint8_t frame_flags() const noexcept override { return clear.frame_flags(); }
    [[nodiscard]] bool takes_sums() const noexcept override { return seen.sums && clear.takes_sums(); }
    void seal(std::span<std::byte> frame, std::uint64_t n) noexcept override {
        ++seen.sealed;
        clear.seal(frame, n);
    }
    void seal_summed(std::span<std::byte> frame, std::uint64_t n, std::span<const SummedPart> parts) noexcept override {
        const std::byte* end = frame.data() + sizeof(fl_frame_header);
        for (const SummedPart& p : parts) {
            seen.wrong += p.at < end || !can_sum(p.bytes) || p.sum != crc_register(0, {p.at, p.bytes});
            end = p.at + p.bytes;
            ++seen.parts;
        }
        seen.wrong += end > frame.data() + frame.size() - FL_FRAME_CRC_BYTES || parts.empty();
        clear.seal_summed(frame, n, parts);
    }
    [[nodiscard]] bool open(std::span<std::byte> frame, std::uint64_t n) noexcept override {
        return clear.open(frame, n);
    }
    ClearSeal clear;
    Seen& seen;
};

/// Writes and answers of many lengths, while frames are lost; everything arrives, and no frame is found wrong.
void send_bulk(WitnessSeal::Seen& seen, bool integrity, std::uint32_t frame_bytes) {
    World w(frame_bytes);
    w.wires[0].faults.loss = 0.02;
    for (Side& s : w.sides) {
        s.path.max_frame_bytes = frame_bytes;
        s.config.integrity = integrity;
    }
    w.sides[0].seal = std::make_unique<WitnessSeal>(seen);
    ASSERT_TRUE(w.connect());
    Port p, q;
    ASSERT_EQ(w.target().bind(q.start(), {}, w.now), Status::ok);
    ASSERT_EQ(w.initiator().bind(p.start(), {}, w.now), Status::ok);
    const auto data = noise(FL_TLP_MAX_PAYLOAD_BYTES, frame_bytes);
    std::uint64_t at = 0;
    for (const unsigned bytes : {4096u, 4096u, 8u, 4095u, 1024u, 2048u, 1023u, 1280u, 256u, 3840u, 4096u, 64u}) {
        const auto part = std::span(data).first(bytes);
        const auto length = static_cast<std::uint16_t>(bytes);
        for (const bool relaxed : {false, true}) {
            ASSERT_EQ(p.function->submit(write_tlp(at, length, relaxed), part, 0, false, w.now), Status::ok);
            std::copy(part.begin(), part.end(), p.endpoint.ram.begin() + static_cast<std::ptrdiff_t>(at));
            at += 4096;
        }
    }
    std::vector<std::byte> into(at);
    for (std::uint64_t i = 0; i < at; i += 4096)
        ASSERT_EQ(q.function->request(read_tlp(i, 4096), {}, std::span(into).subspan(i, 4096), i + 1, w.now),
                  Status::ok);
    ASSERT_TRUE(w.run_until([&] { return q.endpoint.completions == at / 4096; }, 60s));
    w.run_for(1s);
    EXPECT_EQ(q.endpoint.complaint, "");
    EXPECT_TRUE(std::equal(into.begin(), into.end(), p.endpoint.ram.begin())) << "what was read";
    EXPECT_TRUE(std::equal(into.begin(), into.end(), q.endpoint.ram.begin())) << "what was written";
    EXPECT_EQ(w.target().counters().drops[static_cast<unsigned>(Drop::frame_crc)], 0U);
}

TEST(Bulk, PayloadsAreSummedWhileTheyAreCopied) {
    for (const std::uint32_t frame_bytes : {1500u, 4300u, 9000u, 9600u}) {
        WitnessSeal::Seen seen;
        send_bulk(seen, true, frame_bytes);
        EXPECT_EQ(seen.wrong, 0U) << frame_bytes;
        EXPECT_GT(seen.sealed, 0U) << "frames without a long payload";
        EXPECT_EQ(seen.parts > 0, ClearSeal{}.takes_sums()) << frame_bytes;
    }
}

TEST(Bulk, ASealThatTakesNoSumsGetsNone) {
    WitnessSeal::Seen seen{.sums = false};
    send_bulk(seen, true, 9000);
    EXPECT_GT(seen.sealed, 0U);
    EXPECT_EQ(seen.parts, 0U);
}

TEST(Bulk, WithoutIntegrityNothingIsSummed) {
    WitnessSeal::Seen seen;
    send_bulk(seen, false, 9000);
    EXPECT_EQ(seen.sealed, 0U);
    EXPECT_EQ(seen.parts, 0U);
}

}  // namespace
}  // namespace farlane::proto::sim
