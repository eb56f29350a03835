// SPDX-License-Identifier: Apache-2.0
// Receives: launches of kernels that are known by name. Hands on: what they do. Owns: nothing.
#include "fake.hpp"

namespace fake {
namespace {

/// Memory of a kernel, or the end of the context, as with a wild pointer.
template <class T>
T* at(std::uint64_t address, std::uint64_t count = 1) {
    auto* found = reinterpret_cast<T*>(mapped(address, count * sizeof(T)));
    if (found == nullptr) lost = kIllegalAddress;
    return found;
}

void add(const Launch& l) {
    const auto n = l.parameter<std::uint32_t>(3);
    const auto* a = at<float>(l.parameter<std::uint64_t>(0), n);
    const auto* b = at<float>(l.parameter<std::uint64_t>(1), n);
    auto* c = at<float>(l.parameter<std::uint64_t>(2), n);
    const std::uint64_t items = std::uint64_t{l.grid[0]} * l.block[0];
    for (std::uint64_t i = 0; lost == kSuccess && i < n && i < items; ++i) c[i] = a[i] + b[i];
}

/// *p grows by one when it is what it should be: launches in another order stop it.
void step(const Launch& l) {
    auto* p = at<std::uint32_t>(l.parameter<std::uint64_t>(0));
    if (p != nullptr && *p == l.parameter<std::uint32_t>(1)) ++*p;
}

/// Waits until *p is not 0.
void hold(const Launch& l) {
    auto* p = at<std::uint32_t>(l.parameter<std::uint64_t>(0));
    while (p != nullptr && lost == kSuccess && __atomic_load_n(p, __ATOMIC_ACQUIRE) == 0) std::this_thread::yield();
}

/// Sums the values of a list whose nodes are a pointer and a value.
void chase(const Launch& l) {
    std::uint64_t node = l.parameter<std::uint64_t>(0), sum = 0;
    while (node != 0) {
        const auto* n = at<std::uint64_t>(node, 2);
        if (n == nullptr) return;
        sum += n[1];
        node = n[0];
    }
    if (auto* to = at<std::uint64_t>(l.parameter<std::uint64_t>(1))) *to = sum;
}

void shape(const Launch& l) {
    auto* to = at<std::uint32_t>(l.parameter<std::uint64_t>(0), 7);
    if (to == nullptr) return;
    std::memcpy(to, l.grid, sizeof l.grid);
    std::memcpy(to + 3, l.block, sizeof l.block);
    to[6] = l.shared;
}

void wild(const Launch& l) {
    if (auto* to = at<std::uint32_t>(l.parameter<std::uint64_t>(0))) *to = 1;
}

/// As in bench/gpu/kernels.cu.
void tiny(const Launch& l) {
    if (auto* count = at<std::uint32_t>(l.parameter<std::uint64_t>(0))) ++*count;
}
void sum(const Launch& l) {
    const auto n = l.parameter<std::uint32_t>(2);
    const auto* x = at<float>(l.parameter<std::uint64_t>(0), n);
    auto* to = at<float>(l.parameter<std::uint64_t>(1));
    for (std::uint32_t i = 0; lost == kSuccess && i < n; ++i) *to += x[i];
}

/// The built-in one, as builtin/source.cpp has it.
void axpy(const Launch& l) {
    const auto count = l.parameter<std::uint64_t>(4);
    const auto* x = at<float>(l.parameter<std::uint64_t>(0) + l.parameter<std::uint64_t>(1), count);
    auto* y = at<float>(l.parameter<std::uint64_t>(2) + l.parameter<std::uint64_t>(3), count);
    for (std::uint64_t i = 0; lost == kSuccess && i < count; ++i) y[i] += l.parameter<float>(5) * x[i];
}

struct Known {
    std::vector<std::size_t> parameters;
    void (*run)(const Launch&);
};
const std::map<std::string, Known>& known() {
    static const std::map<std::string, Known> all = {
        {"add", {{8, 8, 8, 4}, add}}, {"step", {{8, 4}, step}},
        {"hold", {{8}, hold}},        {"chase", {{8, 8}, chase}},
        {"shape", {{8}, shape}},      {"wild", {{8}, wild}},
        {"endless", {{8}, hold}},     {"tiny", {{8}, tiny}},
        {"sum", {{8, 8, 4}, sum}},    {"farlane_axpy_f32", {{8, 8, 8, 8, 8, 4}, axpy}}};
    return all;
}

}  // namespace

const std::vector<std::size_t>* parameters_of(const std::string& kernel) {
    const auto it = known().find(kernel);
    return it == known().end() ? nullptr : &it->second.parameters;
}

void run(const std::string& kernel, const Launch& launch) {
    known().at(kernel).run(launch);
}

}  // namespace fake
