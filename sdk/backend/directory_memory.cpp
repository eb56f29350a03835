// SPDX-License-Identifier: Apache-2.0
// Receives: a directory, names and sizes of regions. Hands on: files of it as shared memory.
// Owns: the directory's lock and the mappings. What lies in the directory is checked, never trusted.
#include <cerrno>
#include <cstring>
#include <map>
#include <string>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "backend/backend.hpp"
#include "backend/region.hpp"
#include "backend/small_regions.hpp"

namespace farlane::backend {
namespace {

// Up to here the space is reserved, so that a full file system shows now and not as SIGBUS later. Larger
// regions (namespaces) stay sparse; for them the space must be there when they are made.
constexpr std::size_t kReservedBytes = 16u << 20;

class Descriptor {
public:
    explicit Descriptor(int fd = -1) noexcept : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    [[nodiscard]] int get() const noexcept { return fd_; }

private:
    int fd_;
};

Failure failure(const std::string& what, int error) {
    const Status s = error == EACCES || error == EPERM                       ? Status::denied
                     : error == ENOSPC || error == ENOMEM || error == EDQUOT ? Status::no_memory
                                                                             : Status::io;
    return {s, what + ": " + std::strerror(error)};
}

bool valid_name(const std::string& what) noexcept {
    if (what.empty() || what.size() > 200 || what.front() == '.') return false;
    for (const char c : what) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && c != '.' && c != '_' && c != '-') return false;
    }
    return true;
}

class DirectoryMemory final : public Memory {
public:
    DirectoryMemory(std::string path, Descriptor directory) noexcept
        : path_(std::move(path)), directory_(std::move(directory)) {}
    Result<std::span<std::byte>> region(const std::string& what, std::size_t bytes, bool& fresh) override;
    Result<std::span<std::byte>> small_region(const std::string& what, bool& fresh) override {
        return small_.region(what, fresh);
    }

private:
    [[nodiscard]] Result<bool> size_file(int fd, const std::string& path, std::size_t bytes) const;

    std::string path_;
    Descriptor directory_;  // holds the lock
    std::map<std::string, Region> regions_;
    SmallRegions small_{*this};
};

// True = the file is new or was made anew; false = it had the size already.
Result<bool> DirectoryMemory::size_file(int fd, const std::string& path, std::size_t bytes) const {
    struct stat st {};
    if (::fstat(fd, &st) != 0) return failure(path, errno);
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
        return {Status::denied, path + " is not a plain file with one name; remove it"};
    if (st.st_uid != ::geteuid() || (st.st_mode & 077) != 0)
        return {Status::denied, path + " is open to others; it must belong to this user with mode 0600"};
    if (static_cast<std::uint64_t>(st.st_size) == bytes) return false;

    struct statvfs space {};
    if (::fstatvfs(fd, &space) == 0 && std::uint64_t{space.f_bavail} * space.f_frsize < bytes)
        return {Status::no_memory, path + " needs " + std::to_string(bytes) +
                                       " bytes and the file system has fewer; free some or make the device smaller"};
    // Down to nothing first: what was there under another size is no state of ours
    if (::ftruncate(fd, 0) != 0 || ::ftruncate(fd, static_cast<off_t>(bytes)) != 0) return failure(path, errno);
    if (bytes > kReservedBytes) return true;
    const int error = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
    if (error != 0 && error != EOPNOTSUPP && error != EINVAL) {
        if (::ftruncate(fd, 0) != 0) return failure(path, errno);
        return failure(path, error);
    }
    return true;
}

Result<std::span<std::byte>> DirectoryMemory::region(const std::string& what, std::size_t bytes, bool& fresh) {
    if (!valid_name(what))
        return {Status::invalid, "'" + what +
                                     "' can not name a state file: letters, digits, '.', '_' and '-', "
                                     "not starting with '.', at most 200"};
    if (bytes == 0 || bytes > static_cast<std::uint64_t>(INT64_MAX))
        return {Status::invalid, "state file '" + what + "' of " + std::to_string(bytes) + " bytes"};
    const auto known = regions_.find(what);
    if (known != regions_.end()) {
        if (known->second.bytes().size() != bytes)
            return {Status::busy, "state file '" + what + "' is in use with another size"};
        fresh = false;
        return known->second.bytes();
    }
    const std::string path = path_ + "/" + what;
    const Descriptor file(
        ::openat(directory_.get(), what.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600));
    if (file.get() < 0) {
        if (errno == ELOOP) return {Status::denied, path + " is a symbolic link; remove it"};
        return failure(path, errno);
    }
    const Result<bool> sized = size_file(file.get(), path, bytes);
    if (!sized) return sized.failure();
    Region made;
    if (!made.map(file.get(), bytes)) return failure("mapping " + path, errno);
    fresh = sized.value();
    return (regions_[what] = std::move(made)).bytes();
}

}  // namespace

Result<std::unique_ptr<Memory>> directory_memory(const std::string& directory) {
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
        return failure("can not make the state directory " + directory, errno);
    Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (fd.get() < 0) {
        if (errno == ELOOP || errno == ENOTDIR)
            return {Status::denied, directory + " is not a directory (symbolic links are not followed)"};
        return failure("can not open the state directory " + directory, errno);
    }
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) return failure(directory, errno);
    if (st.st_uid != ::geteuid() || (st.st_mode & 077) != 0)
        return {Status::denied, directory +
                                    " is open to others: it must belong to this user with mode 0700 (chmod 0700 " +
                                    directory + ")"};
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return {Status::busy,
                    directory + " is in use by another process; stop it or choose another state directory"};
        return failure("can not lock " + directory, errno);
    }
    return std::unique_ptr<Memory>(std::make_unique<DirectoryMemory>(directory, std::move(fd)));
}

}  // namespace farlane::backend
