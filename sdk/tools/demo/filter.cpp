// SPDX-License-Identifier: Apache-2.0
// Receives: a picture. Hands on: the filtered one and its edges, checked pixel by pixel.
// Owns: device memory for four pictures while it works.
#include <algorithm>
#include <array>
#include <future>

#include "demo/steps.hpp"

namespace farlane::demo {
namespace {

constexpr std::size_t kUploadPixels = std::size_t{1} << 20;

/// Binomial weights, the closest integers come to a Gaussian: sigma 1.2 pixels, sum 4096.
IntegerFilter gaussian() {
    constexpr std::array<std::int16_t, 7> kRow = {1, 6, 15, 20, 15, 6, 1};
    IntegerFilter f{{}, 7, 12, 0};
    for (const auto a : kRow) {
        for (const auto b : kRow) f.weights.push_back(static_cast<std::int16_t>(a * b));
    }
    return f;
}
IntegerFilter sharpen() {
    return {{0, -1, 0, -1, 8, -1, 0, -1, 0}, 3, 2, 0};
}
IntegerFilter laplace() {
    return {{-1, -1, -1, -1, 8, -1, -1, -1, -1}, 3, 0, 128};
}

void check_picture(const Picture& got, const Picture& want, const char* what) {
    const auto wrong = std::mismatch(got.pixels.begin(), got.pixels.end(), want.pixels.begin());
    if (wrong.first == got.pixels.end()) return;
    const auto i = static_cast<std::size_t>(wrong.first - got.pixels.begin());
    throw Error(Status::compare, std::string(what) + ": pixel " + std::to_string(i % got.width) + "," +
                                     std::to_string(i / got.width) + " differs from the reference");
}

/// A filter whose weights are in device memory.
class DeviceFilter {
public:
    DeviceFilter(accel::Context& context, const IntegerFilter& filter)
        : filter_(filter), weights_(context.allocate<std::int16_t>(filter.weights.size())) {
        context.stream().upload(weights_, filter.weights);
    }
    void launch(accel::Stream& stream, const Picture& shape, const accel::Buffer<Rgba8>& in,
                const accel::Buffer<Rgba8>& out) const {
        stream.launch(accel::Conv2dRgba8{.in = in,
                                         .weights = weights_,
                                         .out = out,
                                         .width = shape.width,
                                         .height = shape.height,
                                         .size = filter_.size,
                                         .shift = filter_.shift,
                                         .bias = filter_.bias});
    }

private:
    const IntegerFilter& filter_;
    accel::Buffer<std::int16_t> weights_;
};

}  // namespace

Filtered filter_picture(accel::Context& context, const Picture& picture, Report& report) {
    auto& stream = context.stream();
    const IntegerFilter blur = gaussian(), crisp = sharpen(), edge = laplace();
    // The reference is computed here meanwhile, in a thread of its own.
    auto blurred_reference = std::async(std::launch::async, [&] { return filter_reference(picture, blur); });

    const std::size_t n = picture.pixels.size();
    const Stopwatch time;
    const auto in = context.allocate<Rgba8>(n), blurred = context.allocate<Rgba8>(n);
    const auto out = context.allocate<Rgba8>(n), edges = context.allocate<Rgba8>(n);
    const DeviceFilter device_blur(context, blur), device_crisp(context, crisp), device_edge(context, edge);
    for (std::size_t at = 0; at < n; at += kUploadPixels) {
        const std::size_t part = std::min(kUploadPixels, n - at);
        stream.upload(in.part(at, part), std::span(picture.pixels).subspan(at, part));
        report.progress("uploading the picture", static_cast<double>(at + part) / static_cast<double>(n));
    }
    accel::Event begin = context.create_event(), end = context.create_event();
    stream.record(begin);
    device_blur.launch(stream, picture, in, blurred);
    device_crisp.launch(stream, picture, blurred, out);
    device_edge.launch(stream, picture, blurred, edges);
    stream.record(end);
    report.progress("filtering", 0.5);
    Filtered result{{picture.width, picture.height, std::vector<Rgba8>(n)},
                    {picture.width, picture.height, std::vector<Rgba8>(n)}};
    stream.download(out, result.picture.pixels);
    stream.download(edges, result.edges.pixels);
    const double seconds = time.seconds();
    const double kernel_seconds = static_cast<double>(accel::elapsed(begin, end).count()) * 1e-9;

    report.progress("checking the picture", 0.3);
    const Picture reference = blurred_reference.get();
    check_picture(result.picture, filter_reference(reference, crisp), "filtered picture");
    report.progress("checking the picture", 0.7);
    check_picture(result.edges, filter_reference(reference, edge), "edges");
    report.result("picture      " + picture.size_text() + " blurred, sharpened, edges found in " + time_text(seconds) +
                      " (" + time_text(kernel_seconds) + " in kernels); every pixel equals the reference",
                  "filter",
                  {{"width", picture.width},
                   {"height", picture.height},
                   {"seconds", seconds},
                   {"kernel_seconds", kernel_seconds},
                   {"wrong_pixels", 0}});
    return result;
}

}  // namespace farlane::demo
