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
/// What fail() noted last in this thread.
[[nodiscard]] const char* last_text() noexcept;

/// Runs `body`; what it throws becomes a status, and the thread's last error.
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
    } catch (...) {
        return fail(Status::io, "an exception that is none of farlane's");
    }
}

/// Throws Error(invalid) that names the argument when the pointer is null.
void need(const void* pointer, const char* argument);

/// As many bytes of UTF-8 text as fit `room`: a letter is there whole, or not at all.
[[nodiscard]] constexpr std::size_t whole_letters(std::string_view text, std::size_t room) noexcept {
    if (text.size() <= room) return text.size();
    std::size_t end = room;
    while (end > 0 && room - end < 3 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
    return (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U ? room : end;  // else it is not UTF-8
}

/// Copies text into `room` bytes, cut at its end, always terminated.
inline void copy_text(char* into, std::size_t room, std::string_view text) noexcept {
    const std::size_t bytes = text.copy(into, whole_letters(text, room - 1));
    into[bytes] = '\0';
}
template <std::size_t N>
void copy_text(char (&field)[N], std::string_view text) noexcept {
    copy_text(field, N, text);
}

void fill(fl_function_info& out, const FunctionInfo& info) noexcept;

}  // namespace farlane::c_api
