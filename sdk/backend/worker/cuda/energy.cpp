// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: energy of a device, and the name of its driver. Owns: energy.hpp.
#include "backend/worker/cuda/energy.hpp"

#include <dlfcn.h>

#include <array>

namespace farlane::backend::worker::cuda {
namespace {

constexpr const char* kLibrary = "libnvidia-ml.so.1";

template <class Function>
bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    return function != nullptr;
}

}  // namespace

Energy::Energy(const Api& api, CuDevice device) {
    void* library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return;
    int (*init)() = nullptr;
    int (*by_bus)(const char*, Handle*) = nullptr;
    std::array<char, 32> bus{};
    const bool all = find(library, "nvmlInit_v2", init) && find(library, "nvmlSystemGetDriverVersion", driver_) &&
                     find(library, "nvmlDeviceGetHandleByPciBusId_v2", by_bus) &&
                     find(library, "nvmlDeviceGetTotalEnergyConsumption", energy_);
    if (!all || init() != 0) {
        driver_ = nullptr;
        return;
    }
    if (api.cuDeviceGetPCIBusId(bus.data(), static_cast<int>(bus.size()), device) != kSuccess) return;
    if (by_bus(bus.data(), &device_) != 0) device_ = nullptr;
}

std::uint64_t Energy::read_uj() const noexcept {
    unsigned long long mj = 0;
    if (device_ == nullptr || energy_(device_, &mj) != 0) return 0;
    return mj * 1000;
}

std::string Energy::driver() const {
    std::array<char, 80> text{};
    if (driver_ == nullptr || driver_(text.data(), static_cast<unsigned>(text.size())) != 0) return {};
    return text.data();
}

}  // namespace farlane::backend::worker::cuda
