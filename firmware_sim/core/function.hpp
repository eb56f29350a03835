// SPDX-License-Identifier: Apache-2.0
// Receives: the calls of the target role (backend::Device). Hands on: register accesses and events of life to
// the device behind it. Owns: configuration space, interrupts and DMA engine of one function.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "backend/backend.hpp"
#include "core/capabilities.hpp"
#include "core/config_space.hpp"
#include "core/dma_engine.hpp"
#include "core/faults.hpp"
#include "core/msix.hpp"

namespace farlane::firmware {

/// Where the MSI-X structures lie; both in one BAR, each with 8-byte alignment.
struct MsixLayout {
    unsigned vectors = 1;  ///< up to kMaxVectors
    unsigned bar = 0;
    std::uint32_t table_offset = 0, pba_offset = 0;
};

/// What configuration space says of a function. Constant.
struct FunctionIdentity {
    std::string model;  ///< for people, at most 63 characters
    std::uint16_t vendor_id = kDevelopmentVendorId, device_id = 0;
    std::uint16_t subsystem_vendor_id = kDevelopmentVendorId, subsystem_id = 0;
    std::uint32_t class_code = 0;  ///< 24 bit
    std::uint8_t revision = 1;
    std::uint64_t serial = 0;  ///< Device Serial Number; 0 = no such capability
    struct Bar {
        std::uint64_t size_bytes = 0;
        std::uint32_t flags = 0;  ///< FL_BAR_*
    };
    std::array<Bar, 6> bars{};
    MsixLayout msix;
    bool no_soft_reset = true;
};

/// Common state of a function; plain data in memory that may outlive the daemon.
struct FunctionState {
    std::array<std::byte, kConfigBytes> config;
    MsixState msix;
    std::uint32_t attached;   // an initiator has it
    std::uint32_t resetting;  // a reset was begun and is not whole
};

enum class ResetKind : std::uint8_t {
    attach,    ///< power-on: a new initiator, or the last one left
    function,  ///< function level reset, PCIe 6.0, 6.6.2
    soft,      ///< D3hot to D0 without No_Soft_Reset, 7.5.2.2
};

/// The part of backend::Device that every simulated function shares. A device derives from it and writes
/// its registers, its work and what a reset means to it. One lane.
class Function : public backend::Device, protected DmaClient {
public:
    [[nodiscard]] const fl_function_desc& describe() const noexcept override { return desc_; }
    Status config_read(std::uint32_t offset, std::span<std::byte> out) noexcept override;
    Status config_write(std::uint32_t offset, std::span<const std::byte> in, std::uint8_t enables) noexcept override;
    Status bar_read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) noexcept override;
    Status bar_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                     std::uint8_t enables) noexcept override;
    void attached(backend::HostPort& port) noexcept override;
    void detached() noexcept override;
    void reset() noexcept override { reset_function(ResetKind::function); }
    bool restored(backend::HostPort& port, std::uint64_t released) noexcept override;
    bool poll() noexcept override;
    [[nodiscard]] bool busy() const noexcept override;
    void read_done(std::uint64_t cookie, Status status) noexcept override { dma_.read_done(cookie, status); }
    void released(std::uint64_t cookie) noexcept override { dma_.released(cookie); }
    /// Numbers of the common part; a device adds its own behind them.
    void counters(const std::function<void(std::string_view, std::uint64_t)>& each) const override;

    /// For tests and the option `faults=`.
    [[nodiscard]] Faults& faults() noexcept { return faults_; }

protected:
    /// `state` is zeroed or what an earlier life left; it stays as it is until attached() or restored().
    Function(const FunctionIdentity& identity, FunctionState& state, std::uint32_t dma_transfers = 4096);

    // --- what a device writes. Ranges are inside the BAR and outside the MSI-X structures.
    virtual Status register_read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) noexcept = 0;
    virtual Status register_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                                  std::uint8_t enables) noexcept = 0;
    /// State as after that reset. DMA is aborted already: what is in flight ends with dma_done(canceled).
    virtual void on_reset(ResetKind kind) noexcept = 0;
    /// Takes up the state an earlier life left. False = it can not be used.
    [[nodiscard]] virtual bool on_restored(std::uint64_t released) noexcept {
        (void)released;
        return false;
    }
    /// Work that is not common to all functions. True = did something.
    virtual bool work() noexcept = 0;
    [[nodiscard]] virtual bool has_work() const noexcept = 0;
    /// The command register or the power state changed.
    virtual void on_enable_changed() noexcept {}
    /// The port is valid from here on / until this returns.
    virtual void on_port(backend::HostPort* port) noexcept { (void)port; }

    // --- what a device uses
    [[nodiscard]] backend::HostPort* port() const noexcept { return port_; }
    [[nodiscard]] DmaEngine& dma() noexcept { return dma_; }
    [[nodiscard]] const DmaEngine& dma() const noexcept { return dma_; }
    [[nodiscard]] Interrupts& interrupts() noexcept { return interrupts_; }
    [[nodiscard]] const Interrupts& interrupts() const noexcept { return interrupts_; }
    void raise(unsigned vector) noexcept {
        if (port_ != nullptr) interrupts_.raise(*port_, vector);
    }
    /// Sets the AER status bit and tells the host, as far as masks and enables let it (PCIe 6.0, 6.2.4).
    /// `severity` as fl_msg_error.severity; for uncorrectable errors the severity register decides.
    void report_error(std::uint32_t severity, std::uint32_t status_bit) noexcept;
    /// For devices that reset themselves.
    void reset_function(ResetKind kind) noexcept;
    [[nodiscard]] ConfigSpace& config() noexcept { return config_; }
    [[nodiscard]] const ConfigSpace& config() const noexcept { return config_; }

private:
    void build(const FunctionIdentity& identity);
    void describe(const FunctionIdentity& identity) noexcept;
    void on_power(const ConfigWrite& w) noexcept;
    void apply_enables() noexcept;
    [[nodiscard]] bool asleep() const noexcept;

    FunctionState& state_;
    Faults faults_;
    ConfigSpace config_;
    Interrupts interrupts_;
    DmaEngine dma_;
    backend::HostPort* port_ = nullptr;
    fl_function_desc desc_{};
    MsixLayout msix_layout_;
    PowerCapability power_;
    ExpressCapability express_;
    AerCapability aer_;
    std::uint64_t resets_ = 0, errors_reported_ = 0;
};

}  // namespace farlane::firmware
