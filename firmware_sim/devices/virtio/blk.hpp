// SPDX-License-Identifier: Apache-2.0
// Receives: requests of a block driver. Hands on: data, and the status byte of each. Owns: the medium.
// Virtio 1.2, 5.2.
#pragma once

#include <memory>
#include <string>

#include "devices/nvme/media.hpp"
#include "devices/virtio/transport.hpp"

namespace farlane::firmware::virtio {

struct BlkOptions {
    unsigned queues = 4;
    std::uint32_t block_bytes = 512;  ///< logical block size
    std::string serial;               ///< 20 characters at most
};

/// A disk. Requests may be carried out twice, once before and once after a kill of the daemon, and nothing but
/// their completion is in order; both is what a driver has to expect of a disk.
class Blk final : public Transport {
public:
    Blk(const BlkOptions& options, State& state, std::unique_ptr<nvme::Media> media);
    ~Blk() override;
    void counters(const std::function<void(std::string_view, std::uint64_t)>& each) const override;

protected:
    void device_config(std::span<std::byte, kDeviceBytes> out) const noexcept override;
    void proceed(Request& r) noexcept override;
    void on_gathered(Request& r, std::uint32_t block, Status status) noexcept override;
    void on_scattered(Request& r, Status status) noexcept override;
    void on_halt() noexcept override;
    void on_port(backend::HostPort* port) noexcept override;
    bool device_work() noexcept override;
    [[nodiscard]] bool has_device_work() const noexcept override;

private:
    void begin(Request& r) noexcept;
    void dispatch(Request& r, std::span<const std::byte> raw) noexcept;
    [[nodiscard]] bool locate(Request& r, std::uint64_t sector, std::uint64_t bytes) const noexcept;
    void take_range(Request& r, std::span<const std::byte> raw) noexcept;
    void read_chunks(Request& r) noexcept;
    void write_chunks(Request& r) noexcept;
    void store(Request& r, std::uint64_t offset, std::span<const std::byte> in) noexcept;
    void settle(Request& r) noexcept;
    void make_durable(Request& r) noexcept;
    void identify(Request& r) noexcept;
    void answer(Request& r, std::uint8_t status) noexcept;
    void respond(Request& r) noexcept;
    bool run_flushing() noexcept;
    bool run_zeroing() noexcept;

    const BlkOptions options_;
    std::unique_ptr<nvme::Media> media_;
    RefRing flushing_, zeroing_;
    std::uint64_t reads_ = 0, writes_ = 0, bytes_read_ = 0, bytes_written_ = 0, flushes_ = 0, errors_ = 0;
};

}  // namespace farlane::firmware::virtio
