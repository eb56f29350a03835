// SPDX-License-Identifier: Apache-2.0
// Receives: a path. Hands on: the certainty that no other farlaned uses it. Owns: the lock.
#include "daemon/lock_file.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config.hpp"

namespace farlane::daemon {
namespace {

Status lock_status(int error) noexcept {
    if (error == ENOENT || error == ENOTDIR) return Status::not_found;
    return error == EACCES || error == EPERM || error == EROFS ? Status::denied : Status::io;
}

}  // namespace

Result<control::UniqueFd> lock_file(const std::string& path, const std::string& what) {
    control::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.valid()) return {lock_status(errno), path + ": " + std::strerror(errno)};
    const int taken = ::flock(fd.get(), LOCK_EX | LOCK_NB);
    // Its last owner may have removed the file between our open and our lock: then it guards nothing.
    struct stat ours {
    }, there{};
    if (taken == 0 && ::fstat(fd.get(), &ours) == 0 &&
        (::stat(path.c_str(), &there) != 0 || there.st_ino != ours.st_ino || there.st_dev != ours.st_dev))
        return lock_file(path, what);
    if (taken != 0) {
        std::array<char, 32> pid{};
        (void)!::pread(fd.get(), pid.data(), pid.size() - 1, 0);
        return {Status::busy, what + " is in use by another farlaned (pid " + std::to_string(std::atol(pid.data())) +
                                  "); stop it, or configure another socket and state_dir"};
    }
    const std::string pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(fd.get(), 0) != 0 || ::pwrite(fd.get(), pid.data(), pid.size(), 0) < 0)
        return {Status::io, path + ": " + std::strerror(errno)};
    return fd;
}

Result<bool> make_directory(const std::string& path) {
    // Only the folder that is there by agreement; any other that is missing is a mistake to be told.
    if (std::filesystem::path(path).parent_path() == kRuntimeDirectory) (void)::mkdir(kRuntimeDirectory, 0755);
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
        return {lock_status(errno), path + ": " + std::strerror(errno)};
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))
        return {Status::invalid, path + " is not a directory"};
    if (info.st_uid != ::geteuid()) return {Status::denied, path + " belongs to another user"};
    if ((info.st_mode & 077) != 0 && ::chmod(path.c_str(), 0700) != 0)
        return {Status::denied, path + ": " + std::strerror(errno)};
    return true;
}

}  // namespace farlane::daemon
