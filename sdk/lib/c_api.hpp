// SPDX-License-Identifier: Apache-2.0
// Receives: bodies of C functions that may throw. Hands on: status codes and the error text
// of the thread. Owns: nothing. Shared by the files of the C API.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>

#include <farlane/farlane.h>

#include <farlane/fabric.hpp>

struct fl_fabric {
    farlane::Fabric fabric;
};
struct fl_device {
    farlane::Device device;
};
struct fl_buffer {
    farlane::DmaBuffer buffer;
};
struct fl_mapping {
    farlane::Mapping mapping;
};

namespace farlane::c_api {

/// Notes `text` as the thread's last error; never throws. Returns the status as an int.
int fail(Status status, std::string_view text) noexcept;

/// Runs `body`; what it throws becomes a status. The last error is forgotten first.
template <class Body>
int guard(Body&& body) noexcept {
    try {
        body();
        return static_cast<int>(Status::ok);
    } catch (const Error& e) {
        return fail(e.status(), e.what());
    } catch (const std::bad_alloc&) {
        return fail(Status::no_memory, "out of memory");
    } catch (const std::exception& e) {
        return fail(Status::io, e.what());
    }
}

/// Throws Error(invalid) that names the argument when the pointer is null.
void need(const void* pointer, const char* argument);

/// Copies text into a fixed field, cut at its end, always terminated.
template <std::size_t N>
void copy_text(char (&field)[N], std::string_view text) noexcept {
    const std::size_t bytes = text.copy(field, N - 1);
    field[bytes] = '\0';
}

void fill(fl_function_info& out, const FunctionInfo& info) noexcept;

}  // namespace farlane::c_api
