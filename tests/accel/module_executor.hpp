// SPDX-License-Identifier: Apache-2.0
// Receives: modules and launches, as an executor of foreign programs has them. Hands on: outcomes; some when the test
// says so. Owns: memory of an aperture and, if wanted, of an accelerator. The programs are lists of kernels it knows.
#pragma once

#include <sys/mman.h>

#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "accel/sdk_fixture.hpp"
#include "devices/accel/accel.hpp"

namespace farlane::test {

/// A kernel as a module's text names it: one name per line. A line "error ..." does not compile, one "warning ..."
/// stands in the log.
///   scale(float *x, float a, uint n)                          x[i] *= a
///   add(float *out, const float *in, uint n)                  out[i] += in[i]
///   index(uint *out, local uint *scratch)                     out[i] = i + offset; as many as there are work items
///   gate(), hang()                                            until the test lets it through; until the context dies
struct FakeArgument {
    fl_accel_argument_kind kind;
    std::uint32_t bytes, flags;
    const char *type, *name;
};
inline const std::map<std::string, std::vector<FakeArgument>>& fake_kernels() {
    constexpr auto kAddress = FL_ACCEL_ARGUMENT_ADDRESS;
    constexpr auto kValue = FL_ACCEL_ARGUMENT_VALUE;
    static const std::map<std::string, std::vector<FakeArgument>> all = {
        {"scale", {{kAddress, 8, 0, "float*", "x"}, {kValue, 4, 0, "float", "a"}, {kValue, 4, 0, "uint", "n"}}},
        {"add",
         {{kAddress, 8, 0, "float*", "out"},
          {kAddress, 8, FL_ACCEL_ARGUMENT_CONST, "float*", "in"},
          {kValue, 4, 0, "uint", "n"}}},
        {"index", {{kAddress, 8, 0, "uint*", "out"}, {FL_ACCEL_ARGUMENT_SHARED, 0, 0, "uint*", "scratch"}}},
        {"gate", {}},
        {"hang", {}},
    };
    return all;
}

/// Jobs come from the lane of the device; the test decides from another thread.
class ModuleExecutor final : public backend::Executor {
public:
    using Outcome = backend::Outcome;
    static constexpr std::uint64_t kLocal = std::uint64_t{1} << 44, kLocalBytes = 64 << 20;

    ModuleExecutor(const backend::MemoryPlan& plan, bool has_local, std::function<void()> wake)
        : plan_(plan), has_local_(has_local), wake_(std::move(wake)) {
        aperture_ = pages(plan.aperture_bytes);
        local_ = pages(has_local ? kLocalBytes * plan.contexts : 0);
    }
    ~ModuleExecutor() override {
        munmap(aperture_.data(), aperture_.size());
        if (has_local_) munmap(local_.data(), local_.size());
    }

    // --- the test's; any thread
    void hold_builds(bool hold) {
        decide([&] { hold_builds_ = hold; });
    }
    /// Jobs that are ended go on meanwhile, as those of a busy machine.
    void hold_cancels(bool hold) {
        decide([&] {
            hold_cancels_ = hold;
            for (Job& j : jobs_) {
                if (!hold && j.canceled) j.verdict = FL_ACCEL_REASON_EXECUTION;
            }
        });
    }
    void open_gate() {
        decide([&] { gate_open_ = true; });
    }
    /// So many jobs wait for the test.
    bool held(std::size_t count) {
        const std::lock_guard lock(mutex_);
        return jobs_.size() >= count;
    }
    void wait_held(std::size_t count) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return jobs_.size() >= count; });
    }
    /// What runs in the context ends with `reason`, and it takes nothing more.
    void lose(std::uint32_t context, fl_accel_reason reason, std::uint32_t detail = 0) {
        decide([&] {
            lost_.insert(context);
            for (Job& job : jobs_) {
                if (job.context != context) continue;
                job.verdict = reason;
                job.detail = detail;
            }
        });
    }
    std::size_t modules() {
        const std::lock_guard lock(mutex_);
        return modules_.size();
    }
    std::uint64_t kernels_run = 0;

    // --- Executor
    fl_accel_executor kind() const noexcept override { return FL_ACCEL_EXECUTOR_OPENCL; }
    std::uint64_t capabilities() const noexcept override { return FL_ACCEL_CAP_OPENCL_C | FL_ACCEL_CAP_ENERGY; }
    std::uint32_t units() const noexcept override { return 3; }
    std::span<const std::byte> names() const noexcept override {
        static constexpr char kNames[] = "fake\0nobody\0one";
        return std::as_bytes(std::span(kNames));
    }
    std::span<std::byte> memory() const noexcept override { return aperture_; }
    backend::LocalMemory local() const noexcept override {
        return has_local_ ? backend::LocalMemory{kLocal, kLocalBytes, kLocalBytes} : backend::LocalMemory{};
    }
    Answer close(std::uint64_t, std::uint32_t context) noexcept override {
        const std::lock_guard lock(mutex_);
        lost_.erase(context);
        std::erase_if(modules_, [&](const auto& m) { return m.first.first == context; });
        std::erase_if(kernels_, [&](const auto& k) { return k.first.first == context; });
        std::erase_if(allocations_, [&](const auto& a) { return a.second.context == context; });
        return Outcome{};
    }
    bool lost(std::uint32_t context) const noexcept override {
        const std::lock_guard lock(mutex_);
        return lost_.contains(context);
    }
    Answer commit(std::uint64_t, const backend::JobOwner& owner, std::uint64_t address,
                  std::uint64_t bytes) noexcept override {
        const std::lock_guard lock(mutex_);
        allocations_[address] = {owner.context, bytes};
        return Outcome{};
    }
    Answer scrub(std::uint64_t, const backend::JobOwner&, std::uint64_t address,
                 std::uint64_t bytes) noexcept override {
        const std::lock_guard lock(mutex_);
        std::memset(at(address), 0, bytes);
        allocations_.erase(address);
        return Outcome{};
    }
    Answer scrub_all(std::uint64_t) noexcept override {
        const std::lock_guard lock(mutex_);
        madvise(aperture_.data(), aperture_.size(), MADV_DONTNEED);
        if (has_local_) madvise(local_.data(), local_.size(), MADV_DONTNEED);
        allocations_.clear();
        modules_.clear();
        kernels_.clear();
        lost_.clear();
        return Outcome{};
    }
    Answer copy(std::uint64_t, const backend::JobOwner&, std::uint64_t destination, std::uint64_t source,
                std::uint64_t bytes, bool) noexcept override {
        std::memmove(at(destination), at(source), bytes);
        return Outcome{};
    }
    Answer fill(std::uint64_t, const backend::JobOwner&, std::uint64_t destination, std::uint64_t bytes,
                std::span<const std::byte> pattern, bool) noexcept override {
        for (std::uint64_t i = 0; i < bytes; ++i) at(destination)[i] = pattern[i % pattern.size()];
        return Outcome{};
    }

    Answer load(std::uint64_t job, const backend::LoadRequest& r) noexcept override {
        if (r.kind == FL_ACCEL_MODULE_BUILTIN) return Outcome{};
        if (r.kind != FL_ACCEL_MODULE_OPENCL_C) return Outcome{FL_ACCEL_REASON_BAD_KIND, r.kind, 0};
        const std::string text(reinterpret_cast<const char*>(at(r.image_address)), r.image_bytes);
        return later({job, r.owner.context,
                      [this, r, text, options = std::string(r.options)] { return build(r, text, options); },
                      &hold_builds_});
    }
    void unload(const backend::JobOwner& owner, std::uint32_t module) noexcept override {
        const std::lock_guard lock(mutex_);
        modules_.erase({owner.context, module});
    }
    Answer bind(std::uint64_t, const backend::BindRequest& r) noexcept override {
        const std::lock_guard lock(mutex_);
        const auto module = modules_.find({r.owner.context, r.module});
        if (module == modules_.end()) return Outcome{};  // the built-in one: tests here launch none of it
        if (!module->second.contains(std::string(r.name))) return Outcome{FL_ACCEL_REASON_UNKNOWN_KERNEL, 0, 0};
        kernels_[{r.owner.context, r.kernel}] = r.name;
        report_kernel(r);
        return Outcome{};
    }
    Outcome prepare(const backend::LaunchRequest& r, backend::AccessList& touches) const noexcept override {
        const std::lock_guard lock(mutex_);
        const auto kernel = kernels_.find({r.owner.context, r.kernel});
        if (kernel == kernels_.end()) return {FL_ACCEL_REASON_BAD_HANDLE, r.kernel, 0};
        if (r.dimensions == 0) return {FL_ACCEL_REASON_BAD_GRID, 0, 0};
        return check(r, fake_kernels().at(kernel->second), touches);
    }
    Answer launch(std::uint64_t job, const backend::LaunchRequest& r) noexcept override {
        std::string name;
        {
            const std::lock_guard lock(mutex_);
            name = kernels_.at({r.owner.context, r.kernel});
        }
        static const bool kHeld = true;
        const bool* const held = name == "hang" ? &kHeld : name == "gate" ? &gate_shut_ : nullptr;
        const std::vector<std::byte> arguments(r.arguments.begin(), r.arguments.end());
        return later({job, r.owner.context, [this, r, name, arguments] { return execute(r, name, arguments); }, held});
    }
    bool next_done(backend::JobDone& done) noexcept override {
        const std::lock_guard lock(mutex_);
        settle();
        if (done_.empty()) return false;
        done = done_.front();
        done_.pop_front();
        return true;
    }
    bool has_done() const noexcept override {
        const std::lock_guard lock(mutex_);
        return !done_.empty() || due_;
    }
    void cancel(std::uint64_t job) noexcept override {
        const std::lock_guard lock(mutex_);
        for (Job& j : jobs_) {
            if (j.number != job) continue;
            j.canceled = true;
            if (!hold_cancels_) j.verdict = FL_ACCEL_REASON_EXECUTION;
        }
        settle();
    }
    Usage usage() const noexcept override { return {kernels_run, 1000, 0}; }
    Usage usage(std::uint32_t) const noexcept override { return {kernels_run, 1000, 4096}; }
    std::uint64_t energy_uj() noexcept override { return 4711; }

private:
    using Handle = std::pair<std::uint32_t, std::uint32_t>;  ///< context, handle
    struct Job {
        std::uint64_t number = 0;
        std::uint32_t context = 0;
        std::function<Outcome()> run;
        const bool* held = nullptr;  ///< waits while this is true
        fl_accel_reason verdict = FL_ACCEL_REASON_NONE;
        std::uint32_t detail = 0;
        bool canceled = false;
    };
    struct Allocation {
        std::uint32_t context = 0;
        std::uint64_t bytes = 0;
    };

    static std::span<std::byte> pages(std::size_t bytes) {
        if (bytes == 0) return {};
        void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        EXPECT_NE(p, MAP_FAILED);
        return {static_cast<std::byte*>(p), bytes};
    }
    std::byte* at(std::uint64_t address) const {
        return address >= kLocal ? local_.data() + (address - kLocal) : aperture_.data() + (address - plan_.address);
    }
    template <class F>
    void decide(F change) {
        {
            const std::lock_guard lock(mutex_);
            change();
            gate_shut_ = !gate_open_;
            due_ = true;
        }
        wake_();
    }
    Answer later(Job job) {
        const std::lock_guard lock(mutex_);
        if (lost_.contains(job.context)) job.verdict = FL_ACCEL_REASON_CONTEXT_LOST;
        jobs_.push_back(std::move(job));
        settle();
        changed_.notify_all();
        return std::nullopt;
    }
    void settle() {
        due_ = false;
        for (auto job = jobs_.begin(); job != jobs_.end();) {
            const bool ended = job->verdict != FL_ACCEL_REASON_NONE;
            if (!ended && job->held != nullptr && *job->held) {
                ++job;
                continue;
            }
            done_.push_back({job->number, ended ? Outcome{job->verdict, job->detail, 0} : job->run()});
            job = jobs_.erase(job);
        }
    }

    Outcome build(const backend::LoadRequest& r, const std::string& text, const std::string& options) {
        std::string names, log = options.empty() ? "" : "options: " + options + "\n";
        bool ok = true;
        std::istringstream in(text);
        std::set<std::string> kernels;
        for (std::string line; std::getline(in, line);) {
            const bool known = fake_kernels().contains(line);
            if (known) names += (names.empty() ? "" : ";") + line;
            if (known) kernels.insert(line);
            if (!known) log += line + "\n";
            ok = ok && (known || line.starts_with("warning"));
        }
        fl_accel_module_report head{};
        head.names_bytes.set(static_cast<std::uint32_t>(names.size()));
        head.log_bytes.set(static_cast<std::uint32_t>(log.size()));
        std::string all(reinterpret_cast<const char*>(&head), sizeof head);
        all += names + log;
        if (r.report_bytes != 0) std::memcpy(at(r.report_address), all.data(), std::min(all.size(), r.report_bytes));
        if (!ok) return {FL_ACCEL_REASON_BUILD, 11, 0};
        modules_[{r.owner.context, r.module}] = std::move(kernels);
        return {};
    }
    void report_kernel(const backend::BindRequest& r) {
        if (r.report_bytes == 0) return;
        const auto& arguments = fake_kernels().at(std::string(r.name));
        fl_accel_kernel_report head{};
        head.arguments.set(static_cast<std::uint32_t>(arguments.size()));
        head.argument_report_bytes.set(sizeof(fl_accel_argument_report));
        head.max_block.set(256);
        head.preferred_block.set(8);
        std::memcpy(at(r.report_address), &head, sizeof head);
        std::uint64_t to = r.report_address + sizeof head;
        for (const FakeArgument& a : arguments) {
            fl_accel_argument_report one{};
            one.kind.set(a.kind);
            one.bytes.set(a.bytes);
            one.flags.set(a.flags);
            std::strcpy(reinterpret_cast<char*>(one.type_name), a.type);
            std::strcpy(reinterpret_cast<char*>(one.name), a.name);
            std::memcpy(at(to), &one, sizeof one);
            to += sizeof one;
        }
    }
    /// The allocation that an address is in, if it is the context's.
    [[nodiscard]] std::optional<std::pair<std::uint64_t, std::uint64_t>> allocation(std::uint64_t address,
                                                                                    std::uint32_t context) const {
        auto there = allocations_.upper_bound(address);
        if (there == allocations_.begin()) return std::nullopt;
        --there;
        const bool inside = address - there->first < there->second.bytes && there->second.context == context;
        if (!inside) return std::nullopt;
        return std::pair{there->first, there->second.bytes};
    }
    Outcome check(const backend::LaunchRequest& r, const std::vector<FakeArgument>& wanted,
                  backend::AccessList& touches) const {
        std::uint32_t at_byte = 0;
        std::size_t count = 0;
        for (; at_byte + sizeof(fl_accel_argument) <= r.arguments.size(); ++count) {
            fl_accel_argument head;
            std::memcpy(static_cast<void*>(&head), r.arguments.data() + at_byte, sizeof head);
            const std::uint32_t kind = head.kind.get(), bytes = head.bytes.get();
            if (count < wanted.size() && kind != wanted[count].kind)
                return {FL_ACCEL_REASON_ARGUMENT_VALUE, at_byte, 0};
            if (count < wanted.size() && kind == FL_ACCEL_ARGUMENT_VALUE && bytes != wanted[count].bytes) {
                return {FL_ACCEL_REASON_ARGUMENT_BYTES, at_byte, 0};
            }
            if (kind == FL_ACCEL_ARGUMENT_ADDRESS) {
                fl_le64 address;
                std::memcpy(static_cast<void*>(&address), r.arguments.data() + at_byte + sizeof head, sizeof address);
                const auto range = allocation(address.get(), r.owner.context);
                if (!range && address.get() != 0) return {FL_ACCEL_REASON_NOT_ALLOCATED, at_byte, 0};
                const bool write = count >= wanted.size() || (wanted[count].flags & FL_ACCEL_ARGUMENT_CONST) == 0;
                if (range) (void)touches.add({range->first, range->second, write, at_byte});
            }
            at_byte += sizeof head + (kind == FL_ACCEL_ARGUMENT_SHARED ? 0 : (bytes + 7) / 8 * 8);
        }
        if (count == wanted.size()) return {};
        return {FL_ACCEL_REASON_ARGUMENT_COUNT, static_cast<std::uint32_t>(wanted.size()), 0};
    }
    template <class T>
    static T value(const std::vector<std::byte>& block, std::size_t at_byte) {
        T v;
        std::memcpy(&v, block.data() + at_byte, sizeof v);
        return v;
    }
    Outcome execute(const backend::LaunchRequest& r, const std::string& name, const std::vector<std::byte>& block) {
        ++kernels_run;
        const auto floats = [&](std::size_t i) {
            return reinterpret_cast<float*>(at(value<std::uint64_t>(block, 16 * i + 8)));
        };
        if (name == "scale") {
            for (std::uint32_t i = 0; i < value<std::uint32_t>(block, 40); ++i) floats(0)[i] *= value<float>(block, 24);
        } else if (name == "add") {
            for (std::uint32_t i = 0; i < value<std::uint32_t>(block, 40); ++i) floats(0)[i] += floats(1)[i];
        } else if (name == "index") {
            std::uint64_t items = 1;
            for (int i = 0; i < 3; ++i) items *= std::uint64_t{r.grid[i]} * std::max(r.block[i], 1u);
            auto* out = reinterpret_cast<std::uint32_t*>(floats(0));
            for (std::uint32_t i = 0; i < items; ++i) out[i] = i + r.offset[0];
        }
        return {};
    }

    backend::MemoryPlan plan_;
    bool has_local_;
    std::function<void()> wake_;
    std::span<std::byte> aperture_, local_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool hold_builds_ = false, hold_cancels_ = false, gate_open_ = false, gate_shut_ = true, due_ = false;
    std::deque<Job> jobs_;
    std::deque<backend::JobDone> done_;
    std::set<std::uint32_t> lost_;
    std::map<Handle, std::set<std::string>> modules_;
    std::map<Handle, std::string> kernels_;
    std::map<std::uint64_t, Allocation> allocations_;
};

/// An accelerator on a ModuleExecutor. Its contexts have ranges of their own.
struct ProgramDevice {
    std::unique_ptr<backend::Device> device;
    ModuleExecutor* executor = nullptr;  ///< lives as long as the device
};
inline ProgramDevice make_program_device(bool has_local) {
    firmware::accel::AccelOptions options;
    options.memory_bytes = 32 << 20;
    options.queues = 12;
    options.contexts = 3;
    options.executor = FL_ACCEL_EXECUTOR_OPENCL;
    options.time_limit_ms = 1234;
    auto waker = std::make_unique<firmware::accel::Waker>();
    auto executor = std::make_unique<ModuleExecutor>(firmware::accel::plan_of(options), has_local,
                                                     [to = waker.get()] { to->wake(); });
    ModuleExecutor* const there = executor.get();
    return {std::make_unique<firmware::accel::Accel>(options, std::make_unique<firmware::FunctionState>(),
                                                     std::move(waker), std::move(executor)),
            there};
}

class AccelPrograms : public AccelSdk {
protected:
    [[nodiscard]] virtual bool has_local() const { return false; }
    std::unique_ptr<backend::Device> make_device() override {
        auto made = make_program_device(has_local());
        executor_ = made.executor;
        return std::move(made.device);
    }
    /// Until that many jobs wait for the test's word.
    void turn_until_held(std::size_t count) {
        if (GetParam().progress == Progress::thread) return executor_->wait_held(count);
        while (!executor_->held(count)) (void)fabric_->poll();
    }
    /// What `call` throws; ok and "" when nothing.
    template <class F>
    static std::pair<Status, std::string> thrown(F call) {
        try {
            call();
        } catch (const Error& e) {
            return {e.status(), e.what()};
        }
        return {Status::ok, ""};
    }
    ModuleExecutor* executor_ = nullptr;
};

}  // namespace farlane::test
