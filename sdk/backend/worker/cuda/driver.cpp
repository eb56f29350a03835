// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the functions of the CUDA driver of this machine. Owns: driver.hpp.
#include "backend/worker/cuda/driver.hpp"

#include <dlfcn.h>

#include <cstdlib>

namespace farlane::backend::worker::cuda {
namespace {

constexpr const char* kLibrary = "libcuda.so.1";

template <class Function>
bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    return function != nullptr;
}

/// What the driver reads of its environment when it starts; an operator's own choice stands.
/// EAGER: a kernel's code is loaded with its module. Else its first launch may wait for all that runs in the context.
/// 32: streams that share one of the device's queues wait for each other; without it there are 8.
void set_environment() noexcept {
    constexpr int kUnlessSet = 0;
    (void)::setenv("CUDA_MODULE_LOADING", "EAGER", kUnlessSet);
    (void)::setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", kUnlessSet);
}

}  // namespace

std::string Api::text(CuResult result) const {
    const char* name = nullptr;
    if (cuGetErrorName(result, &name) != kSuccess || name == nullptr) name = "error";
    return std::string(name) + " (" + std::to_string(result) + ")";
}

const Api* load_api(std::string& why) {
    static Api api;
    set_environment();
    void* library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        const char* error = ::dlerror();
        why = std::string("no NVIDIA driver: ") + (error == nullptr ? kLibrary : error);
        return nullptr;
    }
    std::string missing;
#define FARLANE_CUDA_FIND(name, symbol, parameters) \
    if (!find(library, #symbol, api.name)) missing = #symbol;
#define FARLANE_CUDA_TRY(name, symbol, parameters) (void)find(library, #symbol, api.name);
    FARLANE_CUDA_FUNCTIONS(FARLANE_CUDA_FIND)
    FARLANE_CUDA_OPTIONAL(FARLANE_CUDA_TRY)
#undef FARLANE_CUDA_FIND
#undef FARLANE_CUDA_TRY
    if (!missing.empty()) {
        why = std::string(kLibrary) + " has no " + missing + ": the driver is older than CUDA 10.2";
        return nullptr;
    }
    if (const CuResult r = api.cuInit(0); r != kSuccess) {
        why = std::string(kLibrary) + " is there, but cuInit says " + api.text(r);
        return nullptr;
    }
    return &api;
}

}  // namespace farlane::backend::worker::cuda
