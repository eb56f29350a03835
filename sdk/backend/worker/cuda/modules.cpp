// SPDX-License-Identifier: Apache-2.0
// Receives: images, source and names of kernels. Hands on: loaded modules, their logs, what is known of their
// parameters. Owns: nothing (cuda/runtime.hpp).
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <utility>

#include "backend/worker/builtin/source.hpp"
#include "backend/worker/cuda/builtin_ptx.hpp"
#include "backend/worker/cuda/runtime.hpp"

namespace farlane::backend::worker::cuda {
namespace {

constexpr std::size_t kLogBytes = 64 * 1024;
constexpr std::size_t kElfBytes = 64;  // of the header of a 64-bit ELF file

template <class T>
T at(std::span<const std::byte> image, std::size_t offset) noexcept {
    T value;
    std::memcpy(&value, image.data() + offset, sizeof value);
    return value;
}

/// The driver is not told how long an image is: what it will look at must lie inside.
bool is_cubin(std::span<const std::byte> image) noexcept {
    static constexpr char kMagic[] = {0x7f, 'E', 'L', 'F', 2, 1};
    if (image.size() < kElfBytes || std::memcmp(image.data(), kMagic, sizeof kMagic) != 0) return false;
    const auto inside = [&](std::uint64_t offset, std::uint64_t bytes) {
        return bytes <= image.size() && offset <= image.size() - bytes;
    };
    const auto programs = at<std::uint64_t>(image, 32), sections = at<std::uint64_t>(image, 40);
    const auto program_bytes = std::uint64_t{at<std::uint16_t>(image, 54)} * at<std::uint16_t>(image, 56);
    const std::uint64_t section_bytes = at<std::uint16_t>(image, 58), count = at<std::uint16_t>(image, 60);
    if (section_bytes != kElfBytes || !inside(programs, program_bytes) || !inside(sections, section_bytes * count)) {
        return false;
    }
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t section = sections + i * section_bytes;
        constexpr std::uint32_t kNoBits = 8;
        const bool has_bytes = at<std::uint32_t>(image, section + 4) != kNoBits;
        if (has_bytes && !inside(at<std::uint64_t>(image, section + 24), at<std::uint64_t>(image, section + 32))) {
            return false;
        }
    }
    return true;
}

bool is_text(std::span<const std::byte> image) noexcept {
    return std::find(image.begin(), image.end(), std::byte{0}) == image.end();
}

/// Names behind `.entry`, ';' between.
std::string entries_of(std::string_view ptx) {
    constexpr std::string_view kEntry = ".entry";
    std::string names;
    for (std::size_t i = ptx.find(kEntry); i != std::string_view::npos; i = ptx.find(kEntry, i)) {
        i += kEntry.size();
        while (i < ptx.size() && std::isspace(static_cast<unsigned char>(ptx[i])) != 0) ++i;
        const std::size_t begin = i;
        const auto in_name = [](char c) {
            return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$';
        };
        while (i < ptx.size() && in_name(ptx[i])) ++i;
        if (i != begin) names.append(names.empty() ? "" : ";").append(ptx.substr(begin, i - begin));
    }
    return names;
}

/// Options of PTX and cubin: --maxrregcount=N, -O0 to -O4.
struct JitOptions {
    std::vector<int> keys;
    std::vector<void*> values;
    std::string unknown;

    void add(int key, std::uintptr_t value) {
        keys.push_back(key);
        values.push_back(reinterpret_cast<void*>(value));
    }
    explicit JitOptions(const std::string& options) {
        for (const std::string& word : words_of(options)) {
            const std::size_t equals = word.find('=');
            const std::string_view number = equals != std::string::npos
                                                ? std::string_view(word).substr(equals + 1)
                                                : std::string_view(word).substr(std::min<std::size_t>(2, word.size()));
            std::uint32_t value = 0;
            const auto parsed = std::from_chars(number.data(), number.data() + number.size(), value);
            const bool is_number = parsed.ec == std::errc{} && parsed.ptr == number.data() + number.size();
            if (is_number && (word.starts_with("--maxrregcount=") || word.starts_with("-maxrregcount="))) {
                add(kJitMaxRegisters, value);
            } else if (is_number && word.starts_with("-O") && value <= 4) {
                add(kJitOptimization, value);
            } else {
                unknown = word;
            }
        }
    }
};

}  // namespace

std::string CudaRuntime::names_of(CuModule module, std::string_view ptx) const {
    unsigned count = 0;
    const bool can = api_.cuModuleGetFunctionCount != nullptr && api_.cuModuleEnumerateFunctions != nullptr &&
                     api_.cuFuncGetName != nullptr && api_.cuModuleGetFunctionCount(&count, module) == kSuccess;
    std::vector<CuFunction> functions(count);
    if (!can || (count != 0 && api_.cuModuleEnumerateFunctions(functions.data(), count, module) != kSuccess)) {
        return entries_of(ptx);
    }
    std::string names;
    for (const CuFunction f : functions) {
        const char* name = nullptr;
        if (api_.cuFuncGetName(&name, f) == kSuccess && name != nullptr) {
            names.append(names.empty() ? "" : ";").append(name);
        }
    }
    return names;
}

CuResult CudaRuntime::load(Built& built, const std::byte* image, const std::string& options, CuModule& module) {
    JitOptions jit(options);
    if (!jit.unknown.empty()) {
        built.log += "unknown option '" + jit.unknown + "'; there are --maxrregcount=N and -O0 to -O4\n";
        return kInvalidSource;
    }
    std::vector<char> info(kLogBytes), error(kLogBytes);
    jit.add(kJitInfoLog, reinterpret_cast<std::uintptr_t>(info.data()));
    jit.add(kJitInfoLogBytes, info.size() - 1);
    jit.add(kJitErrorLog, reinterpret_cast<std::uintptr_t>(error.data()));
    jit.add(kJitErrorLogBytes, error.size() - 1);
    const CuResult r = api_.cuModuleLoadDataEx(&module, image, static_cast<unsigned>(jit.keys.size()), jit.keys.data(),
                                               jit.values.data());
    built.log += info.data();
    built.log += error.data();
    if (r != kSuccess && built.log.empty()) built.log = api_.text(r);
    if (const std::string hint = hint_of(r); !hint.empty()) built.log += "\n" + hint + "\n";
    return r;
}

/// What an error of loading means here, where the driver's name for it does not say.
std::string CudaRuntime::hint_of(CuResult result) const {
    if (result == kNoBinary) return "there is nothing in it for compute capability " + std::to_string(capability());
    if (result != kUnsupportedPtxVersion) return {};
    int version = 0;
    (void)api_.cuDriverGetVersion(&version);
    return "its version of PTX is newer than this driver, which is of CUDA " + std::to_string(version / 1000) + "." +
           std::to_string(version % 1000 / 10);
}

/// 90 for 9.0.
int CudaRuntime::capability() const {
    return api_.attribute(device_, kMajor) * 10 + api_.attribute(device_, kMinor);
}

/// A hundred megabytes of library, for those who have source only.
const Compiler* CudaRuntime::compiler() {
    if (!std::exchange(looked_for_compiler_, true)) {
        int version = 0;
        (void)api_.cuDriverGetVersion(&version);
        std::string ignored;  // --probe tells
        compiler_ = Compiler::open(version, ignored);
    }
    return compiler_.get();
}

/// As PTX, which costs half the time and none of NVRTC's memory; a driver without a compiler gets machine code.
Built CudaRuntime::build_builtin() {
    const std::string ptx = builtin_ptx(), source = builtin_source_cuda();
    Built built = build(FL_ACCEL_MODULE_PTX, std::as_bytes(std::span(ptx)), {});
    if (built.outcome.ok() || compiler() == nullptr) return built;
    return build(FL_ACCEL_MODULE_CUDA_C, std::as_bytes(std::span(source)), {});
}

Built CudaRuntime::build(fl_accel_module_kind kind, std::span<const std::byte> image, const std::string& options) {
    if (kind == FL_ACCEL_MODULE_BUILTIN) return build_builtin();
    Built built;
    const auto fail = [&](fl_accel_reason reason, int detail) {
        built.outcome = {reason, static_cast<std::uint32_t>(detail), 0};
        return std::move(built);
    };
    if (const CuResult r = api_.cuCtxSetCurrent(context_); r != kSuccess) return fail(FL_ACCEL_REASON_EXECUTION, r);
    const bool is_source = kind == FL_ACCEL_MODULE_CUDA_C;
    if (kind == FL_ACCEL_MODULE_CUBIN ? !is_cubin(image) : !is_text(image)) return fail(FL_ACCEL_REASON_BAD_IMAGE, 0);
    std::string code(reinterpret_cast<const char*>(image.data()), image.size());
    bool is_ptx = kind == FL_ACCEL_MODULE_PTX;
    if (is_source) {
        if (compiler() == nullptr) return fail(FL_ACCEL_REASON_BAD_KIND, static_cast<int>(kind));
        auto compiled = compiler()->compile(code, options, capability());
        built.log = std::move(compiled.log);
        if (!compiled.ok) return fail(FL_ACCEL_REASON_BUILD, compiled.error);
        code = std::move(compiled.image);
        is_ptx = compiled.is_ptx;
    }
    CuModule module = nullptr;
    const CuResult r = load(built, reinterpret_cast<const std::byte*>(code.c_str()), is_source ? "" : options, module);
    if (r == kSuccess) {
        built.names = names_of(module, is_ptx ? std::string_view(code) : std::string_view());
        built.module = std::make_unique<CudaModule>(module, queues_, retired_);
        return built;
    }
    if (r == kOutOfMemory) return fail(FL_ACCEL_REASON_OUT_OF_MEMORY, r);
    const bool text = is_ptx || r == kInvalidSource;
    const bool bad = r == kInvalidImage || (!text && r != kNoBinary);
    return fail(bad ? FL_ACCEL_REASON_BAD_IMAGE : FL_ACCEL_REASON_BUILD, r);
}

Bound CudaRuntime::bind(LoadedModule& module, const std::string& name) {
    Bound bound;
    CuFunction function = nullptr;
    const CuResult r = api_.cuModuleGetFunction(&function, static_cast<CudaModule&>(module).module(), name.c_str());
    bound.outcome = outcome_of(r);
    if (r != kSuccess) return bound;
    auto kernel = std::make_unique<CudaKernel>(function);
    kernel->sizes_known = bound.arguments_known = api_.cuFuncGetParamInfo != nullptr;
    std::size_t offset = 0, bytes = 0;
    while (kernel->sizes_known && kernel->sizes.size() <= kMaxArguments &&
           api_.cuFuncGetParamInfo(function, kernel->sizes.size(), &offset, &bytes) == kSuccess) {
        kernel->sizes.push_back(static_cast<std::uint32_t>(bytes));
        fl_accel_argument_report report{};
        report.bytes = fl_le32(static_cast<std::uint32_t>(bytes));
        // Where it is no pointer's size it can only be a value.
        if (bytes != sizeof(CuAddress)) report.kind = fl_le32(FL_ACCEL_ARGUMENT_VALUE);
        bound.arguments.push_back(report);
    }
    const auto attribute = [&](int what) {
        return static_cast<std::uint32_t>(std::max(0, api_.attribute(function, what)));
    };
    kernel->max_block = attribute(kFunctionMaxThreads);
    kernel->dynamic_bytes = attribute(kFunctionMaxDynamicShared);
    bound.report.max_block = fl_le64(kernel->max_block);
    bound.report.preferred_block = fl_le64(static_cast<std::uint32_t>(api_.attribute(device_, kWarpSize)));
    bound.report.shared_bytes = fl_le64(attribute(kFunctionShared));
    bound.report.private_bytes = fl_le64(attribute(kFunctionLocal));
    bound.kernel = std::move(kernel);
    return bound;
}

}  // namespace farlane::backend::worker::cuda
