// SPDX-License-Identifier: Apache-2.0
// Receives: CUDA C source. Hands on: machine code or PTX. Owns: compiler.hpp.
#include "backend/worker/cuda/compiler.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <utility>

namespace farlane::backend::worker::cuda {
namespace {

struct Library {
    int major;
    const char* name;
};
constexpr Library kLibraries[] = {{13, "libnvrtc.so.13"}, {12, "libnvrtc.so.12"}, {11, "libnvrtc.so.11.2"}};
constexpr const char* kFolders[] = {"", "/usr/local/cuda/lib64/"};  ///< the loader's own, and the toolkit's
constexpr int kSuccess = 0;

/// The newest of the driver's generation first: a driver does not load all that a newer NVRTC makes. Newer ones come
/// last, behind what the developer package of any has.
std::vector<std::string> libraries_for(int driver_major) {
    std::vector<std::string> names;
    const auto add = [&](bool newer) {
        for (const Library& l : kLibraries) {
            if ((l.major > driver_major) == newer) names.emplace_back(l.name);
        }
    };
    add(false);
    names.emplace_back("libnvrtc.so");
    add(true);
    return names;
}
using Program = struct ProgramOpaque*;

template <class Function>
bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    return function != nullptr;
}

}  // namespace

struct Compiler::Functions {
    int (*create)(Program*, const char*, const char*, int, const char* const*, const char* const*) = nullptr;
    int (*destroy)(Program*) = nullptr;
    int (*compile)(Program, int, const char* const*) = nullptr;
    int (*ptx_size)(Program, std::size_t*) = nullptr;
    int (*ptx)(Program, char*) = nullptr;
    int (*cubin_size)(Program, std::size_t*) = nullptr;
    int (*cubin)(Program, char*) = nullptr;
    int (*log_size)(Program, std::size_t*) = nullptr;
    int (*log)(Program, char*) = nullptr;
    int (*architectures)(int*) = nullptr;
    int (*architecture_list)(int*) = nullptr;

    [[nodiscard]] bool load(void* library) {
        return find(library, "nvrtcCreateProgram", create) && find(library, "nvrtcDestroyProgram", destroy) &&
               find(library, "nvrtcCompileProgram", compile) && find(library, "nvrtcGetPTXSize", ptx_size) &&
               find(library, "nvrtcGetPTX", ptx) && find(library, "nvrtcGetCUBINSize", cubin_size) &&
               find(library, "nvrtcGetCUBIN", cubin) && find(library, "nvrtcGetProgramLogSize", log_size) &&
               find(library, "nvrtcGetProgramLog", log) && find(library, "nvrtcGetNumSupportedArchs", architectures) &&
               find(library, "nvrtcGetSupportedArchs", architecture_list);
    }
    [[nodiscard]] static std::string text(Program program, int (*size)(Program, std::size_t*),
                                          int (*get)(Program, char*)) {
        std::size_t bytes = 0;
        if (size(program, &bytes) != kSuccess || bytes == 0) return {};
        std::string all(bytes, '\0');
        if (get(program, all.data()) != kSuccess) return {};
        return all;
    }
};

std::unique_ptr<Compiler> Compiler::open(int version, std::string& why) {
    std::string looked;
    for (const std::string& name : libraries_for(version / 1000)) {
        looked += (looked.empty() ? "" : ", ") + name;
        for (const char* folder : kFolders) {
            void* library = ::dlopen((folder + name).c_str(), RTLD_NOW | RTLD_LOCAL);
            if (library == nullptr) continue;
            auto functions = std::make_shared<Functions>();
            if (functions->load(library)) return std::unique_ptr<Compiler>(new Compiler(std::move(functions), name));
            (void)::dlclose(library);
        }
    }
    why = "no CUDA C: NVRTC not found (looked for " + looked + ", also in " + kFolders[1] + ")";
    return nullptr;
}

/// Machine code needs no second compiler in the driver, which may be older than NVRTC.
std::string Compiler::architecture(int capability, bool& is_ptx) const {
    int count = 0;
    std::vector<int> known;
    if (functions_->architectures(&count) == kSuccess && count > 0) {
        known.resize(static_cast<std::size_t>(count));
        if (functions_->architecture_list(known.data()) != kSuccess) known.clear();
    }
    is_ptx = std::find(known.begin(), known.end(), capability) == known.end();
    if (!is_ptx) return "--gpu-architecture=sm_" + std::to_string(capability);
    int best = 0;
    for (const int k : known) {
        if (k <= capability) best = std::max(best, k);
    }
    return "--gpu-architecture=compute_" + std::to_string(best == 0 ? capability : best);
}

Compiler::Result Compiler::compile(const std::string& source, const std::string& options, int capability) const {
    Result result;
    Program program = nullptr;
    result.error = functions_->create(&program, source.c_str(), "module.cu", 0, nullptr, nullptr);
    if (result.error != kSuccess) return result;
    std::vector<std::string> words = words_of(options);
    const bool chosen = std::any_of(words.begin(), words.end(), [](const std::string& w) {
        return w.starts_with("--gpu-architecture") || w.starts_with("-arch");
    });
    bool is_ptx = false;
    if (!chosen) words.push_back(architecture(capability, is_ptx));
    std::vector<const char*> pointers;
    for (const std::string& w : words) pointers.push_back(w.c_str());
    result.error = functions_->compile(program, static_cast<int>(pointers.size()), pointers.data());
    result.log = functions_->text(program, functions_->log_size, functions_->log).c_str();
    if (result.error == kSuccess) {
        result.image = functions_->text(program, functions_->cubin_size, functions_->cubin);
        result.is_ptx = result.image.empty();
        if (result.is_ptx) result.image = functions_->text(program, functions_->ptx_size, functions_->ptx);
        result.ok = !result.image.empty();
    }
    (void)functions_->destroy(&program);
    return result;
}

std::vector<std::string> words_of(const std::string& text) {
    std::vector<std::string> words;
    std::string word;
    bool some = false;
    char quote = 0;
    for (const char c : text) {
        if (quote != 0) {
            if (c == quote) {
                quote = 0;
            } else {
                word.push_back(c);
            }
        } else if (c == '"' || c == '\'') {
            quote = c;
            some = true;
        } else if (c == ' ' || c == '\t' || c == '\n') {
            if (some) words.push_back(std::move(word));
            word.clear();
            some = false;
        } else {
            word.push_back(c);
            some = true;
        }
    }
    if (some) words.push_back(std::move(word));
    return words;
}

}  // namespace farlane::backend::worker::cuda
