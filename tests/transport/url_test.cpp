// SPDX-License-Identifier: Apache-2.0
// Receives: port strings, good and bad. Hands on: verdicts. Owns: nothing.
#include <gmock/gmock.h>

#include "port_test_util.hpp"
#include "transport/url.hpp"

namespace farlane::transport::test {
namespace {

using ::testing::HasSubstr;

struct BadString {
    const char* text;
    const char* says;    // what is wrong
    const char* offers;  // part of what is valid
};

TEST(PortString, BadOnesSayWhatIsValid) {
    const BadString table[] = {
        {"", "no \":\"", "udp:[ADDRESS][:PORT]"},
        {"udp", "no \":\"", "loop:NAME"},
        {"tcp:1.2.3.4:5", "no kind of port \"tcp\"", "dpdk:DEVICE"},
        {"fault+:x", "no kind of port \"\"", "loop:NAME"},
        {"fault+fault+loop:x", "no kind of port \"fault+loop\"", "or fault+ before one"},
        {"loop:", "needs a name", "loop:NAME"},
        {"loop:x?loss", "\"loss\" is not key=value", "valid"},
        {"loop:x?=1", "\"=1\" is not key=value", "valid"},
        {"loop:x?loss=", "\"loss=\" is not key=value", "valid"},
        {"loop:x?loss=1%&loss=2%", "\"loss\" is there twice", "valid"},
        {"loop:x?los=1%", "no key \"los\"", "loss=P"},
        {"loop:x?loss=101%", "\"101%\" is not a value of \"loss\"", "0% to 100%"},
        {"loop:x?loss=-1", "\"-1\" is not a value of \"loss\"", "0 to 1"},
        {"loop:x?loss=nan", "\"nan\" is not a value of \"loss\"", "0 to 1"},
        {"loop:x?loss=0.5x", "\"0.5x\" is not a value of \"loss\"", "0 to 1"},
        {"loop:x?delay=5", "\"5\" is not a value of \"delay\"", "ns, us, ms or s"},
        {"loop:x?delay=5m", "\"5m\" is not a value of \"delay\"", "ns, us, ms or s"},
        {"loop:x?delay=61s", "\"61s\" is not a value of \"delay\"", "60000ms"},
        {"loop:x?delay=1e300s", "is not a value of \"delay\"", "ns, us, ms or s"},
        {"loop:x?mtu=63", "\"63\" is not a value of \"mtu\"", "64 to 9600"},
        {"loop:x?mtu=9601", "\"9601\" is not a value of \"mtu\"", "64 to 9600"},
        {"loop:x?depth=0", "\"0\" is not a value of \"depth\"", "1 to 1048576"},
        {"loop:x?seed=18446744073709551616", "is not a value of \"seed\"", "0 to 18446744073709551615"},
        {"loop:x?queue=17179869184G", "is not a value of \"queue\"", "k, M or G"},
        {"loop:x?rate=10Q", "\"10Q\" is not a value of \"rate\"", "k, M or G"},
        {"loop:x?side=left", "\"left\" is not a value of \"side\"", "tx|rx|both"},
        {"udp:127.0.0.1:0?loss=1%", "no key \"loss\"", "mtu=BYTES, batch=N, buffer=BYTES"},
        {"udp:127.0.0.1:0?link_rate=10Q", "\"10Q\" is not a value of \"link_rate\"", "k, M or G"},
        {"loop:x?link_rate=999", "\"999\" is not a value of \"link_rate\"", "1000000 to 1000000000000"},
        {"udp:127.0.0.1:70000", "not an address", "[IPV6]:PORT"},
        {"udp:127.0.0.1:x", "not an address", "ADDRESS:PORT"},
        {"udp:[::1", "not an address", "[IPV6]:PORT"},
        {"udp:[]:1", "not an address", "[IPV6]:PORT"},
        {"udp:127.0.0.1:0?batch=65", "\"65\" is not a value of \"batch\"", "1 to 64"},
        {"udp:198.51.100.1:0", "no interface of this host", "ip addr"},
        {"fault+udp:127.0.0.1:0?los=1", "no key \"los\"", "loss=P"},
        {"dpdk:", "", ""},
    };
    for (const BadString& row : table) {
        auto port = open_port(row.text);
        ASSERT_FALSE(port.ok()) << row.text;
        EXPECT_NE(port.status(), Status::ok);
        EXPECT_THAT(port.failure().detail, HasSubstr(row.text)) << row.text;
        EXPECT_THAT(port.failure().detail, HasSubstr(row.says)) << row.text;
        EXPECT_THAT(port.failure().detail, HasSubstr(row.offers)) << row.text;
    }
}

TEST(PortString, ControlCharactersAndLength) {
    EXPECT_THAT(open_port(std::string("loop:a\nb")).failure().detail, HasSubstr("control characters"));
    EXPECT_THAT(open_port(std::string_view("loop:a\0b", 8)).failure().detail, HasSubstr("control characters"));
    EXPECT_THAT(open_port("loop:" + std::string(5000, 'a')).failure().detail, HasSubstr("longer than 4096"));
}

TEST(PortString, PartsAndUnits) {
    auto url = parse_url("fault+udp:[::1]:7?loss=1%&delay=200us&rate=10G&queue=64k&seed=9");
    ASSERT_TRUE(url.ok());
    EXPECT_TRUE(url->fault);
    EXPECT_EQ(url->scheme, "udp");
    EXPECT_EQ(url->body, "[::1]:7");
    Query query(*url);
    double loss = 0;
    std::int64_t delay_ns = 0;
    std::uint64_t rate = 0, queue = 0, seed = 0;
    query.probability("loss", loss);
    query.duration_ns("delay", delay_ns, 1'000'000'000);
    query.bits_per_second("rate", rate, 1, UINT64_MAX);
    query.bytes("queue", queue, 1, UINT64_MAX);
    query.count("seed", seed, 0, 10);
    EXPECT_FALSE(query.finish().has_value());
    EXPECT_DOUBLE_EQ(loss, 0.01);
    EXPECT_EQ(delay_ns, 200'000);
    EXPECT_EQ(rate, 10'000'000'000u);
    EXPECT_EQ(queue, 65536u);
    EXPECT_EQ(seed, 9u);
}

TEST(PortString, KindsOfThisBuild) {
    EXPECT_THAT(port_kinds(), ::testing::IsSupersetOf({"loop", "udp", "fault+"}));
}

}  // namespace
}  // namespace farlane::transport::test
