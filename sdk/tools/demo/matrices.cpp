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

using Matrix = std::vector<float>;

Matrix random_matrix(std::size_t elements, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> d(-1, 1);
    Matrix m(elements);
    for (float& f : m) f = d(random);
    return m;
}

std::vector<double> row_norms(const Matrix& m, std::size_t n, bool columns) {
    std::vector<double> norms(n, 0);
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) norms[columns ? j : i] += static_cast<double>(m[i * n + j]) * m[i * n + j];
    }
    for (double& v : norms) v = std::sqrt(v);
    return norms;
}

/// Row i of A * B in double precision, from the definition.
void reference_row(const Matrix& a, const Matrix& b, std::size_t n, std::size_t i, std::vector<double>& row) {
    std::fill(row.begin(), row.end(), 0);
    for (std::size_t k = 0; k < n; ++k) {
        const double factor = a[i * n + k];
        for (std::size_t j = 0; j < n; ++j) row[j] += factor * static_cast<double>(b[k * n + j]);
    }
}

}  // namespace

void multiply_matrices(accel::Context& context, std::uint32_t size, Report& report) {
    const std::size_t n = size;
    const Matrix a = random_matrix(n * n, 1), b = random_matrix(n * n, 2);
    Matrix c(n * n);
    auto& stream = context.stream();
    report.progress("multiplying matrices", 0);
    const Stopwatch time;
    const auto da = context.allocate<float>(n * n), db = context.allocate<float>(n * n);
    const auto dc = context.allocate<float>(n * n);
    accel::Event begin = context.create_event(), end = context.create_event();
    stream.upload(da, a);
    stream.upload(db, b);
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
    std::vector<double> row(n);
    for (std::size_t i = 0; i < n; ++i) {
        if (i % 64 == 0) report.progress("checking the product", static_cast<double>(i) / static_cast<double>(n));
        reference_row(a, b, n, i, row);
        for (std::size_t j = 0; j < n; ++j) {
            const double error = std::fabs(c[i * n + j] - row[j]);
            const double allowed = unit * a_norms[i] * b_norms[j];
            if (!(error <= allowed)) {
                throw Error(Status::compare, "matrix product: element " + std::to_string(i) + "," + std::to_string(j) +
                                                 " is " + std::to_string(c[i * n + j]) + ", the reference says " +
                                                 std::to_string(row[j]));
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
