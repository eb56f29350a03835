// SPDX-License-Identifier: Apache-2.0
// Receives: accesses to BAR 0. Hands on: commands to the mailbox, interrupts. Owns: nothing that lasts.
// A CXL type 3 function as stock cxl_pci drives it. It tells of its memory; it does not serve it yet.
#pragma once

#include "devices/cxl_mem/component.hpp"
#include "devices/cxl_mem/mailbox.hpp"

namespace farlane::firmware::cxl {

class MemoryDevice final : public Function {
public:
    /// `state` is zeroed or what an earlier life left.
    MemoryDevice(const FunctionIdentity& function, const DeviceIdentity& identity, State& state);
    void counters(const std::function<void(std::string_view, std::uint64_t)>& each) const override;

protected:
    Status register_read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) noexcept override;
    Status register_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                          std::uint8_t enables) noexcept override;
    void on_reset(ResetKind kind) noexcept override;
    [[nodiscard]] bool keeps_state() const noexcept override { return true; }
    [[nodiscard]] bool on_restored(std::uint64_t released) noexcept override;
    bool work() noexcept override;
    [[nodiscard]] bool has_work() const noexcept override { return ringing(); }
    void dma_done(std::uint64_t tag, Status status) noexcept override { (void)tag, (void)status; }

private:
    [[nodiscard]] std::uint8_t read_byte(std::uint32_t offset) const noexcept;
    [[nodiscard]] std::uint32_t device_dword(std::uint32_t offset) const noexcept;
    [[nodiscard]] std::uint32_t mailbox_dword(std::uint32_t offset) const noexcept;
    void write_register(std::uint32_t offset, std::uint32_t value) noexcept;
    void write_mailbox(std::uint32_t offset, std::uint32_t value) noexcept;
    void write_payload(std::uint32_t at, std::span<const std::byte> in, std::uint8_t enables) noexcept;
    void answer() noexcept;
    [[nodiscard]] bool ringing() const noexcept { return (state_.mailbox.control & mailbox::kDoorbell) != 0; }
    [[nodiscard]] std::int64_t now_ns() const noexcept { return port() != nullptr ? port()->now_ns() : 0; }

    const DeviceIdentity identity_;
    State& state_;
    Mailbox mailbox_;
    Component component_;
    std::int64_t due_ns_ = 0;  // of the answer to the doorbell
};

}  // namespace farlane::firmware::cxl
