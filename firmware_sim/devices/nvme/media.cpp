// SPDX-License-Identifier: Apache-2.0
// Receives: reads, writes and flushes of byte ranges. Hands on: the bytes of the namespace.
// Owns: the file of a file-backed namespace and the thread that makes it durable.
#include "devices/nvme/media.hpp"

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace farlane::firmware::nvme {
namespace {

class MemoryMedia final : public Media {
public:
    explicit MemoryMedia(std::span<std::byte> memory) noexcept : memory_(memory) {}
    std::uint64_t size_bytes() const noexcept override { return memory_.size(); }
    Status read(std::uint64_t offset, std::span<std::byte> out) noexcept override {
        std::memcpy(out.data(), memory_.data() + offset, out.size());
        return Status::ok;
    }
    Status write(std::uint64_t offset, std::span<const std::byte> in) noexcept override {
        std::memcpy(memory_.data() + offset, in.data(), in.size());
        return Status::ok;
    }
    Status zero(std::uint64_t offset, std::uint64_t bytes) noexcept override;

private:
    std::span<std::byte> memory_;
};

Status MemoryMedia::zero(std::uint64_t offset, std::uint64_t bytes) noexcept {
    // The memory is page-aligned: whole pages go back to the system, the ends are written
    constexpr std::uint64_t kPage = 4096;
    const std::uint64_t end = offset + bytes;
    const std::uint64_t first = (offset + kPage - 1) & ~(kPage - 1), last = end & ~(kPage - 1);
    if (first < last && ::madvise(memory_.data() + first, last - first, MADV_REMOVE) == 0) {
        std::memset(memory_.data() + offset, 0, first - offset);
        std::memset(memory_.data() + last, 0, end - last);
    } else {
        std::memset(memory_.data() + offset, 0, bytes);
    }
    return Status::ok;
}

// pread and pwrite rather than a mapping: a full or failing disk is a status then, not a SIGBUS.
class FileMedia final : public Media {
public:
    FileMedia(int fd, std::uint64_t size_bytes) : fd_(fd), size_bytes_(size_bytes), syncer_([this] { sync_loop(); }) {}
    ~FileMedia() override;
    std::uint64_t size_bytes() const noexcept override { return size_bytes_; }
    Status read(std::uint64_t offset, std::span<std::byte> out) noexcept override;
    Status write(std::uint64_t offset, std::span<const std::byte> in) noexcept override;
    Status zero(std::uint64_t offset, std::uint64_t bytes) noexcept override;
    std::uint64_t flush() noexcept override;
    std::uint64_t durable() const noexcept override { return durable_.load(std::memory_order_acquire); }
    bool healthy() const noexcept override { return healthy_.load(std::memory_order_relaxed); }
    void on_durable(std::function<void()> wake) override;
    bool volatile_cache() const noexcept override { return true; }

private:
    void sync_loop();

    const int fd_;
    const std::uint64_t size_bytes_;
    std::mutex mutex_;  // wanted_, stop_, wake_
    std::condition_variable changed_;
    std::uint64_t wanted_ = 0;
    bool stop_ = false;
    std::function<void()> wake_;
    std::atomic<std::uint64_t> durable_{0};
    std::atomic<bool> healthy_{true};
    std::thread syncer_;
};

FileMedia::~FileMedia() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_one();
    syncer_.join();
    ::close(fd_);
}

Status FileMedia::read(std::uint64_t offset, std::span<std::byte> out) noexcept {
    while (!out.empty()) {
        const ssize_t n = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return Status::io;  // also when somebody made the file shorter
        out = out.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return Status::ok;
}

Status FileMedia::write(std::uint64_t offset, std::span<const std::byte> in) noexcept {
    while (!in.empty()) {
        const ssize_t n = ::pwrite(fd_, in.data(), in.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return Status::io;
        in = in.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return Status::ok;
}

Status FileMedia::zero(std::uint64_t offset, std::uint64_t bytes) noexcept {
    const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    if (::fallocate(fd_, mode, static_cast<off_t>(offset), static_cast<off_t>(bytes)) == 0) return Status::ok;
    static constexpr std::byte kZeros[65536]{};
    for (std::uint64_t at = 0; at < bytes;) {
        const std::size_t n = bytes - at < sizeof kZeros ? bytes - at : sizeof kZeros;
        if (const Status s = write(offset + at, {kZeros, n}); s != Status::ok) return s;
        at += n;
    }
    return Status::ok;
}

std::uint64_t FileMedia::flush() noexcept {
    std::uint64_t ticket = 0;
    {
        const std::lock_guard lock(mutex_);
        ticket = ++wanted_;
    }
    changed_.notify_one();
    return ticket;
}

void FileMedia::on_durable(std::function<void()> wake) {
    const std::lock_guard lock(mutex_);
    wake_ = std::move(wake);
}

// fdatasync may take a second: never in the lane.
void FileMedia::sync_loop() {
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [this] { return stop_ || wanted_ != durable_.load(std::memory_order_relaxed); });
        if (stop_) return;
        const std::uint64_t ticket = wanted_;
        lock.unlock();
        if (::fdatasync(fd_) != 0) healthy_.store(false, std::memory_order_relaxed);
        lock.lock();
        durable_.store(ticket, std::memory_order_release);
        if (wake_) wake_();
    }
}

}  // namespace

std::unique_ptr<Media> memory_media(std::span<std::byte> memory) {
    return std::make_unique<MemoryMedia>(memory);
}

Result<std::unique_ptr<Media>> file_media(const std::string& path, std::uint64_t size_bytes) {
    const auto failed = [&path](Status s, const std::string& why) {
        return Failure{s, "namespace file " + path + " " + why};
    };
    const int fd =
        ::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (size_bytes != 0 ? O_CREAT : 0), 0600);
    if (fd < 0) {
        if (errno == ELOOP) return failed(Status::denied, "is a symbolic link; name the file itself");
        if (errno == ENOENT && size_bytes == 0)
            return failed(Status::not_found, "does not exist; give size= to have it made");
        const bool no_folder = errno == ENOENT || errno == ENOTDIR;
        return failed(no_folder         ? Status::not_found
                      : errno == EACCES ? Status::denied
                                        : Status::io,
                      std::string("can not be opened: ") + std::strerror(errno));
    }
    struct Closer {
        int fd;
        ~Closer() {
            if (fd >= 0) ::close(fd);
        }
    } closer{fd};
    struct stat st {};
    if (::fstat(fd, &st) != 0) return failed(Status::io, std::strerror(errno));
    if (!S_ISREG(st.st_mode)) return failed(Status::invalid, "is not a plain file");
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0)
        return failed(Status::busy, "is in use by another device or process; each namespace needs its own file");
    if (st.st_size == 0 && size_bytes != 0) {
        if (::ftruncate(fd, static_cast<off_t>(size_bytes)) != 0)
            return failed(Status::no_memory,
                          "can not be made " + std::to_string(size_bytes) + " bytes long: " + std::strerror(errno));
        st.st_size = static_cast<off_t>(size_bytes);
    }
    const auto bytes = static_cast<std::uint64_t>(st.st_size);
    if (size_bytes != 0 && bytes != size_bytes)
        return failed(Status::invalid, "has " + std::to_string(bytes) + " bytes, size= says " +
                                           std::to_string(size_bytes) + "; leave size= away or remove the file");
    if (bytes == 0 || bytes % 4096 != 0)
        return failed(Status::invalid, "has " + std::to_string(bytes) + " bytes; a multiple of 4096 is needed");
    closer.fd = -1;
    return std::unique_ptr<Media>(std::make_unique<FileMedia>(fd, bytes));
}

}  // namespace farlane::firmware::nvme
