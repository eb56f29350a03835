// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the functions of NVIDIA's driver. Owns: cuda/api.hpp.
#include "backend/worker/cuda/api.hpp"

#include <dlfcn.h>

namespace farlane::backend::worker::cuda {
namespace {

constexpr const char* kLibrary = "libcuda.so.1";

template <class Function>
bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    return function != nullptr;
}

}  // namespace

const Api* load_api(std::string& why) {
    static Api api;
    void* library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        const char* error = ::dlerror();
        why = std::string("no driver of NVIDIA: ") + (error == nullptr ? kLibrary : error);
        return nullptr;
    }
#define FARLANE_CUDA_FIND(member, name, parameters) \
    if (!find(library, name, api.member)) why = std::string(kLibrary) + " has no " + name + ": it is too old";
    FARLANE_CUDA_FUNCTIONS(FARLANE_CUDA_FIND)
#undef FARLANE_CUDA_FIND
#define FARLANE_CUDA_TRY(member, name, parameters) (void)find(library, name, api.member);
    FARLANE_CUDA_OPTIONAL(FARLANE_CUDA_TRY)
#undef FARLANE_CUDA_TRY
    if (!why.empty()) return nullptr;
    const CUresult result = api.init(0);
    if (result == kSuccess) return &api;
    why = "cuInit failed with CUDA error " + std::to_string(result);
    return nullptr;
}

}  // namespace farlane::backend::worker::cuda
