// SPDX-License-Identifier: Apache-2.0
// Receives: a source, a target and a length in registers. Hands on: that copy, by DMA, wherever the addresses point: a
// device that is not to be trusted. Owns: the bytes on their way; nothing that lasts.
// The registers are those of the selftest function of farlane.ko (kmod/selftest.c), so one test driver knows both.
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "core/function.hpp"
#include "core/options.hpp"
#include "devices/devices.hpp"

namespace farlane::firmware {
namespace {

constexpr std::uint16_t kDeviceId = 0x5e1f;
constexpr std::uint32_t kBarBytes = 0x4000, kMsixTable = 0x1000, kMsixPba = 0x1800, kVectors = 16;
constexpr std::uint32_t kRegisterBytes = 0x48, kMagic = 0x54534c46, kMostBytes = 1u << 20;

namespace reg {
constexpr std::uint32_t kMagic = 0x00, kVersion = 0x04, kSource = 0x10, kTarget = 0x18, kBytes = 0x20;
constexpr std::uint32_t kVector = 0x24;  // raised at the end; kVectors and up: none
constexpr std::uint32_t kGo = 0x28;      // any write starts the copy
constexpr std::uint32_t kStatus = 0x2c;
}  // namespace reg

namespace copy {
constexpr std::uint32_t kIdle = 0, kBusy = 1, kDone = 2;
constexpr std::uint32_t kRefused = 3;  // the source could not be read. Writes are posted: nothing tells of theirs
}  // namespace copy

enum class Step : std::uint8_t { none, waits, reads, writes };

FunctionIdentity identity() {
    FunctionIdentity id;
    id.model = "Farlane DMA test";
    id.device_id = id.subsystem_id = kDeviceId;
    id.class_code = 0xff0000;
    id.bars[0] = {kBarBytes, 0};
    id.msix = {kVectors, 0, kMsixTable, kMsixPba};
    return id;
}

class DmaTest final : public Function {
public:
    explicit DmaTest(FunctionState& state) : Function(identity(), state, 64), bytes_(kMostBytes) { clear(); }

    void counters(const std::function<void(std::string_view, std::uint64_t)>& each) const override {
        Function::counters(each);
        each("copies", copies_);
        each("copies_refused", refused_);
    }

protected:
    Status register_read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) noexcept override {
        if (bar != 0) return Status::unsupported_request;
        std::memset(out.data(), 0, out.size());
        if (offset < kRegisterBytes)
            std::memcpy(out.data(), registers_.data() + offset,
                        std::min<std::size_t>(out.size(), kRegisterBytes - offset));
        return Status::ok;
    }

    Status register_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                          std::uint8_t) noexcept override {
        if (bar != 0) return Status::unsupported_request;
        if (offset == reg::kGo && step_ == Step::none) {
            put(reg::kStatus, copy::kBusy);
            step_ = Step::waits;
        } else if (offset >= reg::kSource && offset + in.size() <= reg::kGo && step_ == Step::none) {
            std::memcpy(registers_.data() + offset, in.data(), in.size());
        }
        return Status::ok;
    }

    void on_reset(ResetKind) noexcept override { clear(); }

    // What an earlier copy has in flight would land in the bytes of the next.
    [[nodiscard]] bool has_work() const noexcept override { return step_ == Step::waits && dma().in_use() == 0; }

    bool work() noexcept override {
        if (!has_work()) return false;
        const std::uint32_t n = get(reg::kBytes);
        ++copies_;
        if (n == 0 || n > kMostBytes) {
            end(copy::kRefused);
        } else if (dma().read(address(reg::kSource), std::span(bytes_).first(n), ++tag_) == Status::ok) {
            step_ = Step::reads;
        } else {
            end(copy::kRefused);
        }
        return true;
    }

    void dma_done(std::uint64_t tag, Status status) noexcept override {
        if (tag != tag_ || status == Status::canceled) return;  // a reset forgets it
        if (status != Status::ok) return end(copy::kRefused);
        if (step_ == Step::writes) return end(copy::kDone);
        const Status given =
            dma().write(address(reg::kTarget), std::span(bytes_).first(get(reg::kBytes)), DmaOrder::strict, ++tag_);
        if (given != Status::ok && given != Status::pending) return end(copy::kRefused);
        step_ = Step::writes;
    }

private:
    void clear() noexcept {
        registers_.fill({});
        put(reg::kMagic, kMagic);
        put(reg::kVersion, 1);
        step_ = Step::none;
        ++tag_;
    }
    void end(std::uint32_t status) noexcept {
        refused_ += status == copy::kRefused ? 1 : 0;
        step_ = Step::none;
        put(reg::kStatus, status);
        if (const std::uint32_t vector = get(reg::kVector); vector < kVectors) raise(vector);
    }
    [[nodiscard]] std::uint32_t get(std::uint32_t at) const noexcept {
        fl_le32 v;
        std::memcpy(&v, registers_.data() + at, sizeof v);
        return v.get();
    }
    [[nodiscard]] std::uint64_t address(std::uint32_t at) const noexcept {
        return get(at) | std::uint64_t{get(at + 4)} << 32;
    }
    void put(std::uint32_t at, std::uint32_t value) noexcept {
        const fl_le32 v(value);
        std::memcpy(registers_.data() + at, &v, sizeof v);
    }

    std::array<std::byte, kRegisterBytes> registers_{};
    std::vector<std::byte> bytes_;
    Step step_ = Step::none;
    std::uint64_t tag_ = 0, copies_ = 0, refused_ = 0;
};

}  // namespace

Result<bool> check_dma_test(const backend::DeviceConfig& config) {
    return Options(config).check();
}

Result<std::unique_ptr<backend::Device>> make_dma_test(const backend::DeviceConfig& config, backend::Memory& memory) {
    if (const auto checked = check_dma_test(config); !checked) return checked.failure();
    bool fresh = false;
    const auto region = memory.region(config.name + ".dma_test", sizeof(FunctionState), fresh);
    if (!region) return region.failure();
    return std::unique_ptr<backend::Device>(
        std::make_unique<DmaTest>(*reinterpret_cast<FunctionState*>(region.value().data())));
}

}  // namespace farlane::firmware
