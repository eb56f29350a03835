// SPDX-License-Identifier: Apache-2.0
// Receives: handles and reports of modules and kernels. Hands on: numbers that are free, places for reports.
// Owns: which are taken. docs/accelerator.md, "Modules and kernels".
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <farlane/accel_buffer.hpp>

namespace farlane::accel::detail {

class Queue;

/// Numbers that the initiator chooses: first..last.
class Handles {
public:
    Handles() = default;
    Handles(std::uint32_t first, std::uint32_t last) {
        last = std::min(last, std::uint32_t{65536});
        for (; last >= first && last > 0; --last) free_.push_back(last);
        count_ = free_.size();
    }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    [[nodiscard]] std::optional<std::uint32_t> take() {
        if (free_.empty()) return std::nullopt;
        const std::uint32_t handle = free_.back();
        free_.pop_back();
        return handle;
    }
    void give_back(std::uint32_t handle) { free_.push_back(handle); }

private:
    std::vector<std::uint32_t> free_;
    std::size_t count_ = 0;  ///< free and taken
};

/// Somebody a report is for.
class ReportReader {
public:
    virtual ~ReportReader() = default;
    /// Takes what it wants of its report, once; does nothing when it has. Waits for it.
    virtual void read() = 0;
};

/// Reports are written by the device into one area of its memory, one after the other, and copied from there
/// into a place in host memory right behind the command that writes them: nobody waits for them but who reads them.
struct Reports {
    static constexpr std::size_t kModuleBytes = 16384;
    static constexpr std::size_t kKernelBytes = 4096;
    /// So many can be on their way before somebody who loads or binds more waits for the first.
    static constexpr std::size_t kModules = 4, kKernels = 24;
    struct Slot {
        std::size_t offset = 0;  ///< in `host`
        std::weak_ptr<ReportReader> reader;
    };
    std::uint64_t address = 0;  ///< of kModuleBytes of device memory, 0 = none yet
    RawHostBuffer host;
    std::array<Slot, kModules> modules{};
    std::array<Slot, kKernels> kernels{};
    std::size_t next_module = 0, next_kernel = 0;

    static constexpr std::size_t kHostBytes = kModules * kModuleBytes + kKernels * kKernelBytes;
};

}  // namespace farlane::accel::detail
