// SPDX-License-Identifier: Apache-2.0
// Receives: handles of C programs. Hands on: the objects behind them. Owns: nothing. Shared by the files of the C API
// for accelerators.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <farlane/accel.h>

#include <farlane/accel.hpp>

#include "lib/c_api.hpp"

/// The default stream is the context's; an own one is owned here.
struct fl_accel_stream {
    farlane::accel::Stream* stream = nullptr;
    std::optional<farlane::accel::Stream> own;
};
struct fl_accel_context {
    farlane::accel::Context context;
    fl_accel_stream standard;
};
struct fl_accel_event {
    farlane::accel::Event event;
};
struct fl_accel_buffer {
    farlane::accel::RawBuffer buffer;
};
struct fl_accel_host {
    farlane::accel::HostBuffer<std::byte> buffer;
};
struct fl_accel_program {
    farlane::accel::Module module;
};
struct fl_accel_kernel {
    farlane::accel::Kernel kernel;
};

namespace farlane::c_api {

inline accel::Context& context_of(fl_accel_context* context) {
    need(context, "context");
    return context->context;
}

inline accel::Stream& stream_of(fl_accel_stream* stream) {
    need(stream, "stream");
    return *stream->stream;
}

inline accel::Event& event_of(fl_accel_event* event) {
    need(event, "event");
    return event->event;
}

/// A typed view of what the caller named; its bounds and alignment are checked here.
template <class T>
accel::View<T> view_of(const fl_accel_view& v, const char* argument) {
    if (v.buffer == nullptr) throw Error(Status::invalid, std::string(argument) + ".buffer must not be null");
    const std::uint64_t size = v.buffer->buffer.size_bytes();
    if (v.offset_bytes > size || v.bytes > size - v.offset_bytes)
        throw Error(Status::out_of_bounds, std::string(argument) + ": " + std::to_string(v.bytes) +
                                               " bytes at offset " + std::to_string(v.offset_bytes) +
                                               " are not inside a buffer of " + std::to_string(size) + " bytes");
    if (v.offset_bytes % sizeof(T) != 0 || v.bytes % sizeof(T) != 0)
        throw Error(Status::invalid, std::string(argument) + ": offset " + std::to_string(v.offset_bytes) +
                                         " and length " + std::to_string(v.bytes) + " must be multiples of " +
                                         std::to_string(sizeof(T)) + " bytes, the size of its elements");
    return {v.buffer->buffer.state(), v.offset_bytes, static_cast<std::size_t>(v.bytes / sizeof(T))};
}

}  // namespace farlane::c_api
