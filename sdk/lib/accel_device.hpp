// SPDX-License-Identifier: Apache-2.0
// Receives: register accesses of the accelerator API. Hands on: accesses to the provider.
// Owns: what the contexts of one device share in this process: addresses, queue pairs, numbers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include <farlane/uapi/accel.h>
#include <farlane/device.hpp>

#include "lib/accel_ranges.hpp"
#include "lib/provider.hpp"

namespace farlane::accel::detail {

inline constexpr const char* kResetText =
    "the accelerator was reset, and everything of the context is gone; call Device::acknowledge_reset() and open a new "
    "context";

/// Where memory lies: behind the aperture, which the host writes, or in the accelerator itself.
enum class Place : std::uint8_t { aperture, local };

/// One attached accelerator.
class SharedDevice {
public:
    /// The one of this provider, made when there is none. Enables the device. Errors as Context.
    [[nodiscard]] static std::shared_ptr<SharedDevice> of(Device& device);

    explicit SharedDevice(std::shared_ptr<provider::DeviceProvider> p);
    [[nodiscard]] const fl_accel_registers& registers() const noexcept { return registers_; }
    [[nodiscard]] provider::DeviceProvider& provider() const noexcept { return *provider_; }

    // --- numbers and addresses; any thread. Of a shared accelerator the provider gives contexts and queue pairs.
    [[nodiscard]] std::uint32_t take_context();
    void give_back_context(std::uint32_t context) noexcept;
    /// An enabled queue pair. Errors: limit; protocol when the device refuses.
    struct Pair {
        std::uint32_t number = 0;
        std::uint64_t sq_offset = 0;  ///< in BAR2
    };
    [[nodiscard]] Pair enable_queue(std::uint32_t context, std::uint32_t entries, std::uint64_t cq_iova,
                                    const std::function<void()>& while_waiting);
    /// Disables it. When it returns the device has let go of it, unless it is gone or hangs.
    void disable_queue(std::uint32_t queue) noexcept;
    [[nodiscard]] std::optional<std::uint64_t> take_memory(std::uint32_t context, std::uint64_t bytes, Place place);
    void give_back_memory(std::uint64_t address, std::uint64_t bytes);
    [[nodiscard]] std::uint64_t largest_free(std::uint32_t context, Place place) const;
    /// Where buffers belong: in local memory, when the device has some.
    [[nodiscard]] Place buffer_place() const noexcept { return local_.empty() ? Place::aperture : Place::local; }
    /// What one context can have at most.
    [[nodiscard]] std::uint64_t memory_bytes(Place place) const noexcept { return ranges(place).bytes(); }
    /// Vector of a context, FL_ACCEL_NO_VECTOR when the device or provider has none for it.
    [[nodiscard]] std::uint32_t vector_of(std::uint32_t context) const noexcept;

    // --- registers and aperture
    [[nodiscard]] std::uint32_t read32(std::uint64_t offset);
    void write32(std::uint64_t offset, std::uint32_t value);
    void write64(std::uint64_t offset, std::uint64_t value);
    [[nodiscard]] fl_accel_queue_registers read_queue(std::uint32_t queue);
    /// Offset in BAR2 of [address, +bytes), or nothing when the aperture does not show it.
    [[nodiscard]] std::optional<std::uint64_t> aperture(std::uint64_t address, std::uint64_t bytes) const noexcept;
    void push(std::uint64_t bar_offset, std::span<const std::byte> data, bool relaxed) {
        check_alive();
        provider_->bar_write(FL_ACCEL_BAR_APERTURE, bar_offset, data, relaxed);
    }
    void push_from(std::uint64_t bar_offset, const DmaBuffer& buffer, std::size_t offset, std::size_t bytes) {
        check_alive();
        provider_->bar_write_from(FL_ACCEL_BAR_APERTURE, bar_offset, buffer.provider(), offset, bytes);
    }
    /// False once the device was found to have been reset since this object was made: what its
    /// contexts believe to have belongs to others now, so they touch nothing any more.
    [[nodiscard]] bool alive() const noexcept { return alive_.load(std::memory_order_relaxed); }
    /// Throws device_reset when it is not.
    void check_alive() const {
        if (!alive()) throw_reset();
    }

private:
    void check_identity();
    /// A queue pair as this process knows it.
    struct Slot {
        bool taken = false;
        bool leaving = false;  ///< being disabled; the device was not seen to have let go of it
        std::uint64_t times_left = 0;
        std::uint32_t context = 0;  ///< that it is or was bound to
        std::uint64_t sq_address = 0;
    };
    void look_at_queues();
    [[nodiscard]] std::uint32_t take_queue();
    void give_back_queue(std::uint32_t queue) noexcept;
    [[nodiscard]] std::optional<std::uint32_t> in_the_way(std::uint32_t queue, std::uint32_t context);
    void wait_until_gone(std::uint32_t queue, std::uint32_t context, const std::function<void()>& while_waiting);
    void program_queue(std::uint32_t queue, std::uint32_t context, std::uint32_t entries, std::uint64_t cq_iova);
    [[nodiscard]] std::uint32_t context_of(std::uint32_t queue) const;
    [[nodiscard]] bool disabled(std::uint32_t queue);
    [[nodiscard]] bool has_left(std::uint32_t queue);
    void ask_all();
    void set_leaving(std::uint32_t queue, bool leaving);
    void wait_disabled(std::uint32_t queue);
    [[nodiscard]] const Ranges& ranges(Place place) const noexcept { return place == Place::local ? local_ : memory_; }
    void wait_ready();
    [[nodiscard]] bool same_life();
    [[noreturn]] static void throw_reset();

    std::shared_ptr<provider::DeviceProvider> provider_;
    fl_accel_registers registers_{};
    std::uint32_t vectors_ = 0;  ///< enabled
    std::atomic<bool> alive_{true};
    mutable std::mutex mutex_;
    Ranges memory_, local_;
    std::vector<Slot> queues_;
    std::vector<bool> contexts_;  ///< taken
};

}  // namespace farlane::accel::detail
