// SPDX-License-Identifier: Apache-2.0
// Receives: a process that is about to run foreign code. Hands on: one that reaches few files. Owns: nothing.
#include "backend/worker/program/files.hpp"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "backend/worker/handle.hpp"

namespace farlane::backend::worker {
namespace {

constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kRun = kRead | LANDLOCK_ACCESS_FS_EXECUTE;
constexpr std::uint64_t kUse = kRead | LANDLOCK_ACCESS_FS_WRITE_FILE;
constexpr std::uint64_t kTruncate = std::uint64_t{1} << 14;  // LANDLOCK_ACCESS_FS_TRUNCATE, Linux 6.2
constexpr std::uint64_t kOfFiles =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | kTruncate;

/// All that this kernel knows to forbid; 0: too little. Without REFER (Linux 5.19) no file could change its folder,
/// which compilers need.
std::uint64_t everything() noexcept {
    const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 2) return 0;
    constexpr std::uint64_t kSecond = (LANDLOCK_ACCESS_FS_REFER << 1) - 1;
    return version == 2 ? kSecond : kSecond | kTruncate;
}

class Rules {
public:
    Rules() noexcept : all_(everything()) {
        if (all_ == 0) return;
        landlock_ruleset_attr attributes{};
        attributes.handled_access_fs = all_;
        set_ = Handle(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
    }
    /// What is not there needs no rule.
    void allow(const std::string& path, std::uint64_t access) noexcept {
        const Handle at(::open(path.c_str(), O_PATH | O_CLOEXEC));
        if (!set_.valid() || !at.valid()) return;
        std::error_code error;
        if (!std::filesystem::is_directory(path, error)) access &= kOfFiles;
        landlock_path_beneath_attr rule{};
        rule.allowed_access = access & all_;
        rule.parent_fd = at.get();
        (void)::syscall(SYS_landlock_add_rule, set_.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    }
    void apply() noexcept {
        if (set_.valid()) (void)::syscall(SYS_landlock_restrict_self, set_.get(), 0);
    }

private:
    std::uint64_t all_;
    Handle set_;
};

/// Paths that an operator gave to the runtimes.
void allow_list(Rules& rules, const char* variable) {
    const char* value = std::getenv(variable);
    std::string_view rest = value == nullptr ? "" : value;
    while (!rest.empty()) {
        const std::string path(rest.substr(0, rest.find(':')));
        rest.remove_prefix(std::min(rest.size(), path.size() + 1));
        if (path.starts_with('/')) rules.allow(path, kRun);
    }
}

void allow_devices(Rules& rules) {
    static constexpr std::array<std::string_view, 9> kNames = {"null",   "zero", "full", "random", "urandom",
                                                               "nvidia", "dri",  "kfd",  "accel"};
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/dev", error)) {
        const std::string name = entry.path().filename();
        for (const auto known : kNames) {
            if (name.starts_with(known)) rules.allow(entry.path(), kUse);
        }
    }
}

}  // namespace

void confine_files(bool cuda) noexcept {
    Rules rules;
    if (cuda) {
        // The NVIDIA driver names its threads by /proc/self/task/*/comm, and where it can not, it does not start (error
        // 304). The rule holds for the folder as it is found here; while it is open it is not made anew.
        static const Handle threads(::open("/proc/self/task", O_PATH | O_DIRECTORY | O_CLOEXEC));
        rules.allow("/proc/self/task", LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate);
    }
    for (const char* path : {"/usr", "/lib", "/lib32", "/lib64", "/bin", "/opt"}) rules.allow(path, kRun);
    for (const char* path :
         {"/proc", "/sys", "/etc/OpenCL", "/etc/alternatives", "/etc/ld.so.cache", "/etc/nvidia", "/run/nvidia"}) {
        rules.allow(path, kRead);
    }
    for (const char* variable : {"LD_LIBRARY_PATH", "OCL_ICD_VENDORS", "OCL_ICD_FILENAMES", "OPENCL_VENDOR_PATH"}) {
        allow_list(rules, variable);
    }
    allow_devices(rules);
    if (const char* own = std::getenv("HOME")) rules.allow(own, ~std::uint64_t{0});
    rules.apply();
}

}  // namespace farlane::backend::worker
