// SPDX-License-Identifier: Apache-2.0
// Receives: a PNG. Hands on: the same without specks and sharper, and its edges, as PNGs; every pixel checked.
// Owns: five pictures in device memory.
//
// What it shows: a chain of kernels in one stream, kernels of one's own (OpenCL C) and built-in ones mixed, without a
// wait between them. Nothing is waited for but the results.
#include <algorithm>
#include <filesystem>
#include <future>

#include "common/run.hpp"
#include "image-filter/filters.hpp"

namespace {

using namespace farlane;
using namespace example;

// A median and a sum of absolute values are no convolutions, so the built-in kernels can not do them.
constexpr const char* kSource = R"CLC(
uchar4 nearest(__global const uchar4* in, int width, int height, int x, int y) {
    return in[clamp(y, 0, height - 1) * width + clamp(x, 0, width - 1)];
}

void order(uchar4* a, uchar4* b) {
    const uchar4 low = min(*a, *b);
    *b = max(*a, *b);
    *a = low;
}

// The middle one of the nine pixels around, channel by channel: takes specks away and keeps edges.
__kernel void median(__global const uchar4* in, __global uchar4* out, int width, int height) {
    const int x = get_global_id(0), y = get_global_id(1);
    uchar4 p[9];
    for (int i = 0; i < 9; ++i) p[i] = nearest(in, width, height, x + i % 3 - 1, y + i / 3 - 1);
    for (int first = 0; first < 5; ++first)  // the five smallest, in order
        for (int i = first + 1; i < 9; ++i) order(&p[first], &p[i]);
    uchar4 result = p[4];
    result.w = in[y * width + x].w;
    out[y * width + x] = result;
}

int4 at(__global const uchar4* in, int width, int height, int x, int y) {
    return convert_int4(nearest(in, width, height, x, y));
}

__kernel void sobel(__global const uchar4* in, __global uchar4* out, int width, int height) {
    const int x = get_global_id(0), y = get_global_id(1);
    const int4 nw = at(in, width, height, x - 1, y - 1), ne = at(in, width, height, x + 1, y - 1);
    const int4 sw = at(in, width, height, x - 1, y + 1), se = at(in, width, height, x + 1, y + 1);
    const int4 gx = ne + 2 * at(in, width, height, x + 1, y) + se - nw - 2 * at(in, width, height, x - 1, y) - sw;
    const int4 gy = sw + 2 * at(in, width, height, x, y + 1) + se - nw - 2 * at(in, width, height, x, y - 1) - ne;
    uchar4 result = convert_uchar4_sat(convert_int4(abs(gx) + abs(gy)) / 2);
    result.w = in[y * width + x].w;
    out[y * width + x] = result;
}
)CLC";

const Correlation kBlur{{1, 2, 1, 2, 4, 2, 1, 2, 1}, 3, 4, 0};
const Correlation kSharpen{{0, -1, 0, -1, 8, -1, 0, -1, 0}, 3, 2, 0};
const Correlation kLaplace{{-1, -1, -1, -1, 8, -1, -1, -1, -1}, 3, 0, 128};

/// A built-in convolution with its weights in device memory.
class Convolution {
public:
    Convolution(accel::Context& context, const Correlation& filter)
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
    const Correlation& filter_;
    accel::Buffer<std::int16_t> weights_;
};

struct Pictures {
    Picture clean, sharp, edges;
};

struct Filtered {
    Pictures pictures;
    double seconds = 0, kernel_seconds = 0;
};

Filtered filter_on_device(accel::Context& context, const Picture& picture, bool own_kernels, Report& report) {
    accel::Stream& stream = context.stream();
    const std::size_t n = picture.pixels.size();
    const Stopwatch time;
    const auto in = context.allocate<Rgba8>(n), clean = context.allocate<Rgba8>(n), sharp = context.allocate<Rgba8>(n),
               edges = context.allocate<Rgba8>(n);
    const Convolution blur(context, kBlur), sharpen(context, kSharpen), laplace(context, kLaplace);
    accel::Event begin = context.create_event(), end = context.create_event();

    // From here to the downloads every call returns at once: the device compiles while the picture is on its way.
    accel::Module module;
    if (own_kernels) module = context.load(accel::ModuleKind::opencl_c, kSource, {.build = "", .name = "filters"});
    const auto launch_own = [&](const char* kernel, const auto& from, const auto& to) {
        stream.launch(module.kernel(kernel), {{picture.width, picture.height}}, from, to,
                      static_cast<std::int32_t>(picture.width), static_cast<std::int32_t>(picture.height));
    };
    stream.upload(in, picture.pixels);
    stream.record(begin);
    own_kernels ? launch_own("median", in, clean) : blur.launch(stream, picture, in, clean);
    sharpen.launch(stream, picture, clean, sharp);
    own_kernels ? launch_own("sobel", clean, edges) : laplace.launch(stream, picture, clean, edges);
    stream.record(end);

    report.progress("filtering", 0.3);
    Filtered result;
    Pictures& out = result.pictures;
    out.clean = out.sharp = out.edges = Picture(picture.width, picture.height);
    stream.download(clean, out.clean.pixels);  // waits, for what it needs
    stream.download(sharp, out.sharp.pixels);
    stream.download(edges, out.edges.pixels);
    result.seconds = time.seconds();
    result.kernel_seconds = std::chrono::duration<double>(accel::elapsed(begin, end)).count();
    return result;
}

Pictures filter_here(const Picture& picture, bool own_kernels) {
    Pictures out;
    out.clean = own_kernels ? reference_median(picture) : reference_correlation(picture, kBlur);
    out.sharp = reference_correlation(out.clean, kSharpen);
    out.edges = own_kernels ? reference_sobel(out.clean) : reference_correlation(out.clean, kLaplace);
    return out;
}

void check(const Picture& got, const Picture& wanted, const std::string& what) {
    const auto wrong = std::mismatch(got.pixels.begin(), got.pixels.end(), wanted.pixels.begin());
    if (wrong.first == got.pixels.end()) return;
    const auto i = static_cast<std::size_t>(wrong.first - got.pixels.begin());
    throw Error(Status::compare, what + ": pixel " + std::to_string(i % got.width) + "," +
                                     std::to_string(i / got.width) + " differs from the reference");
}

void work(Run& run) {
    const Arguments& arguments = run.arguments();
    const Picture picture =
        arguments.has("--picture") ? read_png(arguments.text("--picture")) : draw_noisy_picture(960, 640);
    const std::filesystem::path out = arguments.text("--out");
    check_writable(out / "image-filter-sharp.png");

    Fabric fabric = Fabric::open(run.fabric());
    Device device = fabric.attach(run.device());
    accel::Context context(device);
    run.describe(context);

    const bool own_kernels = context.takes(accel::ModuleKind::opencl_c);
    auto reference = std::async(std::launch::async, filter_here, std::cref(picture), own_kernels);  // meanwhile
    const Filtered filtered = filter_on_device(context, picture, own_kernels, run.report());
    run.report().progress("checking every pixel", 0.7);
    const Pictures wanted = reference.get();
    check(filtered.pictures.clean, wanted.clean, "without specks");
    check(filtered.pictures.sharp, wanted.sharp, "sharpened");
    check(filtered.pictures.edges, wanted.edges, "edges");

    const char* chain = own_kernels ? "median (OpenCL C), sharpen (built in), Sobel (OpenCL C)"
                                    : "blur, sharpen, Laplace (built in: this accelerator takes no OpenCL C)";
    run.report().result("filters",
                        format("%u x %u: %s; %s, %s of it in kernels", picture.width, picture.height, chain,
                               time_text(filtered.seconds).c_str(), time_text(filtered.kernel_seconds).c_str()),
                        {{"width", picture.width},
                         {"height", picture.height},
                         {"opencl_c", own_kernels},
                         {"seconds", filtered.seconds},
                         {"kernel_seconds", filtered.kernel_seconds}});
    run.report().result("check",
                        format("all %zu pixels of 3 pictures are as this host computes them", picture.pixels.size()),
                        {{"pixels", 3 * picture.pixels.size()}, {"wrong_pixels", 0}});
    if (!arguments.has("--picture")) write_png(out / "image-filter-input.png", picture);
    write_png(out / "image-filter-sharp.png", filtered.pictures.sharp);
    write_png(out / "image-filter-edges.png", filtered.pictures.edges);
    run.report().result("pictures",
                        (out / "image-filter-sharp.png").string() + ", " + (out / "image-filter-edges.png").string(),
                        {(out / "image-filter-sharp.png").string(), (out / "image-filter-edges.png").string()});
}

}  // namespace

int main(int argc, char** argv) {
    return example::run(
        {"farlane-example-image-filter",
         "Takes specks out of a picture, sharpens it and finds its edges on an accelerator; checks every pixel.",
         {{"--picture", "FILE", "PNG to filter; without it one is drawn", ""},
          {"--out", "FOLDER", "where the pictures go", "."}}},
        argc, argv, work);
}
