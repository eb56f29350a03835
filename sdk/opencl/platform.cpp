// SPDX-License-Identifier: Apache-2.0
// Receives: questions about the platform, and which devices there are. Hands on: answers.
// Owns: the platform (platform.hpp). OpenCL 3.0, 4.1; cl_khr_icd.
#include "opencl/platform.hpp"

#include <algorithm>
#include <array>

#include <unistd.h>

#include "opencl/answer.hpp"

namespace farlane::opencl {
namespace {

constexpr const char* kExtensions = "cl_khr_icd";
constexpr const char* kSuffix = "FARLANE";

/// Version of the platform: what the calls can do, whatever the devices are.
constexpr cl_version kVersion = CL_MAKE_VERSION(3, 0, 0);

void answer_platform(cl_platform_info what, const Answer& answer) {
    switch (what) {
        case CL_PLATFORM_PROFILE: return answer.text("FULL_PROFILE");
        case CL_PLATFORM_VERSION: return answer.text(std::string("OpenCL 3.0 Farlane ") + library_version());
        case CL_PLATFORM_NUMERIC_VERSION: return answer.value(kVersion);
        case CL_PLATFORM_NAME: return answer.text("Farlane");
        case CL_PLATFORM_VENDOR: return answer.text("Farlane");
        case CL_PLATFORM_EXTENSIONS: return answer.text(kExtensions);
        case CL_PLATFORM_EXTENSIONS_WITH_VERSION: {
            cl_name_version icd{CL_MAKE_VERSION(1, 0, 0), "cl_khr_icd"};
            return answer.value(icd);
        }
        case CL_PLATFORM_HOST_TIMER_RESOLUTION: return answer.value(cl_ulong{0});
        case CL_PLATFORM_ICD_SUFFIX_KHR: return answer.text(kSuffix);
        default: fail(CL_INVALID_VALUE);
    }
}

/// A process that ends lets go of its accelerators, so that the next one has them at once. Runs behind the program's
/// own destructors, which may still release objects.
__attribute__((destructor)) void end_of_process() {
    Platform::get().end();
}

}  // namespace

const char* library_version() noexcept {
    return FARLANE_VERSION;
}

Platform& Platform::get() {
    static auto* platform = new Platform;
    return *platform;
}

std::vector<Device*> Platform::devices() {
    const std::lock_guard lock(mutex_);
    if (owner_ == getpid()) return devices_;
    owner_ = getpid();
    devices_.clear();  // a parent's, with threads that are not here
    const Config config = load_config();
    set_log(config.log);
    std::vector<std::string> troubles;
    if (config.trouble.empty()) {
        for (auto& found : find_accelerators(config, troubles)) devices_.push_back(new Device(*this, std::move(found)));
    } else {
        troubles.push_back(config.trouble);
        log_line(config.trouble);
    }
    if (!config.file.empty() && config.log != "stderr") tell_user(config.file, troubles);
    return devices_;
}

void Platform::end() noexcept {
    if (owner_ != getpid() || !mutex_.try_lock()) return;
    for (Device* d : devices_) d->accelerator().detach();
    mutex_.unlock();
}

}  // namespace farlane::opencl

using namespace farlane::opencl;

CL_API_ENTRY cl_int CL_API_CALL clGetPlatformIDs(cl_uint room, cl_platform_id* platforms, cl_uint* count) {
    return guarded(__func__, [&] {
        const std::array all{handle_of(&Platform::get())};
        give_list<cl_platform_id>(all, room, platforms, count);
    });
}

CL_API_ENTRY cl_int CL_API_CALL clIcdGetPlatformIDsKHR(cl_uint room, cl_platform_id* platforms, cl_uint* count) {
    return clGetPlatformIDs(room, platforms, count);
}

CL_API_ENTRY cl_int CL_API_CALL clGetPlatformInfo(cl_platform_id platform, cl_platform_info what, size_t room, void* to,
                                                  size_t* bytes) {
    return guarded(__func__, [&] {
        (void)checked<Platform>(platform);
        answer_platform(what, Answer(room, to, bytes));
    });
}

CL_API_ENTRY cl_int CL_API_CALL clGetDeviceIDs(cl_platform_id platform, cl_device_type type, cl_uint room,
                                               cl_device_id* devices, cl_uint* count) {
    return guarded(__func__, [&] {
        auto& p = platform == nullptr ? Platform::get() : checked<Platform>(platform);
        constexpr cl_device_type kKnown = CL_DEVICE_TYPE_DEFAULT | CL_DEVICE_TYPE_CPU | CL_DEVICE_TYPE_GPU |
                                          CL_DEVICE_TYPE_ACCELERATOR | CL_DEVICE_TYPE_CUSTOM;
        require(type == CL_DEVICE_TYPE_ALL || (type != 0 && (type & ~kKnown) == 0), CL_INVALID_DEVICE_TYPE);
        require((devices == nullptr) == (room == 0) && (devices != nullptr || count != nullptr), CL_INVALID_VALUE);
        std::vector<cl_device_id> all;
        for (Device* d : p.devices()) {
            const bool first = (type & CL_DEVICE_TYPE_DEFAULT) != 0 && type != CL_DEVICE_TYPE_ALL && all.empty();
            if (type == CL_DEVICE_TYPE_ALL || (type & d->type()) != 0 || first) all.push_back(handle_of(d));
        }
        if (count != nullptr) *count = 0;
        require(!all.empty(), CL_DEVICE_NOT_FOUND);
        give_list<cl_device_id>(all, room, devices, count);
    });
}

CL_API_ENTRY cl_int CL_API_CALL clUnloadCompiler(void) {
    return CL_SUCCESS;
}

CL_API_ENTRY cl_int CL_API_CALL clUnloadPlatformCompiler(cl_platform_id platform) {
    return guarded(__func__, [&] { (void)checked<Platform>(platform); });
}
