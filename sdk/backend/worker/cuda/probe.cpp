// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: what CUDA devices this machine has, as JSON. Owns: nothing.
#include <algorithm>
#include <array>
#include <bit>
#include <nlohmann/json.hpp>

#include "backend/worker/cuda/compiler.hpp"
#include "backend/worker/cuda/driver.hpp"
#include "backend/worker/cuda/energy.hpp"
#include "backend/worker/cuda/runtime.hpp"

namespace farlane::backend::worker {
namespace {

using namespace cuda;
using nlohmann::json;

/// Where local memory may lie, the best first: below 2^47, above the aperture (firmware_sim/devices/accel/accel.hpp)
/// and what the driver takes for itself, below the loader's, with room for the ranges of all contexts.
constexpr std::array<std::uint64_t, 8> kPlaces = {
    std::uint64_t{1} << 44, std::uint64_t{3} << 43, std::uint64_t{1} << 45, std::uint64_t{3} << 44,
    std::uint64_t{1} << 46, std::uint64_t{5} << 44, std::uint64_t{5} << 43, std::uint64_t{1} << 43};
/// Contexts whose ranges are tried; the others' lie between and behind.
constexpr std::array<std::uint64_t, 3> kTried = {0, 1, 7};

/// The ranges of several contexts can be there, each in a process of its own.
bool gives(const Api& api, std::uint64_t place, std::uint64_t stride) {
    return std::all_of(kTried.begin(), kTried.end(), [&](std::uint64_t context) {
        const std::uint64_t address = place + context * stride;
        if (!reserve_at(api, address, stride)) return false;
        (void)api.cuMemAddressFree(address, stride);
        return true;
    });
}

/// The first place that the driver gives; 0: none. A context is current, as it will be in workers.
std::uint64_t find_place(const Api& api, std::uint64_t bytes) {
    const std::uint64_t stride = std::bit_ceil(bytes);
    for (const std::uint64_t place : kPlaces) {
        if (gives(api, place, stride)) return place;
    }
    // Its own choice then, if another process can have it as well as this one.
    const std::uint64_t span = (kTried.back() + 2) * stride;
    CuAddress own = 0;
    if (api.cuMemAddressReserve(&own, span, kChunkBytes, 0, 0) != kSuccess) return 0;
    (void)api.cuMemAddressFree(own, span);
    const std::uint64_t place = (own + stride - 1) / stride * stride;
    return gives(api, place, stride) ? place : 0;
}

std::string why_not(const Api& api, CuDevice device, CuResult context, std::uint64_t place) {
    if (context != kSuccess) return "no CUDA context: " + api.text(context);
    if (api.attribute(device, kUnifiedAddressing) == 0) return "no unified addresses";
    if (api.attribute(device, kVirtualMemory) == 0) return "no management of virtual memory";
    MemoryProperties properties;
    properties.location.id = device;
    std::size_t unit = 0;
    if (api.cuMemGetAllocationGranularity(&unit, &properties, 0) != kSuccess || unit == 0 || kChunkBytes % unit != 0) {
        return "its unit of memory does not divide 2 MiB";
    }
    if (place == 0) return "the driver gives no range of addresses that can be the same in all contexts";
    return {};
}

std::string version_of(const Api& api, const Energy& energy) {
    int version = 0;
    (void)api.cuDriverGetVersion(&version);
    const std::string cuda = "CUDA " + std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
    const std::string driver = energy.driver();
    return driver.empty() ? cuda : driver + ", " + cuda;
}

json describe(const Api& api, int index, bool compiler) {
    CuDevice device = 0;
    if (const CuResult r = api.cuDeviceGet(&device, index); r != kSuccess) {
        return {{"index", index}, {"name", "device " + std::to_string(index)}, {"why_not", api.text(r)}};
    }
    std::array<char, 256> name{};
    (void)api.cuDeviceGetName(name.data(), static_cast<int>(name.size()) - 1, device);
    std::size_t bytes = 0;
    (void)api.cuDeviceTotalMem(&bytes, device);
    const Energy energy(api, device);
    const std::uint64_t memory = bytes / kChunkBytes * kChunkBytes;
    // Current until this program ends.
    CuContext context = nullptr;
    const CuResult created = api.cuCtxCreate(&context, kContextBlockingSync, device);
    const std::uint64_t place = created != kSuccess || memory == 0 ? 0 : find_place(api, memory);
    const auto a = [&](int what) { return api.attribute(device, what); };
    const std::uint64_t energy_uj = energy.read_uj();
    return {
        {"index", index},
        {"platform", "NVIDIA CUDA, compute capability " + std::to_string(a(kMajor)) + "." + std::to_string(a(kMinor))},
        {"name", name.data()},
        {"vendor", "NVIDIA"},
        {"driver", version_of(api, energy)},
        {"type", "gpu"},
        {"units", a(kUnits)},
        {"memory_bytes", memory},
        {"local_address", place},
        {"ptx", true},
        {"cubin", true},
        {"cuda_c", compiler},
        {"energy", energy_uj != 0},
        {"energy_uj", energy_uj},
        {"max_block", {a(kMaxBlockX), a(kMaxBlockY), a(kMaxBlockZ)}},
        {"max_grid", {a(kMaxGridX), a(kMaxGridY), a(kMaxGridZ)}},
        {"max_shared_bytes", std::max(a(kSharedPerBlock), a(kSharedOptIn))},
        {"why_not", why_not(api, device, created, place)}};
}

}  // namespace

std::string probe_cuda() {
    json result = {{"devices", json::array()}};
    std::string why, no_compiler;
    if (const Api* api = load_api(why)) {
        int count = 0, version = 0;
        (void)api->cuDriverGetVersion(&version);
        const bool compiler = Compiler::open(version, no_compiler) != nullptr;
        if (const CuResult r = api->cuDeviceGetCount(&count); r != kSuccess) why = "no CUDA devices: " + api->text(r);
        for (int i = 0; i < count; ++i) result["devices"].push_back(describe(*api, i, compiler));
        if (count == 0 && why.empty()) why = "an NVIDIA driver without a device";
    }
    result["why"] = why;
    result["no_cuda_c"] = no_compiler;
    return result.dump(1, ' ', false, json::error_handler_t::replace);
}

}  // namespace farlane::backend::worker
