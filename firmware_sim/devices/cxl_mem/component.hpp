// SPDX-License-Identifier: Apache-2.0
// Receives: accesses to the component registers. Hands on: what they read. Owns: nothing; the writable ones are in
// State. CXL 3.0, 8.2.3 and 8.2.4.
#pragma once

#include <cstdint>

#include "devices/cxl_mem/state.hpp"

namespace farlane::firmware::cxl {

/// RAS, link and one HDM decoder that can be programmed and never commits: no memory is served yet.
class Component {
public:
    explicit Component(ComponentState& state) noexcept : s_(state) {}
    void reset() noexcept;
    /// `offset`: of a dword within the block.
    [[nodiscard]] std::uint32_t read(std::uint32_t offset) const noexcept;
    void write(std::uint32_t offset, std::uint32_t value) noexcept;

private:
    ComponentState& s_;
};

}  // namespace farlane::firmware::cxl
