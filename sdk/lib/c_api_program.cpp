// SPDX-License-Identifier: Apache-2.0
// Receives: calls of C programs about modules, kernels and callbacks. Hands on: the same to farlane::accel.
// Owns: the handles until they are given back.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "lib/c_api_accel.hpp"

using farlane::Error;
using farlane::Status;
using farlane::c_api::context_of;
using farlane::c_api::guard;
using farlane::c_api::need;
using farlane::c_api::stream_of;
using farlane::c_api::view_of;
namespace accel = farlane::accel;

namespace {

static_assert(FL_ACCEL_PROGRAM_OPENCL_C == static_cast<unsigned>(accel::ModuleKind::opencl_c));
static_assert(FL_ACCEL_PROGRAM_SPIRV == static_cast<unsigned>(accel::ModuleKind::spirv));
static_assert(FL_ACCEL_PROGRAM_PTX == static_cast<unsigned>(accel::ModuleKind::ptx));
static_assert(FL_ACCEL_PROGRAM_CUBIN == static_cast<unsigned>(accel::ModuleKind::cubin));
static_assert(FL_ACCEL_PROGRAM_CUDA_C == static_cast<unsigned>(accel::ModuleKind::cuda_c));
static_assert(FL_ACCEL_ARG_VALUE == static_cast<unsigned>(accel::ArgumentKind::value));
static_assert(FL_ACCEL_ARG_ADDRESS == static_cast<unsigned>(accel::ArgumentKind::address));
static_assert(FL_ACCEL_ARG_SHARED == static_cast<unsigned>(accel::ArgumentKind::shared));

accel::Module& module_of(fl_accel_program* program) {
    need(program, "program");
    return program->module;
}

accel::Kernel& kernel_of(fl_accel_kernel* kernel) {
    need(kernel, "kernel");
    return kernel->kernel;
}

accel::ModuleKind kind_of(std::uint32_t kind) {
    if (kind < FL_ACCEL_PROGRAM_OPENCL_C || kind > FL_ACCEL_PROGRAM_CUDA_C)
        throw Error(Status::invalid, "kind " + std::to_string(kind) + ": must be one of FL_ACCEL_PROGRAM_*, " +
                                         std::to_string(FL_ACCEL_PROGRAM_OPENCL_C) + " to " +
                                         std::to_string(FL_ACCEL_PROGRAM_CUDA_C));
    return static_cast<accel::ModuleKind>(kind);
}

std::string text_of(const char* text) {
    return text != nullptr ? text : "";
}

/// As much of `text` as there is room for, always terminated.
void give_text(const std::string& text, char* into, std::size_t room, std::size_t* bytes) {
    if (bytes != nullptr) *bytes = text.size();
    if (room == 0) return;
    need(into, "text");
    farlane::c_api::copy_text(into, room, text);
}

accel::Extent extent_of(const std::uint64_t (&v)[3], std::uint32_t dimensions) {
    switch (dimensions) {
        case 1: return {v[0]};
        case 2: return {v[0], v[1]};
        case 3: return {v[0], v[1], v[2]};
        default: throw Error(Status::invalid, "shape.dimensions " + std::to_string(dimensions) + ": must be 1, 2 or 3");
    }
}

accel::LaunchShape shape_of(const fl_accel_shape& c) {
    accel::LaunchShape shape;
    const bool has_block = std::any_of(std::begin(c.block), std::end(c.block), [](auto n) { return n != 0; });
    shape.grid = extent_of(c.grid, c.dimensions);
    if (has_block) shape.block = extent_of(c.block, c.dimensions);
    shape.shared_bytes = c.shared_bytes;
    shape.offset = extent_of(c.offset, c.dimensions);
    return shape;
}

/// What a launch can have at all: what is beyond is not even looked at.
constexpr std::size_t kMostBytes = accel::kMaxArgumentBytes, kMostArguments = kMostBytes / accel::kArgumentHeadBytes;

accel::Argument argument_of(const fl_accel_arg& a, std::size_t index) {
    const std::string name = "argument " + std::to_string(index);
    switch (a.kind) {
        case FL_ACCEL_ARG_VALUE:
            if (a.bytes != 0) need(a.value, (name + ".value").c_str());
            if (a.bytes > kMostBytes)
                throw Error(Status::invalid, name + ": a value of " + std::to_string(a.bytes) +
                                                 " bytes; a launch has " + std::to_string(kMostBytes) +
                                                 " for all of its arguments");
            return accel::Argument(std::span(static_cast<const std::byte*>(a.value), a.bytes));
        case FL_ACCEL_ARG_ADDRESS:
            if (a.is_null != 0) return {nullptr};
            return {view_of<std::byte>(a.view, name.c_str())};
        case FL_ACCEL_ARG_SHARED:
            if (a.bytes > UINT32_MAX)
                throw Error(Status::invalid, name + ": " + std::to_string(a.bytes) +
                                                 " bytes of shared memory; at most " + std::to_string(UINT32_MAX) +
                                                 " can be asked for");
            return {accel::SharedBytes{static_cast<std::uint32_t>(a.bytes)}};
        default:
            throw Error(Status::invalid,
                        name + ": kind " + std::to_string(a.kind) +
                            "; make arguments with fl_accel_arg_value(), _buffer(), _view(), _shared() "
                            "or _null()");
    }
}

}  // namespace

extern "C" {

int fl_accel_takes(fl_accel_context* context, uint32_t kind) {
    const bool known = kind >= FL_ACCEL_PROGRAM_OPENCL_C && kind <= FL_ACCEL_PROGRAM_CUDA_C;
    return context != nullptr && known && context->context.takes(static_cast<accel::ModuleKind>(kind)) ? 1 : 0;
}

int fl_accel_load(fl_accel_context* context, uint32_t kind, const void* image, uint64_t bytes, const char* options,
                  const char* name, fl_accel_program** out) {
    return guard([&] {
        need(out, "out");
        *out = nullptr;
        accel::Context& c = context_of(context);
        if (bytes != 0) need(image, "image");
        const std::span data(static_cast<const std::byte*>(image), static_cast<std::size_t>(bytes));
        *out = std::make_unique<fl_accel_program>(
                   fl_accel_program{c.load(kind_of(kind), data, {text_of(options), text_of(name)})})
                   .release();
    });
}

int fl_accel_load_file(fl_accel_context* context, const char* path, const char* options, fl_accel_program** out) {
    return guard([&] {
        need(out, "out");
        *out = nullptr;
        accel::Context& c = context_of(context);
        need(path, "path");
        *out =
            std::make_unique<fl_accel_program>(fl_accel_program{c.load_file(path, {text_of(options), ""})}).release();
    });
}

void fl_accel_unload(fl_accel_program* program) {
    delete program;
}

int fl_accel_program_query(fl_accel_program* program, int* done) {
    return guard([&] {
        need(done, "done");
        *done = module_of(program).query() ? 1 : 0;
    });
}

int fl_accel_program_wait(fl_accel_program* program) {
    return guard([&] { module_of(program).wait(); });
}

int fl_accel_program_log(fl_accel_program* program, char* text, size_t room, size_t* bytes) {
    return guard([&] { give_text(module_of(program).log(), text, room, bytes); });
}

int fl_accel_program_kernels(fl_accel_program* program, char* text, size_t room, size_t* bytes) {
    return guard([&] {
        std::string names;
        for (const auto& name : module_of(program).names()) names += (names.empty() ? "" : ";") + name;
        give_text(names, text, room, bytes);
    });
}

int fl_accel_kernel_create(fl_accel_program* program, const char* name, fl_accel_kernel** out) {
    return guard([&] {
        need(out, "out");
        *out = nullptr;
        accel::Module& m = module_of(program);
        need(name, "name");
        *out = std::make_unique<fl_accel_kernel>(fl_accel_kernel{m.kernel(name)}).release();
    });
}

void fl_accel_kernel_destroy(fl_accel_kernel* kernel) {
    delete kernel;
}

int fl_accel_kernel_get_info(fl_accel_kernel* kernel, struct fl_accel_kernel_info* out) {
    return guard([&] {
        need(out, "out");
        *out = {};
        const accel::KernelInfo& info = kernel_of(kernel).info();
        out->argument_count = info.argument_count;
        out->known_arguments = static_cast<std::uint32_t>(info.arguments.size());
        out->max_block = info.max_block;
        out->preferred_block = info.preferred_block;
        out->shared_bytes = info.shared_bytes;
        out->private_bytes = info.private_bytes;
        std::copy(info.required_block.begin(), info.required_block.end(), out->required_block);
    });
}

int fl_accel_kernel_get_argument(fl_accel_kernel* kernel, uint32_t index, struct fl_accel_argument_info* out) {
    return guard([&] {
        need(out, "out");
        *out = {};
        const auto& arguments = kernel_of(kernel).arguments();
        if (index >= arguments.size()) {
            throw Error(Status::out_of_bounds, "argument " + std::to_string(index) + " of kernel '" +
                                                   kernel->kernel.name() + "': known are " +
                                                   std::to_string(arguments.size()) + ", numbered from 0");
        }
        const accel::ArgumentInfo& a = arguments[index];
        out->kind = static_cast<std::uint32_t>(a.kind);
        out->bytes = a.bytes;
        out->is_const = a.is_const ? 1 : 0;
        out->is_restrict = a.is_restrict ? 1 : 0;
        out->is_volatile = a.is_volatile ? 1 : 0;
        out->is_constant = a.is_constant ? 1 : 0;
        farlane::c_api::copy_text(out->type_name, a.type_name);
        farlane::c_api::copy_text(out->name, a.name);
    });
}

int fl_accel_launch(fl_accel_stream* stream, const fl_accel_kernel* kernel, const struct fl_accel_shape* shape,
                    const struct fl_accel_arg* arguments, size_t count) {
    return guard([&] {
        accel::Stream& s = stream_of(stream);
        need(kernel, "kernel");
        need(shape, "shape");
        if (count != 0) need(arguments, "arguments");
        if (count > kMostArguments)
            throw Error(Status::invalid, std::to_string(count) + " arguments: a launch has room for " +
                                             std::to_string(kMostArguments) + " at most");
        std::vector<accel::Argument> all;
        all.reserve(count);
        for (std::size_t i = 0; i < count; ++i) all.push_back(argument_of(arguments[i], i));
        s.launch_with(kernel->kernel, shape_of(*shape), all);
    });
}

int fl_accel_on_complete(fl_accel_stream* stream, fl_accel_callback callback, void* user) {
    return guard([&] {
        accel::Stream& s = stream_of(stream);
        if (callback == nullptr) throw Error(Status::invalid, "callback: must not be null");
        s.on_complete([callback, user](Status status) { callback(static_cast<int>(status), user); });
    });
}

}  // extern "C"
