// SPDX-License-Identifier: Apache-2.0
// Receives: CUDA C source. Hands on: machine code or PTX. Owns: the handle of NVRTC, where this machine has it.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace farlane::backend::worker::cuda {

class Compiler {
public:
    /// For a driver of CUDA `version`, 12040 for 12.4. nullptr: there is none; `why` says what was looked for.
    [[nodiscard]] static std::unique_ptr<Compiler> open(int version, std::string& why);

    struct Result {
        bool ok = false;
        int error = 0;      ///< of NVRTC
        std::string image;  ///< cubin where NVRTC knows the device, else PTX
        bool is_ptx = false;
        std::string log;
    };
    /// For a device of compute capability `capability`, 90 for 9.0. Options as nvcc's.
    [[nodiscard]] Result compile(const std::string& source, const std::string& options, int capability) const;
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

private:
    struct Functions;
    Compiler(std::shared_ptr<const Functions> functions, std::string name)
        : functions_(std::move(functions)), name_(std::move(name)) {}
    [[nodiscard]] std::string architecture(int capability, bool& is_ptx) const;

    std::shared_ptr<const Functions> functions_;
    std::string name_;
};

/// Words between spaces; "..." and '...' hold one together.
[[nodiscard]] std::vector<std::string> words_of(const std::string& text);

}  // namespace farlane::backend::worker::cuda
