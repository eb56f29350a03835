// SPDX-License-Identifier: Apache-2.0
// Built-in kernels on local memory, as source for the device, beside the same launches on the aperture, by the cpu
// executor.
#include <bit>
#include <cmath>
#include <random>

#include "accel/worker_fixture.hpp"

namespace farlane::test {
namespace {

class BuiltinLocal : public testing::Test {
protected:
    BuiltinLocal()
        : worker([] {
              auto o = worker_options();
              o.place = WorkerPlace::local;
              o.local_bytes = kBytes;
              return o;
          }()) {}
    void SetUp() override {
        worker->open(0);
        ASSERT_TRUE(worker.commit({}, worker.base(0), kBytes).ok());
        ASSERT_TRUE(worker.commit({}, worker.local_base(0), kBytes).ok());
        backend::LoadRequest request;
        request.module = 1;
        ASSERT_TRUE(worker.run([&](auto job) { return worker->load(job, request); }).ok());
    }
    /// Offset of operands; they begin where they like.
    std::uint64_t place(std::uint64_t bytes, std::uint64_t align) {
        next_ = (next_ + 63) / 64 * 64 + align;
        const std::uint64_t at = next_;
        next_ += bytes;
        EXPECT_LE(next_, kBytes);
        return at;
    }
    template <class T>
    std::uint64_t put(const std::vector<T>& data) {
        const std::uint64_t at = place(data.size() * sizeof(T), sizeof(T));
        std::memcpy(worker.at(worker.base(0) + at), data.data(), data.size() * sizeof(T));
        return at;
    }
    std::vector<float> floats(std::size_t count) {
        std::uniform_real_distribution<float> d(-1, 1);
        std::vector<float> v(count);
        for (float& f : v) f = d(random_);
        return v;
    }
    /// Runs it on both; `make` makes the arguments for memory that begins at an address. Hands on all memory of both.
    template <class Make>
    void run(const char* name, Make make) {
        ASSERT_TRUE(worker.bind({}, 1, ++kernel_, name).ok());
        ASSERT_TRUE(worker.copy({}, worker.local_base(0), worker.base(0), kBytes).ok());
        launch(make(worker.local_base(0)), true);
        launch(make(worker.base(0)), false);
        expected.resize(kBytes);
        std::memcpy(expected.data(), worker.at(worker.base(0)), kBytes);
        ASSERT_TRUE(worker.copy({}, worker.base(0), worker.local_base(0), kBytes).ok());
        got.resize(kBytes);
        std::memcpy(got.data(), worker.at(worker.base(0)), kBytes);
    }
    template <class Args>
    void launch(const Args& args, bool chains) {
        LaunchRequest request;
        request.kernel = kernel_;
        request.arguments = std::as_bytes(std::span(&args, 1));
        EXPECT_EQ(worker->chains(request), chains);
        EXPECT_TRUE(worker.launch(request).ok());
    }
    static float number(const std::vector<std::byte>& memory, std::uint64_t at) {
        float f;
        std::memcpy(&f, memory.data() + at, sizeof f);
        return f;
    }

    static constexpr std::uint64_t kBytes = 8 << 20;
    WorkerHarness worker;
    std::vector<std::byte> got, expected;
    std::mt19937 random_{5};
    std::uint64_t next_ = 0;
    std::uint32_t kernel_ = 0;
};

TEST_F(BuiltinLocal, FillCopyAndDigestsAreTheSame) {
    std::vector<std::uint8_t> data(5000);
    for (auto& b : data) b = static_cast<std::uint8_t>(random_());
    const auto from = put(data), to = place(8000, 16);
    for (const std::uint32_t size : {1U, 2U, 4U, 8U, 16U}) {
        run(FL_ACCEL_KERNEL_FILL, [&](std::uint64_t base) {
            fl_accel_args_fill a{};
            a.destination.set(base + to);
            a.count.set(333);
            a.pattern_bytes.set(size);
            for (std::uint32_t i = 0; i < size; ++i) a.pattern[i] = static_cast<__u8>(0x91 + 7 * i);
            return a;
        });
        EXPECT_EQ(got, expected) << size;
    }
    run(FL_ACCEL_KERNEL_COPY, [&](std::uint64_t base) {
        fl_accel_args_copy a{};
        a.destination.set(base + to);
        a.source.set(base + from);
        a.destination_pitch_bytes.set(130);
        a.source_pitch_bytes.set(101);
        a.row_bytes.set(77);
        a.rows.set(40);
        return a;
    });
    EXPECT_EQ(got, expected);
    for (const std::uint64_t length : {0U, 1U, 55U, 56U, 64U, 119U, 333U}) {
        run(FL_ACCEL_KERNEL_SHA256, [&](std::uint64_t base) {
            fl_accel_args_sha256 a{};
            a.destination.set(base + to);
            a.source.set(base + from);
            a.message_bytes.set(length);
            a.message_stride_bytes.set(length + 3);
            a.count.set(9);
            return a;
        });
        EXPECT_EQ(got, expected) << length;
    }
}

TEST_F(BuiltinLocal, VectorsAndMatricesAreWithinBounds) {
    const auto x = put(floats(10'001)), y = put(floats(10'001)), c = put(floats(60 * 71));
    run(FL_ACCEL_KERNEL_AXPY_F32, [&](std::uint64_t base) {
        fl_accel_args_axpy_f32 a{};
        a.x.set(base + x);
        a.y.set(base + y);
        a.count.set(10'001);
        a.a.set(std::bit_cast<std::uint32_t>(0.7F));
        return a;
    });
    for (std::uint64_t i = 0; i < 10'001; ++i)
        ASSERT_NEAR(number(got, y + 4 * i), number(expected, y + 4 * i), 2e-7) << i;
    for (const std::uint32_t operation : {FL_ACCEL_REDUCE_SUM, FL_ACCEL_REDUCE_MIN, FL_ACCEL_REDUCE_MAX}) {
        for (const std::uint64_t count : {1U, 5U, 63U, 65U, 10'001U}) {
            run(FL_ACCEL_KERNEL_REDUCE_F32, [&](std::uint64_t base) {
                fl_accel_args_reduce_f32 a{};
                a.destination.set(base + c);
                a.source.set(base + x);
                a.count.set(count);
                a.operation.set(operation);
                return a;
            });
            EXPECT_NEAR(number(got, c), number(expected, c), 1e-4) << operation << " " << count;
        }
    }
    for (std::uint32_t flags = 0; flags < 4; ++flags) {
        for (const std::uint32_t k : {0U, 1U, 45U}) {
            run(FL_ACCEL_KERNEL_GEMM_F32, [&](std::uint64_t base) {
                fl_accel_args_gemm_f32 a{};
                a.a.set(base + x);
                a.b.set(base + y);
                a.c.set(base + c);
                a.m.set(59);
                a.n.set(70);
                a.k.set(k);
                a.lda.set(77);
                a.ldb.set(78);
                a.ldc.set(71);
                a.alpha.set(std::bit_cast<std::uint32_t>(1.5F));
                a.beta.set(std::bit_cast<std::uint32_t>(flags == 3 ? 0.F : -0.5F));
                a.flags.set(flags);
                return a;
            });
            for (std::uint64_t i = 0; i < 60 * 71; ++i) {
                ASSERT_NEAR(number(got, c + 4 * i), number(expected, c + 4 * i), 2e-5) << flags << " " << k << " " << i;
            }
        }
    }
}

TEST_F(BuiltinLocal, PicturesAreTheSame) {
    std::vector<std::uint32_t> picture(40 * 31);
    for (auto& p : picture) p = static_cast<std::uint32_t>(random_());
    std::vector<std::int16_t> small(49);
    for (auto& w : small) w = static_cast<std::int16_t>(static_cast<int>(random_() % 81) - 40);
    std::vector<std::int16_t> large(961);
    for (auto& w : large) w = static_cast<std::int16_t>(random_());
    const auto heavy = put(large);
    const auto from = put(picture), weights = put(small), matrix = put(floats(40 * 31)), filter = put(floats(49));
    const auto to = place(48 * 31 * 4, 4);
    const auto set = [&](auto& a, std::uint64_t base, std::uint32_t border, std::uint64_t source, std::uint64_t w) {
        a.destination.set(base + to);
        a.source.set(base + source);
        a.weights.set(base + w);
        a.width.set(37);
        a.height.set(31);
        a.destination_pitch_bytes.set(48 * 4);
        a.source_pitch_bytes.set(40 * 4);
        a.size.set(7);
        a.border.set(border);
    };
    for (const std::uint32_t border : {FL_ACCEL_BORDER_CLAMP, FL_ACCEL_BORDER_ZERO}) {
        for (const std::uint32_t shift : {0U, 6U, 20U}) {
            run(FL_ACCEL_KERNEL_CONV2D_RGBA8, [&](std::uint64_t base) {
                fl_accel_args_conv2d_rgba8 a{};
                set(a, base, border, from, weights);
                a.shift.set(shift);
                a.bias.set(static_cast<std::uint32_t>(-3));
                a.flags.set(shift == 6 ? FL_ACCEL_CONV2D_KEEP_ALPHA : 0);
                return a;
            });
            EXPECT_EQ(got, expected) << border << " " << shift;
        }
        run(FL_ACCEL_KERNEL_CONV2D_RGBA8, [&](std::uint64_t base) {
            fl_accel_args_conv2d_rgba8 a{};
            set(a, base, border, from, heavy);
            a.size.set(31);  // 961 weights whose sums need more than 32 bits
            a.shift.set(20);
            return a;
        });
        EXPECT_EQ(got, expected) << border << " heavy";
        run(FL_ACCEL_KERNEL_CONV2D_F32, [&](std::uint64_t base) {
            fl_accel_args_conv2d_f32 a{};
            set(a, base, border, matrix, filter);
            return a;
        });
        for (std::uint64_t i = 0; i < 48 * 31; ++i) {
            ASSERT_NEAR(number(got, to + 4 * i), number(expected, to + 4 * i), 1e-5) << border << " " << i;
        }
    }
}

TEST_F(BuiltinLocal, OperandsAreOnOneSide) {
    ASSERT_TRUE(worker.bind({}, 1, 1, FL_ACCEL_KERNEL_AXPY_F32).ok());
    EXPECT_EQ(worker.bind({}, 1, 2, "farlane_fill").reason, FL_ACCEL_REASON_UNKNOWN_KERNEL);
    fl_accel_args_axpy_f32 a{};
    a.x.set(worker.base(0));
    a.y.set(worker.local_base(0));
    a.count.set(1);
    LaunchRequest request;
    request.kernel = 1;
    request.arguments = std::as_bytes(std::span(&a, 1));
    const Outcome mixed = worker.prepare(request);
    EXPECT_EQ(mixed.reason, FL_ACCEL_REASON_BAD_ADDRESS);
    EXPECT_EQ(mixed.detail, offsetof(fl_accel_args_axpy_f32, y));
}

}  // namespace
}  // namespace farlane::test
