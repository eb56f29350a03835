// SPDX-License-Identifier: Apache-2.0
// Receives: images and names of kernels. Hands on: LOAD, BIND and UNLOAD, and what their reports say.
// Owns: the state behind Module and Kernel (accel_modules.hpp).
#include "lib/accel_modules.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace farlane::accel::detail {
namespace {

constexpr std::size_t kReportAlign = 64;
static_assert(Reports::kKernelBytes % kReportAlign == 0 && Reports::kModuleBytes % kReportAlign == 0);

std::uint64_t capability_of(ModuleKind kind) noexcept {
    switch (kind) {
        case ModuleKind::opencl_c: return FL_ACCEL_CAP_OPENCL_C;
        case ModuleKind::spirv: return FL_ACCEL_CAP_SPIRV;
        case ModuleKind::ptx: return FL_ACCEL_CAP_PTX;
        case ModuleKind::cubin: return FL_ACCEL_CAP_CUBIN;
        case ModuleKind::cuda_c: return FL_ACCEL_CAP_CUDA_C;
    }
    return 0;
}

std::string kinds_of(std::uint64_t capabilities) {
    std::string text;
    for (const auto kind :
         {ModuleKind::opencl_c, ModuleKind::spirv, ModuleKind::ptx, ModuleKind::cubin, ModuleKind::cuda_c}) {
        if ((capabilities & capability_of(kind)) == 0) continue;
        text += (text.empty() ? "" : ", ") + std::string(module_kind_name(kind));
    }
    return text.empty() ? "only its built-in kernels" : text;
}

/// A fixed field that should end with a zero.
template <std::size_t N>
std::string text_of(const __u8 (&field)[N]) {
    const auto* begin = reinterpret_cast<const char*>(field);
    return {begin, strnlen(begin, N)};
}

ArgumentInfo argument_of(const fl_accel_argument_report& r) {
    ArgumentInfo a;
    const std::uint32_t kind = r.kind.get(), flags = r.flags.get();
    if (kind >= FL_ACCEL_ARGUMENT_VALUE && kind <= FL_ACCEL_ARGUMENT_SHARED) a.kind = static_cast<ArgumentKind>(kind);
    a.bytes = r.bytes.get();
    a.is_const = (flags & FL_ACCEL_ARGUMENT_CONST) != 0;
    a.is_restrict = (flags & FL_ACCEL_ARGUMENT_RESTRICT) != 0;
    a.is_volatile = (flags & FL_ACCEL_ARGUMENT_VOLATILE) != 0;
    a.is_constant = (flags & FL_ACCEL_ARGUMENT_CONSTANT) != 0;
    a.type_name = text_of(r.type_name);
    a.name = text_of(r.name);
    return a;
}

std::vector<std::string> names_of(std::string_view text) {
    std::vector<std::string> names;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(';'), text.size());
        if (end > 0) names.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return names;
}

}  // namespace

// --- reports

void Reported::completed(const CommandEnd& end) noexcept {
    if (&end.queue != command.queue) return;
    if (end.ticket == command.ticket && end.failure != nullptr) {
        failure = *end.failure;
        failure->object.reset();  // it is this
    }
    if (end.ticket == report.ticket) copied_ = end.failure == nullptr;
}

void Reported::read() {
    if (read_) return;
    state().wait_for(report);
    state().provider().check();  // also what makes the report visible to this thread
    read_ = true;
    if (copied_ && report_counts()) parse(state().report_of(*slot, report_bytes()));
}

void ModuleState::parse(std::span<const std::byte> written) {
    fl_accel_module_report head;
    std::memcpy(static_cast<void*>(&head), written.data(), sizeof head);
    const std::string_view text(reinterpret_cast<const char*>(written.data()) + sizeof head,
                                written.size() - sizeof head);
    const std::size_t all_names = head.names_bytes.get(), all_log = head.log_bytes.get();
    const std::size_t names_bytes = std::min(all_names, text.size());
    const std::size_t log_bytes = std::min(all_log, text.size() - names_bytes);
    names = names_of(text.substr(0, names_bytes));
    names_complete = !failure && names_bytes == all_names;
    log = text.substr(names_bytes, log_bytes);
    while (!log.empty() && (log.back() == '\0' || log.back() == '\n')) log.pop_back();
    if (log_bytes < all_log) log += "\n[" + std::to_string(all_log - log_bytes) + " more bytes]";
}

void KernelState::parse(std::span<const std::byte> written) {
    fl_accel_kernel_report head;
    std::memcpy(static_cast<void*>(&head), written.data(), sizeof head);
    info.argument_count = head.arguments.get();
    info.max_block = head.max_block.get();
    info.preferred_block = head.preferred_block.get();
    info.shared_bytes = head.shared_bytes.get();
    info.private_bytes = head.private_bytes.get();
    for (std::size_t i = 0; i < 3; ++i) info.required_block[i] = head.required_block[i].get();
    const std::size_t step = head.argument_report_bytes.get();
    fl_accel_argument_report one;
    if (step < sizeof one) {  // nothing is known of them
        has_info = info.argument_count == 0;
        return;
    }
    has_info = true;
    for (std::size_t at = sizeof head; info.arguments.size() < info.argument_count && at <= written.size() - sizeof one;
         at += step) {
        std::memcpy(static_cast<void*>(&one), written.data() + at, sizeof one);
        info.arguments.push_back(argument_of(one));
    }
}

// --- what they are called

std::string ModuleState::describe() const {
    const std::string what = name.empty() ? std::string(module_kind_name(kind)) : "'" + name + "'";
    return "module " + what + " (handle " + std::to_string(handle) + ")";
}

std::string ModuleState::appendix() {
    try {
        read();
    } catch (const Error&) {
        return {};  // the context has gone meanwhile: what is thrown says more
    }
    return log.empty() ? std::string() : "\nbuild log:\n" + log;
}

std::string KernelState::describe() const {
    return "kernel '" + name + "' (handle " + std::to_string(handle) + ") of " + module->describe();
}

std::string KernelState::argument_name(std::size_t index) const {
    if (index >= info.arguments.size()) return {};
    const ArgumentInfo& a = info.arguments[index];
    return (a.name.empty() ? std::string() : " '" + a.name + "'") +
           (a.type_name.empty() ? std::string() : " (" + a.type_name + ")");
}

std::string KernelState::argument_wanted(std::size_t index) const {
    if (index >= info.arguments.size()) return {};
    const ArgumentInfo& a = info.arguments[index];
    if (a.kind == ArgumentKind::address) return "a buffer, a view or a null pointer";
    if (a.kind == ArgumentKind::unknown && a.bytes == 0) return {};
    const auto kind = a.kind == ArgumentKind::unknown ? ArgumentKind::value : a.kind;
    return argument_as_text(static_cast<std::uint32_t>(kind), a.bytes);
}

std::string KernelState::argument_help(std::size_t index) {
    try {
        read();
    } catch (const Error&) {
        return {};  // as with a log
    }
    const std::string wanted = argument_wanted(index), called = argument_name(index);
    return wanted.empty() ? called : "; it takes " + wanted + (called.empty() ? "" : ":" + called);
}

// --- loading

ModuleState::~ModuleState() {
    if (context != nullptr) context->release(*this);
}

bool ContextState::takes(ModuleKind kind) const noexcept {
    return (device_->registers().capabilities.get() & capability_of(kind)) != 0;
}

/// Memory for reports, on both sides.
void ContextState::prepare_reports(Queue& q) {
    if (reports_.address != 0) return;
    auto memory = provider().domain().allocate(Reports::kHostBytes);
    auto mapping = provider().domain().map(memory, DmaDirection::from_device);
    const auto address = device_->take_memory(number_, Reports::kModuleBytes, Place::aperture);
    if (!address) throw Error(Status::no_memory, "no device memory for the reports of a module (16 KiB)");
    (void)submit_alloc(q, *address, Reports::kModuleBytes, "of memory for reports");
    reports_.address = *address;
    reports_.host = RawHostBuffer(std::move(memory), std::move(mapping));
    std::size_t at = 0;
    for (auto& slot : reports_.modules) slot.offset = std::exchange(at, at + Reports::kModuleBytes);
    for (auto& slot : reports_.kernels) slot.offset = std::exchange(at, at + Reports::kKernelBytes);
}

std::span<const std::byte> ContextState::report_of(const Reports::Slot& slot, std::size_t bytes) const {
    return reports_.host.bytes().subspan(slot.offset, bytes);
}

/// Behind LOAD or BIND: brings its report to the host.
void ContextState::fetch_report(Queue& q, const std::shared_ptr<Reported>& of, std::size_t bytes) {
    fl_accel_command c{};
    c.head.opcode = FL_ACCEL_OP_COPY;
    c.u.copy.destination.set(reports_.host.iova() + of->slot->offset);
    c.u.copy.source.set(reports_.address);
    c.u.copy.bytes.set(bytes);
    c.u.copy.kind.set(FL_ACCEL_COPY_DEVICE_TO_HOST);
    Sink sink;
    sink.object = of;
    of->report = {&q, submit(q, c, {}, "(report)", 0, std::move(sink))};
    of->slot->reader = of;
    const Use behind = mark(q);
    of->command.mark = behind.mark;
}

std::shared_ptr<ModuleState> ContextState::load(ModuleKind kind, std::span<const std::byte> image,
                                                const std::string& options, const std::string& name) {
    check_open();
    const std::string what = "load of " + (name.empty() ? std::string("a module") : "module '" + name + "'");
    if (!takes(kind)) {
        throw Error(Status::unsupported, what + ": accelerator '" + provider().info().name + "' does not take " +
                                             module_kind_name(kind) + "; it takes " +
                                             kinds_of(device_->registers().capabilities.get()));
    }
    if (image.empty()) throw Error(Status::invalid, what + ": it has 0 bytes");
    Queue& q = *queues_.front();
    q.check_payload(options.size());
    prepare_reports(q);
    auto module = std::make_shared<ModuleState>();
    module->kind = kind;
    module->name = name;
    module->handle = take_handle(modules_, "modules");
    module->context = shared_from_this();
    module->slot = &take_slot(reports_.modules, reports_.next_module);
    const auto memory = allocate(image.size(), Place::aperture);
    const auto place = device_->aperture(memory->address, image.size());
    if (!place) throw Error(Status::protocol, "the accelerator gives memory behind the aperture that is not there");
    device_->push(*place, image, true);
    fl_accel_command c{};
    c.head.opcode = FL_ACCEL_OP_MODULE_LOAD;
    c.u.module.module.set(module->handle);
    c.u.module.kind.set(static_cast<std::uint32_t>(kind));
    c.u.module.image_address.set(memory->address);
    c.u.module.image_bytes.set(image.size());
    c.u.module.report_address.set(reports_.address);
    c.u.module.report_bytes.set(Reports::kModuleBytes);
    c.u.module.options_bytes.set(static_cast<std::uint32_t>(options.size()));
    Sink sink;
    sink.object = module;
    module->command = {&q, submit(q, c, std::as_bytes(std::span(options)), "", 0, std::move(sink))};
    memory->uses.note(q, module->command.ticket);
    fetch_report(q, module, Reports::kModuleBytes);
    return module;
}

std::uint32_t ContextState::take_handle(Handles& handles, const char* what) {
    reap_all();
    collect_modules();
    auto handle = handles.take();
    for (int round = 0; !handle && round < 2 && !retired_modules_.empty(); ++round) {
        for (auto& q : queues_) wait_for(*q);
        collect_modules();
        handle = handles.take();
    }
    if (!handle) {
        throw Error(Status::limit, "all " + std::to_string(handles.count()) + " " + what +
                                       " of the context are in use; let go of some");
    }
    return *handle;
}

std::shared_ptr<KernelState> ContextState::bind(const std::shared_ptr<ModuleState>& module, const std::string& name) {
    check_open();
    if (name.empty()) throw Error(Status::invalid, module->describe() + ": a kernel's name has at least one letter");
    reap_all();
    if (!module->was_read() && module->report.done()) module->read();
    if (module->failure) raise(*module->failure, module.get());
    if (const auto there = module->kernels.find(name); there != module->kernels.end()) {
        const std::shared_ptr<KernelState> kernel(module, there->second.get());
        if (kernel->failure) raise(*kernel->failure, kernel.get());
        return kernel;
    }
    if (module->names_complete && std::find(module->names.begin(), module->names.end(), name) == module->names.end()) {
        std::string known;
        for (const auto& n : module->names) known += (known.empty() ? "" : ", ") + n;
        throw Error(Status::not_found,
                    module->describe() + " has no kernel '" + name + "'; it has " + (known.empty() ? "none" : known));
    }
    Queue& q = *module->command.queue;
    q.check_payload(name.size());
    auto owned = std::make_unique<KernelState>();
    owned->module = module.get();
    owned->name = name;
    auto& slot = take_slot(reports_.kernels, reports_.next_kernel);
    owned->handle = take_handle(kernels_, "kernels");  // last: nobody would give it back
    const std::shared_ptr<KernelState> kernel(module,
                                              module->kernels.emplace(name, std::move(owned)).first->second.get());
    kernel->slot = &slot;
    fl_accel_command c{};
    c.head.opcode = FL_ACCEL_OP_KERNEL_BIND;
    c.u.bind.kernel.set(kernel->handle);
    c.u.bind.module.set(module->handle);
    c.u.bind.name_bytes.set(static_cast<std::uint32_t>(name.size()));
    c.u.bind.report_address.set(reports_.address);
    c.u.bind.report_bytes.set(Reports::kKernelBytes);
    Sink sink;
    sink.object = kernel;
    try {
        kernel->command = {&q, submit(q, c, std::as_bytes(std::span(name)), "", 0, std::move(sink))};
        fetch_report(q, kernel, Reports::kKernelBytes);
    } catch (...) {  // half a kernel must not be found again
        slot.reader.reset();
        module->abandoned.push_back(std::move(module->kernels.extract(name).mapped()));
        throw;
    }
    return kernel;
}

/// From a destructor, perhaps while completions are taken: only remembers it.
void ContextState::release(ModuleState& module) noexcept {
    const auto held = hold();
    if (!open_) return;
    RetiredModule retired{module.handle, {}, module.command.queue != nullptr, std::move(module.uses)};
    for (const auto& kernel : module.kernels) retired.kernels.push_back(kernel.second->handle);
    for (const auto& kernel : module.abandoned) retired.kernels.push_back(kernel->handle);
    retired_modules_.push_back(std::move(retired));
}

/// Unloads modules that nobody can launch from any more, when the launches in other queues than LOAD's have run.
void ContextState::collect_modules() {
    if (retired_modules_.empty() || lost()) return;
    Queue& q = *queues_.front();
    for (std::size_t i = 0; i < retired_modules_.size();) {
        RetiredModule& m = retired_modules_[i];
        if (!m.uses.done_but(q) || !q.has_room(1)) {
            ++i;
            continue;
        }
        if (m.loaded) {
            fl_accel_command c{};
            c.head.opcode = FL_ACCEL_OP_MODULE_UNLOAD;
            c.u.module.module.set(m.handle);
            submit(q, c, {}, "of a module", m.handle);
        }
        modules_.give_back(m.handle);
        for (const std::uint32_t kernel : m.kernels) kernels_.give_back(kernel);
        m = std::move(retired_modules_.back());
        retired_modules_.pop_back();
    }
}

}  // namespace farlane::accel::detail
