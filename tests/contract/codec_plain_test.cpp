// SPDX-License-Identifier: Apache-2.0
// The short way through the codec and the long one agree: random records near the usual ones, judged field by field by
// check_tlp() and by the rules of docs/wire.md, "Fragments" and "Sequences".
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>

#include "proto/codec.hpp"

namespace farlane::proto {
namespace {

constexpr std::uint64_t kAll = ~std::uint64_t{0};

class Maker {
public:
    template <class T>
    T one_of(std::initializer_list<T> all) {
        return all.begin()[random_() % all.size()];
    }
    /// Mostly the first.
    template <class T>
    T mostly(T usual, std::initializer_list<T> rare) {
        return random_() % 8 != 0 ? usual : one_of(rare);
    }
    std::uint64_t random() { return random_(); }

private:
    std::mt19937_64 random_{1};
};

Tlp make(Maker& m) {
    Tlp t;
    t.type = static_cast<TlpType>(m.mostly<unsigned>(m.one_of({2u, 1u, 6u}), {0, 3, 4, 5, 7, 8, 9, 10, 11, 12, 64}));
    t.attr = static_cast<std::uint8_t>(m.mostly<unsigned>(m.one_of({0u, 1u}), {2, 4, 8, 16, 17, 32}));
    t.byte_enables = static_cast<std::uint8_t>(m.mostly<unsigned>(0, {1, 0x0f, 0xff}));
    t.bar = static_cast<std::uint8_t>(m.mostly<unsigned>(m.one_of({0u, 5u, 255u}), {6, 7, 254}));
    t.code = static_cast<std::uint8_t>(m.mostly<unsigned>(0, {1, 2, 4}));
    t.length_bytes = static_cast<std::uint16_t>(m.one_of({8u, 8u, 4u, 1u, 7u, 9u, 64u, 100u, 4096u, 0u, 4097u}));
    t.tag = static_cast<std::uint32_t>(m.random());
    t.pasid = m.mostly<std::uint32_t>(0, {1, FL_PASID_MAX, FL_PASID_MAX + 1});
    t.address = m.mostly<std::uint64_t>(m.one_of<std::uint64_t>({0, 64, 1 << 20}),
                                        {kAll, kAll - 7, kAll - 4095, kAll - 4096, kAll - 4097});
    t.sequence = m.mostly<std::uint64_t>(7, {0, 1, kMaxSequence, kMaxSequence + 1});
    t.follows_posted = m.mostly<std::uint64_t>(0, {1, kMaxSequence, kMaxSequence + 1});
    return t;
}

TEST(PlainRecords, ReadLikeAllOthers) {
    Maker m;
    unsigned good = 0, refused = 0;
    for (int i = 0; i < 400'000; ++i) {
        const Tlp t = make(m);
        const FunctionHandle handle{3, static_cast<std::uint16_t>(i)};
        const unsigned offset = m.mostly<unsigned>(0, {64, 8});
        const std::size_t payload = carries_payload(t.type) ? t.length_bytes : 0;
        const std::size_t area = m.mostly(pad8(payload), {std::size_t{0}, pad8(payload) + 8, std::size_t{64}});
        alignas(8) std::array<std::byte, sizeof(fl_tlp) + 4200> bytes{};
        fl_tlp raw;
        encode_tlp(t, handle, raw);
        raw.record_bytes.set(static_cast<std::uint16_t>(sizeof raw + area));
        raw.offset_bytes.set(static_cast<std::uint16_t>(offset));
        std::memcpy(bytes.data(), &raw, sizeof raw);
        bool clean = true;
        if (m.random() % 16 == 0 && area != 0) {
            const std::size_t at = area - 1 - m.random() % std::min<std::size_t>(area, 8);
            bytes[sizeof raw + at] = std::byte{1};
            clean = at < payload;
        }
        // A part has rules of its own and is never plain: only what is whole is judged here.
        if ((t.attr & FL_ATTR_FRAGMENT) != 0) continue;
        const bool posted = class_of(t.type) == FL_CLASS_POSTED;
        const bool expected = (t.attr & ~FL_ATTR_KNOWN) == 0 && check_tlp(t) == kNoDrop && t.sequence >= 1 &&
                              t.sequence <= kMaxSequence && t.follows_posted <= (posted ? 0 : kMaxSequence) &&
                              offset == 0 && area == pad8(payload) && clean;
        if (t.type == TlpType::message) continue;  // its payload is judged as well
        RecordReader reader({bytes.data(), sizeof raw + area});
        Record r;
        const Next n = reader.next(r);
        ASSERT_EQ(n == Next::record, expected) << i << ": type " << int(t.type) << " attr " << int(t.attr) << " length "
                                               << t.length_bytes << " area " << area;
        expected ? ++good : ++refused;
        if (!expected) continue;
        ASSERT_EQ(int(r.tlp.record_class), class_of(t.type));
        ASSERT_EQ(r.tlp.handle, handle);
        ASSERT_EQ(r.tlp.offset_bytes, 0);
        ASSERT_FALSE(r.tlp.fragment);
        ASSERT_EQ(r.tlp.payload.size(), payload);
        ASSERT_EQ(r.tlp.payload.data(), bytes.data() + sizeof raw);
        const Tlp& g = r.tlp.tlp;
        ASSERT_TRUE(g.type == t.type && g.attr == t.attr && g.byte_enables == t.byte_enables && g.bar == t.bar &&
                    g.code == t.code && g.length_bytes == t.length_bytes && g.tag == t.tag && g.pasid == t.pasid &&
                    g.address == t.address && g.sequence == t.sequence && g.follows_posted == t.follows_posted);
    }
    EXPECT_GT(good, 20'000u);
    EXPECT_GT(refused, 20'000u);
}

TEST(PlainRecords, PlainWritesAndReadsAreValid) {
    Maker m;
    unsigned writes = 0, reads = 0;
    for (int i = 0; i < 400'000; ++i) {
        const Tlp t = make(m);
        const bool write = is_plain(t, TlpType::memory_write), read = is_plain(t, TlpType::memory_read);
        if (!write && !read) continue;
        ASSERT_EQ(t.type, write ? TlpType::memory_write : TlpType::memory_read);
        ASSERT_EQ(check_tlp(t), kNoDrop) << "attr " << int(t.attr) << " bar " << int(t.bar) << " address " << t.address;
        writes += write ? 1 : 0;
        reads += read ? 1 : 0;
    }
    EXPECT_GT(writes, 10'000u);
    EXPECT_GT(reads, 10'000u);
}

}  // namespace
}  // namespace farlane::proto
