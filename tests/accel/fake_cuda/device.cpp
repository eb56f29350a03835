// SPDX-License-Identifier: Apache-2.0
// Receives: calls about the device, modules and functions. Hands on: what a small GPU would say. Owns: modules.
#include <cstdio>
#include <cstdlib>

#include "fake.hpp"

namespace fake {
namespace {

/// Names behind `.entry` of PTX, or of sections `.text.NAME` of a cubin.
void add_names(Module& module, const std::string& text, const std::string& before) {
    for (std::size_t i = text.find(before); i != std::string::npos; i = text.find(before, i)) {
        i += before.size();
        std::size_t end = i;
        while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_'))
            ++end;
        const std::string name = text.substr(i, end - i);
        if (name.empty()) continue;
        module.functions[name].name = name;
        module.functions[name].module = &module;
    }
}

std::uint64_t elf_bytes(const char* image) {
    std::uint64_t sections = 0;
    std::uint16_t each = 0, count = 0;
    std::memcpy(&sections, image + 40, sizeof sections);
    std::memcpy(&each, image + 58, sizeof each);
    std::memcpy(&count, image + 60, sizeof count);
    return sections + std::uint64_t{each} * count;
}

CuResult parse(Module& module, const char* image, std::string& log) {
    if (std::memcmp(image,
                    "\x7f"
                    "ELF",
                    4) == 0) {
        std::uint32_t flags = 0;  // the lowest byte, and the second in newer ones, is the capability
        std::memcpy(&flags, image + 48, sizeof flags);
        constexpr std::uint32_t kOurs = 90;
        if (flags != 0 && (flags & 0xff) != kOurs && (flags >> 8 & 0xff) != kOurs) return kNoBinary;
        add_names(module, std::string(image, elf_bytes(image)), ".text.");
        return kSuccess;
    }
    constexpr CuResult kNoCompiler = 221;
    if (is_set("no_jit")) return kNoCompiler;
    const std::string text(image);
    if (text.find(".version") == std::string::npos) {
        log = "fake ptxas: line 1; fatal: Missing .version directive\n";
        return kInvalidPtx;
    }
    constexpr int kNewest = 9;
    if (std::atoi(text.c_str() + text.find(".version") + 8) > kNewest) return kUnsupportedPtxVersion;
    add_names(module, text, ".entry ");
    return kSuccess;
}

}  // namespace

bool is_set(const char* word) {
    const char* all = std::getenv("CUDA_FAKE");
    return all != nullptr && ("," + std::string(all) + ",").find("," + std::string(word) + ",") != std::string::npos;
}

std::uint64_t number(const char* word, std::uint64_t other) {
    const char* all = std::getenv("CUDA_FAKE");
    const std::string text = all == nullptr ? "" : "," + std::string(all);
    const std::size_t found = text.find("," + std::string(word) + "=");
    return found == std::string::npos ? other
                                      : std::strtoull(text.c_str() + found + std::strlen(word) + 2, nullptr, 10);
}

}  // namespace fake

using namespace fake;

extern "C" {

/// NVRTC asks the driver for what is in no header: there is nothing, which the table's size says.
CuResult cuGetExportTable(const void** table, const void*) {
    static constexpr std::size_t kNothing[1] = {sizeof kNothing};
    *table = kNothing;
    return kSuccess;
}
CuResult cuGetErrorName(CuResult result, const char** name) {
    static const std::map<CuResult, const char*> names = {{kOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY"},
                                                          {100, "CUDA_ERROR_NO_DEVICE"},
                                                          {kIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS"}};
    const auto it = names.find(result);
    if (it == names.end()) return kInvalidValue;
    *name = it->second;
    return kSuccess;
}
CuResult cuDriverGetVersion(int* version) {
    *version = static_cast<int>(number("version", 13000));
    return kSuccess;
}
CuResult cuDeviceGetCount(int* count) {
    *count = 1;
    return kSuccess;
}
CuResult cuDeviceGet(CuDevice* device, int index) {
    *device = 0;
    return index == 0 ? kSuccess : 101;
}
CuResult cuDeviceGetName(char* name, int bytes, CuDevice) {
    std::snprintf(name, static_cast<std::size_t>(bytes), "Stand-in GPU");
    return kSuccess;
}
CuResult cuDeviceGetPCIBusId(char* text, int bytes, CuDevice) {
    std::snprintf(text, static_cast<std::size_t>(bytes), "0000:01:00.0");
    return kSuccess;
}
CuResult cuDeviceTotalMem_v2(std::size_t* bytes, CuDevice) {
    *bytes = number("memory", 64 << 20);
    return kSuccess;
}
CuResult cuDeviceGetAttribute(int* value, int what, CuDevice) {
    static const std::map<int, int> values = {{kMaxThreadsPerBlock, 1024},
                                              {kMaxBlockX, 1024},
                                              {kMaxBlockY, 1024},
                                              {kMaxBlockZ, 64},
                                              {kMaxGridX, 2147483647},
                                              {kMaxGridY, 65535},
                                              {kMaxGridZ, 65535},
                                              {kSharedPerBlock, 49152},
                                              {kWarpSize, 32},
                                              {kUnits, 2},
                                              {kUnifiedAddressing, 1},
                                              {kMajor, 9},
                                              {kMinor, 0},
                                              {kSharedOptIn, 98304},
                                              {kVirtualMemory, 1}};
    const auto it = values.find(what);
    if (it == values.end()) return kInvalidValue;
    *value = it->second;
    return kSuccess;
}
CuResult cuModuleLoadDataEx(CuModule* module, const void* image, unsigned count, int* keys, void** values) {
    if (const CuResult r = usable(); r != kSuccess) return r;
    if ((reinterpret_cast<std::uintptr_t>(image) & 7) != 0) return kInvalidValue;
    auto made = std::make_unique<Module>();
    std::string log;
    const CuResult r = parse(*made, static_cast<const char*>(image), log);
    for (unsigned i = 0; i < count; ++i) {
        if (keys[i] == kJitErrorLog) std::strcpy(static_cast<char*>(values[i]), log.c_str());
    }
    if (r != kSuccess) return r;
    if (loads_with_the_module()) {
        for (auto& [name, function] : made->functions) function.loaded = true;
    }
    *module = reinterpret_cast<CuModule>(made.release());
    return r;
}
CuResult cuModuleUnload(CuModule module) {
    if (const CuResult r = usable(); r != kSuccess) return r;
    auto* m = reinterpret_cast<Module*>(module);
    if (m->running != 0) lost = kUnknown;
    if (lost) return lost;
    delete m;
    return kSuccess;
}
CuResult cuModuleGetFunction(CuFunction* function, CuModule module, const char* name) {
    if (const CuResult r = usable(); r != kSuccess) return r;
    auto& all = reinterpret_cast<Module*>(module)->functions;
    const auto it = all.find(name);
    if (it == all.end()) return kNotFound;
    *function = reinterpret_cast<CuFunction>(&it->second);
    return kSuccess;
}
CuResult cuFuncGetAttribute(int* value, int what, CuFunction function) {
    const auto* f = reinterpret_cast<Function*>(function);
    *value = what == kFunctionMaxThreads ? 1024 : what == kFunctionMaxDynamicShared ? f->dynamic_limit : 0;
    return kSuccess;
}
CuResult cuFuncSetAttribute(CuFunction function, int what, int value) {
    if (what != kFunctionMaxDynamicShared || value > 98304) return kInvalidValue;
    reinterpret_cast<Function*>(function)->dynamic_limit = value;
    return kSuccess;
}

#ifndef FAKE_CUDA_12_3  // as old drivers are
CuResult cuFuncGetParamInfo(CuFunction function, std::size_t index, std::size_t* offset, std::size_t* bytes) {
    const auto* sizes = parameters_of(reinterpret_cast<Function*>(function)->name);
    if (sizes == nullptr || index >= sizes->size()) return kInvalidValue;
    *offset = index * 8;
    *bytes = (*sizes)[index];
    return kSuccess;
}
CuResult cuModuleGetFunctionCount(unsigned* count, CuModule module) {
    *count = static_cast<unsigned>(reinterpret_cast<Module*>(module)->functions.size());
    return kSuccess;
}
CuResult cuModuleEnumerateFunctions(CuFunction* functions, unsigned count, CuModule module) {
    for (auto& [name, function] : reinterpret_cast<Module*>(module)->functions) {
        if (count-- == 0) break;
        *functions++ = reinterpret_cast<CuFunction>(&function);
    }
    return kSuccess;
}
CuResult cuFuncGetName(const char** name, CuFunction function) {
    *name = reinterpret_cast<Function*>(function)->name.c_str();
    return kSuccess;
}
#endif

}  // extern "C"
