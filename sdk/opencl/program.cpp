// SPDX-License-Identifier: Apache-2.0
// Receives: builds, compilations and links. Hands on: MODULE_LOAD, and what came of it.
// Owns: programs (program.hpp). docs/accelerator.md, "Modules and kernels".
#include "opencl/program.hpp"

#include <algorithm>

#include "opencl/queue.hpp"

namespace farlane::opencl {
namespace {

/// A part that is compiled alone may name functions of another: only then can a build fail at these words.
bool only_unresolved(const std::string& log) {
    constexpr const char* kErrors[] = {"error:"};
    constexpr const char* kUnresolved[] = {"undefined", "unresolved", "annot find symbol"};
    const auto has = [&](const char* word) { return log.find(word) != std::string::npos; };
    return std::any_of(std::begin(kUnresolved), std::end(kUnresolved), has) &&
           std::none_of(std::begin(kErrors), std::end(kErrors), has);
}

}  // namespace

Program::Program(Context& context, Origin origin, std::string text)
    : Object(Kind::program), context_(&context), origin_(origin) {
    (origin == Origin::il ? il_ : source_) = std::move(text);
}

/// What was built can be built again from what it was built of.
Program::Program(Context& context, Binary binary) : Object(Kind::program), context_(&context), origin_(Origin::binary) {
    (binary.content == Binary::Content::il ? il_ : source_) = std::move(binary.image);
    state_.type = binary.type;
    state_.part.options = parse_options(binary.options.c_str(), CL_INVALID_BINARY);
    state_.part.source = source_;
    state_.options = binary.options;
}

Program::~Program() {
    if (context_) engine().discard(std::move(state_.module));
}

void Program::become_empty() noexcept {
    state_ = {};
    source_.clear();
    source_.shrink_to_fit();
    context_ = {};
}

Program::State Program::state() const {
    const std::lock_guard lock(mutex_);
    return state_;
}

bool Program::prints() const {
    if (!context_->device().accelerator().tells_output()) return false;
    if (is_il()) return il_prints(il_);
    const Part part = state().part;
    const auto has = [](const std::string& text) { return text.find("printf") != std::string::npos; };
    return has(part.source) || has(part.options.text());
}

bool Program::keeps_argument_info() const {
    const State s = state();
    const auto& o = s.part.options.others;
    return is_text() && std::find(o.begin(), o.end(), "-cl-kernel-arg-info") != o.end();
}

std::string Program::binary() const {
    const State s = state();
    if (s.type == CL_PROGRAM_BINARY_TYPE_NONE) return {};
    Binary b;
    b.content = is_il() ? Binary::Content::il : Binary::Content::source;
    b.type = s.type;
    b.options = s.part.options.text();
    b.image = is_il() ? il_ : s.part.source;
    return pack(b);
}

void Program::begin(const char* options) {
    const std::lock_guard lock(mutex_);
    require(state_.status != CL_BUILD_IN_PROGRESS && kernels == 0, CL_INVALID_OPERATION);
    state_.status = CL_BUILD_IN_PROGRESS;
    state_.options = options == nullptr ? "" : options;
    state_.log.clear();
}

void Program::end(State&& state) {
    std::shared_ptr<lib::ModuleState> before;
    {
        const std::lock_guard lock(mutex_);
        state.options = std::move(state_.options);
        before = std::move(state_.module);
        state_ = std::move(state);
    }
    engine().discard(std::move(before));
}

/// What the remote device's own clBuildProgram answered.
static bool complains_of_options(const lib::CommandFailure& failure) noexcept {
    const auto code = static_cast<cl_int>(failure.detail);
    return failure.reason == FL_ACCEL_REASON_BUILD &&
           (code == CL_INVALID_BUILD_OPTIONS || code == CL_INVALID_COMPILER_OPTIONS ||
            code == CL_INVALID_LINKER_OPTIONS);
}

bool Program::load(State& s, accel::ModuleKind kind, const std::string& image, const std::string& options) {
    Engine& e = engine();
    Guard guard(e);
    e.check();
    e.make_own_room(guard, 24 + static_cast<std::uint32_t>(options.size() / FL_ACCEL_COMMAND_BYTES));
    const std::string_view some = image.empty() ? std::string_view("\n") : image;  // no text is a program, too
    auto module = e.state().load(kind, std::as_bytes(std::span(some)), options, "");
    try {
        e.wait_until(guard, [&] { return e.broken() || (module->command.done() && module->report.done()); });
        e.check();
        module->read();
        s.log = module->log;
        if (module->failure) {
            const auto reason = module->failure->reason;
            const bool build = reason == FL_ACCEL_REASON_BUILD || reason == FL_ACCEL_REASON_BAD_IMAGE;
            if (s.log.empty()) s.log = module->failure->text;
            s.bad_options = complains_of_options(*module->failure);
            module.reset();
            require(build, CL_OUT_OF_RESOURCES);
            return false;
        }
        s.names = module->names;
        s.names_complete = module->names_complete;
        s.module = std::move(module);
        return true;
    } catch (...) {
        e.discard(std::move(module));
        throw;
    }
}

void Program::build(const char* options) {
    auto wanted = parse_options(options, CL_INVALID_BUILD_OPTIONS);
    require(!wanted.create_library, CL_INVALID_BUILD_OPTIONS);
    State s;
    const State before = state();
    require(origin_ != Origin::link || before.part.source.empty(), CL_INVALID_OPERATION);
    begin(options);
    s.status = CL_BUILD_ERROR;
    try {
        if (origin_ == Origin::binary) {  // the options it was made with count, too
            auto all = before.part.options;
            all.definitions.insert(all.definitions.end(), wanted.definitions.begin(), wanted.definitions.end());
            for (auto& o : wanted.others) {
                if (std::find(all.others.begin(), all.others.end(), o) == all.others.end()) all.others.push_back(o);
            }
            wanted.definitions = std::move(all.definitions);
            wanted.others = std::move(all.others);
        }
        s.part.options = wanted;
        if (!is_il()) s.part.source = expand_includes(source_, wanted.include_dirs, {});
        const bool good = load(s, is_il() ? accel::ModuleKind::spirv : accel::ModuleKind::opencl_c,
                               is_il() ? il_ : wanted.preamble() + s.part.source, wanted.remote());
        if (good) {
            s.status = CL_BUILD_SUCCESS;
            s.type = CL_PROGRAM_BINARY_TYPE_EXECUTABLE;
        }
        const bool bad_options = s.bad_options;
        end(std::move(s));
        require(!bad_options, CL_INVALID_BUILD_OPTIONS);
        require(good, CL_BUILD_PROGRAM_FAILURE);
    } catch (...) {
        if (state().status == CL_BUILD_IN_PROGRESS) end(std::move(s));
        throw;
    }
}

void Program::compile(const char* options, const std::map<std::string, std::string>& headers) {
    auto wanted = parse_options(options, CL_INVALID_COMPILER_OPTIONS);
    require(!wanted.create_library, CL_INVALID_COMPILER_OPTIONS);
    begin(options);
    State s;
    s.status = CL_BUILD_ERROR;
    try {
        s.part.options = wanted;
        if (!is_il()) s.part.source = expand_includes(source_, wanted.include_dirs, headers);
        bool good = load(s, is_il() ? accel::ModuleKind::spirv : accel::ModuleKind::opencl_c,
                         is_il() ? il_ : wanted.preamble() + s.part.source, wanted.remote());
        engine().discard(std::move(s.module));  // only its log was wanted: it is linked first
        s.module.reset();
        s.names.clear();
        const bool bad_options = s.bad_options;
        good = good || (!bad_options && only_unresolved(s.log));
        if (good) {
            s.status = CL_BUILD_SUCCESS;
            s.type = CL_PROGRAM_BINARY_TYPE_COMPILED_OBJECT;
        }
        end(std::move(s));
        require(!bad_options, CL_INVALID_COMPILER_OPTIONS);
        require(good, CL_COMPILE_PROGRAM_FAILURE);
    } catch (...) {
        if (state().status == CL_BUILD_IN_PROGRESS) end(std::move(s));
        throw;
    }
}

void Program::link(const char* options, const std::vector<Ref<Program>>& inputs) {
    const auto wanted = parse_options(options, CL_INVALID_LINKER_OPTIONS);
    const bool for_linkers = wanted.definitions.empty() && wanted.include_dirs.empty() &&
                             std::all_of(wanted.others.begin(), wanted.others.end(),
                                         [](const std::string& o) { return o.starts_with("-cl-"); });
    require(for_linkers, CL_INVALID_LINKER_OPTIONS);
    std::vector<Part> parts;
    for (const auto& input : inputs) {
        const State s = input->state();
        const bool compiled =
            s.type == CL_PROGRAM_BINARY_TYPE_COMPILED_OBJECT || s.type == CL_PROGRAM_BINARY_TYPE_LIBRARY;
        require(compiled, CL_INVALID_OPERATION);
        if (input->is_il()) {
            require(inputs.size() == 1, CL_LINK_PROGRAM_FAILURE);  // the accelerator takes one image
            il_ = input->il_;
        }
        parts.push_back(s.part);
    }
    begin(options);
    State s;
    s.status = CL_BUILD_ERROR;
    try {
        s.part = link_parts(parts);
        for (const std::string& o : wanted.others) s.part.options.others.push_back(o);
        source_ = s.part.source;
        bool good = true;
        if (wanted.create_library) {
            s.type = CL_PROGRAM_BINARY_TYPE_LIBRARY;
        } else {
            good = load(s, is_il() ? accel::ModuleKind::spirv : accel::ModuleKind::opencl_c,
                        is_il() ? il_ : s.part.options.preamble() + s.part.source, s.part.options.remote());
            if (good) s.type = CL_PROGRAM_BINARY_TYPE_EXECUTABLE;
        }
        if (good) s.status = CL_BUILD_SUCCESS;
        const bool bad_options = s.bad_options;
        end(std::move(s));
        require(!bad_options, CL_INVALID_LINKER_OPTIONS);
        require(good, CL_LINK_PROGRAM_FAILURE);
    } catch (...) {
        if (state().status == CL_BUILD_IN_PROGRESS) end(std::move(s));
        throw;
    }
}

std::shared_ptr<lib::KernelState> Program::kernel(const std::string& name) {
    const State s = state();
    require(s.module != nullptr, CL_INVALID_PROGRAM_EXECUTABLE);
    const bool known = std::find(s.names.begin(), s.names.end(), name) != s.names.end();
    require(!name.empty() && (known || !s.names_complete), CL_INVALID_KERNEL_NAME);
    Engine& e = engine();
    Guard guard(e);
    e.check();
    e.make_own_room(guard, 24 + static_cast<std::uint32_t>(name.size() / FL_ACCEL_COMMAND_BYTES));
    auto kernel = e.state().bind(s.module, name);
    e.wait_until(guard, [&] { return e.broken() || (kernel->command.done() && kernel->report.done()); });
    e.check();
    kernel->read();
    if (kernel->failure) {
        const auto reason = kernel->failure->reason;
        kernel.reset();
        fail(reason == FL_ACCEL_REASON_UNKNOWN_KERNEL ? CL_INVALID_KERNEL_NAME : CL_OUT_OF_RESOURCES);
    }
    return kernel;
}

}  // namespace farlane::opencl
