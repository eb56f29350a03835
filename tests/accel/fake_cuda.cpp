// SPDX-License-Identifier: Apache-2.0
// A libcuda.so.1 without a GPU: memory is the heap's, kernels are known by name. It answers as the driver is documented
// to, so the CUDA executor's own logic runs where no NVIDIA GPU is.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>

namespace {

using Result = int;
constexpr Result kInvalidValue = 1, kOutOfMemory = 2, kInvalidPtx = 218, kNotFound = 500, kNotReady = 600,
                 kIllegalAddress = 700;

std::mutex mutex;
std::map<char*, std::size_t> memory;
Result sticky = 0;   // what a kernel broke
bool stuck = false;  // a kernel that never ends

struct Event {
    int asked = 0;
    bool recorded = false;
};
struct Module {
    std::string text;
};
struct Stream {};

/// All of it lies in one allocation.
bool is_known(std::uint64_t at, std::size_t bytes) {
    for (const auto& [begin, length] : memory) {
        const auto first = reinterpret_cast<std::uint64_t>(begin);
        if (at >= first && at - first <= length && bytes <= length - (at - first)) return true;
    }
    return false;
}
char* bytes_at(std::uint64_t at) {
    return reinterpret_cast<char*>(at);
}

template <class T>
T argument(void** values, int index) {
    T value;
    std::memcpy(&value, values[index], sizeof value);
    return value;
}

Result run(const std::string& name, unsigned items, void** values) {
    if (name == "wild") return sticky = kIllegalAddress, 0;
    if (name == "endless") return stuck = true, 0;
    if (name == "count") {  // (uint* p, uint i): p[0] = i + 1 if it is i
        auto* p = reinterpret_cast<std::uint32_t*>(argument<std::uint64_t>(values, 0));
        if (*p == argument<std::uint32_t>(values, 1)) ++*p;
        return 0;
    }
    if (name != "add") return kInvalidValue;
    const auto* a = reinterpret_cast<const float*>(argument<std::uint64_t>(values, 0));
    const auto* b = reinterpret_cast<const float*>(argument<std::uint64_t>(values, 1));
    auto* c = reinterpret_cast<float*>(argument<std::uint64_t>(values, 2));
    const auto n = argument<std::uint32_t>(values, 3);
    for (std::uint32_t i = 0; i < n && i < items; ++i) c[i] = a[i] + b[i];
    return 0;
}

std::set<std::string> names;

}  // namespace

extern "C" {
Result cuInit(unsigned) {
    return 0;
}
Result cuDriverGetVersion(int* version) {
    return *version = 12020, 0;
}
Result cuDeviceGetCount(int* count) {
    return *count = 1, 0;
}
Result cuDeviceGet(int* device, int index) {
    return *device = index, index == 0 ? 0 : kInvalidValue;
}
Result cuDeviceGetName(char* name, int length, int) {
    return std::strncpy(name, "Fake GPU", static_cast<std::size_t>(length)), 0;
}
Result cuDeviceTotalMem_v2(std::size_t* bytes, int) {
    return *bytes = std::size_t{1} << 30, 0;
}
Result cuDeviceGetAttribute(int* value, int what, int) {
    return *value = what == 1 ? 1024 : what == 10 ? 32 : what == 75 ? 9 : what == 97 ? 65536 : 1, 0;
}
Result cuDevicePrimaryCtxRetain(void** context, int) {
    return *context = &memory, 0;
}
Result cuCtxSetCurrent(void*) {
    return 0;
}
Result cuMemAlloc_v2(std::uint64_t* at, std::size_t bytes) {
    const std::lock_guard lock(mutex);
    if (bytes > std::size_t{1} << 28) return kOutOfMemory;
    auto* p = static_cast<char*>(std::malloc(bytes));
    std::memset(p, 0x5a, bytes);  // somebody else's
    memory[p] = bytes;
    return *at = reinterpret_cast<std::uint64_t>(p), 0;
}
Result cuMemFree_v2(std::uint64_t at) {
    const std::lock_guard lock(mutex);
    if (memory.erase(bytes_at(at)) == 0) return kInvalidValue;
    return std::free(bytes_at(at)), 0;
}
Result cuMemHostRegister_v2(void*, std::size_t, unsigned) {
    return 0;
}
Result cuMemHostUnregister(void*) {
    return 0;
}
Result cuMemcpyHtoDAsync_v2(std::uint64_t to, const void* from, std::size_t bytes, void*) {
    if (!is_known(to, bytes)) return kInvalidValue;
    return std::memcpy(bytes_at(to), from, bytes), 0;
}
Result cuMemcpyDtoHAsync_v2(void* to, std::uint64_t from, std::size_t bytes, void*) {
    if (!is_known(from, bytes)) return kInvalidValue;
    return std::memcpy(to, bytes_at(from), bytes), 0;
}
Result cuMemcpyDtoDAsync_v2(std::uint64_t to, std::uint64_t from, std::size_t bytes, void*) {
    const bool overlap = to < from + bytes && from < to + bytes;  // not allowed
    if (overlap || !is_known(to, bytes) || !is_known(from, bytes)) return kInvalidValue;
    return std::memcpy(bytes_at(to), bytes_at(from), bytes), 0;
}
Result cuMemsetD8Async(std::uint64_t to, unsigned char value, std::size_t count, void*) {
    if (!is_known(to, count)) return kInvalidValue;
    return std::memset(bytes_at(to), value, count), 0;
}
Result cuMemsetD16Async(std::uint64_t to, unsigned short value, std::size_t count, void*) {
    if (to % 2 != 0 || !is_known(to, count * 2)) return kInvalidValue;
    for (std::size_t i = 0; i < count; ++i) std::memcpy(bytes_at(to) + 2 * i, &value, 2);
    return 0;
}
Result cuMemsetD2D32Async(std::uint64_t to, std::size_t pitch, unsigned value, std::size_t width, std::size_t height,
                          void*) {
    if (to % 4 != 0 || pitch < 4 * width) return kInvalidValue;
    for (std::size_t row = 0; row < height; ++row) {
        for (std::size_t i = 0; i < width; ++i) std::memcpy(bytes_at(to) + row * pitch + 4 * i, &value, 4);
    }
    return 0;
}
Result cuMemsetD32Async(std::uint64_t to, unsigned value, std::size_t count, void* stream) {
    return cuMemsetD2D32Async(to, 4, value, 1, count, stream);
}
Result cuStreamCreate(void** stream, unsigned) {
    return *stream = new Stream, 0;
}
Result cuEventCreate(void** event, unsigned) {
    return *event = new Event, 0;
}
Result cuEventRecord(void* event, void*) {
    *static_cast<Event*>(event) = {0, true};
    return sticky;
}
Result cuEventQuery(void* event) {
    auto& e = *static_cast<Event*>(event);
    if (!e.recorded) return kInvalidValue;
    if (sticky != 0) return sticky;
    return stuck || ++e.asked < 3 ? kNotReady : 0;
}
Result cuEventElapsedTime(float* ms, void*, void*) {
    return *ms = 0.25F, 0;
}
Result cuModuleLoadDataEx(void** module, const void* image, unsigned count, int* options, void** values) {
    const std::string text = static_cast<const char*>(image);
    if (text.find(".version") == std::string::npos) {
        for (unsigned i = 0; i < count; ++i) {
            if (options[i] == 5) std::strcpy(static_cast<char*>(values[i]), "no .version");
        }
        return kInvalidPtx;
    }
    return *module = new Module{text}, 0;
}
Result cuModuleUnload(void* module) {
    return delete static_cast<Module*>(module), 0;
}
Result cuModuleGetFunction(void** function, void* module, const char* name) {
    if (static_cast<Module*>(module)->text.find(std::string(".entry ") + name + "(") == std::string::npos) {
        return kNotFound;
    }
    const std::lock_guard lock(mutex);
    return *function = const_cast<std::string*>(&*names.insert(name).first), 0;
}
Result cuFuncGetAttribute(int* value, int what, void*) {
    return *value = what == 0 ? 1024 : 0, 0;
}
Result cuFuncSetAttribute(void*, int, int) {
    return 0;
}
Result cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                      unsigned, void*, void** values, void**) {
    if (bx * by * bz > 1024) return kInvalidValue;
    return run(*static_cast<std::string*>(function), gx * gy * gz * bx * by * bz, values);
}
}
