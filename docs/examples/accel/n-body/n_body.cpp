// SPDX-License-Identifier: Apache-2.0
// Receives: how many bodies and steps. Hands on: two discs of stars that meet, as a PNG; energy, momentum and forces
// checked. Owns: bodies in device memory, and two pictures of them on the host.
//
// What it shows: memory shared by a block (__local tiles), and looking at a simulation while it goes on: positions are
// copied aside on the device and downloaded in a second stream, and the steps after that do not wait for it.
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <random>
#include <vector>

#include "common/picture.hpp"
#include "common/run.hpp"

namespace {

using namespace farlane;
using namespace example;

struct Float4 {
    float x = 0, y = 0, z = 0, w = 0;  ///< of a body: position and mass
};

// Every body attracts every other one. A block loads a tile of bodies once, and each of its work items uses all of it:
// memory is read once per block instead of once per work item.
constexpr const char* kSource = R"CLC(
#define TILE 64

// Half a step of velocity, and where the bodies go with it (leapfrog: symmetric in time, so energy does not run away).
__kernel void kick_drift(__global float4* body, __global float4* velocity, __global const float4* acceleration, float dt) {
    const uint i = get_global_id(0);
    const float4 v = velocity[i] + 0.5f * dt * acceleration[i];
    velocity[i] = v;
    const float mass = body[i].w;
    float4 p = body[i] + dt * v;
    p.w = mass;
    body[i] = p;
}

// Forces at the new places, and the other half of the step of velocity.
__kernel __attribute__((reqd_work_group_size(TILE, 1, 1)))
void attract_kick(__global const float4* body, __global float4* velocity, __global float4* acceleration, uint n,
                  float softening2, float dt) {
    __local float4 tile[TILE];
    const uint i = get_global_id(0), me = get_local_id(0);
    const float4 here = body[i];
    float4 a = (float4)(0);
    for (uint first = 0; first < n; first += TILE) {
        tile[me] = body[first + me];
        barrier(CLK_LOCAL_MEM_FENCE);  // the tile is there
        for (uint j = 0; j < TILE; ++j) {
            float4 r = tile[j] - here;
            const float mass = tile[j].w;
            r.w = 0;
            const float inverse = rsqrt(dot(r, r) + softening2);
            a += mass * inverse * inverse * inverse * r;
        }
        barrier(CLK_LOCAL_MEM_FENCE);  // nobody needs it any more
    }
    acceleration[i] = a;
    velocity[i] += 0.5f * dt * a;
}
)CLC";

constexpr std::uint32_t kTile = 64;  ///< as in the source
constexpr float kSoftening2 = 0.02F * 0.02F;
constexpr float kStep = 0.005F;

struct Bodies {
    std::vector<Float4> at, velocity;
};

/// Half of the mass of a disc is in its centre; its stars go around that in circles.
void add_disc(Bodies& bodies, std::size_t count, Float4 centre, Float4 drift, double tilt, std::mt19937& random) {
    const auto uniform = [&] { return (random() + 0.5) / 4294967296.0; };
    const double star = 0.5 / static_cast<double>(count - 1);
    bodies.at.push_back({centre.x, centre.y, centre.z, 0.5F});
    bodies.velocity.push_back(drift);
    for (std::size_t i = 1; i < count; ++i) {
        const double r = 0.12 + 0.88 * std::sqrt(uniform()), angle = 2 * std::numbers::pi * uniform();
        const double speed = std::sqrt((0.5 + 0.5 * r * r) / r);  // of the centre's mass and of the disc's inner part
        const double u = r * std::cos(angle), v = r * std::sin(angle), du = -speed * std::sin(angle),
                     dv = speed * std::cos(angle);
        const auto f = [](double value) { return static_cast<float>(value); };
        bodies.at.push_back(
            {centre.x + f(u), centre.y + f(v * std::cos(tilt)), centre.z + f(v * std::sin(tilt)), f(star)});
        bodies.velocity.push_back(
            {drift.x + f(du), drift.y + f(dv * std::cos(tilt)), drift.z + f(dv * std::sin(tilt)), 0});
    }
}

Bodies two_discs(std::uint32_t n) {
    std::mt19937 random(1);
    Bodies bodies;
    add_disc(bodies, n / 2, {-1.5F, -0.5F, 0}, {0.35F, 0.1F, 0}, 0.4, random);
    add_disc(bodies, n - n / 2, {1.5F, 0.5F, 0.2F}, {-0.35F, -0.1F, 0}, -0.9, random);
    return bodies;
}

using Vector = std::array<double, 3>;

/// What body i feels, in double precision.
Vector attraction(const Bodies& b, std::size_t i, double& potential) {
    Vector a{};
    for (std::size_t j = 0; j < b.at.size(); ++j) {
        const double x = double{b.at[j].x} - b.at[i].x, y = double{b.at[j].y} - b.at[i].y,
                     z = double{b.at[j].z} - b.at[i].z;
        const double inverse = 1 / std::sqrt(x * x + y * y + z * z + double{kSoftening2});
        const double force = b.at[j].w * inverse * inverse * inverse;
        a = {a[0] + force * x, a[1] + force * y, a[2] + force * z};
        if (j != i) potential -= double{b.at[i].w} * b.at[j].w * inverse;
    }
    return a;
}

struct Totals {
    double energy = 0;
    Vector momentum{};
};

Totals totals(const Bodies& b) {
    double kinetic = 0, potential = 0;
    Totals t;
    for (std::size_t i = 0; i < b.at.size(); ++i) {
        const Float4& v = b.velocity[i];
        const double mass = b.at[i].w;
        kinetic += 0.5 * mass * (double{v.x} * v.x + double{v.y} * v.y + double{v.z} * v.z);
        t.momentum = {t.momentum[0] + mass * v.x, t.momentum[1] + mass * v.y, t.momentum[2] + mass * v.z};
        (void)attraction(b, i, potential);
    }
    t.energy = kinetic + potential / 2;  // each pair was counted twice
    return t;
}

/// The sky: light adds up where bodies are, and what came before fades.
class Sky {
public:
    Sky(std::uint32_t width, std::uint32_t height) : width_(width), height_(height) {
        sum_.resize(std::size_t{width} * height);
    }
    void add(std::span<const Float4> bodies) {
        for (auto& s : sum_) s = {s[0] * 0.88F, s[1] * 0.88F, s[2] * 0.88F};
        for (std::size_t i = 0; i < bodies.size(); ++i) {
            const double x = width_ * (0.5 + bodies[i].x / 6.4), y = height_ * (0.5 - bodies[i].y / 4.0);
            if (!(x >= 0 && x < width_ && y >= 0 && y < height_)) continue;
            auto& s = sum_[static_cast<std::size_t>(y) * width_ + static_cast<std::size_t>(x)];
            const bool first = i < bodies.size() / 2;
            s = {s[0] + (first ? 1.0F : 0.35F), s[1] + 0.6F, s[2] + (first ? 0.35F : 1.0F)};
        }
    }
    [[nodiscard]] Picture picture() const {
        Picture p(width_, height_);
        const auto byte = [](float v) { return static_cast<std::uint8_t>(255 * (1 - std::exp(-1.8F * v))); };
        for (std::size_t i = 0; i < sum_.size(); ++i)
            p.pixels[i] = {byte(sum_[i][0]), byte(sum_[i][1]), byte(sum_[i][2]), 255};
        return p;
    }

private:
    std::uint32_t width_, height_;
    std::vector<std::array<float, 3>> sum_;
};

struct Simulated {
    Bodies bodies;
    std::vector<Float4> acceleration;
    double seconds = 0;
};

Simulated simulate(accel::Context& context, const Bodies& start, std::uint32_t steps, std::uint32_t steps_a_frame,
                   Sky& sky, Report& report) {
    const auto n = static_cast<std::uint32_t>(start.at.size());
    const Stopwatch time;
    accel::Stream& compute = context.stream();
    accel::Stream out = context.create_stream();
    accel::Module module = context.load(accel::ModuleKind::opencl_c, kSource, {.build = "", .name = "n-body"});
    const accel::Kernel kick_drift = module.kernel("kick_drift"), attract_kick = module.kernel("attract_kick");
    const auto body = context.allocate<Float4>(n), velocity = context.allocate<Float4>(n);
    const auto acceleration = context.allocate<Float4>(n), aside = context.allocate<Float4>(n);
    const auto frame = context.allocate_host<Float4>(n);
    accel::Event copied = context.create_event(), fetched = context.create_event();
    compute.upload(body, start.at);
    compute.upload(velocity, start.velocity);
    compute.launch(attract_kick, {n / kTile, kTile}, body, velocity, acceleration, n, kSoftening2, 0.0F);

    for (std::uint32_t step = 0; step < steps; ++step) {
        compute.launch(kick_drift, {n / kTile, kTile}, body, velocity, acceleration, kStep);
        compute.launch(attract_kick, {n / kTile, kTile}, body, velocity, acceleration, n, kSoftening2, kStep);
        if (step % steps_a_frame != 0) continue;
        if (step > 0) {  // the frame before: it came while the steps after it were running
            fetched.synchronize();
            sky.add(frame.span());
            report.progress("simulating", static_cast<double>(step) / steps);
        }
        compute.copy(aside, body);  // within the device: the next steps may change `body` at once
        compute.record(copied);
        out.wait(copied);
        out.download(aside, frame);
        out.record(fetched);
    }
    fetched.synchronize();
    sky.add(frame.span());
    Simulated end{{std::vector<Float4>(n), std::vector<Float4>(n)}, std::vector<Float4>(n)};
    compute.download(body, end.bodies.at);
    compute.download(velocity, end.bodies.velocity);
    compute.download(acceleration, end.acceleration);
    end.seconds = time.seconds();
    return end;
}

/// Forces of some bodies against a sum in double precision; the largest relative difference.
double check_forces(const Simulated& end) {
    double worst = 0;
    const std::size_t n = end.bodies.at.size();
    for (std::size_t i = 0; i < n; i += std::max<std::size_t>(1, n / 64)) {
        double unused = 0;
        const Vector wanted = attraction(end.bodies, i, unused);
        const Float4& got = end.acceleration[i];
        const double size = std::hypot(wanted[0], wanted[1], wanted[2]);
        const double error = std::hypot(got.x - wanted[0], got.y - wanted[1], got.z - wanted[2]);
        if (!(error <= 1e-3 * size + 1e-4))
            throw Error(Status::compare, "the force on body " + std::to_string(i) + " differs from the reference");
        worst = std::max(worst, error / (size + 1e-30));
    }
    return worst;
}

void check(const Bodies& start, const Simulated& end, std::uint32_t steps, Report& report) {
    const double force_error = check_forces(end);
    const Totals before = totals(start), after = totals(end.bodies);
    const double drift = std::fabs(after.energy / before.energy - 1);
    double momentum = 0;
    for (std::size_t i = 0; i < 3; ++i)
        momentum = std::max(momentum, std::fabs(after.momentum[i] - before.momentum[i]));
    if (!(drift <= 0.01)) throw Error(Status::compare, format("energy has changed by %.2g %%", 100 * drift));
    if (!(momentum <= 1e-3)) throw Error(Status::compare, format("momentum has changed by %.2g", momentum));
    report.result(
        "check",
        format("after %u steps energy differs by %.1e, momentum by %.1e; forces by at most %.0e from a sum in "
               "double precision",
               steps, drift, momentum, force_error),
        {{"energy_drift", drift}, {"momentum_change", momentum}, {"force_error", force_error}});
}

void work(Run& run) {
    const Arguments& arguments = run.arguments();
    const std::uint32_t n = arguments.number("--bodies", 2 * kTile, 1U << 20),
                        steps = arguments.number("--steps", 1, 1'000'000);
    if (n % kTile != 0)
        throw Error(Status::invalid, format("--bodies %u: must be a multiple of %zu", n, std::size_t{kTile}));
    check_writable(arguments.text("--picture"));

    Fabric fabric = Fabric::open(run.fabric());
    Device device = fabric.attach(run.device());
    accel::Context context(device);
    run.describe(context);
    need_opencl_c(context, "gravity");

    const Bodies start = two_discs(n);
    Sky sky(1024, 640);
    const Simulated end = simulate(context, start, steps, std::max(1U, steps / 120), sky, run.report());
    const double interactions = static_cast<double>(n) * n * (steps + 1);
    run.report().result("simulation",
                        format("%u bodies, %u steps in %s: %.0f million interactions a second", n, steps,
                               time_text(end.seconds).c_str(), interactions / end.seconds * 1e-6),
                        {{"bodies", n}, {"steps", steps}, {"seconds", end.seconds}, {"interactions", interactions}});
    run.report().progress("checking", 1);
    check(start, end, steps, run.report());
    write_png(arguments.text("--picture"), sky.picture());
    run.report().result("picture", arguments.text("--picture"), arguments.text("--picture"));
}

}  // namespace

int main(int argc, char** argv) {
    return example::run({"farlane-example-n-body",
                         "Lets two discs of stars meet, and renders them.",
                         {{"--bodies", "N", "a multiple of 64", "3072"},
                          {"--steps", "N", "of 0.005 time units", "320"},
                          {"--picture", "FILE", "PNG to write", "n-body.png"}}},
                        argc, argv, work);
}
