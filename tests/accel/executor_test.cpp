// SPDX-License-Identifier: Apache-2.0
// Receives: vectors and matrices of odd sizes. Hands on: whether every instruction set computes what
// a plain loop does. Owns: an executor per instruction set.
#include <cmath>
#include <random>

#include "accel/test_executor.hpp"

namespace farlane::test {
namespace {

class AccelExecutor : public ::testing::TestWithParam<std::string> {
protected:
    AccelExecutor() : x(GetParam()) {}
    std::vector<float> floats(std::size_t n, float scale = 1.0F) {
        std::uniform_real_distribution<float> d(-scale, scale);
        std::vector<float> v(n);
        for (float& f : v) f = d(random);
        return v;
    }
    std::mt19937 random{7};
    TestExecutor x;
};

TEST_P(AccelExecutor, Fill) {
    for (const std::size_t count : {1u, 3u, 1000u, 300'001u}) {
        for (const std::uint32_t size : {1u, 2u, 4u, 8u, 16u}) {
            x.reset();
            const std::uint64_t to = (x.place<std::uint8_t>(count * size + 32) + 15) / 16 * 16;
            fl_accel_args_fill args{};
            args.destination.set(to);
            args.count.set(count);
            args.pattern_bytes.set(size);
            for (std::uint32_t i = 0; i < size; ++i) args.pattern[i] = static_cast<__u8>(0x80 + i);
            ASSERT_TRUE(x.launch(FL_ACCEL_KERNEL_FILL, args).ok());
            const auto got = x.get<std::uint8_t>(to, count * size + 1);
            for (std::size_t i = 0; i < count * size; ++i) ASSERT_EQ(got[i], 0x80 + i % size);
            EXPECT_EQ(got.back(), 0);
        }
    }
}

TEST_P(AccelExecutor, CopyOfRows) {
    struct Case {
        std::size_t rows, row_bytes, to_pitch, from_pitch;
    };
    for (const Case& c : {Case{1, 2'000'001, 2'000'001, 2'000'001}, Case{7, 13, 13, 40}, Case{500, 3001, 4000, 3001},
                          Case{3, 1, 100, 1}}) {
        x.reset();
        std::vector<std::uint8_t> source((c.rows - 1) * c.from_pitch + c.row_bytes);
        for (auto& b : source) b = static_cast<std::uint8_t>(random() | 1);
        const std::uint64_t from = x.put(source);
        const std::uint64_t to = x.place<std::uint8_t>(c.rows * c.to_pitch);
        fl_accel_args_copy args{};
        args.destination.set(to);
        args.source.set(from);
        args.destination_pitch_bytes.set(c.to_pitch);
        args.source_pitch_bytes.set(c.from_pitch);
        args.row_bytes.set(c.row_bytes);
        args.rows.set(c.rows);
        ASSERT_TRUE(x.launch(FL_ACCEL_KERNEL_COPY, args).ok());
        const auto got = x.get<std::uint8_t>(to, c.rows * c.to_pitch);
        for (std::size_t r = 0; r < c.rows; ++r) {
            for (std::size_t i = 0; i < c.to_pitch; ++i) {
                const std::uint8_t want = i < c.row_bytes ? source[r * c.from_pitch + i] : 0;
                ASSERT_EQ(got[r * c.to_pitch + i], want) << r << " " << i;
            }
        }
    }
}

TEST_P(AccelExecutor, Axpy) {
    for (const std::size_t n : {1u, 7u, 16u, 1001u, 400'003u}) {
        x.reset();
        const auto a = floats(n), b = floats(n);
        const std::uint64_t px = x.put(a), py = x.put(b);
        fl_accel_args_axpy_f32 args{};
        args.x.set(px);
        args.y.set(py);
        args.count.set(n);
        args.a = f32(0.7F);
        ASSERT_TRUE(x.launch(FL_ACCEL_KERNEL_AXPY_F32, args).ok());
        const auto got = x.get<float>(py, n + 1);
        for (std::size_t i = 0; i < n; ++i) ASSERT_NEAR(got[i], 0.7F * a[i] + b[i], 2e-7F) << i;
        EXPECT_EQ(got[n], 0.0F);
        args.y.set(px);  // the same vector on both sides
        ASSERT_TRUE(x.launch(FL_ACCEL_KERNEL_AXPY_F32, args).ok());
        EXPECT_NEAR(x.get<float>(px, 1)[0], 1.7F * a[0], 3e-7F);
    }
}

TEST_P(AccelExecutor, Reduce) {
    for (const std::size_t n : {1u, 5u, 33u, 4097u, 3'000'001u}) {
        x.reset();
        auto v = floats(n, 100.0F);
        const std::uint64_t from = x.put(v);
        const std::uint64_t to = x.place<float>(1);
        const auto reduce = [&](fl_accel_reduction operation) {
            fl_accel_args_reduce_f32 args{};
            args.destination.set(to);
            args.source.set(from);
            args.count.set(n);
            args.operation.set(operation);
            EXPECT_TRUE(x.launch(FL_ACCEL_KERNEL_REDUCE_F32, args).ok());
            return x.get<float>(to, 1)[0];
        };
        double sum = 0;
        for (const float f : v) sum += static_cast<double>(f);
        const float got = reduce(FL_ACCEL_REDUCE_SUM);
        EXPECT_NEAR(got, static_cast<float>(sum), std::fabs(sum) * 1e-7 + 1e-6) << n;
        EXPECT_EQ(got, reduce(FL_ACCEL_REDUCE_SUM)) << "not repeatable";
        EXPECT_EQ(reduce(FL_ACCEL_REDUCE_MIN), *std::min_element(v.begin(), v.end()));
        EXPECT_EQ(reduce(FL_ACCEL_REDUCE_MAX), *std::max_element(v.begin(), v.end()));
        const float nan = NAN;
        std::memcpy(x.at(from) + (n - 1) * 4, &nan, 4);
        EXPECT_TRUE(std::isnan(reduce(FL_ACCEL_REDUCE_SUM)));
        EXPECT_TRUE(std::isnan(reduce(FL_ACCEL_REDUCE_MIN)));
        EXPECT_TRUE(std::isnan(reduce(FL_ACCEL_REDUCE_MAX)));
    }
}

TEST_P(AccelExecutor, SumIsTheSameForAnyNumberOfThreads) {
    const auto v = floats(2'000'003);
    std::vector<float> results;
    for (const unsigned threads : {1u, 2u, 5u}) {
        TestExecutor other(GetParam(), threads);
        fl_accel_args_reduce_f32 args{};
        args.source.set(other.put(v));
        args.destination.set(other.place<float>(1));
        args.count.set(v.size());
        args.operation.set(FL_ACCEL_REDUCE_SUM);
        ASSERT_TRUE(other.launch(FL_ACCEL_KERNEL_REDUCE_F32, args).ok());
        results.push_back(other.get<float>(args.destination.get(), 1)[0]);
    }
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
}

struct GemmCase {
    std::uint32_t m, n, k, extra;  ///< extra: elements between rows
    bool ta, tb;
    float alpha, beta;
};

TEST_P(AccelExecutor, Gemm) {
    const GemmCase cases[] = {
        {1, 1, 1, 0, false, false, 1, 0},       {5, 3, 2, 1, false, true, 2, 0.5F},
        {13, 33, 257, 3, true, false, 1, 1},    {64, 64, 64, 0, true, true, -1, 2},
        {193, 259, 300, 5, false, false, 1, 0}, {200, 1, 511, 0, false, true, 0.5F, 1},
        {1, 500, 7, 2, true, false, 1, -1},     {31, 17, 0, 0, false, false, 1, 3},
    };
    for (const GemmCase& c : cases) {
        x.reset();
        const std::uint32_t a_rows = c.ta ? c.k : c.m, a_columns = c.ta ? c.m : c.k;
        const std::uint32_t b_rows = c.tb ? c.n : c.k, b_columns = c.tb ? c.k : c.n;
        const std::uint32_t lda = a_columns + c.extra, ldb = b_columns + c.extra, ldc = c.n + c.extra;
        const auto a = floats(std::size_t{a_rows} * lda + 1), b = floats(std::size_t{b_rows} * ldb + 1);
        auto before = floats(std::size_t{c.m} * ldc);
        if (c.beta == 0.0F) before[0] = NAN;  // C is not read
        fl_accel_args_gemm_f32 args{};
        args.a.set(x.put(a));
        args.b.set(x.put(b));
        args.c.set(x.put(before));
        args.m.set(c.m);
        args.n.set(c.n);
        args.k.set(c.k);
        args.lda.set(lda);
        args.ldb.set(ldb);
        args.ldc.set(ldc);
        args.alpha = f32(c.alpha);
        args.beta = f32(c.beta);
        args.flags.set((c.ta ? FL_ACCEL_GEMM_TRANSPOSE_A : 0) | (c.tb ? FL_ACCEL_GEMM_TRANSPOSE_B : 0));
        ASSERT_TRUE(x.launch(FL_ACCEL_KERNEL_GEMM_F32, args).ok());
        const auto got = x.get<float>(args.c.get(), before.size());
        for (std::size_t i = 0; i < c.m; ++i) {
            for (std::size_t j = 0; j < ldc; ++j) {
                if (j >= c.n) {
                    ASSERT_EQ(got[i * ldc + j], before[i * ldc + j]) << "between the rows";
                    continue;
                }
                double sum = 0;
                double size = 0;
                for (std::size_t p = 0; p < c.k; ++p) {
                    const double av = c.ta ? a[p * lda + i] : a[i * lda + p];
                    const double bv = c.tb ? b[j * ldb + p] : b[p * ldb + j];
                    sum += av * bv;
                    size += std::fabs(av * bv);
                }
                const double old = c.beta == 0.0F ? 0.0 : static_cast<double>(c.beta) * before[i * ldc + j];
                const double want = static_cast<double>(c.alpha) * sum + old;
                // docs/accelerator.md: k additions, each with half a unit in the last place
                const double allowed = (size * std::fabs(c.alpha) + std::fabs(old)) * (c.k + 4) * 6e-8 + 1e-30;
                ASSERT_NEAR(got[i * ldc + j], want, allowed) << c.m << "x" << c.n << "x" << c.k << " " << i << " " << j;
            }
        }
    }
}

std::string hex(const std::vector<std::uint8_t>& bytes) {
    std::string text;
    for (const auto b : bytes) {
        text += "0123456789abcdef"[b >> 4];
        text += "0123456789abcdef"[b & 15];
    }
    return text;
}

TEST_P(AccelExecutor, Sha256OfKnownMessages) {
    // FIPS 180-4 examples and NIST's long messages.
    const std::pair<std::string, std::string> cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {std::string(1'000'000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    for (const auto& [text, digest] : cases) {
        x.reset();
        const std::vector<std::uint8_t> message(text.begin(), text.end());
        fl_accel_args_sha256 args{};
        args.source.set(x.put(message));
        args.destination.set(x.place<std::uint8_t>(32));
        args.message_bytes.set(message.size());
        args.message_stride_bytes.set(message.size());
        args.count.set(1);
        ASSERT_TRUE(x.launch(FL_ACCEL_KERNEL_SHA256, args).ok());
        EXPECT_EQ(hex(x.get<std::uint8_t>(args.destination.get(), 32)), digest);
    }
}

TEST_P(AccelExecutor, Sha256OfManyMessagesOfEveryLength) {
    TestExecutor portable("portable");
    for (std::size_t bytes = 0; bytes < 200; bytes += 3) {
        x.reset();
        portable.reset();
        constexpr std::size_t kCount = 7;
        const std::size_t stride = bytes + 5;
        std::vector<std::uint8_t> messages(stride * kCount);
        for (auto& b : messages) b = static_cast<std::uint8_t>(random());
        const auto run = [&](TestExecutor& e) {
            fl_accel_args_sha256 args{};
            args.source.set(e.put(messages));
            args.destination.set(e.place<std::uint8_t>(32 * kCount));
            args.message_bytes.set(bytes);
            args.message_stride_bytes.set(stride);
            args.count.set(kCount);
            EXPECT_TRUE(e.launch(FL_ACCEL_KERNEL_SHA256, args).ok());
            return e.get<std::uint8_t>(args.destination.get(), 32 * kCount);
        };
        ASSERT_EQ(run(x), run(portable)) << bytes;
    }
}

TEST_P(AccelExecutor, RefusesOperandsThatOverlap) {
    const std::uint64_t p = x.place<float>(1000);
    fl_accel_args_axpy_f32 axpy{};
    axpy.x.set(p);
    axpy.y.set(p + 4);
    axpy.count.set(10);
    EXPECT_EQ(x.launch(FL_ACCEL_KERNEL_AXPY_F32, axpy).reason, FL_ACCEL_REASON_OPERAND_OVERLAP);
    fl_accel_args_reduce_f32 reduce{};
    reduce.source.set(p);
    reduce.destination.set(p + 16);
    reduce.count.set(10);
    reduce.operation.set(FL_ACCEL_REDUCE_SUM);
    EXPECT_EQ(x.launch(FL_ACCEL_KERNEL_REDUCE_F32, reduce).reason, FL_ACCEL_REASON_OPERAND_OVERLAP);
    fl_accel_args_gemm_f32 gemm{};
    gemm.a.set(p);
    gemm.b.set(p);  // inputs may be the same
    gemm.c.set(p + 60);
    for (auto* f : {&gemm.m, &gemm.n, &gemm.k, &gemm.lda, &gemm.ldb, &gemm.ldc}) f->set(4);
    EXPECT_EQ(x.launch(FL_ACCEL_KERNEL_GEMM_F32, gemm).reason, FL_ACCEL_REASON_OPERAND_OVERLAP);
    gemm.c.set(p + 64);
    EXPECT_TRUE(x.launch(FL_ACCEL_KERNEL_GEMM_F32, gemm).ok());
}

TEST_P(AccelExecutor, RefusesHugeShapes) {
    const std::uint64_t p = x.place<float>(1000);
    fl_accel_args_gemm_f32 gemm{};
    gemm.a.set(p);
    gemm.b.set(p);
    gemm.c.set(p + 1024);
    for (auto* f : {&gemm.m, &gemm.n, &gemm.k, &gemm.lda, &gemm.ldb, &gemm.ldc}) f->set(0xffffffff);
    EXPECT_EQ(x.launch(FL_ACCEL_KERNEL_GEMM_F32, gemm).reason, FL_ACCEL_REASON_BAD_ADDRESS);
    fl_accel_args_copy copy{};
    copy.destination.set(p);
    copy.source.set(p);
    copy.rows.set(~std::uint64_t{0});
    copy.row_bytes.set(8);
    copy.destination_pitch_bytes.set(~std::uint64_t{0});
    copy.source_pitch_bytes.set(8);
    EXPECT_EQ(x.launch(FL_ACCEL_KERNEL_COPY, copy).reason, FL_ACCEL_REASON_BAD_ADDRESS);
    fl_accel_args_sha256 sha{};
    sha.destination.set(p);
    sha.source.set(p);
    sha.count.set(~std::uint64_t{0} / 32 + 2);
    EXPECT_EQ(x.launch(FL_ACCEL_KERNEL_SHA256, sha).reason, FL_ACCEL_REASON_BAD_ADDRESS);
}

TEST_P(AccelExecutor, CancelEndsAJobAndTheNextOneRuns) {
    fl_accel_args_sha256 args{};
    args.source.set(x.place<std::uint8_t>(40 << 20));
    args.destination.set(x.place<std::uint8_t>(64));
    args.message_bytes.set(40 << 20);
    args.message_stride_bytes.set(40 << 20);
    args.count.set(1);
    backend::LaunchRequest request;
    ASSERT_TRUE(x.bind(FL_ACCEL_KERNEL_SHA256).ok());
    request.kernel = TestExecutor::kHandle;
    request.arguments = std::as_bytes(std::span(&args, 1));
    // The job may win the race on a busy machine, but not fifty times.
    bool cancelled = false;
    for (int i = 0; i < 50 && !cancelled; ++i) {
        ASSERT_FALSE(x.executor->launch(5, request).has_value());
        x.executor->cancel(5);
        cancelled = x.wait().reason == FL_ACCEL_REASON_EXECUTION;
    }
    EXPECT_TRUE(cancelled);
    args.message_bytes.set(0);
    EXPECT_TRUE(x.launch(FL_ACCEL_KERNEL_SHA256, args).ok());
}

INSTANTIATE_TEST_SUITE_P(Isa, AccelExecutor, ::testing::ValuesIn(usable_isas()), [](const auto& p) { return p.param; });

}  // namespace
}  // namespace farlane::test
