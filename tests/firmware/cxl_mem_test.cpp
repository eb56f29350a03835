// SPDX-License-Identifier: Apache-2.0
// Receives: register accesses and mailbox commands as a driver makes them. Hands on: whether the answers are as
// CXL 3.0 says. Owns: nothing.
#include "devices/cxl_mem/device.hpp"
#include "firmware/device_rig.hpp"

namespace farlane::firmware::test {
namespace {

using namespace cxl;

constexpr std::uint32_t kMailbox = kDeviceBlock + kMailboxRegisters;
const std::string kEffectsLog("\x0d\xa9\xc0\xb5\xbf\x41\x4b\x78\x8f\x79\x96\xb1\x62\x3b\x3f\x17", 16);

std::uint64_t number(const std::string& b, std::size_t at, unsigned bytes) {
    std::uint64_t v = 0;
    for (unsigned i = 0; i < bytes; ++i) v |= std::uint64_t{static_cast<std::uint8_t>(b.at(at + i))} << (8 * i);
    return v;
}
std::string le(std::uint64_t v, unsigned bytes) {
    std::string b;
    for (unsigned i = 0; i < bytes; ++i) b += static_cast<char>(v >> (8 * i));
    return b;
}

struct CxlMem : testing::Test {
    explicit CxlMem(Options options = {{"size", "1G"}, {"serial", "0x1122334455667788"}, {"firmware", "FW 2.1"}})
        : rig("cxl_mem", std::move(options)) {}

    std::uint32_t get(std::uint32_t at) { return rig.host.read32(at); }
    void set(std::uint32_t at, std::uint32_t value) { rig.host.write32(at, value); }
    void payload(std::string_view in) {
        for (std::size_t i = 0; i < in.size(); i += 8) {
            const auto part = std::as_bytes(std::span(in.substr(i, 8)));
            EXPECT_EQ(rig.device->bar_write(0, kMailbox + mailbox::kPayload + i, part, 0xff), Status::ok);
        }
    }
    void ring(std::uint16_t opcode, std::uint64_t length) {
        rig.host.write64(kMailbox + mailbox::kCommand, opcode | length << 16);
        set(kMailbox + mailbox::kControl, mailbox::kDoorbell);
    }
    struct Answer {
        unsigned code;
        std::string payload;
    };
    Answer answer() {
        EXPECT_EQ(get(kMailbox + mailbox::kControl) & mailbox::kDoorbell, 0u);
        Answer a;
        a.code = static_cast<unsigned>(rig.host.read64(kMailbox + mailbox::kStatus) >> 32 & 0xffff);
        const std::size_t length = rig.host.read64(kMailbox + mailbox::kCommand) >> 16 & 0x1fffff;
        EXPECT_LE(length, std::size_t{mailbox::kPayloadBytes});
        a.payload.resize(length);
        EXPECT_EQ(rig.device->bar_read(0, kMailbox + mailbox::kPayload, std::as_writable_bytes(std::span(a.payload))),
                  Status::ok);
        return a;
    }
    // Steps of 8.2.8.4.
    Answer command(std::uint16_t opcode, std::string_view in = {}) {
        payload(in);
        ring(opcode, in.size());
        return answer();
    }
    // Offset of a DVSEC of CXL.
    std::uint32_t dvsec(unsigned id) {
        for (std::uint32_t at = 0x100; at != 0; at = rig.host.config_read32(at) >> 20)
            if ((rig.host.config_read32(at) & 0xffff) == 0x0023 &&
                (rig.host.config_read32(at + 4) & 0xffff) == 0x1e98 && (rig.host.config_read32(at + 8) & 0xffff) == id)
                return at;
        return 0;
    }
    // Offset of a capability of the device registers.
    std::uint32_t capability(unsigned id) {
        for (unsigned i = 1; i <= get(kDeviceBlock + 4); ++i)
            if ((get(kDeviceBlock + i * 16) & 0xffff) == id) return kDeviceBlock + get(kDeviceBlock + i * 16 + 4);
        return 0;
    }

    DeviceRig rig;
};

TEST_F(CxlMem, ConfigurationSpace) {
    EXPECT_EQ(rig.host.config_read32(0x08) >> 8, 0x050210u);
    const std::uint32_t device = dvsec(0);
    ASSERT_NE(device, 0u);
    EXPECT_EQ(rig.host.config_read32(device + 4) >> 20, 0x38u);
    EXPECT_EQ(rig.host.config_read32(device + 0x08) >> 16 & 0x36, 0x16u) << "CXL.io, CXL.mem, one range";
    EXPECT_EQ(rig.host.config_read32(device + 0x18), 0u);
    EXPECT_EQ(rig.host.config_read32(device + 0x1c), 0x40000003u) << "1 GiB, valid and active";
    const std::uint32_t locator = dvsec(8);
    ASSERT_NE(locator, 0u);
    EXPECT_EQ(rig.host.config_read32(locator + 4) >> 20, 0x1cu) << "two blocks";
    EXPECT_EQ(rig.host.config_read32(locator + 0x0c), 0x00000100u) << "component registers at 0 of BAR 0";
    EXPECT_EQ(rig.host.config_read32(locator + 0x14), 0x00010300u) << "device registers at 64 KiB";
    EXPECT_NE(dvsec(7), 0u);
    EXPECT_NE(dvsec(5), 0u);
}

TEST_F(CxlMem, RangeRegistersKeepWhatIsWritten) {
    const std::uint32_t device = dvsec(0);
    rig.host.config_write(device + 0x20, 0x12, 4);
    rig.host.config_write(device + 0x24, 0xffffffff, 4);
    rig.host.config_write(device + 0x1c, 0, 4);
    EXPECT_EQ(rig.host.config_read32(device + 0x20), 0x12u);
    EXPECT_EQ(rig.host.config_read32(device + 0x24), 0xf0000000u);
    EXPECT_EQ(rig.host.config_read32(device + 0x1c), 0x40000003u) << "the size is read-only";
    rig.host.config_write(device + 0x0c, 0x0004, 2);
    EXPECT_EQ(rig.host.config_read32(device + 0x0c) & 0xffff, 0x0006u) << "CXL.mem enabled";
}

TEST_F(CxlMem, DeviceRegisters) {
    EXPECT_EQ(get(kDeviceBlock) & 0xffffff, 0x010000u);
    EXPECT_EQ(get(kDeviceBlock + 4), 3u);
    EXPECT_EQ(capability(1), kDeviceBlock + kStatusRegisters);
    EXPECT_EQ(capability(2), kMailbox);
    EXPECT_EQ(capability(0x4000), kDeviceBlock + kMemoryRegisters);
    EXPECT_EQ(get(kDeviceBlock + kMemoryRegisters), 0x14u) << "media and mailbox ready";
    EXPECT_EQ(get(kMailbox + mailbox::kCapabilities) & 0x1f, 10u) << "1 KiB";
    set(kDeviceBlock + kMemoryRegisters, 0xffffffff);
    set(kDeviceBlock, 0xffffffff);
    EXPECT_EQ(get(kDeviceBlock + kMemoryRegisters), 0x14u);
    EXPECT_EQ(get(kDeviceBlock + 4), 3u);
}

TEST_F(CxlMem, Identify) {
    const Answer a = command(kIdentify);
    EXPECT_EQ(a.code, 0u);
    ASSERT_GE(a.payload.size(), 0x43u);
    EXPECT_EQ(a.payload.substr(0, 7), std::string("FW 2.1\0", 7));
    EXPECT_EQ(number(a.payload, 0x10, 8), 4u) << "units of 256 MiB";
    EXPECT_EQ(number(a.payload, 0x18, 8), 4u);
    EXPECT_EQ(number(a.payload, 0x20, 8), 0u);
    EXPECT_EQ(number(a.payload, 0x28, 8), 0u) << "no partitions";
    EXPECT_EQ(command(kGetPartition).payload.substr(0, 8), le(4, 8));
    EXPECT_EQ(command(kGetFirmware).payload.substr(0x10, 6), "FW 2.1");
    EXPECT_EQ(command(kGetHealth).payload.size(), 18u);
}

TEST_F(CxlMem, LogsNameEveryCommandThereIs) {
    const Answer logs = command(kGetLogs);
    ASSERT_EQ(logs.payload.size(), 28u);
    EXPECT_EQ(number(logs.payload, 0, 2), 1u);
    EXPECT_EQ(logs.payload.substr(8, 16), kEffectsLog);
    const auto bytes = number(logs.payload, 24, 4);
    const Answer log = command(kGetLog, kEffectsLog + le(0, 4) + le(bytes, 4));
    ASSERT_EQ(log.code, 0u);
    ASSERT_EQ(log.payload.size(), bytes);
    for (std::size_t i = 0; i < bytes; i += 4) {
        const auto opcode = static_cast<std::uint16_t>(number(log.payload, i, 2));
        EXPECT_NE(command(opcode).code, 3u) << std::hex << opcode << " is in the log and unsupported";
    }
    EXPECT_EQ(command(kGetLog, kEffectsLog + le(4, 4) + le(4, 4)).payload, log.payload.substr(4, 4)) << "a part of it";
    EXPECT_EQ(command(kGetLog, std::string(16, 'x') + le(0, 4) + le(4, 4)).code, 0x17u);
    EXPECT_EQ(command(kGetLog, kEffectsLog + le(bytes, 4) + le(1, 4)).code, 0x02u);
    EXPECT_EQ(command(kGetLog, kEffectsLog + le(4, 4) + le(0xffffffff, 4)).code, 0x02u);
}

TEST_F(CxlMem, EventPolicyIsKept) {
    EXPECT_EQ(command(kGetEventPolicy).payload, le(0, 4));
    EXPECT_EQ(command(kSetEventPolicy, le(0x01010101, 4)).code, 0u);
    EXPECT_EQ(command(kGetEventPolicy).payload, le(0x31211101, 4)) << "mode as stored, with the message number";
    EXPECT_EQ(command(kSetEventPolicy, le(0x01030101, 4)).code, 0x02u);
    EXPECT_EQ(command(kGetEventPolicy).payload, le(0x31211101, 4)) << "nothing of a refused one is stored";
    EXPECT_EQ(command(kSetEventPolicy, le(0x00020100, 4)).code, 0u);
    EXPECT_EQ(command(kGetEventPolicy).payload, le(0x00021100, 4));
}

TEST_F(CxlMem, EventLogsAreEmpty) {
    for (unsigned log = 0; log < 4; ++log) {
        const Answer a = command(kGetEventRecords, le(log, 1));
        EXPECT_EQ(a.code, 0u);
        ASSERT_EQ(a.payload.size(), 0x20u);
        EXPECT_EQ(number(a.payload, 0x14, 2), 0u);
    }
    EXPECT_EQ(command(kGetEventRecords, le(4, 1)).code, 0x02u);
    EXPECT_EQ(command(kClearEventRecords, le(0x000100, 6)).code, 0u) << "all";
    EXPECT_EQ(command(kClearEventRecords, le(0x010000, 6) + le(1, 2)).code, 0x0eu) << "a record that is not there";
    EXPECT_EQ(command(kClearEventRecords, le(0x020000, 6) + le(1, 2)).code, 0x16u);
    EXPECT_EQ(command(kClearEventRecords, le(0, 5)).code, 0x16u);
    EXPECT_EQ(get(kDeviceBlock + kStatusRegisters), 0u);
}

TEST_F(CxlMem, TimestampRunsFromWhenItIsSet) {
    EXPECT_EQ(command(kGetTimestamp).payload, le(0, 8));
    EXPECT_EQ(command(kSetTimestamp, le(5'000'000'000, 8)).code, 0u);
    rig.host.now_ns_ += 7;
    EXPECT_EQ(command(kGetTimestamp).payload, le(5'000'000'007, 8));
}

TEST_F(CxlMem, NonsenseGetsItsReturnCode) {
    EXPECT_EQ(command(0x0000).code, 0x03u);
    EXPECT_EQ(command(0xffff).code, 0x03u);
    EXPECT_EQ(command(kIdentify, "x").code, 0x16u);
    EXPECT_EQ(command(kSetTimestamp, "1234567").code, 0x16u);
    for (const std::uint64_t length : {std::uint64_t{1025}, std::uint64_t{0x1fffff}, ~std::uint64_t{0} >> 16}) {
        ring(kClearEventRecords, length);
        EXPECT_EQ(answer().code, 0x16u) << length;
    }
    EXPECT_EQ(answer().payload, "");
    EXPECT_EQ(rig.counter("mailbox_refused"), 7u);
    std::byte b[8]{};
    EXPECT_EQ(rig.device->bar_write(0, kMailbox + 1, b, 0xff), Status::completer_abort);
    EXPECT_EQ(rig.device->bar_write(0, kMailbox, std::span(b).first(2), 0x3), Status::completer_abort);
    EXPECT_EQ(rig.device->bar_write(0, kMailbox + mailbox::kPayload + 1020, b, 0xff), Status::completer_abort);
    EXPECT_EQ(command(kIdentify).code, 0u);
}

TEST_F(CxlMem, DoorbellInterrupt) {
    rig.host.enable_interrupts(kVectors);
    command(kIdentify);
    rig.host.settle();
    EXPECT_EQ(rig.host.interrupts[0], 0u) << "not asked for";
    rig.host.write64(kMailbox + mailbox::kCommand, kIdentify);
    set(kMailbox + mailbox::kControl, mailbox::kDoorbell | mailbox::kDoorbellInterrupt);
    rig.host.settle();
    EXPECT_EQ(rig.host.interrupts[0], 1u);
    EXPECT_EQ(get(kMailbox + mailbox::kControl), std::uint32_t{mailbox::kDoorbellInterrupt});
}

struct CxlMemSlow : CxlMem {
    CxlMemSlow() : CxlMem({{"faults", "delay_us=1000"}}) {}
};

TEST_F(CxlMemSlow, RegistersAreTheDevicesWhileTheDoorbellIsSet) {
    payload("before");
    ring(kIdentify, 0);
    EXPECT_EQ(get(kMailbox + mailbox::kControl), std::uint32_t{mailbox::kDoorbell});
    payload("after!");
    rig.host.write64(kMailbox + mailbox::kCommand, kGetHealth);
    set(kMailbox + mailbox::kControl, 0);
    EXPECT_EQ(get(kMailbox + mailbox::kCommand), std::uint32_t{kIdentify});
    EXPECT_EQ(get(kMailbox + mailbox::kPayload) & 0xff, std::uint32_t{'b'});
    rig.host.now_ns_ += 1'000'000;
    rig.host.settle();
    EXPECT_EQ(answer().payload.substr(0, 9), "farlane 1");
}

TEST_F(CxlMemSlow, AnswersAfterAKill) {
    payload(kEffectsLog + le(0, 4) + le(8, 4));
    ring(kGetLog, 24);
    ASSERT_TRUE(rig.kill_and_restore());
    rig.host.settle();
    EXPECT_EQ(answer().payload, le(kGetEventRecords, 4) + le(kClearEventRecords | 0x10u << 16, 4));
    // Killed when the answer was ready and half of it in the registers
    payload(kEffectsLog + le(0, 4) + le(8, 4));
    ring(kGetLog, 24);
    bool fresh = true;
    auto& state = *reinterpret_cast<State*>(rig.memory->region("dut.cxl_mem", sizeof(State), fresh).take().data());
    ASSERT_FALSE(fresh);
    state.mailbox.answer_ready = 1;
    state.mailbox.payload.fill(std::byte{0xee});
    ASSERT_TRUE(rig.kill_and_restore());
    rig.host.settle();
    EXPECT_EQ(answer().payload, le(kGetEventRecords, 4) + le(kClearEventRecords | 0x10u << 16, 4));
    EXPECT_EQ(state.mailbox.answer_ready, 0u);
}

TEST_F(CxlMem, ResetForgetsWhatWasSet) {
    command(kSetEventPolicy, le(0x01010101, 4));
    command(kSetTimestamp, le(9, 8));
    rig.device->reset();
    rig.host.config_write(0x04, 0x0006, 2);
    EXPECT_EQ(get(kMailbox + mailbox::kCommand), 0u);
    EXPECT_EQ(get(kMailbox + mailbox::kPayload), 0u);
    EXPECT_EQ(command(kGetEventPolicy).payload, le(0, 4));
    EXPECT_EQ(command(kGetTimestamp).payload, le(0, 8));
}

TEST_F(CxlMem, ComponentRegisters) {
    EXPECT_EQ(get(0x1000), 0x03110001u);
    std::uint32_t ras = 0, decoder = 0;
    for (unsigned i = 1; i <= 3; ++i) {
        const std::uint32_t header = get(0x1000 + i * 4);
        if ((header & 0xffff) == 2) ras = 0x1000 + (header >> 20);
        if ((header & 0xffff) == 5) decoder = 0x1000 + (header >> 20);
    }
    ASSERT_NE(ras, 0u);
    ASSERT_NE(decoder, 0u);
    EXPECT_EQ(get(ras + 4), 0x0001cfffu);
    set(ras + 4, 0);
    EXPECT_EQ(get(ras + 4), 0u);
    EXPECT_EQ(get(ras), 0u);

    EXPECT_EQ(get(decoder) & 0xf, 0u) << "one decoder";
    set(decoder + 0x10, 0xffffffff);
    set(decoder + 0x14, 0x7);
    EXPECT_EQ(rig.host.read64(decoder + 0x10), 0x7f0000000u);
    set(decoder + 0x20, 1u << 9);
    EXPECT_EQ(get(decoder + 0x20) >> 9 & 7, 0x5u) << "commit is refused: no memory is served";
    rig.device->reset();
    rig.host.config_write(0x04, 0x0006, 2);
    EXPECT_EQ(get(ras + 4), 0x0001cfffu);
    EXPECT_EQ(get(decoder + 0x20), 0u);
}

// Any access at any place, with any width: every answer is fine as long as it is one.
TEST_F(CxlMem, AnythingGoes) {
    std::mt19937 random(5);
    rig.host.enable_interrupts(kVectors);
    for (unsigned round = 0; round < 20000; ++round) {
        std::byte bytes[64];
        for (std::byte& b : bytes) b = static_cast<std::byte>(random() % 3 == 0 ? random() : random() % 4);
        const std::size_t size = random() % 4 == 0 ? 1 + random() % 64 : std::size_t{1} << random() % 4;
        std::uint32_t at = random() % (kBarBytes - 64);
        if (random() % 2 == 0) at = kMailbox + random() % (mailbox::kPayload + 64);
        if (random() % 4 == 0) {
            const auto opcode = static_cast<std::uint16_t>((random() % 0x43) << 8 | random() % 4);
            ring(opcode, random() % 40);
        } else if (random() % 2 == 0) {
            (void)rig.device->bar_write(0, at, std::span(bytes).first(size), static_cast<std::uint8_t>(random()));
        } else {
            (void)rig.device->bar_read(0, at, std::span(bytes).first(size));
        }
        if (random() % 8 == 0) rig.host.step();
    }
    rig.host.settle();
    EXPECT_EQ(command(kIdentify).code, 0u);
    EXPECT_EQ(rig.host.crossed_pages, 0u);
}

TEST_F(CxlMem, StateOfAnEarlierLifeIsNotTrusted) {
    std::mt19937 random(9);
    for (unsigned round = 0; round < 200; ++round) {
        bool fresh = true;
        const auto bytes = rig.memory->region("dut.cxl_mem", sizeof(State), fresh).take();
        for (unsigned n = 1 + random() % 64; n != 0; --n) {
            const std::size_t from = random() % 2 == 0 ? offsetof(State, mailbox) : 8;
            bytes[from + random() % (bytes.size() - from)] = static_cast<std::byte>(random());
        }
        (void)rig.kill_and_restore();
        rig.host.settle();
        for (unsigned i = 0; i < 20; ++i) {
            ring(static_cast<std::uint16_t>(random() % 2 == 0 ? kGetLog : random()), random() % 40);
            rig.host.step();
        }
        rig.host.settle();
        rig.host.detach();
        rig.host.attach(*rig.device);
    }
    EXPECT_EQ(command(kIdentify).code, 0u);
}

TEST(CxlMemOptions, AreChecked) {
    const auto why = [](Options options) {
        const auto checked = backend::check_device({"c", "cxl_mem", std::move(options)});
        return checked ? std::string() : checked.failure().detail;
    };
    EXPECT_EQ(why({}), "");
    EXPECT_EQ(why({{"size", "16T"}, {"serial", "1"}, {"firmware", "1234567890123456"}}), "");
    EXPECT_NE(why({{"size", "300M"}}).find("multiple of 256M"), std::string::npos);
    EXPECT_NE(why({{"size", "128M"}}), "");
    EXPECT_NE(why({{"firmware", "12345678901234567"}}).find("16"), std::string::npos);
    EXPECT_NE(why({{"serial", "0"}}), "");
    EXPECT_NE(why({{"label", "x"}}).find("does not exist"), std::string::npos);
}

}  // namespace
}  // namespace farlane::firmware::test
