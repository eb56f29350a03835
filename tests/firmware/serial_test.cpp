// SPDX-License-Identifier: Apache-2.0
// Receives: register accesses as drivers of 16550s make them. Hands on: whether the UARTs answer as they should.
// Owns: nothing.
#include <filesystem>
#include <fstream>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/serial/port.hpp"
#include "firmware/device_rig.hpp"

namespace farlane::firmware::test {
namespace {

using namespace serial;

struct Serial : testing::Test {
    explicit Serial(Options options = {}) : rig("serial", std::move(options)) {}

    std::uint8_t get(std::uint32_t at, unsigned port = 0) {
        std::byte b{};
        EXPECT_EQ(rig.device->bar_read(0, port * kPortStride + at, std::span(&b, 1)), Status::ok);
        return std::to_integer<std::uint8_t>(b);
    }
    void set(std::uint32_t at, unsigned value, unsigned port = 0) {
        const std::byte b = static_cast<std::byte>(value);
        EXPECT_EQ(rig.device->bar_write(0, port * kPortStride + at, std::span(&b, 1), 1), Status::ok);
    }
    // As startup of a driver does it: FIFOs on and empty, DTR, RTS and OUT2.
    void open(unsigned port = 0, unsigned interrupts = 0) {
        set(reg::kLcr, 0x03, port);
        set(reg::kFcr, kFcrEnable | kFcrClearReceive | kFcrClearTransmit, port);
        set(reg::kMcr, kMcrDtr | kMcrRts | kMcrOut2, port);
        rig.host.settle();
        (void)get(reg::kMsr, port);
        set(reg::kIer, interrupts, port);
        rig.host.settle();
    }
    void send(std::string_view text, unsigned port = 0) {
        for (const char c : text) set(reg::kData, static_cast<std::uint8_t>(c), port);
        rig.host.settle();
    }
    std::string take(unsigned port = 0) {
        std::string text;
        while ((get(reg::kLsr, port) & kLsrReady) != 0) text += static_cast<char>(get(reg::kData, port));
        return text;
    }
    // As the handler of an interrupt: all there is, until there is nothing to do.
    std::string receive(unsigned port = 0) {
        std::string text;
        for (;;) {
            const std::string more = take(port);
            (void)get(reg::kIir, port);
            rig.host.settle();
            text += more;
            if (more.empty()) return text;
        }
    }

    DeviceRig rig;
};

TEST_F(Serial, IsWhatTheDriverLooksFor) {
    EXPECT_EQ(rig.host.config_read32(0x00), 0x035213a8u);
    EXPECT_EQ(rig.host.config_read32(0x08) >> 8, 0x070002u);
    EXPECT_EQ(get(0x8d), 0x82) << "two channels";
    EXPECT_EQ(get(0x8d, 1), 0x82) << "registers of the device are in every channel";
    EXPECT_EQ(get(reg::kIir), kIirNone);
    EXPECT_EQ(get(reg::kLsr), kLsrEmpty);
    EXPECT_EQ(get(reg::kScratch, 2), 0xff) << "there is no third channel";
    set(0x93, 0xff);
    EXPECT_EQ(get(0x93, 1), 0xff);
    set(0x8d, 0x11);
    EXPECT_EQ(get(0x8d), 0x82);
}

TEST_F(Serial, DivisorHidesBehindItsBit) {
    open();
    set(reg::kLcr, 0x83);
    set(reg::kDll, 0x12);
    set(reg::kDlm, 0x34);
    set(reg::kDld, 0x05);
    EXPECT_EQ(get(reg::kDll), 0x12);
    EXPECT_EQ(get(reg::kDlm), 0x34);
    EXPECT_EQ(get(reg::kDld), 0x05);
    set(reg::kLcr, 0x03);
    EXPECT_EQ(get(reg::kIer), 0);
    EXPECT_EQ(receive(), "");
}

TEST_F(Serial, PlugSendsBackInOrder) {
    open();
    send("0123456789");
    EXPECT_EQ(get(reg::kRxCount), 10);
    EXPECT_EQ(receive(), "0123456789");
    EXPECT_EQ(get(reg::kLsr), kLsrEmpty);
    EXPECT_EQ(receive(1), "") << "the other channel has its own";
    EXPECT_EQ(rig.counter("line_bytes_sent"), 10u);
    EXPECT_EQ(rig.counter("line_bytes_received"), 10u);
}

TEST_F(Serial, NothingIsOverrun) {
    open();
    std::string all;
    for (unsigned i = 0; i < 2 * kFifoBytes + kBurstBytes; ++i) all += static_cast<char>('a' + i % 26);
    send(all.substr(0, kBurstBytes));
    send(all.substr(kBurstBytes, kFifoBytes));
    EXPECT_EQ(get(reg::kLsr) & kLsrEmpty, 0) << "a burst was received, the rest waits in the transmitter";
    set(reg::kData, 'x');
    EXPECT_EQ(rig.counter("fifo_overflows"), 1u);
    EXPECT_EQ(receive(), all.substr(0, kBurstBytes + kFifoBytes));
    send(all.substr(kBurstBytes + kFifoBytes));
    EXPECT_EQ(receive(), all.substr(kBurstBytes + kFifoBytes));
}

TEST_F(Serial, NextBurstWaitsForTheHandlerToEnd) {
    rig.host.enable_interrupts(1);
    open(0, kIerReceive);
    send(std::string(2 * kBurstBytes, 'x'));
    EXPECT_EQ(rig.host.interrupts[0], 1u);
    EXPECT_EQ(take().size(), kBurstBytes);
    rig.host.settle();
    EXPECT_EQ(take(), "") << "the driver is still at it";
    EXPECT_EQ(get(reg::kIir), kIirNone | kIirFifos);
    rig.host.settle();
    EXPECT_EQ(rig.host.interrupts[0], 2u);
    EXPECT_EQ(take().size(), kBurstBytes);
}

TEST_F(Serial, LineRestsAsLongAsTheDriverWorked) {
    open(0, kIerReceive);
    send(std::string(2 * kBurstBytes, 'x'));
    EXPECT_EQ(take().size(), kBurstBytes);
    rig.host.now_ns_ += 5'000'000;  // slow reads
    EXPECT_EQ(get(reg::kIir), kIirNone | kIirFifos);
    const std::int64_t seen_ns = rig.host.now_ns_;
    while ((get(reg::kLsr) & kLsrReady) == 0) ASSERT_TRUE(rig.host.step()) << "it has more to send";
    EXPECT_GE(rig.host.now_ns_ - seen_ns, 5'000'000);
    EXPECT_LE(rig.host.now_ns_ - seen_ns, 6'000'000);
}

TEST_F(Serial, WithoutFifosOneByteAtATime) {
    open();
    set(reg::kFcr, 0);
    set(reg::kData, 'a');
    set(reg::kData, 'b');
    EXPECT_EQ(rig.counter("fifo_overflows"), 1u);
    rig.host.settle();
    EXPECT_EQ(get(reg::kIir) & kIirFifos, 0);
    EXPECT_EQ(receive(), "a");
}

TEST_F(Serial, OneMessageForEachCause) {
    rig.host.enable_interrupts(1);
    open(0, kIerReceive);
    EXPECT_EQ(rig.host.interrupts[0], 0u);
    set(reg::kRxCount, 128);  // written, this register is the trigger level
    send("abc");
    EXPECT_EQ(rig.host.interrupts[0], 1u);
    EXPECT_EQ(get(reg::kIir), kIirTimeout | kIirFifos) << "below the trigger level nothing more comes";
    EXPECT_EQ(get(0x80), 0x01);
    EXPECT_EQ(get(0x81), 0x02);
    send("d");
    EXPECT_EQ(rig.host.interrupts[0], 1u) << "told already";
    EXPECT_EQ(receive(), "abcd");
    EXPECT_EQ(rig.host.interrupts[0], 2u);
    EXPECT_EQ(get(reg::kIir), kIirNone | kIirFifos);
    EXPECT_EQ(get(0x80), 0x00);

    set(reg::kRxCount, 2);
    send("ab");
    EXPECT_EQ(get(reg::kIir), kIirReceive | kIirFifos);
    EXPECT_EQ(receive(), "ab");
}

TEST_F(Serial, TransmitterEmptyIsToldOnce) {
    rig.host.enable_interrupts(1);
    open();
    set(reg::kIer, kIerTransmit);
    rig.host.settle();
    EXPECT_EQ(rig.host.interrupts[0], 1u) << "it is empty when that is asked for";
    EXPECT_EQ(get(reg::kIir), kIirTransmit | kIirFifos);
    EXPECT_EQ(get(reg::kIir), kIirNone | kIirFifos) << "reading it was the answer";
    send("x");
    EXPECT_EQ(rig.host.interrupts[0], 2u);
    set(reg::kIer, 0);
    EXPECT_EQ(get(reg::kIir), kIirNone | kIirFifos);
    set(reg::kIer, kIerTransmit);
    EXPECT_EQ(get(reg::kIir), kIirTransmit | kIirFifos) << "asked for again, told again";
}

TEST_F(Serial, ModemLinesOfThePlug) {
    rig.host.enable_interrupts(1);
    open(0, kIerModem);
    EXPECT_EQ(get(reg::kMsr), kMsrCts | kMsrDsr | kMsrDcd);
    set(reg::kMcr, kMcrDtr | kMcrOut2);
    rig.host.settle();
    EXPECT_EQ(rig.host.interrupts[0], 1u);
    EXPECT_EQ(get(reg::kIir), kIirModem | kIirFifos);
    EXPECT_EQ(get(reg::kMsr), kMsrDsr | kMsrDcd | 0x01);
    EXPECT_EQ(get(reg::kMsr), kMsrDsr | kMsrDcd) << "the change was told";
    send("held back");
    EXPECT_EQ(receive(), "") << "without RTS the other end waits";
    set(reg::kMcr, kMcrDtr | kMcrRts | kMcrOut2);
    rig.host.settle();
    EXPECT_EQ(receive(), "held back");
}

TEST_F(Serial, LoopInsideTheUart) {
    // The probe of the stock driver: outputs on inputs at once
    set(reg::kMcr, kMcrLoop | 0x0a);
    EXPECT_EQ(get(reg::kMsr) & 0xf0, 0x90);
    set(reg::kMcr, kMcrLoop | 0x05);
    EXPECT_EQ(get(reg::kMsr) & 0xf0, 0x60);
    set(reg::kFcr, kFcrEnable);
    send("in here");
    EXPECT_EQ(receive(), "in here");
}

TEST_F(Serial, WindowsOntoTheFifos) {
    open();
    std::byte bytes[8];
    for (unsigned i = 0; i < 8; ++i) bytes[i] = static_cast<std::byte>('a' + i);
    ASSERT_EQ(rig.device->bar_write(0, 0x100, bytes, 0xff), Status::ok);
    rig.host.settle();
    std::byte out[8];
    ASSERT_EQ(rig.device->bar_read(0, 0x200, out), Status::ok);
    EXPECT_EQ(out[0], std::byte{'a'});
    EXPECT_EQ(out[1], std::byte{0}) << "its line status";
    EXPECT_EQ(out[6], std::byte{'d'});
    ASSERT_EQ(rig.device->bar_read(0, 0x100, std::span(out).first(4)), Status::ok);
    EXPECT_EQ(out[0], std::byte{'e'});
    EXPECT_EQ(out[3], std::byte{'h'});
}

TEST_F(Serial, ResetsOfAChannelAndOfTheFunction) {
    open();
    open(1);
    send("left", 0);
    send("left", 1);
    set(0x8a, 0x01);
    EXPECT_EQ(receive(0), "");
    EXPECT_EQ(receive(1), "left");
    send("again", 1);
    rig.device->reset();
    rig.host.config_write(0x04, 0x0006, 2);
    EXPECT_EQ(receive(1), "");
    EXPECT_EQ(get(reg::kMcr, 1), 0);
}

TEST_F(Serial, NextInitiatorSeesNothingOfTheLast) {
    open();
    send("secret");
    rig.host.detach();
    rig.host.attach(*rig.device);
    open();
    EXPECT_EQ(receive(), "");
}

TEST_F(Serial, SurvivesAKill) {
    open(0, kIerReceive);
    send("before");
    for (const char c : std::string_view("after")) set(reg::kData, static_cast<std::uint8_t>(c));
    ASSERT_TRUE(rig.kill_and_restore());
    rig.host.settle();
    EXPECT_EQ(get(reg::kIer), kIerReceive);
    EXPECT_EQ(receive(), "beforeafter");
}

TEST_F(Serial, KilledBetweenTheTwoFifos) {
    open();
    for (const char c : std::string_view("once")) set(reg::kData, static_cast<std::uint8_t>(c));
    rig.host.settle();
    // As if the kill came before the transmitter's side of the move was stored
    bool fresh = true;
    auto& state = *reinterpret_cast<State*>(rig.memory->region("dut.serial", sizeof(State), fresh).take().data());
    ASSERT_FALSE(fresh);
    state.ports[0].transmit.taken -= 4;
    ASSERT_TRUE(rig.kill_and_restore());
    rig.host.settle();
    EXPECT_EQ(receive(), "once");
}

TEST_F(Serial, StateOfAnEarlierLifeIsNotTrusted) {
    std::mt19937 random(7);
    for (unsigned round = 0; round < 200; ++round) {
        bool fresh = true;
        const auto bytes = rig.memory->region("dut.serial", sizeof(State), fresh).take();
        for (unsigned n = 1 + random() % 64; n != 0; --n)
            bytes[8 + random() % (bytes.size() - 8)] = static_cast<std::byte>(random());
        (void)rig.kill_and_restore();
        for (unsigned i = 0; i < 50; ++i) {
            set(random() % kPortStride, random(), random() % kPorts);
            (void)get(random() % kPortStride, random() % kPorts);
        }
        rig.host.settle();
        rig.host.detach();
        rig.host.attach(*rig.device);
    }
    open();
    send("fine");
    EXPECT_EQ(receive(), "fine");
}

// Any access at any place, with any width: every answer is fine as long as it is one.
TEST_F(Serial, AnythingGoes) {
    std::mt19937 random(11);
    rig.host.enable_interrupts(1);
    for (unsigned round = 0; round < 20000; ++round) {
        std::byte bytes[64];
        for (std::byte& b : bytes) b = static_cast<std::byte>(random());
        const std::size_t size = random() % 4 == 0 ? 1 + random() % 64 : std::size_t{1} << random() % 4;
        const std::uint32_t at = random() % (random() % 2 == 0 ? 0x800 : kBarBytes - 64);
        if (random() % 2 == 0)
            (void)rig.device->bar_write(0, at, std::span(bytes).first(size), static_cast<std::uint8_t>(random()));
        else
            (void)rig.device->bar_read(0, at, std::span(bytes).first(size));
        if (random() % 8 == 0) rig.host.step();
    }
    rig.host.settle();
    rig.device->reset();
    rig.host.config_write(0x04, 0x0006, 2);
    open();
    send("fine");
    EXPECT_EQ(receive(), "fine");
}

TEST(SerialOptions, AreChecked) {
    const auto why = [](Options options) {
        const auto checked = backend::check_device({"s", "serial", std::move(options)});
        return checked ? std::string() : checked.failure().detail;
    };
    EXPECT_EQ(why({}), "");
    EXPECT_EQ(why({{"port0", "loop"}, {"port1", "unix:/run/x"}, {"serial", "7"}}), "");
    EXPECT_NE(why({{"port0", "tcp:1"}}).find("unix:PATH"), std::string::npos);
    EXPECT_NE(why({{"port0", "file:relative"}}).find("absolute"), std::string::npos);
    EXPECT_NE(why({{"port0", "file:/x"}, {"port1", "file:/x"}}).find("its own"), std::string::npos);
    EXPECT_NE(why({{"port2", "loop"}}).find("does not exist"), std::string::npos);
    EXPECT_NE(why({{"faults", "x=1"}}), "");
    EXPECT_NE(why({{"serial", "0"}}), "");
}

// --- lines with another end

struct Folder {
    Folder() {
        char name[] = "/tmp/farlane-serial-XXXXXX";
        path = ::mkdtemp(name);
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string path;
};

struct SerialLines : Folder, Serial {
    SerialLines() : Serial({{"port0", "unix:" + path + "/line"}, {"port1", "file:" + path + "/log"}}) {}
    // Turns until `reached`; the line has a thread, so a turn may come too early.
    template <class F>
    void until(F reached) {
        while (!reached()) {
            rig.host.step();
            std::this_thread::yield();
        }
    }
    int call() {
        const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un a{};
        a.sun_family = AF_UNIX;
        std::snprintf(a.sun_path, sizeof a.sun_path, "%s/line", path.c_str());
        EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a), 0);
        until([&] { return (get(reg::kMsr) & kMsrDcd) != 0; });
        return fd;
    }
    std::string read(int fd, std::size_t bytes) {
        std::string text(bytes, '\0');
        std::size_t n = 0;
        while (n < bytes) {
            rig.host.step();
            const ssize_t got = ::recv(fd, &text[n], bytes - n, MSG_DONTWAIT);
            if (got == 0) break;
            n += got > 0 ? static_cast<std::size_t>(got) : 0;
        }
        text.resize(n);
        return text;
    }
};

TEST_F(SerialLines, SocketIsTheOtherEnd) {
    open();
    EXPECT_EQ(get(reg::kMsr) & kMsrDcd, 0) << "nobody is there";
    send("unheard");
    EXPECT_EQ(rig.counter("line_bytes_lost"), 7u);
    const int fd = call();
    send("login: ");
    EXPECT_EQ(read(fd, 7), "login: ");
    ASSERT_EQ(::send(fd, "root\n", 5, MSG_NOSIGNAL), 5);
    std::string got;
    until([&] { return (got += receive()).size() == 5; });
    EXPECT_EQ(got, "root\n");
    ::close(fd);
    until([&] { return (get(reg::kMsr) & kMsrDcd) == 0; });
    ::close(call());
}

TEST_F(SerialLines, MoreThanAllBuffersHold) {
    open();
    const int fd = call();
    std::string all(100000, '\0');
    std::mt19937 random(3);
    for (char& c : all) c = static_cast<char>(random());
    std::string got;
    std::size_t given = 0;
    until([&] {
        if (given < all.size()) {
            const ssize_t n = ::send(fd, &all[given], all.size() - given, MSG_DONTWAIT | MSG_NOSIGNAL);
            given += n > 0 ? static_cast<std::size_t>(n) : 0;
        }
        return (got += receive()).size() == all.size();
    });
    EXPECT_EQ(got, all);
    ::close(fd);
}

TEST_F(SerialLines, DetachHangsUp) {
    open();
    const int fd = call();
    ASSERT_EQ(::send(fd, "for the old one", 15, MSG_NOSIGNAL), 15);
    rig.host.detach();
    char c = 0;
    ssize_t n = 0;
    while ((n = ::recv(fd, &c, 1, 0)) > 0) {
    }
    EXPECT_LE(n, 0) << "the line is closed";
    ::close(fd);
    rig.host.attach(*rig.device);
    open();
    ::close(call());
    EXPECT_EQ(receive(), "");
}

TEST_F(SerialLines, FileGetsWhatIsSent) {
    open(1);
    send("line 1\n", 1);
    send("line 2\n", 1);
    const auto written = [&] {
        std::ifstream in(path + "/log");
        return std::string(std::istreambuf_iterator<char>(in), {});
    };
    until([&] { return written().size() == 14; });
    EXPECT_EQ(written(), "line 1\nline 2\n");
    EXPECT_EQ(receive(1), "");
}

TEST_F(SerialLines, WhatIsInTheWay) {
    const auto why = [](const std::string& end) {
        auto memory = backend::process_memory();
        const auto made = backend::make_device({"s", "serial", {{"port0", end}}}, *memory);
        return made ? std::string() : made.failure().detail;
    };
    EXPECT_NE(why("unix:" + path + "/line").find("another program listens"), std::string::npos);
    EXPECT_NE(why("unix:" + path + "/log").find("no socket"), std::string::npos);
    EXPECT_NE(why("file:" + path).find("can not be opened"), std::string::npos);
    EXPECT_NE(why("unix:" + path + "/" + std::string(120, 'x')).find("107"), std::string::npos);
    EXPECT_NE(why("file:/dev/null").find("no plain file"), std::string::npos);
}

}  // namespace
}  // namespace farlane::firmware::test
