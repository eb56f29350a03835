// SPDX-License-Identifier: Apache-2.0
// Receives: vectors of f32 in device memory. Hands on: axpy and reductions.
// Owns: partial results.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "devices/accel/cpu/tasks.hpp"

namespace farlane::firmware::accel {
namespace {

constexpr std::size_t kPartElements = kPartBytes / sizeof(float);
constexpr std::size_t kReduceElements = std::size_t{1} << 20;  // between two looks at `stop`

}  // namespace

AxpyTask::AxpyTask(const View& view, const KernelTable& loops, const fl_accel_args_axpy_f32& args) noexcept
    : loops_(&loops),
      x_(reinterpret_cast<const float*>(view.at(args.x.get()))),
      y_(reinterpret_cast<float*>(view.at(args.y.get()))),
      count_(args.count.get()),
      a_(f32_of(args.a)) {}

std::size_t AxpyTask::parts() const noexcept {
    return (count_ + kPartElements - 1) / kPartElements;
}

backend::Outcome AxpyTask::run(std::size_t part, Scratch&, const std::atomic<bool>&) {
    const std::size_t at = part * kPartElements;
    loops_->axpy_f32(a_, x_ + at, y_ + at, std::min(kPartElements, count_ - at));
    return {};
}

ReduceTask::ReduceTask(const View& view, const KernelTable& loops, const fl_accel_args_reduce_f32& args) noexcept
    : loops_(&loops),
      to_(view.at(args.destination.get())),
      from_(reinterpret_cast<const float*>(view.at(args.source.get()))),
      count_(args.count.get()),
      operation_(args.operation.get()),
      per_part_(std::max(kPartElements, (count_ + kMaxParts - 1) / kMaxParts)) {}

backend::Outcome ReduceTask::run(std::size_t part, Scratch&, const std::atomic<bool>& stop) {
    std::size_t at = part * per_part_;
    const std::size_t end = std::min(count_, at + per_part_);
    ReducePart total;
    for (bool first = true; at < end; at += kReduceElements, first = false) {
        if (stop.load(std::memory_order_relaxed)) return {FL_ACCEL_REASON_EXECUTION, 0, 0};
        const ReducePart next = loops_->reduce_f32(from_ + at, std::min(kReduceElements, end - at));
        if (first) {
            total = next;
            continue;
        }
        const bool nan = std::isnan(total.minimum) || std::isnan(next.minimum);
        total.sum += next.sum;
        total.minimum = nan ? NAN : std::min(total.minimum, next.minimum);
        total.maximum = nan ? NAN : std::max(total.maximum, next.maximum);
    }
    results_[part] = total;
    return {};
}

backend::Outcome ReduceTask::finish() {
    ReducePart total = results_[0];
    for (std::size_t i = 1; i < parts(); ++i) {
        const bool nan = std::isnan(total.minimum) || std::isnan(results_[i].minimum);
        total.sum += results_[i].sum;
        total.minimum = nan ? NAN : std::min(total.minimum, results_[i].minimum);
        total.maximum = nan ? NAN : std::max(total.maximum, results_[i].maximum);
    }
    float value = static_cast<float>(total.sum);
    if (operation_ == FL_ACCEL_REDUCE_MIN) value = total.minimum;
    if (operation_ == FL_ACCEL_REDUCE_MAX) value = total.maximum;
    std::memcpy(to_, &value, sizeof value);
    return {};
}

}  // namespace farlane::firmware::accel
