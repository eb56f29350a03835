// SPDX-License-Identifier: Apache-2.0
// Receives: weights, a sheet of digits and what they show. Hands on: how many the network reads right; checked.
// Owns: the network and one batch of digits in device memory.
//
// What it shows: a model that stays on the device while batches go through it: built-in matrix products and a kernel of
// one's own between them. Batches take turns in two streams, so that one is on its way while the other one is computed.
#include <algorithm>
#include <cmath>
#include <vector>

#include "common/run.hpp"
#include "inference/network.hpp"

namespace {

using namespace farlane;
using namespace example;

constexpr const char* kSource = R"CLC(
__kernel void rectify(__global float* values) {
    const size_t i = get_global_id(0);
    values[i] = fmax(values[i], 0.0f);
}
)CLC";

/// The network in device memory.
class DeviceNetwork {
public:
    DeviceNetwork(accel::Context& context, const Network& network, std::uint32_t batch) : layers_(network.layers) {
        for (const Layer& layer : layers_) {
            weights_.push_back(context.allocate<float>(layer.weights.size()));
            context.stream().upload(weights_.back(), layer.weights);
            std::vector<float> rows;  // biases of a whole batch: what the product is added to
            for (std::uint32_t i = 0; i < batch; ++i) rows.insert(rows.end(), layer.biases.begin(), layer.biases.end());
            biases_.push_back(context.allocate<float>(rows.size()));
            context.stream().upload(biases_.back(), rows);
        }
        if (context.takes(accel::ModuleKind::opencl_c)) {
            module_ = context.load(accel::ModuleKind::opencl_c, kSource, {.build = "", .name = "rectify"});
            rectify_ = module_.kernel("rectify");
        }
    }

    /// Queues layer `number`: values = in * weights + biases, for `batch` pictures.
    void launch(accel::Stream& stream, std::size_t number, const accel::Buffer<float>& in,
                const accel::Buffer<float>& out, std::uint32_t batch) const {
        const Layer& layer = layers_[number];
        stream.copy(out, biases_[number]);
        stream.launch(accel::Gemm{
            .a = in, .b = weights_[number], .c = out, .m = batch, .n = layer.outputs, .k = layer.inputs, .beta = 1});
    }
    /// Queues max(0, x) of all. Without OpenCL C the values come to the host and go back: right, but two ways over the
    /// link.
    void rectify(accel::Stream& stream, const accel::Buffer<float>& values) const {
        if (rectify_.valid()) {
            stream.launch(rectify_, {values.size()}, values);
            return;
        }
        std::vector<float> here(values.size());
        stream.download(values, here);
        for (float& v : here) v = std::max(v, 0.0F);
        stream.upload(values, here);
    }

private:
    const std::vector<Layer>& layers_;
    std::vector<accel::Buffer<float>> weights_, biases_;
    accel::Module module_;
    accel::Kernel rectify_;
};

/// What one batch needs besides the network: a stream, and the values between the layers.
struct Lane {
    accel::Stream stream;
    std::vector<accel::Buffer<float>> values;  ///< the pictures, then what each layer makes of them
    accel::HostBuffer<float> scores;

    Lane(accel::Context& context, const Network& network, std::uint32_t batch) : stream(context.create_stream()) {
        values.push_back(context.allocate<float>(std::size_t{batch} * network.layers.front().inputs));
        for (const Layer& layer : network.layers)
            values.push_back(context.allocate<float>(std::size_t{batch} * layer.outputs));
        scores = context.allocate_host<float>(values.back().size());
    }
};

/// Scores of all pictures, batch by batch. Rows that the last one does not fill are computed and not used.
std::vector<float> scores_of(accel::Context& context, const Network& network, const Digits& digits, std::uint32_t batch,
                             Report& report) {
    const DeviceNetwork on_device(context, network, batch);
    const std::size_t outputs = network.layers.back().outputs;
    Lane lanes[2] = {Lane(context, network, batch), Lane(context, network, batch)};
    accel::Event ready = context.create_event();  // weights came by the context's own stream, the lanes use them
    context.stream().record(ready);
    for (Lane& lane : lanes) lane.stream.wait(ready);

    std::vector<float> scores;
    const std::size_t batches = (digits.count + batch - 1) / batch;
    const auto take = [&](std::size_t number) {
        Lane& lane = lanes[number % 2];
        lane.stream.synchronize();
        const std::size_t rows = std::min<std::size_t>(batch, digits.count - number * batch);
        scores.insert(scores.end(), lane.scores.begin(), lane.scores.begin() + rows * outputs);
        report.progress("reading digits", static_cast<double>(number + 1) / static_cast<double>(batches));
    };
    for (std::size_t number = 0; number < batches; ++number) {
        if (number >= 2) take(number - 2);
        Lane& lane = lanes[number % 2];
        const std::size_t first = number * batch, rows = std::min<std::size_t>(batch, digits.count - first);
        lane.stream.upload(lane.values[0].part(0, rows * digits.pixels),
                           std::span(digits.pictures).subspan(first * digits.pixels, rows * digits.pixels));
        for (std::size_t i = 0; i < network.layers.size(); ++i) {
            if (i > 0) on_device.rectify(lane.stream, lane.values[i]);
            on_device.launch(lane.stream, i, lane.values[i], lane.values[i + 1], batch);
        }
        lane.stream.download(lane.values.back(), lane.scores);
    }
    for (std::size_t number = batches >= 2 ? batches - 2 : 0; number < batches; ++number) take(number);
    return scores;
}

/// Largest difference of a score from the one computed here in double precision.
double check_scores(const Network& network, const Digits& digits, const std::vector<float>& scores) {
    const std::size_t outputs = network.layers.back().outputs;
    double worst = 0;
    for (std::size_t i = 0; i < digits.count; ++i) {
        const auto wanted =
            reference_scores(network, std::span(digits.pictures).subspan(i * digits.pixels, digits.pixels));
        for (std::size_t o = 0; o < outputs; ++o) {
            const double error = std::fabs(scores[i * outputs + o] - wanted[o]);
            if (!(error <= 1e-3 * (1 + std::fabs(wanted[o]))))
                throw Error(Status::compare, "scores of digit " + std::to_string(i) + " differ from the reference");
            worst = std::max(worst, error);
        }
    }
    return worst;
}

void work(Run& run) {
    const Arguments& arguments = run.arguments();
    const Network network = read_network(arguments.text("--weights"));
    const Digits digits = read_digits(arguments.text("--digits"), arguments.text("--labels"));
    const std::uint32_t batch = arguments.number("--batch", 1, 4096);
    if (network.layers.front().inputs != digits.pixels)
        throw Error(Status::invalid,
                    arguments.text("--weights") + ": is for other pictures than " + arguments.text("--digits"));

    Fabric fabric = Fabric::open(run.fabric());
    Device device = fabric.attach(run.device());
    accel::Context context(device);
    run.describe(context);

    const Stopwatch time;
    const std::vector<float> scores = scores_of(context, network, digits, batch, run.report());
    const double seconds = time.seconds();
    const double worst = check_scores(network, digits, scores);
    std::uint32_t right = 0;
    for (std::size_t i = 0, n = network.layers.back().outputs; i < digits.count; ++i) {
        const auto first = scores.begin() + static_cast<std::ptrdiff_t>(i * n);
        const auto read = std::max_element(first, first + static_cast<std::ptrdiff_t>(n)) - first;
        right += read == digits.labels[i] ? 1 : 0;
    }
    const double accuracy = static_cast<double>(right) / digits.count;
    run.report().result("accuracy",
                        format("%u of %u held-out digits are read right: %.1f %%; %s in batches of %u", right,
                               digits.count, 100 * accuracy, time_text(seconds).c_str(), batch),
                        {{"right", right}, {"digits", digits.count}, {"accuracy", accuracy}, {"seconds", seconds}});
    // Two scores that are almost equal may change places by rounding, more can not.
    const std::uint32_t apart =
        right > network.expected_right ? right - network.expected_right : network.expected_right - right;
    if (!arguments.has("--digits") && apart > 1)
        throw Error(Status::compare, "the training read " + std::to_string(network.expected_right) + " right");
    run.report().result(
        "check", format("all %zu scores are as this host computes them, within %.0e", scores.size(), worst),
        {{"scores", scores.size()}, {"largest_error", worst}, {"expected_right", network.expected_right}});
}

}  // namespace

int main(int argc, char** argv) {
    return example::run(
        {"farlane-example-inference",
         "Reads digits by a small neural network (256-64-10) whose weights come from a file.",
         {{"--weights", "FILE", "as train.py writes it", EXAMPLE_FOLDER "/inference/weights.bin"},
          {"--digits", "FILE", "PNG: a sheet of digits", EXAMPLE_FOLDER "/inference/digits.png"},
          {"--labels", "FILE", "what they show, in lines as on the sheet", EXAMPLE_FOLDER "/inference/digits.txt"},
          {"--batch", "N", "digits at a time", "128"}}},
        argc, argv, work);
}
