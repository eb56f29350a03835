// SPDX-License-Identifier: Apache-2.0
// Receives: work that must not leave anything in this process. Hands on: its numbers. Owns: the processes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace farlane::bench::gpu {

/// Runs it in a process of its own: a CUDA context does not survive fork(), and none shall stay. Throws
/// std::runtime_error with what was thrown there.
[[nodiscard]] std::vector<double> in_child(const std::function<std::vector<double>()>& measure);

/// A process that has done `work` and then only is; gone with the object.
class Holder {
public:
    explicit Holder(const std::function<void()>& work);
    ~Holder();
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;
    [[nodiscard]] double resident_bytes() const;

private:
    pid_t pid_ = -1;
};

}  // namespace farlane::bench::gpu
