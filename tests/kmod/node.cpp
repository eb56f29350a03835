// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: exit code 0 when /dev/farlane/<name> keeps what
// docs/kernel-interface.md says of it. Owns: both ends: it is the daemon and the application.
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "echo.hpp"

namespace farlane::kmodtest {
namespace {

void expect(bool good, const std::string& what) {
    if (good) return;
    std::fprintf(stderr, "FAIL %s (errno %s)\n", what.c_str(), std::strerror(errno));
    std::exit(1);
}

/// The application's side.
class Node {
public:
    explicit Node(const std::string& name) : fd_(::open(("/dev/farlane/" + name).c_str(), O_RDWR | O_CLOEXEC)) {}
    ~Node() { close(); }
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;
    void close() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }
    [[nodiscard]] int fd() const noexcept { return fd_; }
    template <class T>
    [[nodiscard]] int call(unsigned long number, T& what) const {
        what.bytes = sizeof what;
        return ::ioctl(fd_, number, &what) == 0 ? 0 : errno;
    }
    /// The device comes on the bus by itself, in its own time.
    fl_ioc_channel_create create(int bell) const {
        for (;;) {
            fl_ioc_channel_create c{};
            c.submit_entries = 128;
            c.complete_entries = 64;
            c.staging_bytes = 65536;
            c.complete_bell = bell;
            const int error = call(FL_IOC_CHANNEL_CREATE, c);
            if (error == 0) return c;
            errno = error;
            expect(error == EAGAIN, "CHANNEL_CREATE");
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
    }
    [[nodiscard]] int map(const void* at, std::uint64_t bytes, std::uint32_t direction, std::uint64_t& iova) const {
        fl_ioc_map m{};
        m.direction = direction;
        m.address = reinterpret_cast<std::uintptr_t>(at);
        m.length_bytes = bytes;
        const int error = call(FL_IOC_MAP, m);
        iova = m.iova;
        return error;
    }
    [[nodiscard]] int unmap(std::uint64_t iova) const {
        fl_ioc_unmap u{};
        u.iova = iova;
        return call(FL_IOC_UNMAP, u);
    }

private:
    int fd_;
};

constexpr std::uint32_t kBoth = FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES;

class Test {
public:
    Test() {
        const int kept = control_.become(11);
        expect(kept >= 0, "DAEMON_OPEN");
        const auto config = plain_config();
        fl_ioc_function_add a = make_add("node-test", config.data(), ring_bell_, Sizes{});
        errno = control_.call(FL_IOC_FUNCTION_ADD, a);
        expect(errno == 0, "FUNCTION_ADD");
        id_ = a.function_id;
        // The device answers resets and configuration writes, else it does not come on the bus.
        server_ = std::thread([this, a] {
            Echo(control_, a.function_id, a.mmap_offset, a.channel_bytes, Sizes{}, ring_bell_).run(stop_);
        });
    }
    ~Test() {
        stop_ = true;
        const std::uint64_t one = 1;
        (void)!::write(ring_bell_, &one, sizeof one);
        server_.join();
    }

    void run(bool slow) {
        channel();
        memory();
        kinds();
        limits();
        if (slow) slow_pages();
        interrupts();
        processes();
        turns();
        removal();
    }

private:
    /// One request of the device; the status.
    std::uint32_t dma(std::uint32_t kind, std::uint64_t iova, void* at, std::uint32_t bytes) {
        fl_dma_op op{iova, reinterpret_cast<std::uintptr_t>(at), bytes, 0, kind, 0};
        fl_ioc_dma_copy c{sizeof c, id_, 1, 0, reinterpret_cast<std::uintptr_t>(&op)};
        errno = control_.call(FL_IOC_DMA_COPY, c);
        expect(errno == 0, "DMA_COPY");
        return op.status;
    }

    void expect_event(const std::string& what) {
        pollfd p{control_.fd(), POLLIN, 0};
        expect(::poll(&p, 1, 10000) == 1 && (p.revents & POLLIN) != 0, "an event: " + what);
        fl_ioc_event e{};
        expect(::read(control_.fd(), &e, sizeof e) == sizeof e && e.function_id == id_, "the record: " + what);
        expect(::read(control_.fd(), &e, sizeof e) == -1 && errno == EAGAIN, "one record: " + what);
    }

    fl_ioc_channel_get look(int wanted) {
        fl_ioc_channel_get g{};
        g.bytes = sizeof g;
        g.function_id = id_;
        errno = control_.call(FL_IOC_CHANNEL_GET, g);
        expect(errno == wanted, "CHANNEL_GET");
        return g;
    }

    [[nodiscard]] int release(std::uint32_t generation) {
        fl_ioc_channel_release r{sizeof r, id_, generation, 0};
        return control_.call(FL_IOC_CHANNEL_RELEASE, r);
    }

    void channel() {
        look(ENOENT);
        const int bell = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        Node node("node-test");
        expect(node.fd() >= 0, "open of the node");
        const Node second("node-test");
        expect(second.fd() == -1 && errno == EBUSY, "a second holder");
        const fl_ioc_channel_create c = node.create(bell);
        expect_event("a channel");
        const fl_ioc_channel_get g = look(0);
        expect(g.state == FL_CHANNEL_OPEN && g.generation == c.generation && g.channel_bytes == c.channel_bytes &&
                   g.submit_entries == 128 && g.complete_entries == 64 && g.staging_bytes == 65536,
               "what CHANNEL_GET says");
        void* app = ::mmap(nullptr, c.channel_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, node.fd(), 0);
        void* daemon = ::mmap(nullptr, c.channel_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, control_.fd(),
                              static_cast<off_t>(g.mmap_offset));
        expect(app != MAP_FAILED && daemon != MAP_FAILED, "mmap at both ends");
        std::memset(app, 0x5a, c.channel_bytes);
        expect(std::memcmp(app, daemon, c.channel_bytes) == 0, "one memory");
        expect(::mmap(nullptr, c.channel_bytes + 4096, PROT_READ, MAP_SHARED, node.fd(), 0) == MAP_FAILED &&
                   errno == EINVAL,
               "mmap beyond the size");
        bells(node, bell);
        expect(release(c.generation) == EBUSY, "release while it is open");
        ::munmap(app, c.channel_bytes);
        node.close();
        expect_event("its end");
        expect(look(0).state == FL_CHANNEL_CLOSED, "a closed channel");
        const Node early("node-test");
        expect(early.fd() == -1 && errno == EBUSY, "the next holder before the release");
        expect(release(c.generation + 1) == ESTALE, "release of another generation");
        expect(release(c.generation) == 0, "release");
        ::munmap(daemon, c.channel_bytes);
        look(ENOENT);
        ::close(bell);
    }

    void bells(const Node& node, int bell) {
        std::uint64_t count = 0;
        fl_ioc_channel_bell b{};
        expect(node.call(FL_IOC_CHANNEL_BELL, b) == 0, "the daemon's bell");
        fl_ioc_channel_bell up{sizeof up, id_};
        expect(control_.call(FL_IOC_CHANNEL_BELL, up) == 0, "the application's bell");
        expect(::read(bell, &count, sizeof count) == sizeof count, "the application's bell rings");
    }

    /// Runs `what` with a node that has a channel, and gives everything back.
    template <class F>
    void with_node(F what) {
        Node node("node-test");
        expect(node.fd() >= 0, "open of the node");
        const std::uint32_t generation = node.create(-1).generation;
        what(node);
        node.close();
        expect(release(generation) == 0, "release");
        fl_ioc_event e{};
        (void)!::read(control_.fd(), &e, sizeof e);
    }

    void memory() {
        with_node([this](Node& node) {
            std::vector<std::uint8_t> buffer(3 * 4096, 0xc5), data(4096, 0x11);
            std::uint8_t* at = buffer.data() + 1001;
            std::uint64_t iova = 0;
            expect(node.map(at, 5000, FL_MAP_DEVICE_WRITES, iova) == 0, "MAP");
            expect(dma(FL_DMA_WRITE, iova, data.data(), 4096) == FL_STATUS_SC, "a write");
            expect(dma(FL_DMA_WRITE, iova + 4096, data.data(), 904) == FL_STATUS_SC, "a write to the end");
            for (std::size_t i = 0; i < buffer.size(); ++i)
                expect(buffer[i] == (i >= 1001 && i < 6001 ? 0x11 : 0xc5), "byte " + std::to_string(i));
            expect(dma(FL_DMA_WRITE, iova - 1, data.data(), 2) == FL_STATUS_UR, "a byte before");
            expect(dma(FL_DMA_WRITE, iova + 4999, data.data(), 2) == FL_STATUS_UR, "a byte behind");
            expect(dma(FL_DMA_READ, iova, data.data(), 4) == FL_STATUS_UR, "the wrong direction");
            expect(dma(FL_DMA_FETCHADD, iova, data.data(), 4) == FL_STATUS_UR, "an atomic without reading");
            expect(node.unmap(iova + 1) == ENOENT && node.unmap(iova) == 0 && node.unmap(iova) == ENOENT, "UNMAP");
            expect(dma(FL_DMA_WRITE, iova, data.data(), 8) == FL_STATUS_UR, "a write behind the unmap");
            expect(buffer[1001] == 0x11, "the last word of it");
            atomics(node);
        });
    }

    void atomics(const Node& node) {
        alignas(8) std::uint64_t cell[2] = {40, 7};
        std::uint64_t iova = 0, operand[2] = {2, 0};
        expect(node.map(cell, sizeof cell, kBoth, iova) == 0, "MAP of a cell");
        expect(dma(FL_DMA_FETCHADD, iova, operand, 8) == FL_STATUS_SC && operand[0] == 40 && cell[0] == 42,
               "fetch-add");
        operand[0] = 5;
        expect(dma(FL_DMA_SWAP, iova, operand, 8) == FL_STATUS_SC && operand[0] == 42 && cell[0] == 5, "swap");
        operand[0] = 5;
        operand[1] = 6;
        expect(dma(FL_DMA_CAS, iova, operand, 8) == FL_STATUS_SC && operand[0] == 5 && cell[0] == 6,
               "compare and swap");
        operand[0] = 5;
        expect(dma(FL_DMA_CAS, iova, operand, 8) == FL_STATUS_SC && operand[0] == 6 && cell[0] == 6, "compare and not");
        expect(dma(FL_DMA_SWAP, iova + 4, operand, 8) == FL_STATUS_UR && cell[1] == 7, "an atomic across");
        expect(node.unmap(iova) == 0, "UNMAP of a cell");
    }

    void kind(const Node& node, const char* what, int fd, int flags, int wanted,
              int protection = PROT_READ | PROT_WRITE) {
        constexpr std::size_t kBytes = 2 << 20;
        void* at = ::mmap(nullptr, kBytes, protection, flags, fd, 0);
        if (at == MAP_FAILED && (flags & MAP_HUGETLB) != 0) {
            std::printf("node: no huge pages here, %s is not tested\n", what);
            return;
        }
        expect(at != MAP_FAILED, what);
        std::uint64_t iova = 0;
        errno = node.map(at, kBytes, kBoth, iova);
        expect(errno == wanted, std::string("MAP of ") + what);
        std::uint64_t word = 0x1122334455667788;
        if (wanted == 0) {
            expect(dma(FL_DMA_WRITE, iova + kBytes - 8, &word, 8) == FL_STATUS_SC, what);
            expect(std::memcmp(static_cast<char*>(at) + kBytes - 8, &word, 8) == 0,
                   std::string("the bytes of ") + what);
            ::munmap(at, kBytes);  // the device still has it
            expect(dma(FL_DMA_READ, iova + kBytes - 8, &word, 8) == FL_STATUS_SC && word == 0x1122334455667788,
                   std::string("after munmap: ") + what);
            expect(node.unmap(iova) == 0, what);
            return;
        }
        ::munmap(at, kBytes);
    }

    void kinds() {
        with_node([this](Node& node) {
            const int shared = ::memfd_create("node-test", MFD_CLOEXEC);
            expect(shared >= 0 && ::ftruncate(shared, 2 << 20) == 0, "memfd");
            kind(node, "anonymous memory", -1, MAP_PRIVATE | MAP_ANONYMOUS, 0);
            kind(node, "shared anonymous memory", -1, MAP_SHARED | MAP_ANONYMOUS, 0);
            kind(node, "a memfd", shared, MAP_SHARED, 0);
            kind(node, "huge pages", -1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, 0);
            kind(node, "read-only memory", -1, MAP_PRIVATE | MAP_ANONYMOUS, EACCES, PROT_READ);
            const int device = ::open("/dev/zero", O_RDWR | O_CLOEXEC);
            const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
            std::uint64_t iova = 0;
            expect(node.map(nullptr, 4096, kBoth, iova) == EFAULT, "MAP of nothing");
            expect(node.map(&iova, 0, kBoth, iova) == EINVAL, "MAP of no bytes");
            expect(node.map(reinterpret_cast<void*>(0xffff888000000000), 4096, kBoth, iova) != 0, "MAP of the kernel");
            expect(node.map(&iova, 8, 0, iova) == EINVAL && node.map(&iova, 8, 4, iova) == EINVAL,
                   "MAP in no direction");
            ::close(file);
            ::close(device);
            ::close(shared);
        });
    }

    /// RLIMIT_MEMLOCK counts, for those who are not privileged, and is given back.
    void limits() {
        with_node([](Node& node) {
            const pid_t child = ::fork();
            if (child == 0) {
                const rlimit limit{8 * 4096, 8 * 4096};
                expect(::setrlimit(RLIMIT_MEMLOCK, &limit) == 0 && ::setgid(65534) == 0 && ::setuid(65534) == 0,
                       "nobody");
                std::vector<std::uint8_t> memory(64 * 4096);
                std::uint64_t iova = 0;
                expect(node.map(memory.data(), memory.size(), kBoth, iova) == ENOMEM, "more than the limit");
                for (int i = 0; i < 100; ++i) {
                    expect(node.map(memory.data(), 4 * 4096, kBoth, iova) == 0, "within the limit");
                    expect(node.unmap(iova) == 0, "UNMAP");
                }
                std::_Exit(0);
            }
            int status = 0;
            ::waitpid(child, &status, 0);
            expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the limits");
        });
    }

    /// Pages that the process provides itself, when it likes: nobody else waits for them.
    void slow_pages() {
        with_node([this](Node& node) {
            const int faults = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
            if (faults < 0) {
                std::printf("node: no userfaultfd here, slow pages are not tested\n");
                return;
            }
            void* at = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            uffdio_api api{UFFD_API, 0, 0};
            uffdio_register range{{reinterpret_cast<std::uintptr_t>(at), 4096}, UFFDIO_REGISTER_MODE_MISSING, 0};
            expect(::ioctl(faults, UFFDIO_API, &api) == 0 && ::ioctl(faults, UFFDIO_REGISTER, &range) == 0,
                   "userfaultfd");
            alignas(8) std::uint64_t cell = 0;
            std::uint64_t iova = 0, slow = 0;
            expect(node.map(&cell, sizeof cell, kBoth, iova) == 0, "MAP of a cell");
            std::atomic<int> result = -1;
            std::thread mapper([&] { result = node.map(at, 4096, kBoth, slow); });
            pollfd asked{faults, POLLIN, 0};
            while (result < 0 && ::poll(&asked, 1, 10) == 0) {
            }
            if (result == EFAULT) {
                std::printf("node: this kernel pins no page that it has to ask for, slow pages are not tested\n");
                mapper.join();
                expect(node.unmap(iova) == 0, "UNMAP");
                ::munmap(at, 4096);
                ::close(faults);
                return;
            }
            expect((asked.revents & POLLIN) != 0, "MAP asks for the page");
            expect(node.unmap(iova) == 0, "UNMAP while MAP waits for a page");
            fl_ioc_channel_get c{};
            c.bytes = sizeof c;
            c.function_id = id_;
            expect(control_.call(FL_IOC_CHANNEL_GET, c) == 0, "the daemon while MAP waits for a page");
            const std::vector<std::uint8_t> page(4096, 0x5a);
            uffdio_copy copy{range.range.start, reinterpret_cast<std::uintptr_t>(page.data()), 4096, 0, 0};
            expect(::ioctl(faults, UFFDIO_COPY, &copy) == 0, "the page");
            mapper.join();
            errno = result;
            expect(result == 0, "MAP with its page");
            expect(node.unmap(slow) == 0, "UNMAP of its page");
            ::munmap(at, 4096);
            ::close(faults);
        });
    }

    void interrupts() {
        with_node([this](Node& node) {
            const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
            std::uint64_t count = 0;
            fl_ioc_interrupt_fd i{};
            i.vector = 3;
            i.fd = fd;
            expect(node.call(FL_IOC_INTERRUPT_FD, i) == 0, "INTERRUPT_FD");
            fl_ioc_interrupt raise{sizeof raise, id_, 2, 0, 0b111};
            expect(control_.call(FL_IOC_INTERRUPT, raise) == 0, "INTERRUPT");
            expect(::read(fd, &count, sizeof count) == sizeof count && count == 1, "vector 3");
            i.fd = -1;
            expect(node.call(FL_IOC_INTERRUPT_FD, i) == 0, "INTERRUPT_FD off");
            expect(control_.call(FL_IOC_INTERRUPT, raise) == 0, "INTERRUPT");
            expect(::read(fd, &count, sizeof count) == -1 && errno == EAGAIN, "vector 3 is off");
            i.vector = FL_NODE_VECTORS;
            expect(node.call(FL_IOC_INTERRUPT_FD, i) == EINVAL, "a vector that is none");
            ::close(fd);
        });
    }

    /// The memory stays the parent's over a fork, and is let go when the process is gone.
    void processes() {
        with_node([this](Node& node) {
            std::vector<std::uint8_t> memory(4096, 0x77);
            std::uint64_t iova = 0, word = 0x0102030405060708;
            expect(node.map(memory.data(), memory.size(), kBoth, iova) == 0, "MAP before a fork");
            const pid_t child = ::fork();
            if (child == 0) {
                for (std::uint8_t& b : memory) b = 0x33;
                std::_Exit(0);
            }
            ::waitpid(child, nullptr, 0);
            memory[100] = 0x78;  // whoever writes first after a fork gets the copy: not us
            expect(dma(FL_DMA_WRITE, iova, &word, 8) == FL_STATUS_SC, "a write after the fork");
            expect(std::memcmp(memory.data(), &word, 8) == 0 && memory[8] == 0x77, "the parent's memory");
        });
    }

    void turns() {
        for (int i = 0; i < 50; ++i)
            with_node([this](Node& node) {
                std::vector<std::uint8_t> memory(40000);
                std::uint64_t iova = 0, word = 0;
                expect(node.map(memory.data(), memory.size(), kBoth, iova) == 0, "MAP");
                const std::uint64_t kept = iova;
                node.close();  // with everything mapped
                expect(dma(FL_DMA_WRITE, kept, &word, 8) == FL_STATUS_UR, "a write after the close");
            });
    }

    /// The function goes while it is in use.
    void removal() {
        Node node("node-test");
        (void)node.create(-1);
        std::vector<std::uint8_t> memory(4096);
        std::uint64_t iova = 0;
        expect(node.map(memory.data(), memory.size(), kBoth, iova) == 0, "MAP");
        fl_ioc_function_remove r{sizeof r, id_, FL_REMOVE_SURPRISE, 0};
        expect(control_.call(FL_IOC_FUNCTION_REMOVE, r) == 0, "FUNCTION_REMOVE");
        expect(node.map(memory.data(), memory.size(), kBoth, iova) == ENODEV, "MAP of what is gone");
        const Node late("node-test");
        expect(late.fd() == -1 && errno == ENOENT, "the node is gone");
    }

    Control control_;
    int ring_bell_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    std::uint32_t id_ = 0;
    std::atomic<bool> stop_ = false;
    std::thread server_;
};

}  // namespace
}  // namespace farlane::kmodtest

int main(int argc, char** argv) {
    farlane::kmodtest::Test().run(argc < 2 || std::string(argv[1]) != "--no-slow-pages");
    std::printf("node: all of it holds\n");
    return 0;
}
