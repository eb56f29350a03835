// SPDX-License-Identifier: Apache-2.0
// Receives: checked work of an accelerator function. Hands on: records to workers, outcomes. Owns: executor.hpp.
#include "backend/worker/executor.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iostream>

namespace farlane::backend::worker {
namespace {

constexpr std::size_t kMaxOutputBytes = 64 << 10;  // a pipe's

std::string names_of(const FoundDevice& device) {
    std::string text;
    for (const std::string& part : {device.name, device.vendor, device.driver}) {
        text.append(part.c_str()).push_back('\0');
    }
    return text;
}

std::function<void(std::string)> log_of(const WorkerExecutorOptions& options) {
    if (options.log) return options.log;
    return [](const std::string& line) { std::cerr << "farlane: " + line + '\n'; };
}

std::span<const std::byte> bytes_of_text(std::string_view text) noexcept {
    return std::as_bytes(std::span(text));
}

}  // namespace

WorkerExecutor::WorkerExecutor(const WorkerExecutorOptions& options, Parts parts)
    : kind_(options.kind),
      parts_(std::move(parts)),
      names_(names_of(parts_.device)),
      name_(options.name),
      wake_(options.wake),
      log_(log_of(options)),
      scratch_(kMaxCompleteRecord),
      jobs_(options.max_jobs + options.plan.contexts),
      channels_(options.plan.contexts),
      janitor_(options.wake),
      watch_(channels_, *parts_.aperture, janitor_,
             {parts_.program, options.kind == FL_ACCEL_EXECUTOR_CUDA ? "cuda" : "opencl", options.name, options.wake,
              log_}),
      services_(make_services()) {
    services_.time_limit_ns = std::uint64_t{options.time_limit_ms} * 1'000'000;
    services_.build_limit_ns = std::uint64_t{options.build_limit_ms} * 1'000'000;
    for (std::uint32_t c = 0; c < options.plan.contexts; ++c) channels_[c].control = parts_.control->at(c);
    links_.reserve(options.plan.contexts);
    for (std::uint32_t c = 0; c < options.plan.contexts; ++c) links_.emplace_back(channels_[c], services_, c);
}

Link::Services WorkerExecutor::make_services() {
    return {
        .jobs = jobs_,
        .time_limit_ns = 0,
        .build_limit_ns = 0,
        .kill = [this](std::uint32_t context, Cause cause) { watch_.kill(context, cause); },
        .deadline_set = [this] { watch_.deadline_set(); },
        .look = [this] { watch_.kick(); },
        .ended_memory = [this](std::uint32_t slot) { punch(slot); },
        .done =
            [this](std::uint32_t slot, const Outcome& outcome) {
                ready_.push_back({jobs_[slot].number, outcome});
                ready_count_.store(static_cast<std::uint32_t>(ready_.size()), std::memory_order_relaxed);
                jobs_.give_back(slot);
            },
        .complain =
            [this](std::string_view text) {
                if (complaint_ == text) return;  // one context after the other says the same
                complaint_ = text;
                log_("worker process of accelerator '" + name_ + "': " + complaint_);
            },
        .lost =
            [this](std::uint32_t context, std::string_view text) {
                const auto line =
                    losses_.take(std::chrono::nanoseconds(now_ns()),
                                 "context " + std::to_string(context) + " is lost: its worker process (pid " +
                                     std::to_string(channels_[context].pid.load()) + ") " + std::string(text));
                if (line) log_("accelerator '" + name_ + "': " + *line);
            },
        .scratch = scratch_,
    };
}

// --- contexts

Setup WorkerExecutor::setup_of(std::uint32_t context) const noexcept {
    Setup s;
    s.executor = kind_;
    s.place = parts_.place;
    s.device = parts_.device.index;
    s.parent = ::getpid();
    s.aperture_address = parts_.aperture->address_of(context);
    s.aperture_bytes = parts_.aperture->plan().context_bytes;
    s.bounce_bytes = parts_.aperture->plan().bounce_bytes;
    s.local_address = parts_.local.address + context * parts_.local.stride;
    s.local_bytes = parts_.local.bytes;
    return s;
}

void WorkerExecutor::open(std::uint32_t context) noexcept {
    parts_.cpu->open(context);
    channels_[context].clear();
    Handle control = parts_.control->renew(context);
    links_[context].open();
    if (!control.valid()) {
        channels_[context].cause = Cause::not_ready;
        channels_[context].dead = true;
        return;
    }
    channels_[context].control->setup = setup_of(context);
    watch_.start(context, std::move(control));
}

Executor::Answer WorkerExecutor::close(std::uint64_t job, std::uint32_t context) noexcept {
    if (!links_[context].is_open()) return Outcome{};
    const std::uint32_t slot = jobs_.take(job, JobKind::close, {context, 0});
    jobs_[slot].place = JobPlace::janitor;
    end_context(context);
    watch_.end(context, slot);
    return std::nullopt;
}

/// What it had in use counts on.
void WorkerExecutor::end_context(std::uint32_t context) noexcept {
    const Usage usage = links_[context].usage;
    past_.kernels += usage.kernels;
    past_.busy_ns += usage.busy_ns;
    links_[context].close();
    channels_[context].deaf = true;
    channels_[context].buried = true;
}

std::optional<Outcome> WorkerExecutor::refusal(std::uint32_t context) const noexcept {
    if (!links_[context].is_open()) return Outcome{FL_ACCEL_REASON_CONTEXT_LOST, 0, 0};
    if (const auto fate = links_[context].fate(); fate != FL_ACCEL_REASON_NONE) return Outcome{fate, 0, 0};
    return std::nullopt;
}

template <class AskStruct>
Executor::Answer WorkerExecutor::give(std::uint64_t job, JobKind kind, const JobOwner& owner, Ask ask, AskStruct record,
                                      std::span<const std::byte> more, std::uint32_t handle) noexcept {
    const std::uint32_t slot = jobs_.take(job, kind, owner);
    jobs_[slot].handle = handle;
    record.token = jobs_.token(slot);
    links_[owner.context].give(slot, ask, {bytes_of(record), more});
    return std::nullopt;
}

// --- memory

Executor::Answer WorkerExecutor::commit(std::uint64_t job, const JobOwner& owner, std::uint64_t address,
                                        std::uint64_t bytes) noexcept {
    if (const auto refused = refusal(owner.context)) return refused;
    links_[owner.context].allocations[address] = bytes;
    const std::uint32_t slot = jobs_.take(job, JobKind::commit, owner);
    jobs_[slot].address = address;
    AskMemory record{{}, address, bytes};
    record.token = jobs_.token(slot);
    links_[owner.context].give(slot, Ask::commit, {bytes_of(record), {}});
    return std::nullopt;
}

Executor::Answer WorkerExecutor::scrub(std::uint64_t job, const JobOwner& owner, std::uint64_t address,
                                       std::uint64_t bytes) noexcept {
    Link& link = links_[owner.context];
    link.allocations.erase(address);
    const std::uint32_t slot = jobs_.take(job, JobKind::scrub, owner);
    jobs_[slot].address = address;
    jobs_[slot].bytes = bytes;
    if (link.lost() || !link.is_open()) {
        punch(slot);
        return std::nullopt;
    }
    link.give(slot, Ask::decommit, {bytes_of(AskMemory{jobs_.token(slot), address, bytes})});
    return std::nullopt;
}

void WorkerExecutor::punch(std::uint32_t slot) {
    Job& job = jobs_[slot];
    job.place = JobPlace::janitor;
    janitor_.put(slot, [this, context = job.owner.context, address = job.address, bytes = job.bytes] {
        if (!is_local(address)) parts_.aperture->punch(context, address, bytes);
    });
}

Executor::Answer WorkerExecutor::scrub_all(std::uint64_t job) noexcept {
    clear_slot_ = jobs_.take(job, JobKind::clear, {});
    jobs_[clear_slot_].place = JobPlace::janitor;
    clearing_ = 0;
    for (std::uint32_t c = 0; c < links_.size(); ++c) {
        if (!links_[c].is_open()) continue;
        const std::uint32_t slot = jobs_.take(job, JobKind::clear_end, {c, 0});
        jobs_[slot].place = JobPlace::janitor;
        end_context(c);
        watch_.end(c, slot);
        ++clearing_;
    }
    if (clearing_ == 0) janitor_.put(clear_slot_, [this] { parts_.aperture->clear(); });
    return std::nullopt;
}

Executor::Answer WorkerExecutor::copy(std::uint64_t job, const JobOwner& owner, std::uint64_t destination,
                                      std::uint64_t source, std::uint64_t bytes, bool behind) noexcept {
    if (const auto refused = refusal(owner.context)) return refused;
    if (!chains(destination, source)) return parts_.cpu->copy(job, owner, destination, source, bytes, behind);
    const std::uint32_t epoch = links_[owner.context].epoch(owner.stream, behind);
    return give(job, JobKind::copy, owner, Ask::copy, AskCopy{{}, owner.stream, epoch, destination, source, bytes});
}

Executor::Answer WorkerExecutor::fill(std::uint64_t job, const JobOwner& owner, std::uint64_t destination,
                                      std::uint64_t bytes, std::span<const std::byte> pattern, bool behind) noexcept {
    if (const auto refused = refusal(owner.context)) return refused;
    if (!is_local(destination)) return parts_.cpu->fill(job, owner, destination, bytes, pattern, behind);
    AskFill ask{{}, owner.stream, links_[owner.context].epoch(owner.stream, behind), destination, bytes, {}, 0, 0};
    ask.pattern_bytes = static_cast<std::uint32_t>(std::min(pattern.size(), std::size(ask.pattern)));
    std::copy_n(pattern.begin(), ask.pattern_bytes, ask.pattern);
    return give(job, JobKind::copy, owner, Ask::fill, ask);
}

// --- modules and kernels

Executor::Answer WorkerExecutor::load(std::uint64_t job, const LoadRequest& request) noexcept {
    const JobOwner& owner = request.owner;
    if (const auto refused = refusal(owner.context)) return refused;
    if (request.kind == FL_ACCEL_MODULE_BUILTIN) return load_builtin(job, request);
    static constexpr std::array<std::uint64_t, 5> kBits = {FL_ACCEL_CAP_OPENCL_C, FL_ACCEL_CAP_SPIRV, FL_ACCEL_CAP_PTX,
                                                           FL_ACCEL_CAP_CUBIN, FL_ACCEL_CAP_CUDA_C};
    const auto kind = static_cast<std::uint32_t>(request.kind);
    const std::uint32_t index = kind - FL_ACCEL_MODULE_OPENCL_C;
    if (index >= kBits.size() || (capabilities() & kBits[index]) == 0)
        return Outcome{FL_ACCEL_REASON_BAD_KIND, kind, 0};
    if (request.image_bytes == 0) return Outcome{FL_ACCEL_REASON_BAD_IMAGE, 0, 0};
    const std::uint32_t slot = jobs_.take(job, JobKind::load, owner);
    jobs_[slot].handle = request.module;
    const AskLoad ask{jobs_.token(slot),
                      request.module,
                      kind,
                      request.image_address,
                      request.image_bytes,
                      request.report_address,
                      request.report_bytes,
                      static_cast<std::uint32_t>(request.options.size()),
                      0};
    links_[owner.context].give(slot, Ask::load, {bytes_of(ask), bytes_of_text(request.options)});
    return std::nullopt;
}

void WorkerExecutor::unload(const JobOwner& owner, std::uint32_t module) noexcept {
    Link& link = links_[owner.context];
    if (link.is_open() && !link.lost()) link.unload(module);
}

Executor::Answer WorkerExecutor::bind(std::uint64_t job, const BindRequest& request) noexcept {
    Link& link = links_[request.owner.context];
    if (const auto refused = refusal(request.owner.context)) return refused;
    if (link.modules[request.module].builtin) return bind_builtin(job, request);
    const std::uint32_t slot = jobs_.take(job, JobKind::bind, request.owner);
    jobs_[slot].handle = request.kernel;
    jobs_[slot].address = request.module;
    const AskBind ask{
        jobs_.token(slot),      request.module,      request.kernel, static_cast<std::uint32_t>(request.name.size()), 0,
        request.report_address, request.report_bytes};
    link.give(slot, Ask::bind, {bytes_of(ask), bytes_of_text(request.name)});
    return std::nullopt;
}

Outcome WorkerExecutor::prepare(const LaunchRequest& request, AccessList& touches) const noexcept {
    const Link& link = links_[request.owner.context];
    const Link::Kernel& kernel = link.kernels[request.kernel];
    if (const auto refused = refusal(request.owner.context)) return *refused;
    if (!kernel.used) return {FL_ACCEL_REASON_BAD_HANDLE, request.kernel, 0};
    if (kernel.builtin != nullptr) return prepare_builtin(request, touches);
    return prepare_loaded(request, kernel.signature, touches);
}

/// What the device would refuse when it is too late for the launches behind.
bool WorkerExecutor::fits_device(const LaunchRequest& request, const Signature& signature) const noexcept {
    if (kind_ != FL_ACCEL_EXECUTOR_CUDA) return request.shared_bytes == 0;
    const LaunchLimits& limits = parts_.device.limits;
    for (std::size_t i = 0; i < 3; ++i) {
        if (request.offset[i] != 0) return false;
        if (limits.grid[i] != 0 && request.grid[i] > limits.grid[i]) return false;
        if (limits.block[i] != 0 && request.block[i] > limits.block[i]) return false;
    }
    return limits.shared_bytes == 0 || (signature.shared_bytes() <= limits.shared_bytes &&
                                        request.shared_bytes <= limits.shared_bytes - signature.shared_bytes());
}

Outcome WorkerExecutor::prepare_loaded(const LaunchRequest& request, const Signature& signature,
                                       AccessList& touches) const noexcept {
    if (const auto outcome = signature.check(request); !outcome.ok()) return outcome;
    if (!fits_device(request, signature)) return {FL_ACCEL_REASON_BAD_GRID, 0, 0};
    ArgumentReader reader(request.arguments);
    Argument argument;
    for (std::size_t i = 0; reader.next(argument); ++i) {
        // CUDA has dynamic shared memory of the launch instead.
        if (argument.kind == FL_ACCEL_ARGUMENT_SHARED && kind_ == FL_ACCEL_EXECUTOR_CUDA) {
            return {FL_ACCEL_REASON_ARGUMENT_VALUE, argument.offset, 0};
        }
        if (argument.kind != FL_ACCEL_ARGUMENT_ADDRESS || argument.address() == 0) continue;
        const auto allocation = links_[request.owner.context].allocation_at(argument.address());
        if (allocation && parts_.place == Place::local && !is_local(allocation->first)) {
            return {FL_ACCEL_REASON_BAD_ADDRESS, argument.offset, 0};
        }
        if (!allocation) return {FL_ACCEL_REASON_NOT_ALLOCATED, argument.offset, 0};
        if (!touches.add({allocation->first, allocation->second, signature.writes(i), argument.offset})) {
            touches.add_all();
        }
    }
    return {};
}

Executor::Answer WorkerExecutor::launch(std::uint64_t job, const LaunchRequest& request) noexcept {
    if (const auto refused = refusal(request.owner.context)) return refused;
    if (links_[request.owner.context].kernels[request.kernel].builtin != nullptr) return launch_builtin(job, request);
    return launch_in_worker(job, request);
}

Executor::Answer WorkerExecutor::launch_in_worker(std::uint64_t job, const LaunchRequest& request) noexcept {
    Link& link = links_[request.owner.context];
    AskLaunch ask{{},
                  request.owner.stream,
                  link.epoch(request.owner.stream, request.behind),
                  request.kernel,
                  request.dimensions,
                  {},
                  {},
                  {},
                  request.shared_bytes,
                  static_cast<std::uint32_t>(request.arguments.size()),
                  0};
    std::copy(request.grid.begin(), request.grid.end(), ask.grid);
    std::copy(request.block.begin(), request.block.end(), ask.block);
    std::copy(request.offset.begin(), request.offset.end(), ask.offset);
    return give(job, JobKind::launch, request.owner, Ask::launch, ask, request.arguments, request.kernel);
}

bool WorkerExecutor::chains(const LaunchRequest& request) const noexcept {
    const Link::Kernel& kernel = links_[request.owner.context].kernels[request.kernel];
    return kernel.used && (kernel.builtin == nullptr || is_on_local(request));
}
bool WorkerExecutor::chains(std::uint64_t destination, std::uint64_t source) const noexcept {
    return is_local(destination) || is_local(source);
}

// --- ends

bool WorkerExecutor::next_done(JobDone& done) noexcept {
    for (;;) {
        if (!ready_.empty()) {
            done = ready_.front();
            ready_.pop_front();
            ready_count_.store(static_cast<std::uint32_t>(ready_.size()), std::memory_order_relaxed);
            return true;
        }
        if (parts_.cpu->next_done(done)) return true;
        if (JobDone ended_slot; janitor_.next_done(ended_slot)) {
            ended(static_cast<std::uint32_t>(ended_slot.job));
            continue;
        }
        bool did = false;
        for (std::size_t i = 0; i < links_.size() && !did; ++i) {
            Link& link = links_[next_link_];
            next_link_ = (next_link_ + 1) % static_cast<std::uint32_t>(links_.size());
            did = link.is_open() && link.poll();
        }
        if (!did) return false;
    }
}

/// The janitor is through with it.
void WorkerExecutor::ended(std::uint32_t slot) noexcept {
    const Job job = jobs_[slot];
    if (job.kind == JobKind::close || job.kind == JobKind::clear_end) {
        parts_.control->clear(job.owner.context);
        channels_[job.owner.context].clear();
    }
    if (job.kind != JobKind::clear_end) return services_.done(slot, {});
    jobs_.give_back(slot);
    if (--clearing_ == 0) janitor_.put(clear_slot_, [this] { parts_.aperture->clear(); });
}

bool WorkerExecutor::has_done() const noexcept {
    if (ready_count_.load(std::memory_order_relaxed) != 0 || parts_.cpu->has_done() || janitor_.has_done()) return true;
    return std::any_of(channels_.begin(), channels_.end(), [](const Channel& c) { return c.calls_lane(); });
}

void WorkerExecutor::cancel(std::uint64_t job) noexcept {
    const std::uint32_t slot = jobs_.find(job);
    if (slot == Job::kNone) return parts_.cpu->cancel(job);
    const Job& j = jobs_[slot];
    if (j.place == JobPlace::worker) links_[j.owner.context].cancel(slot);
}

// --- use

/// Since this executor was made, as the worker that looked last saw it. What they say is only a number, of hostile
/// hands perhaps: no device uses more than this, and what is more counts as not said.
std::uint64_t WorkerExecutor::energy_uj() noexcept {
    constexpr std::uint64_t kMostWatts = 2000;     // microjoules in a microsecond
    constexpr std::uint64_t kSlackUs = 1'000'000;  // the first look was before made_ns_
    const std::uint64_t most = ((now_ns() - made_ns_) / 1000 + kSlackUs) * kMostWatts;
    for (std::uint32_t c = 0; c < links_.size(); ++c) {
        if (!links_[c].is_open()) continue;
        const std::uint64_t now = channels_[c].control->energy_uj.load(std::memory_order_relaxed);
        if (now <= parts_.device.energy_uj) continue;
        const std::uint64_t used = now - parts_.device.energy_uj;
        if (used <= most) energy_uj_ = std::max(energy_uj_, used);
    }
    return energy_uj_;
}

std::uint64_t WorkerExecutor::worker_bytes(std::uint32_t context) const noexcept {
    const int fd = channels_[context].statm.load(std::memory_order_relaxed);
    std::array<char, 128> text;
    const ssize_t got = fd < 0 ? 0 : ::pread(fd, text.data(), text.size(), 0);
    if (got <= 0) return 0;
    const char* end = text.data() + got;
    const char* resident = std::find<const char*>(text.data(), end, ' ');
    std::uint64_t pages = 0;
    if (resident != end) (void)std::from_chars(resident + 1, end, pages);
    return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

/// A context without a worker has nothing to say, and a hostile worker no more than a pipe holds.
std::optional<std::span<const std::byte>> WorkerExecutor::output(std::uint32_t context, std::size_t most) noexcept {
    const int fd = links_[context].is_open() ? channels_[context].output.load(std::memory_order_relaxed) : -1;
    most = std::min(most, kMaxOutputBytes);
    if (fd < 0 || most == 0) return std::span<const std::byte>();
    if (output_.size() < kMaxOutputBytes) output_.resize(kMaxOutputBytes);
    const ssize_t bytes = ::read(fd, output_.data(), most);  // once: it gives all that is there
    return std::span<const std::byte>(output_).first(static_cast<std::size_t>(std::max<ssize_t>(bytes, 0)));
}

Executor::Usage WorkerExecutor::usage(std::uint32_t context) const noexcept {
    if (!links_[context].is_open()) return {};
    Usage usage = links_[context].usage;
    const Usage builtin = parts_.cpu->usage(context);
    usage.kernels += builtin.kernels;
    usage.busy_ns += builtin.busy_ns;
    usage.worker_bytes = worker_bytes(context);
    return usage;
}

Executor::Usage WorkerExecutor::usage() const noexcept {
    Usage all = parts_.cpu->usage();
    all.kernels += past_.kernels;
    all.busy_ns += past_.busy_ns;
    for (std::uint32_t c = 0; c < links_.size(); ++c) {
        if (!links_[c].is_open()) continue;
        all.kernels += links_[c].usage.kernels;
        all.busy_ns += links_[c].usage.busy_ns;
        all.worker_bytes += worker_bytes(c);
    }
    return all;
}

}  // namespace farlane::backend::worker
