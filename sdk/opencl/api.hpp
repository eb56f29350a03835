// SPDX-License-Identifier: Apache-2.0
// Receives: calls of applications through the ICD loader. Hands on: OpenCL's types and how its errors are given.
// Owns: nothing. Every source file of the ICD begins here.
#pragma once

#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_0_APIS
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#define CL_USE_DEPRECATED_OPENCL_2_0_APIS
#define CL_USE_DEPRECATED_OPENCL_2_1_APIS
#define CL_USE_DEPRECATED_OPENCL_2_2_APIS
#include <CL/cl.h>
#include <CL/cl_ext.h>
#include <CL/cl_icd.h>

#include <new>
#include <utility>

#include <farlane/status.hpp>

namespace farlane::opencl {

/// Thrown inside, returned at the entry point.
struct Failure {
    cl_int code;
};
[[noreturn]] inline void fail(cl_int code) {
    throw Failure{code};
}
inline void require(bool holds, cl_int otherwise) {
    if (!holds) fail(otherwise);
}

/// What an application is told of an error of the fabric.
[[nodiscard]] cl_int code_of(const Error& error) noexcept;
/// The last error of the fabric, for the log that a user may ask for (config.hpp).
void log_error(const char* where, const Error& error) noexcept;

/// Runs the body of an entry point that returns an error code.
template <class Body>
cl_int guarded(const char* where, Body&& body) noexcept {
    try {
        body();
        return CL_SUCCESS;
    } catch (const Failure& f) {
        return f.code;
    } catch (const Error& e) {
        log_error(where, e);
        return code_of(e);
    } catch (const std::bad_alloc&) {
        return CL_OUT_OF_HOST_MEMORY;
    } catch (...) {
        return CL_OUT_OF_RESOURCES;
    }
}

/// The same for one that returns an object, or null, and its error by pointer.
template <class Body>
auto created(const char* where, cl_int* error, Body&& body) noexcept -> decltype(body()) {
    decltype(body()) result = nullptr;
    const cl_int code = guarded(where, [&] { result = body(); });
    if (error != nullptr) *error = code;
    return result;
}

}  // namespace farlane::opencl
