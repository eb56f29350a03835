// SPDX-License-Identifier: Apache-2.0
// Receives: reads and writes of blocks. Hands on: commands to an NVMe controller.
// Owns: the controller while it exists: it is enabled when made and disabled when destroyed.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nvme_user/queue.hpp"

namespace farlane::nvme_user {

struct Options {
    unsigned io_queues = 1;
    unsigned queue_depth = 64;                 ///< entries of each I/O queue, capped by what the controller offers
    bool interrupts = false;                   ///< wait for MSI-X instead of polling
    std::chrono::milliseconds timeout{30000};  ///< for one command; it is a failure of the controller
};

struct ControllerInfo {
    std::string serial, model, firmware, nqn;
    std::uint16_t vendor_id = 0;
    std::uint32_t version = 0;
    std::uint32_t max_transfer_bytes = 0;
    std::uint32_t namespaces = 0;
    bool volatile_cache = false;
};

struct NamespaceInfo {
    std::uint64_t blocks = 0;
    std::uint32_t block_bytes = 0;
    [[nodiscard]] std::uint64_t bytes() const noexcept { return blocks * block_bytes; }
};

/// A controller with namespace 1. Everything throws farlane::Error: io when a command failed (the text has the
/// NVMe status), timeout, unsupported. One thread.
class Controller {
public:
    /// Resets and enables the controller, identifies it, makes the I/O queues.
    Controller(Access& access, const Options& options);
    Controller(const Controller&) = delete;
    Controller& operator=(const Controller&) = delete;
    /// Shuts it down; errors are ignored.
    ~Controller();

    [[nodiscard]] const ControllerInfo& info() const noexcept { return info_; }
    [[nodiscard]] const NamespaceInfo& space() const noexcept { return namespace_; }
    [[nodiscard]] Memory allocate(std::size_t bytes) { return access_.allocate(bytes); }

    /// Whole blocks from `lba` on, into or from bytes [offset, +bytes) of `data`. Any length: cut at the
    /// controller's transfer limit and kept at the queue's depth.
    void read(std::uint64_t lba, const Memory& data, std::size_t offset, std::size_t bytes);
    void write(std::uint64_t lba, const Memory& data, std::size_t offset, std::size_t bytes);
    /// Everything written is durable afterwards.
    void flush();

    // --- single commands
    [[nodiscard]] Completion admin(const Command& c);
    [[nodiscard]] Completion admin(const Command& c, const Memory& data, std::size_t bytes);
    /// One I/O command on queue `index` (from 0), alone.
    [[nodiscard]] Completion io(const Command& c, unsigned index = 0);
    [[nodiscard]] Completion io(const Command& c, const Memory& data, std::size_t offset, std::size_t bytes,
                                unsigned index = 0);
    /// For many at once: submit, ring and poll by hand.
    [[nodiscard]] QueuePair& queue(unsigned index = 0) { return *io_.at(index); }
    [[nodiscard]] QueuePair& admin_queue() { return *admin_; }
    [[nodiscard]] unsigned queues() const noexcept { return static_cast<unsigned>(io_.size()); }
    /// Waits for the next completion of a queue.
    [[nodiscard]] Completion wait(QueuePair& q);

    /// Normal shutdown (7.6.2), then disabled.
    void shutdown();
    /// CC.EN = 0 and up again with the same queues numbers; commands under way are lost.
    void reset();
    /// Reads namespace 1 again, after a format.
    void identify_namespace();

private:
    void enable();
    void disable();
    void identify_controller();
    void make_queues();
    void wait_ready(bool ready);
    void transfer(std::uint8_t opcode, std::uint64_t lba, const Memory& data, std::size_t offset, std::size_t bytes);

    Access& access_;
    Options options_;
    std::uint64_t cap_ = 0;
    ControllerInfo info_;
    NamespaceInfo namespace_;
    std::unique_ptr<QueuePair> admin_;
    std::vector<std::unique_ptr<QueuePair>> io_;
    bool enabled_ = false;
};

}  // namespace farlane::nvme_user
