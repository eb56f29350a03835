// SPDX-License-Identifier: Apache-2.0
// Receives: calls of C programs about accelerators. Hands on: the same to farlane::accel.
// Owns: the handles until they are given back.
#include <farlane/accel.h>

#include <array>
#include <cstring>
#include <optional>

#include "lib/c_api_accel.hpp"

using farlane::Error;
using farlane::Status;
using farlane::c_api::context_of;
using farlane::c_api::event_of;
using farlane::c_api::guard;
using farlane::c_api::need;
using farlane::c_api::stream_of;
using farlane::c_api::view_of;
namespace accel = farlane::accel;

namespace {

static_assert(FL_ACCEL_SUM == static_cast<unsigned>(accel::Reduction::sum));
static_assert(FL_ACCEL_MINIMUM == static_cast<unsigned>(accel::Reduction::minimum));
static_assert(FL_ACCEL_MAXIMUM == static_cast<unsigned>(accel::Reduction::maximum));
static_assert(FL_ACCEL_BORDER_CLAMP == static_cast<unsigned>(accel::Border::clamp));
static_assert(FL_ACCEL_BORDER_ZERO == static_cast<unsigned>(accel::Border::zero));

accel::Border border_of(std::uint32_t border) {
    if (border != FL_ACCEL_BORDER_CLAMP && border != FL_ACCEL_BORDER_ZERO)
        throw Error(Status::invalid,
                    "border " + std::to_string(border) + ": must be FL_ACCEL_BORDER_CLAMP or FL_ACCEL_BORDER_ZERO");
    return static_cast<accel::Border>(border);
}

template <std::size_t Bytes>
void fill_with(accel::Stream& stream, const fl_accel_view& to, const void* pattern) {
    using Pattern = std::array<std::byte, Bytes>;
    Pattern value;
    std::memcpy(value.data(), pattern, Bytes);
    stream.fill(view_of<Pattern>(to, "to"), value);
}

/// Runs a launch whose arguments `make` builds from the C ones.
template <class C, class Make>
int launch(fl_accel_stream* stream, const C* arguments, Make&& make) {
    return guard([&] {
        accel::Stream& s = stream_of(stream);
        need(arguments, "arguments");
        s.launch(make(*arguments));
    });
}

}  // namespace

extern "C" {

int fl_accel_is_accelerator(const struct fl_function_info* info) {
    if (info == nullptr) return 0;
    farlane::FunctionInfo f;
    f.class_code = info->class_code;
    return accel::is_accelerator(f) ? 1 : 0;
}

int fl_accel_open(fl_device* device, const struct fl_accel_options* options, fl_accel_context** out) {
    return guard([&] {
        need(out, "out");
        *out = nullptr;
        need(device, "device");
        accel::ContextOptions chosen;
        if (options != nullptr) {
            if (options->queue_slots != 0) chosen.queue_slots = options->queue_slots;
            chosen.spin = std::chrono::microseconds(options->spin_us);
        }
        auto made = std::make_unique<fl_accel_context>(
            fl_accel_context{accel::Context(device->device, chosen), {nullptr, std::nullopt}});
        made->standard.stream = &made->context.stream();
        *out = made.release();
    });
}

void fl_accel_close(fl_accel_context* context) {
    delete context;
}

int fl_accel_get_properties(fl_accel_context* context, struct fl_accel_properties* out) {
    return guard([&] {
        need(out, "out");
        const accel::Properties p = context_of(context).properties();
        *out = {};
        farlane::c_api::copy_text(out->executor, p.executor);
        out->units = p.units;
        out->max_streams = p.max_streams;
        out->memory_bytes = p.memory_bytes;
        out->memory_free_bytes = p.memory_free_bytes;
        out->memory_context_bytes = p.memory_context_bytes;
        out->kernels_run = p.kernels_run;
        out->busy_ns = static_cast<std::uint64_t>(p.busy.count());
        farlane::c_api::copy_text(out->device_name, p.device_name);
        farlane::c_api::copy_text(out->vendor, p.vendor);
        farlane::c_api::copy_text(out->driver_version, p.driver_version);
        out->local_bytes = p.local_bytes;
        out->local_free_bytes = p.local_free_bytes;
        out->time_limit_ms = static_cast<std::uint64_t>(p.time_limit.count());
        out->has_energy = p.energy_uj.has_value() ? 1 : 0;
        out->energy_uj = p.energy_uj.value_or(0);
        out->context_kernels = p.context_kernels;
        out->context_busy_ns = static_cast<std::uint64_t>(p.context_busy.count());
        out->worker_bytes = p.worker_bytes;
    });
}

int fl_accel_context_synchronize(fl_accel_context* context) {
    return guard([&] { context_of(context).synchronize(); });
}

int fl_accel_allocate(fl_accel_context* context, uint64_t bytes, fl_accel_buffer** out) {
    return guard([&] {
        need(out, "out");
        *out = nullptr;
        *out = std::make_unique<fl_accel_buffer>(fl_accel_buffer{context_of(context).allocate_bytes(bytes)}).release();
    });
}

void fl_accel_free(fl_accel_buffer* buffer) {
    delete buffer;
}

uint64_t fl_accel_buffer_bytes(const fl_accel_buffer* buffer) {
    return buffer != nullptr ? buffer->buffer.size_bytes() : 0;
}

uint64_t fl_accel_buffer_address(const fl_accel_buffer* buffer) {
    return buffer != nullptr ? buffer->buffer.address() : 0;
}

struct fl_accel_view fl_accel_whole(const fl_accel_buffer* buffer) {
    return {buffer, 0, fl_accel_buffer_bytes(buffer)};
}

int fl_accel_allocate_host(fl_accel_context* context, uint64_t bytes, fl_accel_host** out) {
    return guard([&] {
        need(out, "out");
        *out = nullptr;
        *out = std::make_unique<fl_accel_host>(fl_accel_host{context_of(context).allocate_host<std::byte>(bytes)})
                   .release();
    });
}

void fl_accel_free_host(fl_accel_host* host) {
    delete host;
}
void* fl_accel_host_data(const fl_accel_host* host) {
    return host != nullptr ? host->buffer.data() : nullptr;
}
uint64_t fl_accel_host_bytes(const fl_accel_host* host) {
    return host != nullptr ? host->buffer.size() : 0;
}

fl_accel_stream* fl_accel_default_stream(fl_accel_context* context) {
    return context != nullptr ? &context->standard : nullptr;
}

int fl_accel_stream_create(fl_accel_context* context, fl_accel_stream** out) {
    return guard([&] {
        need(out, "out");
        *out = nullptr;
        auto made = std::make_unique<fl_accel_stream>();
        made->own.emplace(context_of(context).create_stream());
        made->stream = &*made->own;
        *out = made.release();
    });
}

void fl_accel_stream_destroy(fl_accel_stream* stream) {
    if (stream != nullptr && stream->own) delete stream;
}

int fl_accel_synchronize(fl_accel_stream* stream) {
    return guard([&] { stream_of(stream).synchronize(); });
}

int fl_accel_query(fl_accel_stream* stream, int* done) {
    return guard([&] {
        need(done, "done");
        *done = stream_of(stream).query() ? 1 : 0;
    });
}

int fl_accel_ping(fl_accel_stream* stream) {
    return guard([&] { stream_of(stream).ping(); });
}

int fl_accel_upload(fl_accel_stream* stream, struct fl_accel_view to, const void* data) {
    return guard([&] {
        const auto view = view_of<std::byte>(to, "to");
        if (!view.empty()) need(data, "data");
        stream_of(stream).upload(view, std::span(static_cast<const std::byte*>(data), view.size()));
    });
}

int fl_accel_upload_host(fl_accel_stream* stream, struct fl_accel_view to, const fl_accel_host* from) {
    return guard([&] {
        need(from, "from");
        stream_of(stream).upload(view_of<std::byte>(to, "to"), from->buffer);
    });
}

int fl_accel_download(fl_accel_stream* stream, struct fl_accel_view from, void* data) {
    return guard([&] {
        const auto view = view_of<std::byte>(from, "from");
        if (!view.empty()) need(data, "data");
        stream_of(stream).download(view, std::span(static_cast<std::byte*>(data), view.size()));
    });
}

int fl_accel_download_host(fl_accel_stream* stream, struct fl_accel_view from, const fl_accel_host* into) {
    return guard([&] {
        need(into, "into");
        stream_of(stream).download(view_of<std::byte>(from, "from"), into->buffer);
    });
}

int fl_accel_fill(fl_accel_stream* stream, struct fl_accel_view to, const void* pattern, size_t pattern_bytes) {
    return guard([&] {
        accel::Stream& s = stream_of(stream);
        need(pattern, "pattern");
        switch (pattern_bytes) {
            case 1: return fill_with<1>(s, to, pattern);
            case 2: return fill_with<2>(s, to, pattern);
            case 4: return fill_with<4>(s, to, pattern);
            case 8: return fill_with<8>(s, to, pattern);
            case 16: return fill_with<16>(s, to, pattern);
            default:
                throw Error(Status::invalid,
                            "pattern_bytes " + std::to_string(pattern_bytes) + ": must be 1, 2, 4, 8 or 16");
        }
    });
}

int fl_accel_copy(fl_accel_stream* stream, struct fl_accel_view to, struct fl_accel_view from) {
    return guard([&] {
        stream_of(stream).copy(view_of<std::byte>(to, "to"),
                               accel::View<const std::byte>(view_of<std::byte>(from, "from")));
    });
}

int fl_accel_launch_axpy(fl_accel_stream* stream, const struct fl_accel_axpy* arguments) {
    return launch(stream, arguments, [](const fl_accel_axpy& c) {
        return accel::Axpy{.a = c.a, .x = view_of<float>(c.x, "x"), .y = view_of<float>(c.y, "y")};
    });
}

int fl_accel_launch_gemm(fl_accel_stream* stream, const struct fl_accel_gemm* arguments) {
    return launch(stream, arguments, [](const fl_accel_gemm& c) {
        return accel::Gemm{.a = view_of<float>(c.a, "a"),
                           .b = view_of<float>(c.b, "b"),
                           .c = view_of<float>(c.c, "c"),
                           .m = c.m,
                           .n = c.n,
                           .k = c.k,
                           .lda = c.lda,
                           .ldb = c.ldb,
                           .ldc = c.ldc,
                           .alpha = c.alpha,
                           .beta = c.beta,
                           .transpose_a = c.transpose_a != 0,
                           .transpose_b = c.transpose_b != 0};
    });
}

int fl_accel_launch_reduce(fl_accel_stream* stream, const struct fl_accel_reduce* arguments) {
    return launch(stream, arguments, [](const fl_accel_reduce& c) {
        if (c.operation < FL_ACCEL_SUM || c.operation > FL_ACCEL_MAXIMUM)
            throw Error(Status::invalid, "operation " + std::to_string(c.operation) +
                                             ": must be FL_ACCEL_SUM, FL_ACCEL_MINIMUM or FL_ACCEL_MAXIMUM");
        return accel::Reduce{.operation = static_cast<accel::Reduction>(c.operation),
                             .x = view_of<float>(c.x, "x"),
                             .result = view_of<float>(c.result, "result")};
    });
}

int fl_accel_launch_conv2d_f32(fl_accel_stream* stream, const struct fl_accel_conv2d_f32* arguments) {
    return launch(stream, arguments, [](const fl_accel_conv2d_f32& c) {
        return accel::Conv2dF32{.in = view_of<float>(c.in, "in"),
                                .weights = view_of<float>(c.weights, "weights"),
                                .out = view_of<float>(c.out, "out"),
                                .width = c.width,
                                .height = c.height,
                                .size = c.size,
                                .border = border_of(c.border)};
    });
}

int fl_accel_launch_conv2d_rgba8(fl_accel_stream* stream, const struct fl_accel_conv2d_rgba8* arguments) {
    return launch(stream, arguments, [](const fl_accel_conv2d_rgba8& c) {
        return accel::Conv2dRgba8{.in = view_of<accel::Rgba8>(c.in, "in"),
                                  .weights = view_of<std::int16_t>(c.weights, "weights"),
                                  .out = view_of<accel::Rgba8>(c.out, "out"),
                                  .width = c.width,
                                  .height = c.height,
                                  .size = c.size,
                                  .border = border_of(c.border),
                                  .shift = c.shift,
                                  .bias = c.bias,
                                  .keep_alpha = c.keep_alpha != 0};
    });
}

int fl_accel_launch_sha256(fl_accel_stream* stream, const struct fl_accel_sha256* arguments) {
    return launch(stream, arguments, [](const fl_accel_sha256& c) {
        return accel::Sha256{.messages = view_of<std::byte>(c.messages, "messages"),
                             .digests = view_of<accel::Digest>(c.digests, "digests"),
                             .message_bytes = c.message_bytes,
                             .stride_bytes = c.stride_bytes};
    });
}

int fl_accel_launch_copy_rows(fl_accel_stream* stream, const struct fl_accel_copy_rows* arguments) {
    return launch(stream, arguments, [](const fl_accel_copy_rows& c) {
        return accel::CopyRows{.from = view_of<std::byte>(c.from, "from"),
                               .to = view_of<std::byte>(c.to, "to"),
                               .rows = c.rows,
                               .row_bytes = c.row_bytes,
                               .from_pitch_bytes = c.from_pitch_bytes,
                               .to_pitch_bytes = c.to_pitch_bytes};
    });
}

int fl_accel_event_create(fl_accel_context* context, fl_accel_event** out) {
    return guard([&] {
        need(out, "out");
        *out = nullptr;
        *out = std::make_unique<fl_accel_event>(fl_accel_event{context_of(context).create_event()}).release();
    });
}

void fl_accel_event_destroy(fl_accel_event* event) {
    delete event;
}

int fl_accel_record(fl_accel_stream* stream, fl_accel_event* event) {
    return guard([&] { stream_of(stream).record(event_of(event)); });
}

int fl_accel_wait(fl_accel_stream* stream, fl_accel_event* event) {
    return guard([&] { stream_of(stream).wait(event_of(event)); });
}

int fl_accel_event_query(fl_accel_event* event, int* reached) {
    return guard([&] {
        need(reached, "reached");
        *reached = event_of(event).query() ? 1 : 0;
    });
}

int fl_accel_event_synchronize(fl_accel_event* event) {
    return guard([&] { event_of(event).synchronize(); });
}

int fl_accel_elapsed_ns(fl_accel_event* from, fl_accel_event* to, int64_t* ns) {
    return guard([&] {
        need(ns, "ns");
        *ns = accel::elapsed(event_of(from), event_of(to)).count();
    });
}

}  // extern "C"
