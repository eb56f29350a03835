// SPDX-License-Identifier: Apache-2.0
// Receives: an open fabric with the accelerator "accel0". Hands on: figures of it.
// Owns: contexts and buffers while they are measured. Each runs in the initiator's process of a pair.
#include "accel_measures.hpp"

#include <algorithm>
#include <stdexcept>

#include <farlane/uapi/accel.h>
#include <farlane/accel.hpp>

#include "limits/opencl_work.hpp"
#include "measures.hpp"
#include "report.hpp"

namespace farlane::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kWarmUp = std::chrono::milliseconds(100);
constexpr auto kMeasure = std::chrono::milliseconds(500);
constexpr std::size_t kSmall = 256;  // elements of a small kernel's vectors

double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

accel::ContextOptions options() {
    accel::ContextOptions o;
    o.spin = std::chrono::seconds(1);  // both ends have a core of their own
    return o;
}

/// Runs `once` until the time is over; GB/s of `bytes` each.
template <class Once>
double rate_of(std::size_t bytes, Once&& once) {
    for (const auto end = Clock::now() + kWarmUp; Clock::now() < end;) once();
    std::size_t moved = 0;
    const auto start = Clock::now();
    do {
        once();
        moved += bytes;
    } while (Clock::now() - start < kMeasure);
    return static_cast<double>(moved) / ms_since(start) / 1e6;
}

double round_trip_of(accel::Stream& stream) {
    std::vector<double> ms;
    for (int i = 0; i < 5; ++i) {
        const auto start = Clock::now();
        stream.ping();
        ms.push_back(ms_since(start));
    }
    return median(ms);
}

}  // namespace

std::vector<double> noop_rtt(Fabric& fabric) {
    auto device = fabric.attach("accel0");
    accel::Context context(device, options());
    auto& stream = context.stream();
    std::vector<double> ns;
    const auto warm = Clock::now() + kWarmUp;
    const auto end = warm + kMeasure;
    for (auto start = Clock::now(); start < end;) {
        stream.ping();
        const auto now = Clock::now();
        if (start >= warm) ns.push_back(std::chrono::duration<double, std::nano>(now - start).count());
        start = now;
    }
    return percentiles_of(ns);
}

double aperture_write_rate(Fabric& fabric, std::size_t bytes) {
    constexpr std::size_t kWriteBytes = 4096, kWritesPerPoll = 8;
    constexpr std::uint64_t kAt = 64 << 20;  // behind the submission queues
    auto device = fabric.attach("accel0");
    device.enable();
    auto from = device.domain().allocate(bytes);
    std::fill(from.bytes().begin(), from.bytes().end(), std::byte{1});
    return rate_of(bytes, [&] {
        for (std::size_t at = 0; at < bytes; at += kWriteBytes) {
            device.write_from(FL_ACCEL_BAR_APERTURE, kAt + at, from, at, kWriteBytes);
            if (at / kWriteBytes % kWritesPerPoll == 0) fabric.poll();
        }
        device.flush();
    });
}

double upload_rate(Fabric& fabric, std::size_t bytes) {
    auto device = fabric.attach("accel0");
    accel::Context context(device, options());
    auto to = context.allocate<std::byte>(bytes);
    auto from = context.allocate_host<std::byte>(bytes);
    std::fill(from.begin(), from.end(), std::byte{1});
    return rate_of(bytes, [&] {
        context.stream().upload(to, from);
        context.stream().synchronize();
    });
}

double download_rate(Fabric& fabric, std::size_t bytes) {
    auto device = fabric.attach("accel0");
    accel::Context context(device, options());
    auto from = context.allocate<std::byte>(bytes);
    auto into = context.allocate_host<std::byte>(bytes);
    context.stream().fill(from, std::byte{3});
    const double rate = rate_of(bytes, [&] {
        context.stream().download(from, into);
        context.stream().synchronize();
    });
    if (std::any_of(into.begin(), into.end(), [](std::byte b) { return b != std::byte{3}; })) {
        throw std::runtime_error("what came back is not what was there");
    }
    return rate;
}

LaunchTimes launch_times(Fabric& fabric, unsigned count) {
    auto device = fabric.attach("accel0");
    accel::Context context(device, options());
    auto& stream = context.stream();
    auto x = context.allocate<float>(kSmall), y = context.allocate<float>(kSmall);
    auto result = context.allocate_host<float>(kSmall);
    stream.fill(x, 1.0F);
    stream.synchronize();
    const double round_trip = round_trip_of(stream);
    const auto before = context.properties().busy;
    const auto start = Clock::now();
    for (unsigned i = 0; i < count; ++i) stream.launch(accel::Axpy{1.0F, x, y});
    const double submit = ms_since(start);
    stream.synchronize();
    const double all = ms_since(start);
    const std::chrono::duration<double, std::milli> busy = context.properties().busy - before;
    stream.download(y, result);
    stream.synchronize();
    if (result[kSmall - 1] != static_cast<float>(count)) throw std::runtime_error("not every launch has run once");
    return {all, busy.count(), submit, round_trip};
}

LaunchTimes cold_program(Fabric& fabric) {
    auto device = fabric.attach("accel0");
    const std::vector<float> ones(kSmall, 1.0F);
    accel::Context context(device, options());
    auto& stream = context.stream();
    const double round_trip = round_trip_of(stream);
    const auto start = Clock::now();
    auto x = context.allocate<float>(kSmall), y = context.allocate<float>(kSmall);
    std::vector<float> result(kSmall);
    stream.upload(x, ones);
    stream.launch(accel::Axpy{2.0F, x, y});
    stream.download(y, result);
    const double all = ms_since(start);
    if (result[0] != 2.0F) throw std::runtime_error("the result is wrong");
    const std::chrono::duration<double, std::milli> busy = context.properties().busy;
    return {all, busy.count(), 0, round_trip};
}

double stream_kib(Fabric& fabric) {
    constexpr int kStreams = 8;
    auto device = fabric.attach("accel0");
    accel::Context context(device, options());
    auto x = context.allocate<float>(kSmall), y = context.allocate<float>(kSmall);
    const auto work = [&](accel::Stream& stream) {
        for (int i = 0; i < 2000; ++i) stream.launch(accel::Axpy{1.0F, x, y});
        stream.synchronize();
    };
    for (int i = 0; i < 20; ++i) work(context.stream());  // what all streams share is there then
    const double before = resident_kib();
    std::vector<accel::Stream> streams;
    for (int i = 0; i < kStreams; ++i) work(streams.emplace_back(context.create_stream()));
    return (resident_kib() - before) / kStreams;
}

std::vector<double> opencl_ms(Fabric& fabric, const std::string& work, unsigned count) {
    const bool saxpy = work == "saxpy";
    auto device = fabric.attach("accel0");
    accel::Context context(device);
    auto& stream = context.stream();
    auto module = context.load(accel::ModuleKind::opencl_c, limits::kOpenclSource);
    const auto kernel = module.kernel(work);
    const std::size_t elements = saxpy ? limits::kSaxpyElements : std::size_t{limits::kGemmSize} * limits::kGemmSize;
    std::vector<accel::Buffer<float>> buffers;
    for (int i = 0; i < 3; ++i) {
        buffers.push_back(context.allocate<float>(elements));
        stream.fill(buffers.back(), 1.0F);
    }
    const accel::Extent items{limits::kGemmSize / limits::kGemmColumns, limits::kGemmSize / limits::kGemmRows};
    std::vector<double> ms;
    for (unsigned i = 0; i <= count; ++i) {
        const auto start = Clock::now();
        if (saxpy) {
            stream.launch(kernel, {elements}, 2.0F, buffers[0], buffers[1]);
        } else {
            stream.launch(kernel, {items}, limits::kGemmSize, buffers[0], buffers[1], buffers[2]);
        }
        stream.synchronize();
        if (i > 0) ms.push_back(ms_since(start));
    }
    std::vector<float> one(1);
    stream.download(buffers[saxpy ? 1 : 2].part(0, 1), std::span<float>(one));
    const float expected = saxpy ? 1.0F + 2.0F * static_cast<float>(count + 1) : static_cast<float>(limits::kGemmSize);
    if (one[0] != expected) throw std::runtime_error("the result is wrong");
    return {median(ms), static_cast<double>(context.properties().worker_bytes) / (1 << 20)};
}

}  // namespace farlane::bench
