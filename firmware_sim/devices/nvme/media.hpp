// SPDX-License-Identifier: Apache-2.0
// Receives: reads, writes and flushes of byte ranges. Hands on: the bytes of the namespace.
// Owns: the file of a file-backed namespace and the thread that makes it durable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include <farlane/status.hpp>

namespace farlane::firmware::nvme {

/// Where the blocks of a namespace are. Ranges are within size_bytes(); one lane, except the durable() callback.
class Media {
public:
    virtual ~Media() = default;
    [[nodiscard]] virtual std::uint64_t size_bytes() const noexcept = 0;
    [[nodiscard]] virtual Status read(std::uint64_t offset, std::span<std::byte> out) noexcept = 0;
    [[nodiscard]] virtual Status write(std::uint64_t offset, std::span<const std::byte> in) noexcept = 0;
    /// Afterwards the range reads zero; its space is given back where that is possible.
    [[nodiscard]] virtual Status zero(std::uint64_t offset, std::uint64_t bytes) noexcept = 0;

    /// Asks for everything written so far to be made durable. Returns a ticket: done when durable() has
    /// reached it. Media that need no flush are always durable.
    [[nodiscard]] virtual std::uint64_t flush() noexcept { return 0; }
    [[nodiscard]] virtual std::uint64_t durable() const noexcept { return 0; }
    /// False after the storage refused to make something durable.
    [[nodiscard]] virtual bool healthy() const noexcept { return true; }
    /// Called from another thread whenever durable() has grown; empty = nobody is told. Returns when no call
    /// of the former is running.
    virtual void on_durable(std::function<void()> wake) { (void)wake; }
    /// True when writes are durable only after flush(): the host sees a volatile write cache.
    [[nodiscard]] virtual bool volatile_cache() const noexcept { return false; }
};

/// `memory` outlives the media.
[[nodiscard]] std::unique_ptr<Media> memory_media(std::span<std::byte> memory);
/// A plain file, used by nobody else. `size_bytes` 0 = as large as it is; else it is made with that size, or
/// must have it. Errors say what to do.
[[nodiscard]] Result<std::unique_ptr<Media>> file_media(const std::string& path, std::uint64_t size_bytes);

}  // namespace farlane::firmware::nvme
