// SPDX-License-Identifier: Apache-2.0
// Receives: a CSV. Hands on: k clusters of its rows, checked, and a plot of them as a PNG.
// Owns: the points and the clusters, in device memory.
//
// What it shows: an iteration that stays on the device. The kernels count by themselves what still changes; the host
// looks at that number only now and then, so that a long link costs one round trip for many iterations.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "common/picture.hpp"
#include "common/run.hpp"
#include "kmeans/table.hpp"

namespace {

using namespace farlane;
using namespace example;

// DIMENSIONS is given when the program is built, so that the compiler can unroll.
constexpr const char* kSource = R"CLC(
__kernel void assign(__global const float* points, uint n, __global const float* centres, uint k,
                     __global uint* cluster, volatile __global uint* changes) {
    const uint i = get_global_id(0);
    if (i >= n) return;  // the last block is not full
    uint best = 0;
    float least = INFINITY;
    for (uint c = 0; c < k; ++c) {
        float distance = 0;
        for (uint d = 0; d < DIMENSIONS; ++d) {
            const float v = points[i * DIMENSIONS + d] - centres[c * DIMENSIONS + d];
            distance += v * v;
        }
        if (distance < least) { least = distance; best = c; }
    }
    if (cluster[i] != best) {
        cluster[i] = best;
        atomic_inc(changes);
    }
}

// One block per cluster. Sums are added in a fixed order, so the result is always the same; a sum by atomics is not.
__kernel void update(__global const float* points, uint n, __global const uint* cluster, __global float* centres,
                     __global uint* members, __local float* sums, __local uint* counts) {
    const uint c = get_group_id(0), me = get_local_id(0), all = get_local_size(0);
    float sum[DIMENSIONS];
    uint count = 0;
    for (uint d = 0; d < DIMENSIONS; ++d) sum[d] = 0;
    for (uint i = me; i < n; i += all) {
        if (cluster[i] != c) continue;
        for (uint d = 0; d < DIMENSIONS; ++d) sum[d] += points[i * DIMENSIONS + d];
        ++count;
    }
    for (uint d = 0; d < DIMENSIONS; ++d) sums[me * DIMENSIONS + d] = sum[d];
    counts[me] = count;
    for (uint width = all / 2; width > 0; width /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (me >= width) continue;
        for (uint d = 0; d < DIMENSIONS; ++d) sums[me * DIMENSIONS + d] += sums[(me + width) * DIMENSIONS + d];
        counts[me] += counts[me + width];
    }
    if (me != 0) return;
    members[c] = counts[0];
    if (counts[0] == 0) return;  // nobody is near: stay
    for (uint d = 0; d < DIMENSIONS; ++d) centres[c * DIMENSIONS + d] = sums[d] / counts[0];
}
)CLC";

constexpr std::uint32_t kBlock = 64;              ///< work items that share memory
constexpr std::uint32_t kIterationsTogether = 8;  ///< between two looks at what still changes

struct Clusters {
    std::vector<float> centres;
    std::vector<std::uint32_t> cluster, members;
    std::uint32_t iterations = 0;
    double seconds = 0;
};

double distance2(const Table& t, std::size_t row, const std::vector<float>& centres, std::size_t c) {
    double sum = 0;
    for (std::size_t d = 0; d < t.columns(); ++d) {
        const double v = double{t.at(row, d)} - double{centres[c * t.columns() + d]};
        sum += v * v;
    }
    return sum;
}

/// Rows to begin with: each one far from those before, with a probability that grows by its distance (k-means++).
std::vector<float> first_centres(const Table& t, std::uint32_t k, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<float> centres;
    std::vector<double> nearest(t.rows(), std::numeric_limits<double>::max());
    std::size_t row = random() % t.rows();
    while (centres.size() < k * t.columns()) {
        for (std::size_t d = 0; d < t.columns(); ++d) centres.push_back(t.at(row, d));
        double sum = 0;
        for (std::size_t i = 0; i < t.rows(); ++i) {
            nearest[i] = std::min(nearest[i], distance2(t, i, centres, centres.size() / t.columns() - 1));
            sum += nearest[i];
        }
        double at = sum * (random() / 4294967296.0);
        for (row = 0; row + 1 < t.rows() && at >= nearest[row]; ++row) at -= nearest[row];
    }
    return centres;
}

Clusters cluster_on_device(accel::Context& context, const Table& table, const std::vector<float>& first,
                           std::uint32_t most, Report& report) {
    const auto n = static_cast<std::uint32_t>(table.rows());
    const auto dimensions = static_cast<std::uint32_t>(table.columns());
    const auto k = static_cast<std::uint32_t>(first.size()) / dimensions;
    accel::Stream& stream = context.stream();
    const Stopwatch time;
    accel::Module module = context.load(accel::ModuleKind::opencl_c, kSource,
                                        {.build = "-DDIMENSIONS=" + std::to_string(dimensions), .name = "kmeans"});
    const accel::Kernel assign = module.kernel("assign"), update = module.kernel("update");
    const auto points = context.allocate<float>(table.values.size()), centres = context.allocate<float>(first.size());
    const auto cluster = context.allocate<std::uint32_t>(n), members = context.allocate<std::uint32_t>(k);
    const auto changes = context.allocate<std::uint32_t>(1);
    stream.upload(points, table.values);
    stream.upload(centres, first);
    stream.fill(cluster, 0xffffffffU);

    Clusters result{std::vector<float>(first.size()), std::vector<std::uint32_t>(n), std::vector<std::uint32_t>(k)};
    std::array<std::uint32_t, 1> changed{1};
    while (changed[0] != 0) {
        if (result.iterations >= most)
            throw Error(Status::limit,
                        "not done after " + std::to_string(most) + " iterations; --iterations allows more");
        for (std::uint32_t i = 0; i < kIterationsTogether; ++i) {
            stream.fill(changes, 0U);
            stream.launch(assign, {(n + kBlock - 1) / kBlock, kBlock}, points, n, centres, k, cluster, changes);
            stream.launch(update, {k, kBlock}, points, n, cluster, centres, members,
                          accel::SharedBytes{kBlock * dimensions * 4}, accel::SharedBytes{kBlock * 4});
        }
        result.iterations += kIterationsTogether;
        stream.download(changes, changed);  // waits: of the last iteration
        report.progress(format("%u points still move", changed[0]), 1.0 / (1 + std::sqrt(changed[0])));
    }
    stream.download(centres, result.centres);
    stream.download(cluster, result.cluster);
    stream.download(members, result.members);
    result.seconds = time.seconds();
    return result;
}

/// Done is when each row is in the cluster of the nearest centre and each centre is the mean of its rows: checked in
/// double precision, whatever way the iteration took. Returns the sum of squared distances.
double check(const Table& t, const Clusters& found) {
    const std::size_t k = found.members.size();
    std::vector<double> sums(found.centres.size(), 0);
    std::vector<std::uint32_t> members(k, 0);
    double inertia = 0;
    for (std::size_t i = 0; i < t.rows(); ++i) {
        const std::uint32_t mine = found.cluster[i];
        if (mine >= k) throw Error(Status::compare, "row " + std::to_string(i) + " is in no cluster");
        const double here = distance2(t, i, found.centres, mine);
        for (std::size_t c = 0; c < k; ++c) {
            if (distance2(t, i, found.centres, c) < here * (1 - 1e-5) - 1e-9)
                throw Error(Status::compare, "row " + std::to_string(i) + " is nearer to another centre");
        }
        inertia += here;
        ++members[mine];
        for (std::size_t d = 0; d < t.columns(); ++d) sums[mine * t.columns() + d] += t.at(i, d);
    }
    if (members != found.members) throw Error(Status::compare, "the clusters' sizes are wrong");
    for (std::size_t v = 0; v < sums.size(); ++v) {
        const double mean = sums[v] / std::max(1U, members[v / t.columns()]);
        if (members[v / t.columns()] != 0 && !(std::fabs(mean - found.centres[v]) <= 1e-4 * (1 + std::fabs(mean))))
            throw Error(Status::compare, "a centre is not the mean of its rows");
    }
    return inertia;
}

Picture plot(const Table& t, const Clusters& found) {
    constexpr std::array<Rgba8, 8> kColours = {{{0x1f, 0x77, 0xb4, 190},
                                                {0xff, 0x7f, 0x0e, 190},
                                                {0x2c, 0xa0, 0x2c, 190},
                                                {0xd6, 0x27, 0x28, 190},
                                                {0x94, 0x67, 0xbd, 190},
                                                {0x8c, 0x56, 0x4b, 190},
                                                {0xe3, 0x77, 0xc2, 190},
                                                {0x17, 0xbe, 0xcf, 190}}};
    constexpr double kSide = 640, kMargin = 24;
    Picture picture(static_cast<std::uint32_t>(kSide), static_cast<std::uint32_t>(kSide), {255, 255, 255, 255});
    const std::size_t y_column = t.columns() > 1 ? 1 : 0;
    std::array<double, 2> low{}, high{};
    for (std::size_t axis = 0; axis < 2; ++axis) {
        low[axis] = high[axis] = t.at(0, axis * y_column);
        for (std::size_t i = 0; i < t.rows(); ++i) {
            low[axis] = std::min(low[axis], double{t.at(i, axis * y_column)});
            high[axis] = std::max(high[axis], double{t.at(i, axis * y_column)});
        }
    }
    const auto place = [&](double v, std::size_t axis) {
        const double range = std::max(high[axis] - low[axis], 1e-30);
        return kMargin + (kSide - 2 * kMargin) * (v - low[axis]) / range;
    };
    for (std::size_t i = 0; i < t.rows(); ++i)
        draw_disc(picture, place(t.at(i, 0), 0), kSide - place(t.at(i, y_column), 1), 3,
                  kColours[found.cluster[i] % 8]);
    for (std::size_t c = 0; c < found.members.size(); ++c) {
        const double x = place(found.centres[c * t.columns()], 0);
        const double y = kSide - place(found.centres[c * t.columns() + y_column], 1);
        draw_disc(picture, x, y, 9, {255, 255, 255, 255});
        draw_disc(picture, x, y, 7, {0, 0, 0, 255});
    }
    return picture;
}

void work(Run& run) {
    const Arguments& arguments = run.arguments();
    const Table table = read_csv(arguments.text("--csv"), arguments.text("--columns"));
    const std::uint32_t k = arguments.number("--clusters", 1, 256), most = arguments.number("--iterations", 1, 100'000);
    if (table.rows() < k)
        throw Error(Status::invalid, format("%s: %zu rows are fewer than %u clusters; ask for less: --clusters",
                                            arguments.text("--csv").c_str(), table.rows(), k));
    if (table.columns() > 16)
        throw Error(Status::invalid, format("--columns: %zu columns; at most 16", table.columns()));
    check_writable(arguments.text("--plot"));

    Fabric fabric = Fabric::open(run.fabric());
    Device device = fabric.attach(run.device());
    accel::Context context(device);
    run.describe(context);
    need_opencl_c(context, "k-means");

    const auto first = first_centres(table, k, arguments.number("--seed", 0, 1'000'000));
    const Clusters found = cluster_on_device(context, table, first, most, run.report());
    const double inertia = check(table, found);

    auto list = nlohmann::json::array();
    for (std::size_t c = 0; c < k; ++c) {
        const auto* centre = &found.centres[c * table.columns()];
        list.push_back({{"rows", found.members[c]}, {"centre", std::vector<float>(centre, centre + table.columns())}});
    }
    run.report().result("clusters",
                        format("%zu rows in %u clusters after %u iterations, %s with building the kernels",
                               table.rows(), k, found.iterations, time_text(found.seconds).c_str()),
                        std::move(list));
    run.report().result(
        "check",
        format("every row is with its nearest centre, every centre the mean of its rows; sum of squared "
               "distances %.2f",
               inertia),
        {{"rows", table.rows()}, {"iterations", found.iterations}, {"inertia", inertia}});
    write_png(arguments.text("--plot"), plot(table, found));
    run.report().result("plot", arguments.text("--plot"), arguments.text("--plot"));
}

}  // namespace

int main(int argc, char** argv) {
    return example::run(
        {"farlane-example-kmeans",
         "Finds clusters in the rows of a CSV file (Lloyd's k-means) and plots them.",
         {{"--csv", "FILE", "first line: names; then numbers", EXAMPLE_FOLDER "/kmeans/points.csv"},
          {"--columns", "NAMES", "to cluster by, commas between them; the first two are plotted", "x,y"},
          {"--clusters", "K", "how many", "5"},
          {"--seed", "N", "of the choice of rows to begin with", "1"},
          {"--iterations", "N", "at most", "1000"},
          {"--plot", "FILE", "PNG to write", "kmeans.png"}}},
        argc, argv, work);
}
