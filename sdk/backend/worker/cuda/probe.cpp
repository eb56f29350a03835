// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: what NVIDIA GPUs this machine has, as JSON. Owns: nothing.
#include <array>
#include <nlohmann/json.hpp>

#include "backend/worker/cuda/api.hpp"
#include "backend/worker/program/runtime.hpp"

namespace farlane::backend::worker {
namespace {

using namespace cuda;
using nlohmann::json;

constexpr std::size_t kKeptShare = 16;  // of the memory, for the driver and its contexts

int attribute(const Api& api, CUdevice device, int what) {
    int value = 0;
    return api.device_attribute(&value, what, device) == kSuccess ? value : 0;
}

std::string driver_text(const Api& api) {
    int version = 0;
    if (api.driver_version(&version) != kSuccess) return {};
    return "CUDA " + std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

json describe(const Api& api, int index) {
    CUdevice device = 0;
    std::array<char, 256> name{};
    std::size_t bytes = 0;
    const bool there = api.device(&device, index) == kSuccess &&
                       api.device_name(name.data(), static_cast<int>(name.size() - 1), device) == kSuccess &&
                       api.device_memory(&bytes, device) == kSuccess;
    return {{"index", index},
            {"platform", "CUDA"},
            {"name", name.data()},
            {"vendor", "NVIDIA"},
            {"driver", driver_text(api)},
            {"version", "compute capability " + std::to_string(attribute(api, device, kComputeMajor)) + "." +
                            std::to_string(attribute(api, device, kComputeMinor))},
            {"type", "gpu"},
            {"shares_memory", false},
            {"units", attribute(api, device, kMultiprocessors)},
            {"memory_bytes", bytes - bytes / kKeptShare},
            {"ptx", true},
            {"cubin", true},
            {"cuda_c", Compiler::is_here()},
            {"why_not", there ? "" : "the driver does not describe it"}};
}

}  // namespace

std::string probe_cuda() {
    json result = {{"devices", json::array()}};
    std::string why;
    int count = 0;
    if (const Api* api = load_api(why)) {
        if (api->device_count(&count) != kSuccess) count = 0;
        for (int i = 0; i < count; ++i) result["devices"].push_back(describe(*api, i));
        if (count == 0) why = "the driver has no device";
    }
    result["why"] = why;
    return result.dump(1, ' ', false, json::error_handler_t::replace);
}

}  // namespace farlane::backend::worker
