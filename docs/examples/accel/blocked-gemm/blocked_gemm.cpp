// SPDX-License-Identifier: Apache-2.0
// Receives: a size. Hands on: the product of two matrices that are larger than the accelerator's memory; checked.
// Owns: the matrices, in host memory that the device can reach, and six blocks in device memory.
//
// What it shows: work that does not fit. Blocks go in, are multiplied and come out in three streams; events say what
// may begin when. The host only queues.
#include <algorithm>
#include <random>
#include <vector>

#include "common/run.hpp"

namespace {

using namespace farlane;
using namespace example;

/// A square matrix as blocks, each without gaps, so that a block is one transfer.
struct BlockMatrix {
    std::uint32_t blocks, side;  ///< blocks in a row; elements in a row of a block
    std::vector<accel::HostBuffer<float>> data;

    BlockMatrix(accel::Context& context, std::uint32_t n, std::uint32_t block) : blocks(n / block), side(block) {
        for (std::uint32_t i = 0; i < blocks * blocks; ++i)
            data.push_back(context.allocate_host<float>(std::size_t{block} * block));
    }
    [[nodiscard]] const accel::HostBuffer<float>& block(std::uint32_t row, std::uint32_t column) const {
        return data[row * blocks + column];
    }
    /// Small integers: then each sum is an integer below 2^24, exact in any order, and the check needs no tolerance.
    void fill(unsigned seed) {
        std::mt19937 random(seed);
        for (const auto& b : data) {
            for (float& v : b) v = static_cast<float>(random() % 9) - 4;
        }
    }
};

/// y = M * x, in integers.
std::vector<std::int64_t> times(const BlockMatrix& m, const std::vector<std::int64_t>& x) {
    std::vector<std::int64_t> y(x.size(), 0);
    for (std::size_t i = 0; i < y.size(); ++i) {
        for (std::uint32_t b = 0; b < m.blocks; ++b) {
            const float* row = &m.block(static_cast<std::uint32_t>(i / m.side), b)[i % m.side * m.side];
            for (std::size_t j = 0; j < m.side; ++j) y[i] += static_cast<std::int64_t>(row[j]) * x[b * m.side + j];
        }
    }
    return y;
}

/// Freivalds: C = A * B exactly when C x = A (B x) for every x. A wrong C passes a random x with a chance below 2^-20.
void check_product(const BlockMatrix& a, const BlockMatrix& b, const BlockMatrix& c) {
    std::mt19937 random(std::random_device{}());
    std::vector<std::int64_t> x(std::size_t{a.blocks} * a.side);
    for (auto& v : x) v = random() >> 12;
    const auto got = times(c, x), wanted = times(a, times(b, x));
    for (std::size_t i = 0; i < x.size(); ++i) {
        if (got[i] != wanted[i]) throw Error(Status::compare, "the product is wrong in row " + std::to_string(i));
    }
}

/// Two places in device memory for the same thing: one is filled while the other one is in use.
template <class T>
struct Pair {
    T of[2];
    T& operator[](std::size_t i) { return of[i % 2]; }
};

class Multiplier {
public:
    Multiplier(accel::Context& context, std::uint32_t side, bool in_turn)
        : side_(side),
          in_turn_(in_turn),
          in_(context.create_stream()),
          compute_(context.create_stream()),
          out_(context.create_stream()) {
        const std::size_t n = std::size_t{side} * side;
        for (int i = 0; i < 2; ++i) {
            a_.of[i] = context.allocate<float>(n);
            b_.of[i] = context.allocate<float>(n);
            c_.of[i] = context.allocate<float>(n);
            for (auto* events : {&loaded_, &used_, &complete_, &stored_}) events->of[i] = context.create_event();
        }
    }

    /// Queues C(row, column) = sum over k of A(row, k) * B(k, column).
    void queue(const BlockMatrix& a, const BlockMatrix& b, const BlockMatrix& c, std::uint32_t row,
               std::uint32_t column) {
        if (sums_ >= 2) compute_.wait(stored_[sums_]);  // the sum before the last one has left this place
        for (std::uint32_t k = 0; k < a.blocks; ++k, ++steps_) {
            if (steps_ >= 2) in_.wait(used_[steps_]);  // the product before the last one has read this place
            in_.upload(a_[steps_], a.block(row, k));
            in_.upload(b_[steps_], b.block(k, column));
            in_.record(loaded_[steps_]);
            if (in_turn_) in_.synchronize();

            compute_.wait(loaded_[steps_]);
            compute_.launch(accel::Gemm{.a = a_[steps_],
                                        .b = b_[steps_],
                                        .c = c_[sums_],
                                        .m = side_,
                                        .n = side_,
                                        .k = side_,
                                        .beta = k == 0 ? 0.0F : 1.0F});
            compute_.record(used_[steps_]);
            if (in_turn_) compute_.synchronize();
        }
        compute_.record(complete_[sums_]);
        out_.wait(complete_[sums_]);
        out_.download(c_[sums_], c.block(row, column));
        out_.record(stored_[sums_]);
        if (in_turn_) out_.synchronize();
        ++sums_;
    }
    /// Waits until the sum before the last one is on the host: the queues stay full meanwhile.
    void wait_for_earlier() {
        if (sums_ >= 2) stored_[sums_].synchronize();
    }

private:
    std::uint32_t side_;
    bool in_turn_;
    accel::Stream in_, compute_, out_;
    Pair<accel::Buffer<float>> a_, b_, c_;
    Pair<accel::Event> loaded_, used_;      ///< operands are there; are no longer needed
    Pair<accel::Event> complete_, stored_;  ///< a sum is complete; is on the host
    std::size_t steps_ = 0, sums_ = 0;
};

/// C = A * B; seconds it took. `in_turn`: with a wait after each transfer and each product.
double multiply(accel::Context& context, const BlockMatrix& a, const BlockMatrix& b, const BlockMatrix& c, bool in_turn,
                Report& report) {
    const Stopwatch time;
    Multiplier multiplier(context, a.side, in_turn);
    for (std::uint32_t i = 0; i < a.blocks * a.blocks; ++i) {
        multiplier.queue(a, b, c, i / a.blocks, i % a.blocks);
        multiplier.wait_for_earlier();  // only so that progress is true
        report.progress(in_turn ? "one after the other" : "overlapping",
                        static_cast<double>(i) / (a.blocks * a.blocks));
    }
    context.synchronize();
    return time.seconds();
}

void work(Run& run) {
    const std::uint32_t side = run.arguments().number("--block", 16, 4096);
    const std::uint32_t n = run.arguments().number("--size", side, 16384);
    if (n % side != 0) throw Error(Status::invalid, "--size must be a multiple of --block");

    Fabric fabric = Fabric::open(run.fabric());
    Device device = fabric.attach(run.device());
    accel::Context context(device);
    run.describe(context);

    BlockMatrix a(context, n, side), b(context, n, side), c(context, n, side);
    a.fill(1);
    b.fill(2);
    // First as one would not do it, to see what streams are good for; the second product is the one that is checked.
    const double in_turn_seconds = multiply(context, a, b, c, true, run.report());
    for (const auto& block : c.data) std::fill(block.begin(), block.end(), 0.0F);
    const double seconds = multiply(context, a, b, c, false, run.report());
    const auto memory_bytes = static_cast<double>(context.properties().memory_bytes);

    run.report().progress("checking the product", 1);
    check_product(a, b, c);
    const double size = n, flops = 2 * size * size * size;
    const double matrices = 3 * size * size * sizeof(float), moved = (2 * a.blocks + 1) * size * size * sizeof(float);
    run.report().result("product",
                        format("%u x %u in blocks of %u in %s: %.1f GFLOP/s", n, n, side, time_text(seconds).c_str(),
                               flops / seconds * 1e-9),
                        {{"size", n}, {"block", side}, {"seconds", seconds}, {"gflops", flops / seconds * 1e-9}});
    run.report().result("overlap",
                        format("%s moved; one after the other, transfers and products take %s",
                               size_text(moved).c_str(), time_text(in_turn_seconds).c_str()),
                        {{"moved_bytes", moved}, {"in_turn_seconds", in_turn_seconds}});
    run.report().result(
        "memory",
        format("the matrices have %s, the accelerator %s; six blocks of %s were there at once",
               size_text(matrices).c_str(), size_text(memory_bytes).c_str(), size_text(4.0 * side * side).c_str()),
        {{"matrices_bytes", matrices}, {"larger_than_device", matrices > memory_bytes}});
    run.report().result("check", "C x = A (B x) for a random x, exactly (Freivalds)", {{"right", true}});
}

}  // namespace

int main(int argc, char** argv) {
    return example::run({"farlane-example-blocked-gemm",
                         "Multiplies matrices that are larger than the accelerator's memory, block by block.",
                         {{"--size", "N", "rows and columns of the matrices", "4096"},
                          {"--block", "N", "rows and columns of a block", "1024"},
                          {"--memory", "SIZE", "of the accelerator started here; a power of two from 32M", "32M"}}},
                        argc, argv, work);
}
