// SPDX-License-Identifier: Apache-2.0
// Frames taken apart and made: what a stock kernel sends, and everything cut, flipped or lied about.
#include "packet.hpp"

#include <random>

#include <gtest/gtest.h>

#include "testbed/frames.hpp"

namespace farlane::link::test {
namespace {

std::string text_of(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A ping of Linux, captured: 10.77.0.1 to 10.77.0.2, 8 bytes of data.
Frame echo_request() {
    return frame_of({0x02, 0x77, 0,    0x77, 0,    2,    0x52, 0x54, 0,  0x77, 0,    1,    8,  0,  // Ethernet
                     0x45, 0,    0,    36,   0,    1,    0x40, 0,    64, 1,    0x26, 0x3c, 10, 77, 0, 1,
                     10,   77,   0,    2,                                                                   // IPv4
                     8,    0,    0xe3, 0x18, 0x04, 0xd2, 0,    1,    1,  2,    3,    4,    5,  6,  7, 8});  // ICMP
}

TEST(Packet, UdpThereAndBack) {
    const Frame frame = guest_datagram(1000, 4793, "farlane");
    const auto ethernet = parse_ethernet(frame);
    ASSERT_TRUE(ethernet);
    EXPECT_EQ(ethernet->from, kGuestMac);
    const auto packet = parse_ipv4(*ethernet);
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->from, kGuestAddress);
    EXPECT_EQ(packet->to, kHostAddress);
    const auto datagram = parse_udp(*packet);
    ASSERT_TRUE(datagram);
    EXPECT_EQ(datagram->from, 1000);
    EXPECT_EQ(datagram->to, 4793);
    EXPECT_EQ(text_of(datagram->payload), "farlane") << "without the padding of a short frame";
    EXPECT_EQ(frame.size(), 60u);
}

TEST(Packet, ArpRequestIsAnswered) {
    const Frame request = arp_request(kHostAddress);
    const auto ethernet = parse_ethernet(request);
    const auto arp = parse_arp(*ethernet);
    ASSERT_TRUE(arp);
    EXPECT_TRUE(arp->request);
    EXPECT_EQ(arp->target, kHostAddress);
    const Frame reply = make_arp_reply(*arp, kHostMac);
    const auto back = parse_arp(*parse_ethernet(reply));
    ASSERT_TRUE(back);
    EXPECT_FALSE(back->request);
    EXPECT_EQ(back->sender, kHostAddress);
    EXPECT_EQ(back->sender_mac, kHostMac);
    EXPECT_EQ(back->target, kGuestAddress);
}

TEST(Packet, EchoIsAnsweredWithTheSameData) {
    const Frame request = echo_request();
    const auto ethernet = parse_ethernet(request);
    const auto packet = parse_ipv4(*ethernet);
    ASSERT_TRUE(packet) << "a header that Linux would accept";
    const auto reply = make_echo_reply(*ethernet, *packet, kHostMac);
    ASSERT_TRUE(reply);
    const auto back = parse_ipv4(*parse_ethernet(*reply));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->from, kHostAddress);
    EXPECT_EQ(back->to, kGuestAddress);
    EXPECT_EQ(std::to_integer<int>(back->payload[0]), 0);
    // RFC 792: type and checksum differ, the rest comes back. 0x0800 less in the sum, so more here.
    EXPECT_EQ(std::to_integer<int>(back->payload[2]), 0xeb);
    EXPECT_EQ(std::to_integer<int>(back->payload[3]), 0x18);
    EXPECT_EQ(text_of(back->payload.subspan(4)), text_of(packet->payload.subspan(4)));
}

TEST(Packet, AnswersAreNotAnswered) {
    const Frame request = echo_request();
    const auto ethernet = parse_ethernet(request);
    const auto reply = make_echo_reply(*ethernet, *parse_ipv4(*ethernet), kHostMac);
    const auto back = parse_ethernet(*reply);
    EXPECT_FALSE(make_echo_reply(*back, *parse_ipv4(*back), kGuestMac));
}

TEST(Packet, ADamagedHeaderIsNoPacket) {
    const Frame good = guest_datagram(1000, 4793, "farlane");
    for (std::size_t at = kEthernetBytes; at < kEthernetBytes + kIpv4Bytes; ++at) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            Frame bad = good;
            bad[at] ^= static_cast<std::byte>(1u << bit);
            const auto ethernet = parse_ethernet(bad);
            EXPECT_FALSE(parse_ipv4(*ethernet)) << "byte " << at << " bit " << bit;
        }
    }
}

TEST(Packet, DamageOfThePayloadArrives) {
    Frame frame = guest_datagram(1000, 4793, "farlane");
    frame[kEthernetBytes + kIpv4Bytes + kUdpBytes] ^= std::byte{1};
    const auto ethernet = parse_ethernet(frame);
    EXPECT_EQ(text_of(parse_udp(*parse_ipv4(*ethernet))->payload), "garlane");
}

TEST(Packet, EveryTruncationIsSafe) {
    for (const Frame& whole :
         {guest_datagram(1, 2, std::string(100, 'x')), arp_request(kHostAddress), echo_request()}) {
        for (std::size_t size = 0; size < whole.size(); ++size) {
            const std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
            const auto ethernet = parse_ethernet(cut);
            if (!ethernet) continue;
            const auto packet = parse_ipv4(*ethernet);
            EXPECT_TRUE(!packet || size >= 50) << size;
            EXPECT_TRUE(!parse_arp(*ethernet) || size >= kEthernetBytes + 28);
        }
    }
}

// Under the sanitizers this finds reads outside of the frame.
TEST(Packet, RandomFramesAreSafe) {
    std::mt19937_64 random(1);
    std::size_t datagrams = 0;
    for (int i = 0; i < 20'000; ++i) {
        Frame frame = i % 2 == 0 ? guest_datagram(1, 2, "abc") : echo_request();
        for (unsigned n = random() % 4; n > 0; --n) frame[random() % frame.size()] = static_cast<std::byte>(random());
        frame.resize(random() % (frame.size() + 1));
        frame.shrink_to_fit();
        const auto ethernet = parse_ethernet(frame);
        if (!ethernet) continue;
        (void)parse_arp(*ethernet);
        const auto packet = parse_ipv4(*ethernet);
        if (!packet) continue;
        (void)make_echo_reply(*ethernet, *packet, kHostMac);
        const auto datagram = parse_udp(*packet);
        if (datagram) datagrams += datagram->payload.size() <= 3;
    }
    EXPECT_GT(datagrams, 0u);
}

TEST(Packet, FragmentsAreRefused) {
    Frame frame = guest_datagram(1, 2, "abc");
    frame[kEthernetBytes + 6] = std::byte{0x20};  // more fragments
    // RFC 1624: 0x4000 became 0x2000, the checksum grows by the difference
    const unsigned sum = (std::to_integer<unsigned>(frame[kEthernetBytes + 10]) << 8 |
                          std::to_integer<unsigned>(frame[kEthernetBytes + 11])) +
                         0x2000;
    const unsigned folded = (sum & 0xffff) + (sum >> 16);
    frame[kEthernetBytes + 10] = static_cast<std::byte>(folded >> 8);
    frame[kEthernetBytes + 11] = static_cast<std::byte>(folded & 0xff);
    const auto packet = parse_ipv4(*parse_ethernet(frame));
    ASSERT_TRUE(packet);
    EXPECT_TRUE(packet->fragment);
    EXPECT_FALSE(parse_udp(*packet));
}

TEST(Packet, TextForms) {
    EXPECT_EQ(parse_mac("02:77:00:77:00:02"), kHostMac);
    for (const char* wrong : {"", "02:77:00:77:00", "02:77:00:77:00:zz", "02-77-00-77-00-02", "02:77:00:77:00:022"})
        EXPECT_FALSE(parse_mac(wrong)) << wrong;
    EXPECT_EQ(parse_address("10.77.0.2"), kHostAddress);
    EXPECT_FALSE(parse_address("10.77.0"));
    EXPECT_FALSE(parse_address("10.77.0.256"));
    EXPECT_EQ(address_text(kHostAddress), "10.77.0.2");
}

}  // namespace
}  // namespace farlane::link::test
