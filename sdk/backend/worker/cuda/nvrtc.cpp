// SPDX-License-Identifier: Apache-2.0
// Receives: CUDA C. Hands on: PTX, by NVIDIA's run-time compiler where it is installed. Owns: its handle, for good.
#include <dlfcn.h>

#include <array>
#include <sstream>
#include <vector>

#include "backend/worker/cuda/api.hpp"

namespace farlane::backend::worker::cuda {
namespace {

using Program = struct NvrtcProgram*;

#define FARLANE_NVRTC_FUNCTIONS(X)                                                                                     \
    X(create, "nvrtcCreateProgram", (Program*, const char*, const char*, int, const char* const*, const char* const*)) \
    X(compile, "nvrtcCompileProgram", (Program, int, const char* const*))                                              \
    X(destroy, "nvrtcDestroyProgram", (Program*))                                                                      \
    X(ptx_bytes, "nvrtcGetPTXSize", (Program, std::size_t*))                                                           \
    X(ptx, "nvrtcGetPTX", (Program, char*))                                                                            \
    X(log_bytes, "nvrtcGetProgramLogSize", (Program, std::size_t*))                                                    \
    X(log, "nvrtcGetProgramLog", (Program, char*))

struct Functions {
#define FARLANE_NVRTC_MEMBER(member, name, parameters) int(*member) parameters = nullptr;
    FARLANE_NVRTC_FUNCTIONS(FARLANE_NVRTC_MEMBER)
#undef FARLANE_NVRTC_MEMBER
    bool complete = true;
};

Functions load() {
    Functions functions;
    void* library = nullptr;
    for (const char* name : {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so"}) {
        if (library == nullptr) library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    functions.complete = library != nullptr;
    if (library == nullptr) return functions;
#define FARLANE_NVRTC_FIND(member, name, parameters)                                         \
    functions.member = reinterpret_cast<decltype(functions.member)>(::dlsym(library, name)); \
    functions.complete &= functions.member != nullptr;
    FARLANE_NVRTC_FUNCTIONS(FARLANE_NVRTC_FIND)
#undef FARLANE_NVRTC_FIND
    return functions;
}

const Functions& nvrtc() {
    static const Functions functions = load();
    return functions;
}

template <class Bytes, class Get>
std::string text_of(Program program, Bytes bytes, Get get) {
    std::size_t length = 0;
    if (bytes(program, &length) != 0 || length == 0) return {};
    std::string text(length, '\0');
    if (get(program, text.data()) != 0) return {};
    text.resize(length - 1);  // its terminating zero
    return text;
}

}  // namespace

bool Compiler::is_here() {
    return nvrtc().complete;
}

std::string Compiler::compile(const std::string& source, const std::string& options, int compute, std::string& log) {
    std::vector<std::string> words = {"--gpu-architecture=compute_" + std::to_string(compute)};
    std::istringstream given(options);
    for (std::string word; given >> word;) words.push_back(word);
    std::vector<const char*> pointers;
    for (const std::string& word : words) pointers.push_back(word.c_str());
    Program program = nullptr;
    if (nvrtc().create(&program, source.c_str(), "module.cu", 0, nullptr, nullptr) != 0) return {};
    const int result = nvrtc().compile(program, static_cast<int>(pointers.size()), pointers.data());
    log = text_of(program, nvrtc().log_bytes, nvrtc().log);
    std::string ptx = result == 0 ? text_of(program, nvrtc().ptx_bytes, nvrtc().ptx) : std::string();
    (void)nvrtc().destroy(&program);
    return ptx;
}

}  // namespace farlane::backend::worker::cuda
