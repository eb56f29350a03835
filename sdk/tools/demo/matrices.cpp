// SPDX-License-Identifier: Apache-2.0
// Receives: a size. Hands on: the product of two matrices, each element checked.
// Owns: device memory for three matrices while it works.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "demo/steps.hpp"

namespace farlane::demo {
namespace {

/// Elements are integers divided by it: the reference, in integers, has no error of its own and costs no floating
/// point, which is slow in an emulated guest. Sums of 4096 products stay far (24 deviations) from 32 bits.
constexpr std::int32_t kUnit = 2048;
constexpr double kProductUnit = 1.0 / (double{kUnit} * kUnit);

using Integers = std::vector<std::int32_t>;

Integers random_matrix(std::size_t elements, unsigned seed) {
    std::mt19937 random(seed);
    Integers m(elements);
    for (auto& v : m) v = static_cast<std::int32_t>(random() % (2 * kUnit + 1)) - kUnit;
    return m;
}

std::vector<float> floats_of(const Integers& m) {
    std::vector<float> f(m.size());
    std::transform(m.begin(), m.end(), f.begin(), [](std::int32_t v) { return static_cast<float>(v) / kUnit; });
    return f;
}

std::vector<double> row_norms(const Integers& m, std::size_t n, bool columns) {
    std::vector<std::int64_t> sums(n, 0);
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) sums[columns ? j : i] += std::int64_t{m[i * n + j]} * m[i * n + j];
    }
    std::vector<double> norms(n);
    std::transform(sums.begin(), sums.end(), norms.begin(),
                   [](std::int64_t v) { return std::sqrt(static_cast<double>(v)) / kUnit; });
    return norms;
}

/// row += a[0] * (n elements of b) + a[1] * (the next n) + ... of `Rows` rows.
template <std::size_t Rows>
void add_rows(const std::int32_t* a, const std::int32_t* b, std::size_t n, std::int32_t* __restrict row) {
    for (std::size_t j = 0; j < n; ++j) {
        std::int32_t sum = row[j];
        for (std::size_t k = 0; k < Rows; ++k) sum += a[k] * b[k * n + j];
        row[j] = sum;
    }
}

/// Row i of A * B, exactly, in units of kProductUnit.
void reference_row(const Integers& a, const Integers& b, std::size_t n, std::size_t i, Integers& row) {
    constexpr std::size_t kTogether = 8;  // the row is read and written once for so many rows of B
    std::fill(row.begin(), row.end(), 0);
    std::size_t k = 0;
    for (; k + kTogether <= n; k += kTogether) add_rows<kTogether>(&a[i * n + k], &b[k * n], n, row.data());
    for (; k < n; ++k) add_rows<1>(&a[i * n + k], &b[k * n], n, row.data());
}

}  // namespace

void multiply_matrices(accel::Context& context, std::uint32_t size, Report& report) {
    const std::size_t n = size;
    const Integers a = random_matrix(n * n, 1), b = random_matrix(n * n, 2);
    const std::vector<float> a_floats = floats_of(a), b_floats = floats_of(b);
    std::vector<float> c(n * n);
    auto& stream = context.stream();
    report.progress("multiplying matrices", 0);
    const Stopwatch time;
    const auto da = context.allocate<float>(n * n), db = context.allocate<float>(n * n);
    const auto dc = context.allocate<float>(n * n);
    accel::Event begin = context.create_event(), end = context.create_event();
    stream.upload(da, a_floats);
    stream.upload(db, b_floats);
    stream.record(begin);
    stream.launch(accel::Gemm{.a = da, .b = db, .c = dc, .m = size, .n = size, .k = size});
    stream.record(end);
    stream.download(dc, c);
    const double seconds = time.seconds();
    const double kernel_seconds = std::max(1e-9, static_cast<double>(accel::elapsed(begin, end).count()) * 1e-9);

    // Error bound of a sum of k products in any order (docs/accelerator.md, "gemm_f32"), with the
    // sum of their absolute values bounded by the norms (Cauchy-Schwarz).
    const auto a_norms = row_norms(a, n, false), b_norms = row_norms(b, n, true);
    const double unit = (static_cast<double>(n) + 4) * std::ldexp(1.0, -24);
    double largest = 0;
    Integers row(n);
    for (std::size_t i = 0; i < n; ++i) {
        if (i % 64 == 0) report.progress("checking the product", static_cast<double>(i) / static_cast<double>(n));
        reference_row(a, b, n, i, row);
        for (std::size_t j = 0; j < n; ++j) {
            const double wanted = row[j] * kProductUnit;
            const double error = std::fabs(c[i * n + j] - wanted);
            const double allowed = unit * a_norms[i] * b_norms[j];
            if (!(error <= allowed)) {
                throw Error(Status::compare, "matrix product: element " + std::to_string(i) + "," + std::to_string(j) +
                                                 " is " + std::to_string(c[i * n + j]) + ", the reference says " +
                                                 std::to_string(wanted));
            }
            largest = std::max(largest, error);
        }
    }
    const double flops = 2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n);
    char detail[160];
    std::snprintf(detail, sizeof detail, " (%.1f GFLOP/s in the kernel); all %zu elements right, largest error %.1e",
                  flops / kernel_seconds * 1e-9, n * n, largest);
    report.result("matrices     " + std::to_string(n) + " x " + std::to_string(n) + " multiplied in " +
                      time_text(seconds) + detail,
                  "matrices",
                  {{"size", n},
                   {"seconds", seconds},
                   {"kernel_seconds", kernel_seconds},
                   {"largest_error", largest},
                   {"wrong_elements", 0}});
}

}  // namespace farlane::demo
