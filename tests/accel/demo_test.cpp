// SPDX-License-Identifier: Apache-2.0
// Receives: the steps of farlane-demo, and picture files of every kind of damage. Hands on: verdicts.
// Owns: a target with an accelerator and an NVMe.
#include <gmock/gmock.h>

#include <cstring>

#include "accel/sdk_fixture.hpp"
#include "backend/backend.hpp"
#include "demo/steps.hpp"

namespace farlane::demo {
namespace {

using ::testing::HasSubstr;

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

/// PPM text with raw samples behind it.
std::string ppm(const std::string& header, std::initializer_list<int> samples) {
    std::string file = header;
    for (const int s : samples) file += static_cast<char>(s);
    return file;
}

TEST(DemoPicture, ReadsPpm) {
    const auto raw = decode_ppm(bytes_of(ppm("P6 # a comment\n2\t1\n255\n", {1, 2, 3, 250, 251, 252})));
    ASSERT_TRUE(raw.ok()) << raw.failure().detail;
    EXPECT_EQ(raw.value().width, 2u);
    EXPECT_EQ(raw.value().pixels[0], (Rgba8{1, 2, 3, 255}));
    EXPECT_EQ(raw.value().pixels[1], (Rgba8{250, 251, 252, 255}));
    const auto wide = decode_ppm(bytes_of(ppm("P6 1 1 65535\n", {255, 255, 0, 0, 128, 0})));
    ASSERT_TRUE(wide.ok());
    EXPECT_EQ(wide.value().pixels[0], (Rgba8{255, 0, 128, 255}));
    const auto plain = decode_ppm(bytes_of("P3\n1 2 15\n15 0 # half\n 8\n3 3 3"));
    ASSERT_TRUE(plain.ok());
    EXPECT_EQ(plain.value().pixels[0], (Rgba8{255, 0, 136, 255}));
    EXPECT_EQ(plain.value().pixels[1], (Rgba8{51, 51, 51, 255}));
}

TEST(DemoPicture, RefusesDamagedPpm) {
    const std::string cases[] = {"",
                                 "P6",
                                 "P6 ",
                                 "P6 1 1",
                                 "P6 1 1 255",
                                 "P6 1 1 255\n12",
                                 "P6 0 1 255\n123",
                                 "P6 1 1 0\n123",
                                 "P6 1 1 65536\n123",
                                 "P6 70000 1 255\n123",
                                 "P6 x 1 255\n123",
                                 "P6 -1 1 255\n123",
                                 "P6 65536 65536 255\n123",
                                 "P6 30000 30000 255\n123",
                                 "P3 1 1 5\n1 2",
                                 "P3 1 1 5\n1 2 6",
                                 "P3 65000 900 255\n1",
                                 "P6 99999999999999999999 1 255\n123",
                                 "P6 1 1 255#123"};
    for (const std::string& file : cases) {
        const auto got = decode_ppm(bytes_of(file));
        ASSERT_FALSE(got.ok()) << file;
        EXPECT_THAT(got.failure().detail, HasSubstr("PPM")) << file;
    }
}

TEST(DemoPicture, PngThereAndBack) {
    const Picture picture = draw_picture(67, 41);
    const auto file = encode_png(picture);
    const auto got = decode_picture(file);
    ASSERT_TRUE(got.ok()) << got.failure().detail;
    EXPECT_EQ(got.value().width, 67u);
    EXPECT_EQ(got.value().pixels, picture.pixels);
    EXPECT_EQ(draw_picture(67, 41).pixels, picture.pixels);
}

TEST(DemoPicture, DamagedPngIsAnErrorOrAPicture) {
    const Picture original = draw_picture(20, 20);
    const auto file = encode_png(original);
    std::size_t whole = 0;
    for (std::size_t n = 0; n < file.size(); ++n) {
        const auto got = decode_picture(std::span(file).first(n));
        if (!got.ok()) continue;
        ++whole;  // only what stands behind the pixels is missing
        EXPECT_EQ(got.value().pixels, original.pixels) << n;
    }
    EXPECT_LT(whole, 32u);
    std::mt19937 random(3);
    int refused = 0;
    for (int i = 0; i < 300; ++i) {
        auto damaged = file;
        damaged[random() % damaged.size()] ^= static_cast<std::byte>(1 + random() % 255);
        refused += decode_picture(damaged).ok() ? 0 : 1;
    }
    EXPECT_GT(refused, 250);
    auto huge = file;  // IHDR says 2^31-1 x 2^31-1
    for (std::size_t i = 16; i < 24; ++i) huge[i] = std::byte{i % 4 == 0 ? std::uint8_t{0x7f} : std::uint8_t{0xff}};
    EXPECT_FALSE(decode_picture(huge).ok());
    EXPECT_EQ(decode_picture(bytes_of("GIF89a")).status(), Status::malformed);
}

TEST(DemoPicture, FilesThatAreNotThere) {
    try {
        (void)read_picture("/nonexistent/picture.png");
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.status(), Status::invalid) << "a wrong argument: exit code 2";
        EXPECT_THAT(e.what(), HasSubstr("/nonexistent/picture.png"));
        EXPECT_THAT(e.what(), HasSubstr("PNG or a PPM"));
    }
}

TEST(DemoReference, IsTheDefinition) {
    Picture one{3, 1, {{10, 0, 0, 7}, {20, 0, 0, 8}, {40, 0, 0, 9}}};
    const IntegerFilter f{{0, 0, 0, 1, 2, 1, 0, 0, 0}, 3, 2, 5};
    const Picture got = filter_reference(one, f);
    EXPECT_EQ(got.pixels[0], (Rgba8{(10 + 20 + 20 + 2) / 4 + 5, 5, 5, 7}));
    EXPECT_EQ(got.pixels[1], (Rgba8{(10 + 40 + 40 + 2) / 4 + 5, 5, 5, 8}));
}

class DemoSteps : public test::AccelSdk {
protected:
    void SetUp() override {
        AccelSdk::SetUp();
        auto nvme = backend::make_device({"nvme0", "nvme", {{"size", "16M"}}}, *memory_);
        ASSERT_TRUE(nvme.ok()) << nvme.failure().detail;
        target_->in_lane([&] { ASSERT_EQ(target_->target().add("nvme0", std::move(*nvme)).status(), Status::ok); });
    }
};

TEST_P(DemoSteps, AllOfThem) {
    Report report(true);
    const Picture picture = draw_picture(333, 222);
    accel::Context context(device_);
    const Filtered filtered = filter_picture(context, picture, report);
    EXPECT_NE(filtered.picture.pixels, picture.pixels);
    EXPECT_NE(filtered.edges.pixels, filtered.picture.pixels);
    multiply_matrices(context, 100, report);
    Device nvme = fabric_->attach("nvme0");
    store_file(nvme, encode_png(filtered.picture), "picture.png", report);
    try {
        store_file(nvme, std::vector<std::byte>(17 << 20), "big", report);
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.status(), Status::limit);
    }
}

INSTANTIATE_TEST_SUITE_P(Ports, DemoSteps,
                         ::testing::Values(test::AccelCase{"LoopCaller", "loop:d@", "loop:d@", "", Progress::caller},
                                           test::AccelCase{"UdpThread", "udp:127.0.0.1:@", "udp:127.0.0.1:0",
                                                           "127.0.0.1:@", Progress::thread}),
                         [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace farlane::demo
