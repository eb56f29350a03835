// SPDX-License-Identifier: Apache-2.0
// Receives: bytes a UART sends. Hands on: bytes from the other end, and whether there is one.
// Owns: the socket or file at the other end, at most 4 KiB in each direction, and a thread.
#include "devices/serial/line.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace farlane::firmware::serial {
namespace {

constexpr std::size_t kQueueBytes = 4096;

// A ring of bytes under the mutex of its line; its count can be read without.
class Queue {
public:
    [[nodiscard]] std::size_t count() const noexcept { return count_.load(std::memory_order_acquire); }
    [[nodiscard]] std::size_t room() const noexcept { return kQueueBytes - count(); }
    void put(std::span<const std::uint8_t> in) noexcept {
        for (const std::uint8_t b : in) bytes_[(first_ + count_.fetch_add(1)) % kQueueBytes] = b;
    }
    std::size_t copy(std::span<std::uint8_t> out) const noexcept {
        const std::size_t n = std::min(out.size(), count());
        for (std::size_t i = 0; i < n; ++i) out[i] = bytes_[(first_ + i) % kQueueBytes];
        return n;
    }
    void drop(std::size_t n) noexcept {
        first_ = (first_ + n) % kQueueBytes;
        count_ -= n;
    }
    void clear() noexcept { drop(count()); }

private:
    std::array<std::uint8_t, kQueueBytes> bytes_{};
    std::size_t first_ = 0;
    std::atomic<std::size_t> count_{0};
};

class ThreadedLine final : public Line {
public:
    /// `file`: bytes go there. Else `listener` is a listening socket bound to `path`. Both are owned.
    ThreadedLine(int file, int listener, int event, std::string path)
        : path_(std::move(path)), listener_(listener), event_(event), end_(file), connected_(file >= 0) {
        thread_ = std::thread([this] { run(); });
    }
    ~ThreadedLine() override;
    bool connected() const noexcept override { return connected_.load(std::memory_order_acquire); }
    std::size_t room() const noexcept override { return out_.room(); }
    void send(std::span<const std::uint8_t> bytes) noexcept override;
    std::size_t waiting() const noexcept override { return in_.count(); }
    std::size_t receive(std::span<std::uint8_t> into) noexcept override;
    void hang_up() noexcept override;
    void on_change(std::function<void()> wake) override;
    std::uint64_t lost() const noexcept override { return lost_.load(std::memory_order_relaxed); }

private:
    void run();
    void poke() noexcept;
    void tell() noexcept;
    void accept_one();
    void disconnect() noexcept;
    void write_some();
    void read_some();

    const std::string path_;
    const int listener_, event_;
    mutable std::mutex mutex_;  // the queues, wake_, generation_
    Queue in_, out_;
    std::function<void()> wake_;
    std::uint64_t generation_ = 0;         // of hang-ups
    std::uint64_t thread_generation_ = 0;  // how many of them the thread has carried out
    int end_;                              // the thread's: client or file
    std::atomic<bool> connected_, stop_{false};
    std::atomic<std::uint64_t> lost_{0};
    std::thread thread_;
};

ThreadedLine::~ThreadedLine() {
    stop_.store(true);
    poke();
    thread_.join();
    if (end_ >= 0) ::close(end_);
    if (listener_ >= 0) {
        ::close(listener_);
        ::unlink(path_.c_str());
    }
    ::close(event_);
}

void ThreadedLine::poke() noexcept {
    const std::uint64_t one = 1;
    (void)!::write(event_, &one, sizeof one);
}

void ThreadedLine::tell() noexcept {
    const std::lock_guard lock(mutex_);
    if (wake_) wake_();
}

void ThreadedLine::on_change(std::function<void()> wake) {
    const std::lock_guard lock(mutex_);
    wake_ = std::move(wake);
}

void ThreadedLine::send(std::span<const std::uint8_t> bytes) noexcept {
    {
        const std::lock_guard lock(mutex_);
        out_.put(bytes);
    }
    poke();
}

std::size_t ThreadedLine::receive(std::span<std::uint8_t> into) noexcept {
    bool was_full = false;
    std::size_t n = 0;
    {
        const std::lock_guard lock(mutex_);
        was_full = in_.room() == 0;
        n = in_.copy(into);
        in_.drop(n);
    }
    if (was_full) poke();
    return n;
}

// From here on nothing of the old client comes in: what the thread still reads belongs to an older generation.
void ThreadedLine::hang_up() noexcept {
    {
        const std::lock_guard lock(mutex_);
        ++generation_;
        in_.clear();
        if (listener_ >= 0) {  // a file is no other end that could leave: it still gets everything
            out_.clear();
            connected_.store(false, std::memory_order_release);
        }
    }
    poke();
}

void ThreadedLine::disconnect() noexcept {
    if (end_ >= 0) ::close(end_);
    end_ = -1;
    {
        const std::lock_guard lock(mutex_);
        connected_.store(false, std::memory_order_release);
        lost_ += out_.count();
        out_.clear();
    }
    tell();
}

void ThreadedLine::accept_one() {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) return;
    end_ = client;
    {
        const std::lock_guard lock(mutex_);
        thread_generation_ = generation_;  // a hang-up that is still to be carried out was not meant for this one
        connected_.store(true, std::memory_order_release);
    }
    tell();
}

void ThreadedLine::write_some() {
    std::array<std::uint8_t, kQueueBytes> bytes;
    std::size_t n = 0;
    std::uint64_t generation = 0;
    {
        const std::lock_guard lock(mutex_);
        n = out_.copy(bytes);
        generation = generation_;
    }
    const ssize_t done = listener_ >= 0 ? ::send(end_, bytes.data(), n, MSG_NOSIGNAL) : ::write(end_, bytes.data(), n);
    if (done < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (done < 0 && listener_ >= 0) return disconnect();
    {
        const std::lock_guard lock(mutex_);
        if (done < 0) lost_ += n;  // a full disk: the sender goes on, as it would on a wire
        if (listener_ < 0 || generation == generation_) out_.drop(done < 0 ? n : static_cast<std::size_t>(done));
    }
    tell();
}

void ThreadedLine::read_some() {
    std::array<std::uint8_t, kQueueBytes> bytes;
    const std::size_t room = in_.room();
    const ssize_t n = ::recv(end_, bytes.data(), room, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return disconnect();
    {
        const std::lock_guard lock(mutex_);
        if (thread_generation_ == generation_) in_.put(std::span(bytes).first(static_cast<std::size_t>(n)));
    }
    tell();
}

void ThreadedLine::run() {
    for (;;) {
        bool hung_up = false;
        {
            const std::lock_guard lock(mutex_);
            hung_up = thread_generation_ != generation_;
            thread_generation_ = generation_;
        }
        if (hung_up && listener_ >= 0 && end_ >= 0) disconnect();
        const bool out = end_ >= 0 && out_.count() != 0;
        if (out && listener_ < 0) {
            write_some();
            continue;
        }
        if (stop_.load()) return;
        // A client that is not listened to is not asked: one that hung up would wake this loop for ever
        const short client =
            listener_ < 0 ? short{0} : static_cast<short>((out ? POLLOUT : 0) | (in_.room() != 0 ? POLLIN : 0));
        std::array<pollfd, 3> fds{{{event_, POLLIN, 0},
                                   {listener_ >= 0 && end_ < 0 ? listener_ : -1, POLLIN, 0},
                                   {client != 0 ? end_ : -1, client, 0}}};
        if (::poll(fds.data(), fds.size(), -1) < 0) continue;
        if (fds[0].revents != 0) {
            std::uint64_t count = 0;
            (void)!::read(event_, &count, sizeof count);
        }
        if (fds[1].revents != 0) accept_one();
        if ((fds[2].revents & POLLOUT) != 0) write_some();
        if (end_ >= 0 && in_.room() != 0 && (fds[2].revents & (POLLIN | POLLHUP | POLLERR)) != 0) read_some();
    }
}

Failure trouble(const std::string& path, const std::string& what, int error) {
    return {Status::io, "serial line '" + path + "': " + what + ": " + std::strerror(error)};
}

Result<std::unique_ptr<Line>> start(int file, int listener, const std::string& path) {
    const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event < 0) {
        const int error = errno;
        ::close(file >= 0 ? file : listener);
        return trouble(path, "no event descriptor", error);
    }
    return std::unique_ptr<Line>(std::make_unique<ThreadedLine>(file, listener, event, path));
}

// A socket whose owner was killed stays behind; one that answers belongs to somebody.
Result<bool> remove_stale(const std::string& path, const sockaddr_un& address) {
    struct stat entry {};
    if (::lstat(path.c_str(), &entry) != 0) return true;
    if (!S_ISSOCK(entry.st_mode))
        return Failure{Status::invalid,
                       "serial line '" + path + "' exists and is no socket: remove it or choose another"};
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int rc = ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const bool answers = rc == 0 || errno == EAGAIN;
    ::close(probe);
    if (answers) return Failure{Status::busy, "serial line '" + path + "': another program listens there"};
    ::unlink(path.c_str());
    return true;
}

}  // namespace

Result<std::unique_ptr<Line>> file_line(const std::string& path) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd < 0) return trouble(path, "can not be opened for appending", errno);
    struct stat entry {};
    if (::fstat(fd, &entry) != 0 || !S_ISREG(entry.st_mode)) {
        ::close(fd);
        return Failure{Status::invalid, "serial line '" + path + "' is no plain file"};
    }
    return start(fd, -1, path);
}

Result<std::unique_ptr<Line>> socket_line(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return Failure{Status::invalid, "serial line '" + path + "': a socket's path has at most 107 characters"};
    std::memcpy(address.sun_path, path.c_str(), path.size());
    if (const auto removed = remove_stale(path, address); !removed) return removed.failure();
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return trouble(path, "no socket", errno);
    // Mode first: nobody else can connect in between
    const bool bound =
        ::fchmod(fd, 0600) == 0 && ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    if (!bound || ::chmod(path.c_str(), 0600) != 0 || ::listen(fd, 1) != 0) {
        const int error = errno;
        ::close(fd);
        return trouble(path, "can not listen there", error);
    }
    return start(-1, fd, path);
}

}  // namespace farlane::firmware::serial
