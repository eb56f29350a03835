// SPDX-License-Identifier: Apache-2.0
// Receives: PTX, cubin, CUDA C and names of kernels. Hands on: loaded modules, logs, what is known of parameters.
// Owns: nothing (cuda/runtime.hpp).
#include <array>
#include <cstring>

#include "backend/worker/builtin/source.hpp"
#include "backend/worker/cuda/runtime.hpp"

namespace farlane::backend::worker::cuda {
namespace {

constexpr std::size_t kLogBytes = 64 * 1024;
constexpr std::uint32_t kDefaultShared = 48 * 1024;

std::string text_of(std::span<const std::byte> image) {
    return {reinterpret_cast<const char*>(image.data()), image.size()};
}

bool is_build_error(CUresult error) noexcept {
    return error == kInvalidPtx || error == kUnsupportedPtx;
}

}  // namespace

Outcome CuRuntime::load_image(const void* image, Built& built) {
    std::string info(kLogBytes, '\0'), errors(kLogBytes, '\0');
    std::array<int, 4> options = {kJitInfoLog, kJitInfoLogBytes, kJitErrorLog, kJitErrorLogBytes};
    std::array<void*, 4> values = {info.data(), reinterpret_cast<void*>(kLogBytes), errors.data(),
                                   reinterpret_cast<void*>(kLogBytes)};
    CUmodule module = nullptr;
    const CUresult result =
        api_.load_module(&module, image, static_cast<unsigned>(options.size()), options.data(), values.data());
    built.log += std::string(errors.c_str()) + info.c_str();
    if (result == kSuccess) {
        built.module = std::make_unique<CuModule>(api_, module);
        return {};
    }
    const auto detail = static_cast<std::uint32_t>(result);
    if (is_build_error(result)) return {FL_ACCEL_REASON_BUILD, detail, 0};
    if (result == kOutOfMemory) return outcome_of(result);
    return {FL_ACCEL_REASON_BAD_IMAGE, detail, 0};
}

Built CuRuntime::build(fl_accel_module_kind kind, std::span<const std::byte> image, const std::string& options) {
    Built built;
    (void)api_.set_context(context_);  // this thread's, too
    std::string text = kind == FL_ACCEL_MODULE_BUILTIN ? builtin_source_cuda() : text_of(image);
    if (kind == FL_ACCEL_MODULE_CUDA_C || kind == FL_ACCEL_MODULE_BUILTIN) {
        if (!Compiler::is_here()) {
            built.log = "NVRTC, the compiler of CUDA C, is not installed here";
            built.outcome = {FL_ACCEL_REASON_BUILD, 0, 0};
            return built;
        }
        text = Compiler::compile(text, options, compute_, built.log);
        if (text.empty()) {
            built.outcome = {FL_ACCEL_REASON_BUILD, 0, 0};
            return built;
        }
    }
    built.outcome = load_image(text.c_str(), built);
    if (!built.outcome.ok() || kind == FL_ACCEL_MODULE_CUBIN) return built;
    auto& kernels = static_cast<CuModule&>(*built.module).kernels;
    kernels = ptx_kernels(text);
    for (const auto& [name, parameters] : kernels) built.names += (built.names.empty() ? "" : ";") + name;
    return built;
}

fl_accel_argument_report CuRuntime::describe(CUfunction function, const std::vector<PtxParameter>* known,
                                             std::size_t index, bool& there) const {
    fl_accel_argument_report report{};
    std::size_t offset = 0, bytes = 0;
    there = known != nullptr
                ? index < known->size()
                : api_.parameter != nullptr && api_.parameter(function, index, &offset, &bytes) == kSuccess;
    if (!there) return report;
    if (known != nullptr) bytes = (*known)[index].bytes;
    report.bytes = fl_le32(static_cast<std::uint32_t>(bytes));
    if (known != nullptr && (*known)[index].is_pointer) report.kind = fl_le32(FL_ACCEL_ARGUMENT_ADDRESS);
    if (bytes != 8) report.kind = fl_le32(FL_ACCEL_ARGUMENT_VALUE);  // 8 bytes may be either
    return report;
}

Bound CuRuntime::bind(LoadedModule& loaded, const std::string& name) {
    Bound bound;
    const auto& module = static_cast<CuModule&>(loaded);
    auto kernel = std::make_unique<CuKernel>();
    bound.outcome = outcome_of(api_.function(&kernel->function, module.module(), name.c_str()));
    if (!bound.outcome.ok()) return bound;
    const auto parameters = module.kernels.find(name);
    const auto* known = parameters == module.kernels.end() ? nullptr : &parameters->second;
    if (known == nullptr && api_.parameter == nullptr) {  // a cubin, and a driver before CUDA 12.4
        bound.outcome = {FL_ACCEL_REASON_EXECUTION, 0, 0};
        return bound;
    }
    bool there = true;
    for (std::size_t i = 0; i <= kMaxArguments; ++i) {
        const auto report = describe(kernel->function, known, i, there);
        if (!there) break;
        bound.arguments.push_back(report);
    }
    const auto attribute = [&](int what) {
        int value = 0;
        const bool got = api_.function_attribute(&value, what, kernel->function) == kSuccess && value > 0;
        return static_cast<std::uint64_t>(got ? value : 0);
    };
    int warp = 0;
    (void)api_.device_attribute(&warp, kWarpSize, device_);
    bound.report.max_block = fl_le64(attribute(kFunctionMaxThreads));
    bound.report.preferred_block = fl_le64(static_cast<std::uint64_t>(warp));
    bound.report.shared_bytes = fl_le64(attribute(kFunctionShared));
    bound.report.private_bytes = fl_le64(attribute(kFunctionLocal));
    const std::uint64_t used = attribute(kFunctionShared);
    kernel->shared_bytes = used < kDefaultShared ? static_cast<std::uint32_t>(kDefaultShared - used) : 0;
    bound.kernel = std::move(kernel);
    return bound;
}

}  // namespace farlane::backend::worker::cuda
