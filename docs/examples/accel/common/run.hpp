// SPDX-License-Identifier: Apache-2.0
// Receives: the command line of an example. Hands on: a fabric with an accelerator; results to the user; the exit code.
// Owns: the fabric's daemons, when the example starts its own.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <farlane/accel.hpp>
#include <farlane/fabric.hpp>

#include "common/arguments.hpp"
#include "common/own_fabric.hpp"
#include "common/report.hpp"

namespace example {

/// What every example has besides its own work.
class Run {
public:
    Run(const About& about, int argc, const char* const* argv);

    [[nodiscard]] const Arguments& arguments() const noexcept { return arguments_; }
    [[nodiscard]] Report& report() noexcept { return report_; }

    /// How to reach the fabric: an existing one with --device, else one that is started here. `shared`: for several
    /// processes. Throws farlane::Error.
    [[nodiscard]] farlane::FabricOptions fabric(bool shared = false);
    /// The accelerator's name there.
    [[nodiscard]] std::string device() const {
        return arguments_.has("--device") ? arguments_.text("--device") : "accel0";
    }
    /// Until a farlaned has found it; a target that was just started takes a moment. Throws farlane::Error not_found.
    void wait_for_device(farlane::Fabric& fabric);
    /// Says what the accelerator is.
    void describe(farlane::accel::Context& context);

private:
    void start(const std::string& executor, bool shared);

    Arguments arguments_;
    Report report_;
    std::unique_ptr<OwnFabric> own_;
};

/// Throws farlane::Error unsupported when the accelerator takes no OpenCL C; `what` the example needs it for.
void need_opencl_c(const farlane::accel::Context& context, const std::string& what);

/// main() of an example: --help, errors as one line on stderr, exit codes of farlane/uapi/status.h (9: a result differs
/// from its reference). `own_options` come before those that all examples have.
int run(About about, int argc, char** argv, const std::function<void(Run&)>& work);

}  // namespace example
