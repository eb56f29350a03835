// SPDX-License-Identifier: Apache-2.0
// Receives: what an initiator does to a function. Hands on: DMA and interrupts.
// Owns: nothing. The ops table between the target role (lane/target) and device firmware.
// Direction "in" is towards the device. All calls of one device come from one lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <farlane/uapi/frame.h>
#include <farlane/status.hpp>

namespace farlane::backend {

/// The way from the device to its initiator; implemented by the target role.
/// Lane thread only, except wake(). Nothing here blocks.
class HostPort {
public:
    virtual ~HostPort() = default;

    /// One posted memory write of at most 4096 bytes to host memory. A source of up to 64 bytes
    /// is copied; a longer one must stay unchanged until `released(cookie)` of the device.
    /// `relaxed`: bulk data that may be placed out of order (never completion-queue entries).
    /// out_of_bounds: no mapping allows it (counted; nothing is sent). would_block: try again
    /// from the next poll(). `pasid`: whose address space `iova` is of; 0 = the function's own.
    [[nodiscard]] virtual Status dma_write(std::uint64_t iova, std::span<const std::byte> source, bool relaxed,
                                           std::uint64_t cookie, bool notify, std::uint32_t pasid) noexcept = 0;
    [[nodiscard]] Status dma_write(std::uint64_t iova, std::span<const std::byte> source, bool relaxed,
                                   std::uint64_t cookie, bool notify) noexcept {
        return dma_write(iova, source, relaxed, cookie, notify, 0);
    }
    /// One memory read of at most 4096 bytes of host memory into `into`; the device's
    /// read_done(cookie, status) follows. Errors as above.
    [[nodiscard]] virtual Status dma_read(std::uint64_t iova, std::span<std::byte> into, std::uint64_t cookie,
                                          std::uint32_t pasid) noexcept = 0;
    [[nodiscard]] Status dma_read(std::uint64_t iova, std::span<std::byte> into, std::uint64_t cookie) noexcept {
        return dma_read(iova, into, cookie, 0);
    }
    /// MSI or MSI-X message, in order behind all writes before it.
    [[nodiscard]] virtual Status interrupt(std::uint64_t address, std::uint32_t data) noexcept = 0;
    /// Uncorrectable or correctable error to be reported to the initiator (AER).
    [[nodiscard]] virtual Status error(std::uint32_t severity, std::uint32_t source) noexcept = 0;
    /// Sequence of the last write given / released by the host: a device that must survive a kill
    /// notes the former with a command and compares on restore (see Device::restored).
    [[nodiscard]] virtual std::uint64_t writes_submitted() const noexcept = 0;
    [[nodiscard]] virtual std::uint64_t writes_released() const noexcept = 0;
    /// Asks the host to release soon.
    virtual void hurry() noexcept = 0;
    /// Monotonic time of the lane.
    [[nodiscard]] virtual std::int64_t now_ns() const noexcept = 0;
    /// Makes the lane call Device::poll() soon. Any thread.
    virtual void wake() noexcept = 0;
};

/// What an accelerator is made of and who uses it, as its target sees it.
struct AcceleratorUse {
    struct Context {
        std::uint32_t number = 0, queue_pairs = 0;
        bool lost = false;  ///< its worker is gone
        std::uint64_t memory_bytes = 0, kernels = 0, busy_ns = 0, worker_bytes = 0;
    };
    std::string executor, device_name, vendor, driver_version;  ///< "" = not told
    std::uint32_t units = 0, contexts = 0, queue_pairs = 0, time_limit_ms = 0;
    std::uint64_t memory_bytes = 0, memory_used_bytes = 0;
    std::uint64_t local_bytes = 0, local_used_bytes = 0;  ///< memory of the accelerator itself; 0 = none
    std::uint64_t kernels = 0, busy_ns = 0;               ///< since power-on
    std::optional<std::uint64_t> energy_uj;
    std::vector<Context> contexts_used;
};

/// One device function. Made by a factory in firmware_sim; owned by the target role.
class Device {
public:
    virtual ~Device() = default;

    /// Identity and BAR sizes; constant. name/holder/state are filled by the target.
    [[nodiscard]] virtual const fl_function_desc& describe() const noexcept = 0;

    // --- configuration space, 4096 bytes; offset + size is within it
    virtual Status config_read(std::uint32_t offset, std::span<std::byte> out) noexcept = 0;
    /// `enables` bit i = byte i of `in` is written.
    virtual Status config_write(std::uint32_t offset, std::span<const std::byte> in, std::uint8_t enables) noexcept = 0;

    // --- BARs; the target has checked that [offset, +size) is inside the BAR and that memory
    //     decoding is on
    /// pending: the firmware hangs and will never answer; the target gives no answer either, so that
    /// the initiator's completion timeout decides.
    virtual Status bar_read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) noexcept = 0;
    virtual Status bar_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                             std::uint8_t enables) noexcept = 0;
    /// Host address of a BAR that is plain memory (an aperture): relaxed writes are copied
    /// there by the target, bar_write is not called for them. Empty = not plain memory.
    [[nodiscard]] virtual std::span<std::byte> bar_memory(unsigned bar) noexcept {
        (void)bar;
        return {};
    }

    // --- life
    /// An initiator attached. `port` is valid until detached(); its wake() as long as the device lives: then poll() is
    /// called with nobody attached, to finish what takes time.
    virtual void attached(HostPort& port) noexcept = 0;
    /// The initiator is gone or detaches: stop DMA, forget the port, scrub what it left.
    virtual void detached() noexcept = 0;
    /// Function level reset.
    virtual void reset() noexcept = 0;
    /// This device came back from memory that outlived the daemon (see Memory) and is attached as
    /// before; `released` = highest write sequence the host has released. False = its state is
    /// gone: the target reports device_reset.
    virtual bool restored(HostPort& port, std::uint64_t released) noexcept {
        (void)port;
        (void)released;
        return false;
    }

    /// restored() can go on with the work of an earlier life.
    [[nodiscard]] virtual bool keeps_state() const noexcept { return false; }

    // --- work
    /// Called on every turn of the lane while work is pending. True = did something.
    virtual bool poll() noexcept = 0;
    /// poll() would do something now.
    [[nodiscard]] virtual bool busy() const noexcept = 0;
    /// Its work ends on threads or in processes of its own: busy() may become true a moment before their wake().
    [[nodiscard]] virtual bool ends_elsewhere() const noexcept { return false; }
    virtual void read_done(std::uint64_t cookie, Status status) noexcept = 0;
    virtual void released(std::uint64_t cookie) noexcept = 0;

    /// Numbers for `farlane stats`, name and value.
    virtual void counters(const std::function<void(std::string_view, std::uint64_t)>& each) const = 0;
    /// For `farlane list` and `show` at the target; nothing = it is no accelerator.
    [[nodiscard]] virtual std::optional<AcceleratorUse> accelerator() const { return std::nullopt; }
};

/// What a cache fetches at once.
constexpr std::size_t kSmallRegionBytes = 64;

/// Memory that outlives the daemon, for devices that keep their state in it.
class Memory {
public:
    virtual ~Memory() = default;
    /// `bytes` of zeroed memory named `what`, or what an earlier life left under that name when it
    /// had the same size (`fresh` = false). Page-aligned; valid as long as this object.
    [[nodiscard]] virtual Result<std::span<std::byte>> region(const std::string& what, std::size_t bytes,
                                                              bool& fresh) = 0;
    /// The same of kSmallRegionBytes, aligned to that: those of many names share pages. Names of their own.
    [[nodiscard]] virtual Result<std::span<std::byte>> small_region(const std::string& what, bool& fresh) = 0;
};

/// Memory of this process only: nothing outlives it.
[[nodiscard]] std::unique_ptr<Memory> process_memory();
/// Files in `directory` (created 0700; on tmpfs it outlives the daemon, on disk also a reboot).
[[nodiscard]] Result<std::unique_ptr<Memory>> directory_memory(const std::string& directory);

/// What a configuration says of a device: `kind` and its keys as text.
struct DeviceConfig {
    std::string name;
    std::string kind;                                          ///< "nvme", "accel"
    std::vector<std::pair<std::string, std::string>> options;  ///< checked by the factory
    std::function<void(std::string)> log = {};                 ///< a line; any thread; none: standard error
};

/// Makes a device. Errors name the key and list what is valid.
[[nodiscard]] Result<std::unique_ptr<Device>> make_device(const DeviceConfig& config, Memory& memory);
/// The same without making it: nothing is opened, allocated or written.
[[nodiscard]] Result<bool> check_device(const DeviceConfig& config);
/// Kinds there are, for error messages.
[[nodiscard]] std::vector<std::string> device_kinds();

}  // namespace farlane::backend
