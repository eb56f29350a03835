// SPDX-License-Identifier: Apache-2.0
// Receives: seconds, a seed, how slow the kernel is. Hands on: lies, to the module: it plays a daemon whose every ring
// word, index, slot and ioctl may be anything, and which is killed at any moment. Owns: nothing.
// Exit 0: the time is over and every promise that a daemon can see was kept. The kernel's health
// is judged by whoever reads its console.
#include <chrono>
#include <csignal>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <sys/wait.h>

#include "control.hpp"

namespace farlane::kmodtest {
namespace {

using Clock = std::chrono::steady_clock;
using Random = std::mt19937_64;

constexpr std::uint64_t kNowhere[] = {
    0, 1, 0x1000, 0x7fffffffe000, 0x8000000000000000, 0xffff888000000000, 0xffffffff81000000, ~0ULL};

std::uint64_t below(Random& random, std::uint64_t n) {
    return random() % n;
}
bool chance(Random& random, unsigned one_in) {
    return below(random, one_in) == 0;
}
/// Numbers near the limits more often than others.
std::uint32_t odd_number(Random& random) {
    static constexpr std::uint32_t kOdd[] = {0,    1,    2,     63,         64,         65,  4095,
                                             4096, 4097, 65536, 0x7fffffff, 0x80000000, ~0U, ~1U};
    if (chance(random, 2)) return kOdd[below(random, std::size(kOdd))];
    return static_cast<std::uint32_t>(random() >> below(random, 33));
}

/// Changes some bytes of anything.
template <class T>
void mutate(Random& random, T& what) {
    auto* bytes = reinterpret_cast<std::uint8_t*>(&what);
    for (auto n = below(random, 4); n > 0; --n) {
        const auto at = below(random, sizeof what);
        if (chance(random, 2)) {
            bytes[at] = static_cast<std::uint8_t>(random());
        } else {
            const auto word = odd_number(random);
            std::memcpy(bytes + std::min<std::size_t>(at & ~3ULL, sizeof what - 4), &word, sizeof word);
        }
    }
}

/// What all lives did together, in memory that they share.
struct Tally {
    std::atomic<std::uint64_t> calls = 0, functions = 0, nodes = 0, copies = 0, answers = 0;
};
Tally* const tally = [] {
    void* at = ::mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) fail("mmap");
    return new (at) Tally;
}();

/// Not under kmemleak: the kernel's AER core keeps a device for ever that goes while its error is looked at
/// (add_error_device() in drivers/pci/pcie/aer.c; nobody puts it when its registers can not be read any more).
bool reports_errors = true;

/// One function as this daemon has it; the memory stays mapped when the module has removed it.
struct Function {
    std::uint32_t id = 0;
    std::unique_ptr<Channel> channel;
    std::uint32_t tail = 0, head = 0;
};

class Daemon {
public:
    Daemon(std::uint64_t seed, Clock::time_point end) : random_(seed), end_(end) {}

    void run() {
        (void)control_.become(static_cast<std::uint8_t>(1 + below(random_, 2)), 200);
        take_over();
        for (auto n = below(random_, 4); n > 0; --n) add();
        std::vector<std::thread> threads;
        threads.emplace_back([this, seed = random_()] { ioctls(Random(seed)); });
        threads.emplace_back([this, seed = random_()] { dma(Random(seed)); });
        for (Function& f : functions_) threads.emplace_back([this, &f, seed = random_()] { rings(f, Random(seed)); });
        for (std::thread& t : threads) t.join();
    }

private:
    [[nodiscard]] bool over() const { return Clock::now() >= end_; }

    /// The module may have removed it already: then there is nothing to map.
    void remember(std::uint32_t id, std::uint64_t offset, std::uint64_t bytes, Sizes sizes) {
        Function f;
        f.id = id;
        f.channel = std::make_unique<Channel>(control_, offset, bytes, sizes);
        if (!f.channel->valid()) return;
        ++tally->functions;
        f.tail = Channel::load(f.channel->header().submit.tail);
        f.head = Channel::load(f.channel->header().complete.head);
        functions_.push_back(std::move(f));
    }

    void take_over() {
        fl_ioc_function_get g{};
        for (std::uint32_t index = 0;; ++index) {
            g = fl_ioc_function_get{};
            g.bytes = sizeof g;
            g.index = index;
            if (control_.call(FL_IOC_FUNCTION_GET, g) != 0) break;
            if (g.state != FL_FUNCTION_ORPHANED || chance(random_, 3)) continue;
            fl_ioc_function_recover r{sizeof r, g.function_id, chance(random_, 2) ? bell_ : -1, 0};
            // The grace may end at any time.
            if (control_.call(FL_IOC_FUNCTION_RECOVER, r) != 0) continue;
            remember(g.function_id, g.mmap_offset, g.channel_bytes,
                     Sizes{g.submit_entries, g.complete_entries, g.staging_bytes});
        }
    }

    void add() {
        auto config = plain_config();
        if (chance(random_, 3)) mutate(random_, config);
        if (chance(random_, 3)) {  // a driver may come: NVMe
            config[0x09] = 0x02;
            config[0x0a] = 0x08;
            config[0x0b] = 0x01;
        }
        fl_ioc_function_add a = make_add("h" + std::to_string(below(random_, 8)), config.data(), bell_,
                                         Sizes{64U << below(random_, 6), 64U << below(random_, 6),
                                               static_cast<std::uint32_t>(below(random_, 4)) * 65536});
        if (chance(random_, 2)) a.flags = 0;
        // Too long ones are refused: CPUs wait for what never comes.
        a.completion_timeout_ms =
            chance(random_, 8) ? odd_number(random_) : 1 + static_cast<std::uint32_t>(below(random_, 50));
        if (chance(random_, 4)) mutate(random_, a);
        if (control_.call(FL_IOC_FUNCTION_ADD, a) != 0) return;
        remember(a.function_id, a.mmap_offset, a.channel_bytes,
                 Sizes{a.submit_entries, a.complete_entries, a.staging_bytes});
    }

    // --- rings

    /// An answer that is nearly right: to something that was asked, or to something that could be.
    fl_slot answer(Function& f, Random& random) {
        fl_slot asked;
        std::memcpy(&asked, &f.channel->submit(f.tail++), sizeof asked);
        fl_slot slot{};
        slot.tlp.family = FL_FAMILY_TLP;
        slot.tlp.type = chance(random, 4) ? FL_TLP_CPL : FL_TLP_CPLD;
        slot.tlp.length_bytes.set(chance(random, 8) ? static_cast<std::uint16_t>(odd_number(random))
                                                    : asked.tlp.length_bytes.get());
        slot.cookie = asked.cookie + (chance(random, 4) ? 512 * below(random, 3) + below(random, 2) : 0);
        slot.status = chance(random, 8) ? odd_number(random) : 0;
        for (std::uint8_t& b : slot.u.payload) b = static_cast<std::uint8_t>(random());
        return slot;
    }

    void lie(Function& f, Random& random) {
        fl_channel& h = f.channel->header();
        std::uint32_t* const words[] = {
            &h.submit.head,   &h.submit.tail,       &h.submit.released,   &h.submit.sleeping, &h.complete.head,
            &h.complete.tail, &h.complete.released, &h.complete.sleeping, &h.submit_offset,   &h.complete_entries};
        std::uint32_t& word = *words[below(random, std::size(words))];
        Channel::store(
            word, chance(random, 2) ? odd_number(random) : word + static_cast<std::uint32_t>(below(random, 5)) - 2);
    }

    void rings(Function& f, Random random) {
        const std::uint32_t entries = f.channel->sizes().submit;
        const bool liar = chance(random, 2);
        while (!over()) {
            fl_channel& h = f.channel->header();
            if (!liar) {  // answers, some of them wrong: requests go on for long
                if (Channel::load(h.submit.head) - f.tail - 1 < entries) {
                    f.channel->complete(f.head) = answer(f, random);
                    ++tally->answers;
                    Channel::store(h.complete.head, ++f.head);
                    Channel::store(h.submit.released, f.tail);
                }
                continue;
            }
            if (chance(random, 64)) lie(f, random);
            if (chance(random, 4)) {
                fl_slot slot = answer(f, random);
                mutate(random, slot);
                f.channel
                    ->base()[FL_CHANNEL_HEADER_BYTES + below(random, f.channel->bytes() - FL_CHANNEL_HEADER_BYTES)] =
                    static_cast<std::byte>(random());
                std::memcpy(
                    f.channel->base() + FL_CHANNEL_HEADER_BYTES +
                        below(random, (f.channel->bytes() - FL_CHANNEL_HEADER_BYTES) / sizeof slot) * sizeof slot,
                    &slot, sizeof slot);
            }
            if (chance(random, 1024)) std::this_thread::yield();
        }
    }

    // --- ioctls

    [[nodiscard]] std::uint32_t some_id(Random& random) const {
        if (functions_.empty() || chance(random, 8)) return odd_number(random);
        return functions_[below(random, functions_.size())].id;
    }

    std::uint64_t some_address(Random& random, void* good) {
        return chance(random, 4) ? kNowhere[below(random, std::size(kNowhere))]
                                 : reinterpret_cast<std::uintptr_t>(good);
    }

    template <class T>
    void send(Random& random, unsigned long number, T what, bool spoil = true) {
        what.bytes = sizeof what;
        if (spoil && chance(random, 3)) mutate(random, what);
        (void)control_.call(number, what);
        ++tally->calls;
    }

    void ioctls(Random random) {
        std::array<std::uint8_t, 4096> junk{};
        while (!over()) {
            switch (below(random, 12)) {
                case 0: send(random, FL_IOC_INFO, fl_ioc_info{}); break;
                case 1:
                    send(random, FL_IOC_INTERRUPT,
                         fl_ioc_interrupt{0, some_id(random), odd_number(random), 0, random()});
                    break;
                case 2: send(random, FL_IOC_FUNCTION_GET, fl_ioc_function_get{}); break;
                case 3:
                    send(random, FL_IOC_FUNCTION_RECOVER, fl_ioc_function_recover{0, some_id(random), bell_, 0});
                    break;
                case 4:
                    send(random, FL_IOC_FUNCTION_STATE,
                         fl_ioc_function_state{0, some_id(random), odd_number(random) % 5, 0});
                    break;
                case 5:
                    if (reports_errors)
                        send(random, FL_IOC_ERROR,
                             fl_ioc_error{0, some_id(random), odd_number(random) % 4, odd_number(random)});
                    break;
                case 6: send(random, FL_IOC_POKE, fl_ioc_poke{0, some_id(random)}); break;
                case 7:
                    if (chance(random, 32))
                        send(random, FL_IOC_FUNCTION_REMOVE,
                             fl_ioc_function_remove{0, some_id(random),
                                                    chance(random, 2) ? std::uint32_t{FL_REMOVE_SURPRISE} : 0, 0});
                    break;
                case 8: {  // any number, any memory
                    for (std::uint8_t& b : junk) b = static_cast<std::uint8_t>(random());
                    const unsigned long number = chance(random, 2) ? (random() & 0xffffff00) | below(random, 0x30)
                                                                   : _IOC(_IOC_READ | _IOC_WRITE, FL_IOCTL_TYPE,
                                                                          below(random, 0x30), below(random, 512));
                    (void)::ioctl(control_.fd(), number, some_address(random, junk.data()));
                    break;
                }
                case 9: map_anything(random); break;
                case 10: send(random, FL_IOC_DAEMON_OPEN, fl_ioc_daemon_open{}); break;
                default: nodes(random); break;
            }
        }
    }

    void map_anything(Random& random) {
        const std::uint64_t offset =
            (std::uint64_t{some_id(random)} << 32) + (chance(random, 3) ? odd_number(random) & ~4095ULL : 0);
        const std::size_t bytes = ((odd_number(random) & 0xffffff) | 1) + (chance(random, 8) ? 1ULL << 26 : 0);
        void* at = ::mmap(nullptr, bytes, chance(random, 3) ? PROT_READ : PROT_READ | PROT_WRITE,
                          chance(random, 4) ? MAP_PRIVATE : MAP_SHARED, control_.fd(), static_cast<off_t>(offset));
        if (at == MAP_FAILED) return;
        // All of it is there, or the kernel ends this process here.
        for (std::size_t i = 0; i < bytes; i += 4096) (void)*(static_cast<volatile std::uint8_t*>(at) + i);
        ::munmap(at, bytes);
    }

    /// As an application, beside all the rest; what it maps is its own and of no use to anybody.
    void nodes(Random& random) {
        const std::string path = "/dev/farlane/h" + std::to_string(below(random, 8));
        const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        if (fd < 0) return;
        ++tally->nodes;
        fl_ioc_channel_create create{
            sizeof create, 64U << below(random, 4), 64U << below(random, 4), 65536, bell_, 0, 0};
        if (chance(random, 4)) mutate(random, create);
        (void)::ioctl(fd, FL_IOC_CHANNEL_CREATE, &create);
        for (auto n = below(random, 16); n > 0; --n) application(random, fd);
        ::close(fd);
        fl_ioc_channel_get get{sizeof get, some_id(random), 0, 0, 0, 0, 0, 0, 0, 0};
        if (control_.call(FL_IOC_CHANNEL_GET, get) != 0) return;
        send(random, FL_IOC_CHANNEL_RELEASE, fl_ioc_channel_release{0, get.function_id, get.generation, 0});
    }

    void application(Random& random, int fd) {
        std::array<std::uint8_t, 512> junk{};
        fl_ioc_map map{sizeof map, 1 + static_cast<std::uint32_t>(below(random, 3)),
                       some_address(random, arena_.data()),
                       chance(random, 4) ? random() | 1ULL << 40 : 1 + below(random, arena_.size()), 0};
        fl_ioc_interrupt_fd vector{sizeof vector, odd_number(random) % 300, bell_, 0};
        switch (below(random, 4)) {
            case 0: (void)::ioctl(fd, FL_IOC_MAP, &map); break;
            case 1: (void)::ioctl(fd, FL_IOC_INTERRUPT_FD, &vector); break;
            case 2: {
                fl_ioc_unmap unmap{sizeof unmap, 0, (4ULL << 30) + (below(random, 4096) << 12)};
                (void)::ioctl(fd, FL_IOC_UNMAP, &unmap);
                break;
            }
            default:
                for (std::uint8_t& b : junk) b = static_cast<std::uint8_t>(random());
                junk[0] = static_cast<std::uint8_t>(below(random, 96));
                junk[1] = junk[2] = junk[3] = 0;
                (void)::ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, FL_IOCTL_TYPE, below(random, 0x30), below(random, 128)),
                              some_address(random, junk.data()));
        }
    }

    void dma(Random random) {
        std::vector<std::uint8_t> memory(8192);
        std::vector<fl_dma_op> ops(FL_DMA_MAX_OPS);
        while (!over()) {
            const std::size_t count = 1 + below(random, chance(random, 4) ? FL_DMA_MAX_OPS : 4);
            for (std::size_t i = 0; i < count; ++i) {
                fl_dma_op& op = ops[i];
                op = fl_dma_op{};
                op.iova = chance(random, 4)
                              ? random() >> below(random, 64)
                              : (0xffffffffULL - (below(random, 1 << 22))) & ~(chance(random, 2) ? 4095ULL : 0);
                op.address = some_address(random, memory.data() + below(random, 4096));
                op.length_bytes =
                    chance(random, 4) ? odd_number(random) : 1 + static_cast<std::uint32_t>(below(random, 4096));
                op.kind = 1 + static_cast<std::uint32_t>(below(random, 5));
                if (chance(random, 4)) mutate(random, op);
                op.address = some_address(random, memory.data() + below(random, 4096));
            }
            fl_ioc_dma_copy c{};
            c.function_id = some_id(random);
            c.count = chance(random, 16) ? odd_number(random) : static_cast<std::uint32_t>(count);
            if (chance(random, 8)) mutate(random, c);
            // The module writes where it is told to: only there where nothing of this program is.
            c.ops = some_address(random, ops.data());
            send(random, FL_IOC_DMA_COPY, c, false);
            ++tally->copies;
        }
    }

    Random random_;
    Clock::time_point end_;
    Control control_;
    int bell_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    std::vector<Function> functions_;
    std::vector<std::uint8_t> arena_ = std::vector<std::uint8_t>(1 << 20);  ///< what it maps as an application
};

/// A life of a daemon, ended by -9 somewhere in it or by itself; longer where the kernel is slower.
void one_life(std::uint64_t seed, Clock::time_point end, unsigned slower) {
    Random random(seed);
    const auto life = std::chrono::milliseconds(slower * (1 + below(random, 700)));
    const pid_t child = ::fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        const bool alone = chance(random, 4);
        Daemon(random(), std::min(end, Clock::now() + (alone ? life : 10 * life))).run();
        std::_Exit(0);
    }
    std::this_thread::sleep_for(life);
    (void)::kill(child, SIGKILL);
    int status = 0;
    (void)::waitpid(child, &status, 0);
    // SIGSEGV is its own doing: the module writes answers wherever it says. SIGBUS is a mapping
    // that ends before its size.
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS) {
        std::fprintf(stderr, "FAIL seed %llu: a mapping was shorter than granted\n",
                     static_cast<unsigned long long>(seed));
        std::exit(1);
    }
}

/// After all of it a polite daemon is served.
void check_service() {
    const Control control;
    if (const int kept = control.become(9); kept < 0) {
        errno = -kept;
        fail("afterwards: DAEMON_OPEN");
    }
    const auto config = plain_config();
    fl_ioc_function_add a = make_add("polite", config.data(), -1, Sizes{});
    if ((errno = control.call(FL_IOC_FUNCTION_ADD, a)) != 0) fail("afterwards: FUNCTION_ADD");
    const Channel channel(control, a.mmap_offset, a.channel_bytes, Sizes{});
    if (!channel.valid() || channel.header().magic != FL_CHANNEL_MAGIC ||
        channel.header().submit_entries != a.submit_entries)
        fail("afterwards: the channel");
    fl_ioc_function_remove r{sizeof r, a.function_id, 0, 0};
    if ((errno = control.call(FL_IOC_FUNCTION_REMOVE, r)) != 0) fail("afterwards: FUNCTION_REMOVE");
}

unsigned long long count(const std::atomic<std::uint64_t>& n) {
    return n.load();
}

}  // namespace
}  // namespace farlane::kmodtest

int main(int argc, char** argv) {
    using namespace farlane::kmodtest;
    const unsigned long slower = argc == 4 ? std::strtoul(argv[3], nullptr, 0) : 1;
    if (argc < 2 || argc > 4 || slower < 1 || slower > 100) {
        std::fprintf(stderr, "usage: hostile SECONDS [SEED|0 [TIMES-SLOWER]], seed 0: any; slower: a debug kernel\n");
        return 2;
    }
    reports_errors = slower == 1;
    const std::uint64_t given = argc >= 3 ? std::strtoull(argv[2], nullptr, 0) : 0;
    const std::uint64_t seed = given != 0 ? given : std::random_device{}();
    std::printf("hostile: seed %llu\n", static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    const auto end = Clock::now() + std::chrono::seconds(std::strtoul(argv[1], nullptr, 0));
    Random random(seed);
    unsigned lives = 0;
    for (; Clock::now() < end; ++lives) one_life(random(), end, static_cast<unsigned>(slower));
    check_service();
    std::printf(
        "hostile: %u daemons lived and died; %llu functions, %llu nodes opened, %llu calls, %llu copies, "
        "%llu answers\n",
        lives, count(tally->functions), count(tally->nodes), count(tally->calls), count(tally->copies),
        count(tally->answers));
    return 0;
}
