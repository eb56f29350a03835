// SPDX-License-Identifier: Apache-2.0
// Receives: a fuzz target and its corpus. Hands on: the corpus replayed, then mutations of it
// for FARLANE_FUZZ_SECONDS (default 10), each to the target; a failing input is kept as a file.
// Owns: the inputs. Stands in for libFuzzer where the compiler has none.
// usage: fuzz_TARGET [DIRECTORY|FILE]...
#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "fuzz/fuzz.hpp"

extern "C" {
__attribute__((weak)) std::size_t LLVMFuzzerCustomMutator(std::uint8_t*, std::size_t, std::size_t, unsigned);
__attribute__((weak)) void __sanitizer_set_death_callback(void (*)());
}

namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::size_t kMaxInputBytes = 16384;
constexpr unsigned kBatch = 256;        // inputs between two looks at the clock
constexpr long kBatchCpuSeconds = 120;  // an input that needs this much hangs

std::mt19937_64 g_random;
const Bytes* g_current = nullptr;
char g_crash_path[256];

std::size_t pick(std::size_t below) {
    return below == 0 ? 0 : g_random() % below;
}

// Called from signal handlers: only async-signal-safe functions.
void keep_input() {
    if (g_current == nullptr) return;
    const int fd = ::open(g_crash_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0) return;
    const ssize_t written = ::write(fd, g_current->data(), g_current->size());
    ::close(fd);
    if (written < 0) return;
    constexpr std::string_view text = "fuzz: the input that failed is kept in ";
    (void)!::write(2, text.data(), text.size());
    (void)!::write(2, g_crash_path, std::strlen(g_crash_path));
    (void)!::write(2, "\n", 1);
    g_current = nullptr;
}

void on_signal(int number) {
    if (number == SIGVTALRM) {
        constexpr std::string_view text = "fuzz: an input does not come to an end\n";
        (void)!::write(2, text.data(), text.size());
    }
    keep_input();
    std::signal(number, SIG_DFL);
    ::raise(number);
}

void run_one(const Bytes& input) {
    g_current = &input;
    // A copy of exact size, so that a sanitizer sees every byte read beyond it.
    const Bytes exact(input.begin(), input.end());
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
    g_current = nullptr;
}

void restart_hang_timer() {
    const itimerval limit{{0, 0}, {kBatchCpuSeconds, 0}};
    setitimer(ITIMER_VIRTUAL, &limit, nullptr);
}

void load(const std::filesystem::path& path, std::vector<Bytes>& out) {
    if (std::filesystem::is_directory(path)) {
        std::vector<std::filesystem::path> entries;
        for (const auto& e : std::filesystem::directory_iterator(path)) entries.push_back(e.path());
        std::sort(entries.begin(), entries.end());
        for (const auto& e : entries) load(e, out);
        return;
    }
    std::ifstream in(path, std::ios::binary);
    out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

constexpr std::uint64_t kInteresting[] = {0,      1,      2,          7,          8,          16,         63,
                                          64,     127,    128,        255,        256,        4095,       4096,
                                          0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, ~0ull >> 1, ~0ull};

void overwrite_number(Bytes& b) {
    if (b.empty()) return;
    std::uint64_t value = kInteresting[pick(std::size(kInteresting))];
    const std::size_t width = std::size_t{1} << pick(4);
    const std::size_t at = pick(b.size());
    for (std::size_t i = 0; i < width && at + i < b.size(); ++i, value >>= 8)
        b[at + i] = static_cast<std::uint8_t>(value);
}

void mutate_once(Bytes& b) {
    switch (pick(8)) {
        case 0:
            if (!b.empty()) b[pick(b.size())] ^= static_cast<std::uint8_t>(1u << pick(8));
            break;
        case 1:
            if (!b.empty()) b[pick(b.size())] = static_cast<std::uint8_t>(g_random());
            break;
        case 2: overwrite_number(b); break;
        case 3:
            if (!b.empty()) b[pick(b.size())] += static_cast<std::uint8_t>(pick(2) != 0 ? 1 : 255);
            break;
        case 4: {  // insert
            const std::size_t at = pick(b.size() + 1);
            b.insert(b.begin() + static_cast<std::ptrdiff_t>(at), 1 + pick(16), static_cast<std::uint8_t>(g_random()));
            break;
        }
        case 5: {  // erase
            if (b.empty()) break;
            const std::size_t at = pick(b.size());
            const std::size_t count = std::min(b.size() - at, 1 + pick(pick(4) == 0 ? b.size() : 16));
            b.erase(b.begin() + static_cast<std::ptrdiff_t>(at), b.begin() + static_cast<std::ptrdiff_t>(at + count));
            break;
        }
        case 6: {  // copy a part over another
            if (b.size() < 2) break;
            const std::size_t from = pick(b.size()), to = pick(b.size());
            const std::size_t count = std::min({b.size() - from, b.size() - to, 1 + pick(64)});
            std::memmove(b.data() + to, b.data() + from, count);
            break;
        }
        default: {  // cut
            if (pick(4) == 0) b.resize(pick(b.size() + 1));
            break;
        }
    }
    if (b.size() > kMaxInputBytes) b.resize(kMaxInputBytes);
}

Bytes mutated(const std::vector<Bytes>& corpus) {
    Bytes b = corpus[pick(corpus.size())];
    if (pick(8) == 0) {  // splice: the front of one, the back of another
        const Bytes& other = corpus[pick(corpus.size())];
        b.resize(pick(b.size() + 1));
        const std::size_t from = pick(other.size() + 1);
        b.insert(b.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
    }
    if (LLVMFuzzerCustomMutator != nullptr && pick(4) != 0) {
        std::size_t size = std::min(b.size(), kMaxInputBytes);
        b.resize(kMaxInputBytes);
        size = LLVMFuzzerCustomMutator(b.data(), size, kMaxInputBytes, static_cast<unsigned>(g_random()));
        b.resize(std::min(size, kMaxInputBytes));
        return b;
    }
    for (std::size_t n = 1 + pick(6); n != 0; --n) mutate_once(b);
    return b;
}

long seconds_wanted() {
    const char* text = std::getenv("FARLANE_FUZZ_SECONDS");
    return text == nullptr ? 10 : std::strtol(text, nullptr, 10);
}

}  // namespace

std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size) {
    Bytes b(data, data + size);
    for (std::size_t n = 1 + pick(4); n != 0; --n) mutate_once(b);
    if (b.size() > max_size) b.resize(max_size);
    std::copy(b.begin(), b.end(), data);
    return b.size();
}

int main(int argc, char** argv) {
    const std::string name = std::filesystem::path(argv[0]).filename().string();
    std::snprintf(g_crash_path, sizeof(g_crash_path), "%s.crash", name.c_str());
    for (const int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGVTALRM}) std::signal(s, on_signal);
    if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(keep_input);

    std::vector<Bytes> corpus;
    for (int i = 1; i < argc; ++i) {
        if (!std::filesystem::exists(argv[i])) {
            std::fprintf(stderr, "%s: no such file or directory: %s\n", name.c_str(), argv[i]);
            return 3;
        }
        load(argv[i], corpus);
    }
    restart_hang_timer();
    for (const Bytes& b : corpus) run_one(b);
    const std::size_t replayed = corpus.size();
    if (corpus.empty()) corpus.emplace_back();

    const char* seed_text = std::getenv("FARLANE_FUZZ_SEED");
    const unsigned long seed = seed_text == nullptr ? 1 : std::strtoul(seed_text, nullptr, 10);
    g_random.seed(seed);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds_wanted());
    unsigned long runs = 0;
    while (std::chrono::steady_clock::now() < end) {
        restart_hang_timer();
        for (unsigned i = 0; i < kBatch; ++i, ++runs) run_one(mutated(corpus));
    }
    std::printf("%s: %zu corpus files replayed, %lu mutations, seed %lu\n", name.c_str(), replayed, runs, seed);
    return 0;
}
