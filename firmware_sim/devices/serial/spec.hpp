// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: names of registers and bits of the serial port. Owns: nothing.
// The UART is the 16550 that Linux knows from linux/serial_reg.h; around it lies what the Exar XR17V352 has.
#pragma once

#include <cstdint>

namespace farlane::firmware::serial {

constexpr unsigned kPorts = 2;
constexpr std::uint32_t kPortStride = 0x400;  // one channel behind the other
constexpr std::uint32_t kBarBytes = 0x4000;   // as the larger devices of the family have it
constexpr std::uint32_t kMsixTable = 0x2000, kMsixPba = 0x3000;
constexpr std::uint32_t kFifoBytes = 256;
// What the other end sends at once. A driver takes bytes in with interrupts off, two reads each: at a distance a
// line that goes on sending meanwhile would hold its processor for as long as there is something to send.
constexpr std::uint32_t kBurstBytes = 16;
constexpr std::uint16_t kVendorId = 0x13a8, kDeviceId = 0x0352;

// Registers of a channel. With LCR.DLAB the first three are the divisor.
namespace reg {
constexpr std::uint32_t kData = 0, kIer = 1, kIir = 2, kFcr = 2, kLcr = 3, kMcr = 4, kLsr = 5, kMsr = 6, kScratch = 7;
constexpr std::uint32_t kDll = 0, kDlm = 1, kDld = 2;
constexpr std::uint32_t kFctr = 0x08, kEfr = 0x09, kTxCount = 0x0a, kRxCount = 0x0b, kXChars = 0x0c;
constexpr std::uint32_t kChannelEnd = 0x10;
// Registers of the device, the same in every channel.
constexpr std::uint32_t kDeviceBegin = 0x80, kInt0 = 0x80, kInt1 = 0x81, kReset = 0x8a, kRevision = 0x8c;
constexpr std::uint32_t kDeviceId = 0x8d, kDeviceEnd = 0x9b;
// Windows onto the FIFOs: bytes, and bytes with their line status.
constexpr std::uint32_t kFifoWindow = 0x100, kStatusWindow = 0x200;
}  // namespace reg

constexpr std::uint8_t kIerReceive = 0x01, kIerTransmit = 0x02, kIerLine = 0x04, kIerModem = 0x08, kIerMask = 0xff;
constexpr std::uint8_t kIirNone = 0x01, kIirLine = 0x06, kIirReceive = 0x04, kIirTimeout = 0x0c, kIirTransmit = 0x02;
constexpr std::uint8_t kIirModem = 0x00, kIirFifos = 0xc0;
constexpr std::uint8_t kFcrEnable = 0x01, kFcrClearReceive = 0x02, kFcrClearTransmit = 0x04;
constexpr std::uint8_t kLcrDivisor = 0x80;
constexpr std::uint8_t kMcrDtr = 0x01, kMcrRts = 0x02, kMcrOut1 = 0x04, kMcrOut2 = 0x08, kMcrLoop = 0x10;
constexpr std::uint8_t kMcrAutoFlow = 0x20;
constexpr std::uint8_t kLsrReady = 0x01, kLsrOverrun = 0x02, kLsrErrors = 0x1e, kLsrEmpty = 0x60;
constexpr std::uint8_t kMsrCts = 0x10, kMsrDsr = 0x20, kMsrRing = 0x40, kMsrDcd = 0x80;
constexpr std::uint8_t kEfrAutoCts = 0x80;

}  // namespace farlane::firmware::serial
