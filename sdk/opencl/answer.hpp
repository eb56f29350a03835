// SPDX-License-Identifier: Apache-2.0
// Receives: the three parameters of a clGet...Info. Hands on: the value, as the specification says it is returned.
// Owns: nothing. OpenCL 3.0, the tables of queries: size checks are the same for all.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "opencl/api.hpp"

namespace farlane::opencl {

class Answer {
public:
    Answer(std::size_t room, void* to, std::size_t* bytes) noexcept : room_(room), to_(to), bytes_(bytes) {}

    void raw(const void* from, std::size_t bytes) const {
        if (to_ != nullptr) {
            require(room_ >= bytes, CL_INVALID_VALUE);
            if (bytes != 0) std::memcpy(to_, from, bytes);
        }
        if (bytes_ != nullptr) *bytes_ = bytes;
    }
    template <class T>
    requires std::is_trivially_copyable_v<T>
    void value(const T& v) const { raw(&v, sizeof v); }
    template <class T>
    void list(const std::vector<T>& values) const {
        raw(values.data(), values.size() * sizeof(T));
    }
    /// With its terminating zero.
    void text(std::string_view text) const {
        if (to_ != nullptr) {
            require(room_ > text.size(), CL_INVALID_VALUE);
            std::memcpy(to_, text.data(), text.size());
            static_cast<char*>(to_)[text.size()] = '\0';
        }
        if (bytes_ != nullptr) *bytes_ = text.size() + 1;
    }
    void nothing() const { raw(nullptr, 0); }

private:
    std::size_t room_;
    void* to_;
    std::size_t* bytes_;
};

/// Copies a list of objects as clGetPlatformIDs and its like do.
template <class T>
void give_list(std::span<const T> all, cl_uint room, T* to, cl_uint* count) {
    require((to == nullptr) == (room == 0) && (to != nullptr || count != nullptr), CL_INVALID_VALUE);
    for (std::size_t i = 0; i < all.size() && i < room; ++i) to[i] = all[i];
    if (count != nullptr) *count = static_cast<cl_uint>(all.size());
}

}  // namespace farlane::opencl
