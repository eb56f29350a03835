// SPDX-License-Identifier: Apache-2.0
// Receives: source text, SPIR-V or our binaries, and build options. Hands on: modules of the accelerator.
// Owns: one module, once built. OpenCL 3.0, 5.8.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lib/accel_modules.hpp"
#include "opencl/context.hpp"
#include "opencl/source.hpp"

namespace farlane::opencl {

using ProgramNotify = void(CL_CALLBACK*)(cl_program, void*);

class Program : public Object {
public:
    using Handle = cl_program;
    static constexpr Kind kKind = Kind::program;
    static constexpr cl_int kInvalid = CL_INVALID_PROGRAM;
    enum class Origin : std::uint8_t { source, il, binary, link };

    Program(Context& context, Origin origin, std::string text);
    Program(Context& context, Binary binary);
    ~Program();
    [[nodiscard]] Context& context() const noexcept { return *context_; }
    [[nodiscard]] Engine& engine() const noexcept { return context_->engine(); }

    /// Builds an executable; waits. Fails with CL_BUILD_PROGRAM_FAILURE, CL_INVALID_BUILD_OPTIONS.
    void build(const char* options);
    /// Checks that it compiles, with those headers. Fails with CL_COMPILE_PROGRAM_FAILURE, CL_INVALID_COMPILER_OPTIONS.
    void compile(const char* options, const std::map<std::string, std::string>& headers);
    /// Makes this, a new program, of others. Fails with CL_LINK_PROGRAM_FAILURE, CL_INVALID_LINKER_OPTIONS.
    void link(const char* options, const std::vector<Ref<Program>>& inputs);

    // --- what is known of it
    struct State {
        cl_build_status status = CL_BUILD_NONE;
        cl_program_binary_type type = CL_PROGRAM_BINARY_TYPE_NONE;
        std::string options, log;
        std::shared_ptr<lib::ModuleState> module;
        std::vector<std::string> names;
        bool names_complete = false;
        bool bad_options = false;  ///< it did not build, since the remote compiler does not know an option
        Part part;                 ///< what was compiled
    };
    [[nodiscard]] State state() const;
    [[nodiscard]] Origin origin() const noexcept { return origin_; }
    [[nodiscard]] const std::string& source() const noexcept { return source_; }
    /// Made of source text by the application.
    [[nodiscard]] bool is_text() const noexcept { return origin_ == Origin::source || origin_ == Origin::link; }
    /// Its kernels may print.
    [[nodiscard]] bool prints() const;
    /// Built with -cl-kernel-arg-info.
    [[nodiscard]] bool keeps_argument_info() const;
    [[nodiscard]] const std::string& il() const noexcept { return il_; }
    /// The application has let go of one that did not link: only its handle is left (program_api.cpp).
    void become_empty() noexcept;
    /// CL_PROGRAM_BINARIES; "" = there is none.
    [[nodiscard]] std::string binary() const;
    /// The kernel of that name. Waits. Fails with CL_INVALID_PROGRAM_EXECUTABLE, CL_INVALID_KERNEL_NAME.
    [[nodiscard]] std::shared_ptr<lib::KernelState> kernel(const std::string& name);
    std::atomic<unsigned> kernels{0};  ///< objects made of it

private:
    void begin(const char* options);
    void end(State&& state);
    /// Loads it, and waits. False: it does not compile.
    [[nodiscard]] bool load(State& state, accel::ModuleKind kind, const std::string& image, const std::string& options);
    [[nodiscard]] bool is_il() const noexcept { return !il_.empty(); }

    Ref<Context> context_;
    Origin origin_;
    std::string source_, il_;
    mutable std::mutex mutex_;
    State state_;
};

}  // namespace farlane::opencl
