// SPDX-License-Identifier: Apache-2.0
// Receives: how LOAD and BIND ended, and their reports. Hands on: what a launch must know of its kernel.
// Owns: the state behind Module and Kernel. docs/accelerator.md, "Modules and kernels".
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <farlane/accel_module.hpp>

#include "lib/accel_state.hpp"

namespace farlane::accel::detail {

/// What LOAD and BIND have in common: a command, and the COPY of its report behind it.
class Reported : public CommandObject, public ReportReader {
public:
    Use command;  ///< LOAD or BIND; marked behind the report's copy
    Use report;   ///< that copy
    std::uint32_t handle = 0;
    std::string name;
    Reports::Slot* slot = nullptr;
    std::optional<CommandFailure> failure;  ///< of the command

    [[nodiscard]] const CommandFailure* cause() const override { return failure ? &*failure : nullptr; }
    void completed(const CommandEnd& end) noexcept override;
    void read() override;
    /// read() has run.
    [[nodiscard]] bool was_read() const noexcept { return read_; }
    [[nodiscard]] virtual ContextState& state() const noexcept = 0;

protected:
    [[nodiscard]] virtual std::size_t report_bytes() const noexcept = 0;
    /// The command wrote its report: it did what it could.
    [[nodiscard]] virtual bool report_counts() const noexcept = 0;
    virtual void parse(std::span<const std::byte> written) = 0;

private:
    bool read_ = false, copied_ = false;
};

struct KernelState;

struct ModuleState final : Reported, std::enable_shared_from_this<ModuleState> {
    std::shared_ptr<ContextState> context;
    ModuleKind kind = ModuleKind::opencl_c;
    Uses uses;  ///< launches
    std::map<std::string, std::unique_ptr<KernelState>> kernels;
    std::vector<std::unique_ptr<KernelState>> abandoned;  ///< their BIND was not submitted in full
    std::vector<std::string> names;
    bool names_complete = false;
    std::string log;

    ~ModuleState() override;
    [[nodiscard]] std::string describe() const override;
    [[nodiscard]] std::string appendix() override;
    [[nodiscard]] ContextState& state() const noexcept override { return *context; }

protected:
    [[nodiscard]] std::size_t report_bytes() const noexcept override { return Reports::kModuleBytes; }
    [[nodiscard]] bool report_counts() const noexcept override {
        return !failure || failure->reason == FL_ACCEL_REASON_BUILD || failure->reason == FL_ACCEL_REASON_BAD_IMAGE;
    }
    void parse(std::span<const std::byte> written) override;
};

/// Owned by its module; pointers to it share the module.
struct KernelState final : Reported {
    ModuleState* module = nullptr;
    KernelInfo info;
    bool has_info = false;

    [[nodiscard]] std::string describe() const override;
    [[nodiscard]] std::string appendix() override { return module->failure ? module->appendix() : std::string(); }
    /// " 'n' (uint)"; "" = not known.
    [[nodiscard]] std::string argument_name(std::size_t index) const;
    /// "a value of 4 bytes"; "" = not known.
    [[nodiscard]] std::string argument_wanted(std::size_t index) const;
    [[nodiscard]] std::string argument_help(std::size_t index) override;
    [[nodiscard]] const CommandFailure* cause() const override {
        return module->failure ? &*module->failure : Reported::cause();
    }
    [[nodiscard]] ContextState& state() const noexcept override { return *module->context; }

protected:
    [[nodiscard]] std::size_t report_bytes() const noexcept override { return Reports::kKernelBytes; }
    [[nodiscard]] bool report_counts() const noexcept override { return !failure; }
    void parse(std::span<const std::byte> written) override;
};

/// Checks a launch as far as the kernel is known, and submits it to `q`.
void launch(ContextState& context, Queue& q, const std::shared_ptr<KernelState>& kernel, const LaunchShape& shape,
            std::span<const Argument> arguments);

}  // namespace farlane::accel::detail
