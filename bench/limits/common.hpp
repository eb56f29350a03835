// SPDX-License-Identifier: Apache-2.0
// Receives: command lines and samples. Hands on: options, pinned processes, JSON on stdout.
// Owns: nothing. Shared by the limit programs; nothing of Farlane is used here, on purpose.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace limits {

inline std::int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

inline void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) == 0) return;
    throw std::runtime_error("cannot pin to CPU " + std::to_string(cpu) + ": " + std::strerror(errno) +
                             "; a figure without that says nothing");
}

/// "--key value" pairs with defaults; anything else prints the defaults and ends with 2.
class Options {
public:
    Options(int argc, char** argv, std::map<std::string, std::string> defaults) : values_(std::move(defaults)) {
        for (int i = 1; i < argc; i += 2) {
            const std::string key = std::strncmp(argv[i], "--", 2) == 0 ? argv[i] + 2 : "";
            if (!values_.contains(key) || i + 1 == argc) usage(argv[0]);
            values_[key] = argv[i + 1];
        }
    }
    [[nodiscard]] const std::string& text(const std::string& key) const { return values_.at(key); }
    [[nodiscard]] std::int64_t number(const std::string& key) const { return std::stoll(values_.at(key)); }

private:
    [[noreturn]] void usage(const char* program) const {
        std::fprintf(stderr, "usage: %s", program);
        for (const auto& [key, value] : values_) std::fprintf(stderr, " [--%s %s]", key.c_str(), value.c_str());
        std::fprintf(stderr, "\n");
        std::exit(2);
    }
    std::map<std::string, std::string> values_;
};

/// One flat JSON object, printed as one line.
class Json {
public:
    Json& add(const std::string& key, const std::string& value) { return raw(key, "\"" + value + "\""); }
    Json& add(const std::string& key, double value) {
        std::array<char, 32> text{};
        std::snprintf(text.data(), text.size(), "%.4g", value);
        return raw(key, text.data());
    }
    Json& percentiles(const std::string& prefix, std::vector<std::int64_t>& samples) {
        std::sort(samples.begin(), samples.end());
        const auto at = [&samples](double q) {
            const auto last = static_cast<double>(samples.size() - 1);
            return static_cast<double>(samples[static_cast<std::size_t>(q * last)]);
        };
        add(prefix + "_min_ns", at(0));
        for (const double q : {.01, .1, .25, .5, .75, .9, .95, .99, .999, .9999}) {
            std::array<char, 32> name{};
            std::snprintf(name.data(), name.size(), "_p%g_ns", q * 100);
            add(prefix + name.data(), at(q));
        }
        return *this;
    }
    void print() const { std::printf("{%s}\n", body_.c_str()); }

private:
    Json& raw(const std::string& key, const std::string& value) {
        body_ += (body_.empty() ? "\"" : ", \"") + key + "\": " + value;
        return *this;
    }
    std::string body_;
};

/// Memory that a process and its child share.
template <class T>
T* shared() {
    void* const at = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::runtime_error("mmap");
    return new (at) T();
}

/// Round trip of a cache line between two cores; prints beside every other figure, because all of
/// them move with the placement of the virtual CPUs.
std::int64_t cacheline_round_trip_ns(int cpu_a, int cpu_b);

}  // namespace limits
