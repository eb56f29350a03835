// SPDX-License-Identifier: Apache-2.0
// Receives: pictures of odd sizes. Hands on: whether every instruction set filters them as a plain
// loop over the definition does. Owns: an executor per instruction set.
#include <cmath>
#include <random>

#include "accel/test_executor.hpp"

namespace farlane::test {
namespace {

struct Picture {
    std::uint32_t width, height, size, border;
    std::uint32_t to_extra, from_extra;  ///< elements between rows
};

const Picture kPictures[] = {
    {1, 1, 1, FL_ACCEL_BORDER_CLAMP, 0, 0},   {1, 1, 31, FL_ACCEL_BORDER_ZERO, 0, 0},
    {7, 5, 3, FL_ACCEL_BORDER_CLAMP, 1, 0},   {33, 19, 5, FL_ACCEL_BORDER_ZERO, 0, 3},
    {64, 64, 7, FL_ACCEL_BORDER_CLAMP, 0, 0}, {129, 70, 9, FL_ACCEL_BORDER_CLAMP, 2, 2},
    {3, 200, 15, FL_ACCEL_BORDER_ZERO, 0, 1}, {501, 43, 3, FL_ACCEL_BORDER_CLAMP, 0, 0},
    {33, 20, 31, FL_ACCEL_BORDER_ZERO, 1, 0},
};

class AccelConv2d : public ::testing::TestWithParam<std::string> {
protected:
    AccelConv2d() : x(GetParam()) {}
    template <class Args>
    Args arguments(const Picture& p) {
        Args args{};
        args.width.set(p.width);
        args.height.set(p.height);
        args.size.set(p.size);
        args.border.set(p.border);
        args.destination_pitch_bytes.set((p.width + p.to_extra) * 4);
        args.source_pitch_bytes.set((p.width + p.from_extra) * 4);
        return args;
    }
    /// Index of the element at (x, y) of the source, or -1 where the border rule says zero.
    static std::int64_t source_index(const Picture& p, std::int64_t column, std::int64_t row) {
        const bool outside = column < 0 || row < 0 || column >= p.width || row >= p.height;
        if (outside && p.border == FL_ACCEL_BORDER_ZERO) return -1;
        column = std::clamp<std::int64_t>(column, 0, p.width - 1);
        row = std::clamp<std::int64_t>(row, 0, p.height - 1);
        return row * (p.width + p.from_extra) + column;
    }
    std::mt19937 random{11};
    TestExecutor x;
};

TEST_P(AccelConv2d, F32) {
    for (const Picture& p : kPictures) {
        x.reset();
        std::uniform_real_distribution<float> d(-1, 1);
        std::vector<float> source(std::size_t{p.height} * (p.width + p.from_extra)), weights(p.size * p.size);
        for (float& f : source) f = d(random);
        for (float& f : weights) f = d(random);
        auto args = arguments<fl_accel_args_conv2d_f32>(p);
        args.source.set(x.put(source));
        args.weights.set(x.put(weights));
        const std::size_t pitch = p.width + p.to_extra;
        args.destination.set(x.place<float>(p.height * pitch));
        ASSERT_TRUE(x.launch(FL_ACCEL_KERNEL_CONV2D_F32, args).ok());
        const auto got = x.get<float>(args.destination.get(), p.height * pitch);
        for (std::uint32_t row = 0; row < p.height; ++row) {
            for (std::size_t column = 0; column < pitch; ++column) {
                double want = 0;
                double size = 0;
                for (std::uint32_t t = 0; column < p.width && t < p.size * p.size; ++t) {
                    const std::int64_t i = source_index(p, static_cast<std::int64_t>(column + t % p.size) - p.size / 2,
                                                        std::int64_t{row} + t / p.size - p.size / 2);
                    const double v = i < 0 ? 0.0 : source[static_cast<std::size_t>(i)];
                    want += weights[t] * v;
                    size += std::fabs(weights[t] * v);
                }
                ASSERT_NEAR(got[row * pitch + column], want, size * p.size * p.size * 6e-8 + 1e-30)
                    << p.width << "x" << p.height << " " << p.size << " at " << column << "," << row;
            }
        }
    }
}

// Also where sums need more than 32 bits: 961 x 32,767 x 255.
TEST_P(AccelConv2d, Rgba8TakesWeightsOfAnySum) {
    const Picture p{16, 16, 31, FL_ACCEL_BORDER_CLAMP, 0, 0};
    for (const int weight : {4364, 4365, 32767, -32768}) {
        for (const std::uint8_t level : {std::uint8_t{1}, std::uint8_t{255}}) {
            x.reset();
            auto args = arguments<fl_accel_args_conv2d_rgba8>(p);
            args.source.set(x.place<std::uint32_t>(256));
            args.destination.set(x.place<std::uint32_t>(256));
            std::memset(x.at(args.source.get()), level, 1024);
            args.weights.set(x.put(std::vector<std::int16_t>(31 * 31, static_cast<std::int16_t>(weight))));
            args.shift.set(20);
            args.bias.set(100);
            args.flags.set(FL_ACCEL_CONV2D_KEEP_ALPHA);
            ASSERT_TRUE(x.launch(FL_ACCEL_KERNEL_CONV2D_RGBA8, args).ok());
            const std::int64_t sum = std::int64_t{961} * weight * level;
            const auto want = std::clamp<std::int64_t>(((sum + (1 << 19)) >> 20) + 100, 0, 255);
            const auto got = x.get<std::uint8_t>(args.destination.get(), 1024);
            for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], i % 4 == 3 ? level : want) << weight;
        }
    }
}

TEST_P(AccelConv2d, Rgba8IsExact) {
    for (const Picture& p : kPictures) {
        for (const std::uint32_t shift : {0u, 1u, 6u, 20u}) {
            x.reset();
            const bool keep_alpha = shift == 6;
            const std::int32_t bias = shift == 1 ? -100 : 128;
            std::vector<std::uint8_t> source(std::size_t{p.height} * (p.width + p.from_extra) * 4);
            for (auto& b : source) b = static_cast<std::uint8_t>(random());
            std::vector<std::int16_t> weights(p.size * p.size);
            // Of the largest, sums need more than 32 bits.
            const int span = shift == 20 ? (p.size == 31 ? 32000 : 4000) : 40;
            for (auto& w : weights) w = static_cast<std::int16_t>(static_cast<int>(random() % (2 * span + 1)) - span);
            auto args = arguments<fl_accel_args_conv2d_rgba8>(p);
            args.source.set((x.put(source) + 3) / 4 * 4);
            std::memcpy(x.at(args.source.get()), source.data(), source.size());
            args.weights.set(x.put(weights));
            const std::size_t pitch = (p.width + p.to_extra) * 4;
            args.destination.set(x.place<std::uint32_t>(p.height * pitch / 4));
            args.shift.set(shift);
            args.bias.set(static_cast<std::uint32_t>(bias));
            args.flags.set(keep_alpha ? FL_ACCEL_CONV2D_KEEP_ALPHA : 0);
            ASSERT_TRUE(x.launch(FL_ACCEL_KERNEL_CONV2D_RGBA8, args).ok());
            const auto got = x.get<std::uint8_t>(args.destination.get(), p.height * pitch);
            for (std::uint32_t row = 0; row < p.height; ++row) {
                for (std::size_t at = 0; at < pitch; ++at) {
                    const auto column = static_cast<std::int64_t>(at / 4);
                    std::int64_t want = 0;
                    if (column < p.width) {
                        std::int64_t sum = 0;
                        for (std::uint32_t t = 0; t < p.size * p.size; ++t) {
                            const std::int64_t i = source_index(p, column + t % p.size - p.size / 2,
                                                                std::int64_t{row} + t / p.size - p.size / 2);
                            sum +=
                                i < 0 ? 0 : std::int64_t{weights[t]} * source[static_cast<std::size_t>(i) * 4 + at % 4];
                        }
                        const std::int64_t round = shift == 0 ? 0 : std::int64_t{1} << (shift - 1);
                        want = std::clamp<std::int64_t>(((sum + round) >> shift) + bias, 0, 255);
                        if (keep_alpha && at % 4 == 3) {
                            want = source[static_cast<std::size_t>(source_index(p, column, row)) * 4 + 3];
                        }
                    }
                    ASSERT_EQ(got[row * pitch + at], want) << p.width << "x" << p.height << " " << p.size << " shift "
                                                           << shift << " at " << at << "," << row;
                }
            }
        }
    }
}

TEST_P(AccelConv2d, LimitsAreChecked) {
    const Picture p{16, 16, 31, FL_ACCEL_BORDER_CLAMP, 0, 0};
    auto args = arguments<fl_accel_args_conv2d_rgba8>(p);
    args.source.set(x.place<std::uint32_t>(256));
    args.destination.set(x.place<std::uint32_t>(256));
    std::vector<std::int16_t> weights(31 * 31, 4364);
    args.weights.set(x.put(weights));
    std::memset(x.at(args.source.get()), 255, 1024);
    args.shift.set(20);
    EXPECT_TRUE(x.launch(FL_ACCEL_KERNEL_CONV2D_RGBA8, args).ok());
    EXPECT_EQ(x.get<std::uint8_t>(args.destination.get(), 1)[0], 255);
    const auto refuses = [&](auto change, std::size_t field) {
        auto bad = args;
        change(bad);
        const auto o = x.launch(FL_ACCEL_KERNEL_CONV2D_RGBA8, bad);
        EXPECT_EQ(o.reason, FL_ACCEL_REASON_ARGUMENT_VALUE);
        EXPECT_EQ(o.detail, field);
    };
    using A = fl_accel_args_conv2d_rgba8;
    refuses([](A& a) { a.size.set(4); }, offsetof(A, size));
    refuses([](A& a) { a.size.set(33); }, offsetof(A, size));
    refuses([](A& a) { a.size.set(0); }, offsetof(A, size));
    refuses([](A& a) { a.border.set(0); }, offsetof(A, border));
    refuses([](A& a) { a.width.set(0); }, offsetof(A, width));
    refuses([](A& a) { a.width.set(FL_ACCEL_CONV2D_MAX_WIDTH + 1); }, offsetof(A, width));
    refuses([](A& a) { a.height.set(0); }, offsetof(A, height));
    refuses([](A& a) { a.shift.set(21); }, offsetof(A, shift));
    refuses([](A& a) { a.bias.set(256); }, offsetof(A, bias));
    refuses([](A& a) { a.flags.set(2); }, offsetof(A, flags));
    refuses([](A& a) { a.reserved.set(1); }, offsetof(A, reserved));
    refuses([](A& a) { a.source_pitch_bytes.set(60); }, offsetof(A, source_pitch_bytes));
    refuses([](A& a) { a.destination_pitch_bytes.set(66); }, offsetof(A, destination_pitch_bytes));
}

INSTANTIATE_TEST_SUITE_P(Isa, AccelConv2d, ::testing::ValuesIn(usable_isas()), [](const auto& p) { return p.param; });

}  // namespace
}  // namespace farlane::test
