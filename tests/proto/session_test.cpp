// SPDX-License-Identifier: Apache-2.0
// Session basics over a perfect link.
#include <gtest/gtest.h>

#include "proto/endpoint.hpp"
#include "proto/sim.hpp"

namespace farlane::proto::sim {
namespace {

TEST(Session, OpensAndWrites) {
    World w(1);
    ASSERT_TRUE(w.connect());
    Port a, b;
    ASSERT_EQ(w.initiator().bind(a.start(), {}, w.now), Status::ok);
    ASSERT_EQ(w.target().bind(b.start(), {}, w.now), Status::ok);
    std::array<std::byte, 8> value{};
    value[0] = std::byte{42};
    ASSERT_EQ(a.function->submit(write_tlp(64, 8), value, 1, true, w.now), Status::ok);
    ASSERT_TRUE(w.run_until([&] { return a.function->posted_drained(); }, 10s));
    EXPECT_EQ(b.endpoint.ram[64], std::byte{42});
    EXPECT_EQ(a.endpoint.released, std::vector<std::uint64_t>{1});
    std::array<std::byte, 8> into{};
    ASSERT_EQ(a.function->request(read_tlp(64, 8), {}, into, 9, w.now), Status::ok);
    ASSERT_TRUE(w.run_until([&] { return a.endpoint.completions == 1; }, 10s));
    EXPECT_EQ(into, value);
    EXPECT_TRUE(a.endpoint.ok() && b.endpoint.ok()) << a.endpoint.complaint << b.endpoint.complaint;
}

}  // namespace
}  // namespace farlane::proto::sim
