// SPDX-License-Identifier: Apache-2.0
// Receives: accesses of the application to one device. Hands on: transactions to its
// attachment. Owns: the staging memory of writes, interrupt eventfds, buffers in use.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "lib/embedded.hpp"
#include "lib/staging.hpp"

namespace farlane::provider {

class EmbeddedDevice final : public DeviceProvider, public lane::AttachmentSink {
public:
    EmbeddedDevice(std::shared_ptr<EmbeddedFabric> fabric, lane::Attachment& attachment);
    ~EmbeddedDevice() override;

    // DeviceProvider
    [[nodiscard]] const FunctionInfo& info() const override { return info_; }
    void config_read(std::uint32_t offset, std::span<std::byte> into) override;
    void config_write(std::uint32_t offset, std::span<const std::byte> data) override;
    void bar_read(unsigned bar, std::uint64_t offset, std::span<std::byte> into) override;
    void bar_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> data, bool relaxed) override;
    void bar_write_from(unsigned bar, std::uint64_t offset, Buffer& buffer, std::size_t buffer_offset,
                        std::size_t bytes) override;
    void flush() override;
    void enable_interrupts(unsigned count) override;
    [[nodiscard]] int interrupt_fd(unsigned vector) override;
    [[nodiscard]] bool wait_interrupt(unsigned vector, std::chrono::milliseconds timeout) override;
    [[nodiscard]] std::shared_ptr<Buffer> allocate(std::size_t bytes) override;
    [[nodiscard]] std::uint64_t map(const std::shared_ptr<Buffer>& buffer, std::size_t offset, std::size_t bytes,
                                    DmaDirection direction) override;
    [[nodiscard]] std::uint64_t map_own(std::span<std::byte> memory, DmaDirection direction) override;
    void unmap(std::uint64_t iova) override;
    void acknowledge_reset() override;
    void check() override;
    void progress(std::chrono::microseconds timeout) override;
    void detach() override;
    [[nodiscard]] bool own_progress() const noexcept override { return fabric_->threaded(); }
    [[nodiscard]] Domain& domain() override { return domain_; }

    // AttachmentSink
    void on_completion(std::uint64_t cookie, Status status) noexcept override;
    void on_released(std::uint64_t cookie) noexcept override;
    void on_interrupt(std::uint32_t vector) noexcept override;
    void on_event(EventKind kind, const std::string& detail) noexcept override;

private:
    /// A call that waits for its requests; its address is their cookie.
    struct Waiter {
        unsigned outstanding = 0;
        Status status = Status::ok;
    };
    using Lock = std::unique_lock<std::mutex>;

    /// `alone`: a read, and the caller asks for nothing else before it has the answer.
    void request(Lock& held, const proto::Tlp& tlp, std::span<const std::byte> operand, std::span<std::byte> into,
                 Waiter& waiter, bool alone = false);
    void submit(Lock& held, const proto::Tlp& tlp, std::span<const std::byte> payload, std::uint64_t cookie,
                bool notify);
    [[nodiscard]] Status try_request(const proto::Tlp& tlp, std::span<const std::byte> operand,
                                     std::span<std::byte> into, std::uint64_t cookie) noexcept;
    void finish(Lock& held, Waiter& waiter, const char* what);
    [[nodiscard]] lane::Attachment& live() const;
    [[noreturn]] void refuse(Status status, const std::string& what) const;
    [[nodiscard]] Staging::Part stage(Lock& held, std::span<const std::byte> data);
    void forget_released_sources();
    [[nodiscard]] std::uint64_t add_mapping(std::span<std::byte> memory, std::uint64_t in_page, DmaDirection direction,
                                            bool may_vanish);

    std::shared_ptr<EmbeddedFabric> fabric_;
    lane::Attachment* attachment_;
    FunctionInfo info_;
    Domain domain_{*this};
    std::vector<int> eventfds_;
    std::vector<bool> raised_;  ///< since wait_interrupt looked
    Staging staging_;
    struct Source {
        std::uint64_t sequence;
        std::shared_ptr<Buffer> buffer;
    };
    std::deque<Source> sources_;  ///< of bar_write_from, kept until released
    struct Mapped {
        std::uint64_t iova;
        std::shared_ptr<Buffer> buffer;
    };
    std::vector<Mapped> mapped_;
    std::uint64_t next_iova_;
    std::uint64_t happened_ = 0;  ///< counts what progress() waits for
};

}  // namespace farlane::provider
