// SPDX-License-Identifier: Apache-2.0
// Receives: calls of Python on fabrics and devices. Hands on: the same to farlane::Fabric and farlane::Device.
// Owns: nothing but handles.
#include "handles.hpp"

namespace farlane::python {
namespace {

using Release = py::call_guard<py::gil_scoped_release>;
using Seconds = std::chrono::duration<double>;

ProviderKind provider_of(const std::string& name) {
    if (name == "daemon") return ProviderKind::daemon;
    if (name == "embedded") return ProviderKind::embedded;
    if (name == "kernel") return ProviderKind::kernel;
    throw Error(Status::invalid, "provider '" + name + "': must be daemon, embedded or kernel");
}

std::shared_ptr<FabricHandle> open(const std::string& provider, const std::string& socket, const std::string& port,
                                   const std::string& peer, const std::string& name, double connect_timeout) {
    FabricOptions options;
    options.provider = provider_of(provider);
    options.socket = socket;
    options.port = port;
    options.peer = peer;
    options.name = name;
    options.connect_timeout = std::chrono::duration_cast<std::chrono::milliseconds>(Seconds(connect_timeout));
    auto handle = std::make_shared<FabricHandle>();
    const py::gil_scoped_release release;
    handle->fabric.emplace(Fabric::open(options));
    return handle;
}

std::shared_ptr<DeviceHandle> attach(const std::shared_ptr<FabricHandle>& fabric, const std::string& name,
                                     bool shared) {
    auto handle = std::make_shared<DeviceHandle>();
    handle->fabric = fabric;
    const py::gil_scoped_release release;
    handle->device = fabric->get().attach(name, shared ? AttachMode::shared : AttachMode::alone);
    return handle;
}

void detach(DeviceHandle& d) {
    if (!d.device.valid()) return;
    if (d.contexts != 0) throw Error(Status::busy, "close the device's contexts before it is detached");
    const py::gil_scoped_release release;
    d.device.detach();
    d.device = Device();
}

const char* state_name(FunctionState state) {
    switch (state) {
        case FunctionState::free: return "free";
        case FunctionState::attached: return "attached";
        case FunctionState::grace: return "grace";
        case FunctionState::failed: return "failed";
    }
    return "unknown";
}

}  // namespace

void declare_fabric(py::module_& m) {
    py::class_<FunctionInfo>(m, "FunctionInfo", "One remote function as its target describes it.");
    py::class_<FabricHandle, std::shared_ptr<FabricHandle>>(
        m, "Fabric", "The fabric as this process sees it. Any thread. Errors: farlane.Error.");
    py::class_<DeviceHandle, std::shared_ptr<DeviceHandle>>(
        m, "Device", "An attached function; detached by detach(), at the end of a with block, or when it goes away.");
}

void define_fabric(py::module_& m) {
    class_of<FunctionInfo>(m, "FunctionInfo")
        .def_readonly("name", &FunctionInfo::name, "Unique at its target.")
        .def_readonly("target", &FunctionInfo::target, "Name of the target.")
        .def_readonly("model", &FunctionInfo::model, "What it is, for people; cut at 63 characters.")
        .def_readonly("holder", &FunctionInfo::holder, "Who has it; '' = nobody.")
        .def_readonly("vendor_id", &FunctionInfo::vendor_id)
        .def_readonly("device_id", &FunctionInfo::device_id)
        .def_readonly("class_code", &FunctionInfo::class_code, "PCI class, 24 bit.")
        .def_readonly("serial", &FunctionInfo::serial, "Device Serial Number; 0 = none.")
        .def_property_readonly(
            "state", [](const FunctionInfo& f) { return state_name(f.state); }, "free, attached, grace or failed.")
        .def_property_readonly("is_accelerator", [](const FunctionInfo& f) { return accel::is_accelerator(f); })
        .def("__repr__", [](const FunctionInfo& f) {
            return "<farlane.FunctionInfo '" + f.name + "', " + f.model + ", " + state_name(f.state) + ">";
        });

    class_of<FabricHandle, std::shared_ptr<FabricHandle>>(m, "Fabric")
        .def(py::init(&open), py::arg("provider") = "daemon", py::kw_only(), py::arg("socket") = "",
             py::arg("port") = "", py::arg("peer") = "", py::arg("name") = "", py::arg("connect_timeout") = 5.0,
             "Connects: to farlaned ('daemon'; socket: its control socket), to the kernel module's devices ('kernel'), "
             "or "
             "to a target by a port of this process ('embedded'; port and peer as docs/ports.md has them). Seconds.")
        .def(
            "list", [](FabricHandle& f) { return f.get().list(); }, Release(),
            "Functions that the reachable targets export: [FunctionInfo].")
        .def(
            "attach", &attach, py::arg("name"), py::arg("shared") = false,
            "Attaches a function: Device. shared: an accelerator beside other programs, each with contexts of its own; "
            "through farlaned only.")
        .def(
            "close",
            [](FabricHandle& f) {
                const py::gil_scoped_release release;
                f.fabric.reset();
            },
            "Lets go of it; its devices must be detached before.")
        .def("__enter__", [](const std::shared_ptr<FabricHandle>& f) { return f; })
        .def("__exit__", [](FabricHandle& f, const py::args&) {
            const py::gil_scoped_release release;
            f.fabric.reset();
        });

    class_of<DeviceHandle, std::shared_ptr<DeviceHandle>>(m, "Device")
        .def_property_readonly(
            "info", [](DeviceHandle& d) { return d.get().info(); }, "What it is: FunctionInfo.")
        .def(
            "enable", [](DeviceHandle& d) { d.get().enable(); }, Release(), "Memory decoding and bus mastering.")
        .def(
            "read32", [](DeviceHandle& d, unsigned bar, std::uint64_t offset) { return d.get().read32(bar, offset); },
            Release(), py::arg("bar"), py::arg("offset"), "A register of a BAR: 4 bytes. One round trip.")
        .def(
            "read64", [](DeviceHandle& d, unsigned bar, std::uint64_t offset) { return d.get().read64(bar, offset); },
            Release(), py::arg("bar"), py::arg("offset"), "8 bytes. One round trip.")
        .def(
            "write32",
            [](DeviceHandle& d, unsigned bar, std::uint64_t offset, std::uint32_t v) {
                d.get().write32(bar, offset, v);
            },
            Release(), py::arg("bar"), py::arg("offset"), py::arg("value"), "Posted.")
        .def(
            "write64",
            [](DeviceHandle& d, unsigned bar, std::uint64_t offset, std::uint64_t v) {
                d.get().write64(bar, offset, v);
            },
            Release(), py::arg("bar"), py::arg("offset"), py::arg("value"), "Posted.")
        .def(
            "reset", [](DeviceHandle& d) { d.get().reset(); }, Release(), "Function level reset.")
        .def(
            "acknowledge_reset", [](DeviceHandle& d) { d.get().acknowledge_reset(); }, Release(),
            "Accepts that the device lost its state.")
        .def("detach", &detach, "Gives it back. Errors: busy (a context is open).")
        .def("__enter__", [](const std::shared_ptr<DeviceHandle>& d) { return d; })
        .def("__exit__", [](DeviceHandle& d, const py::args&) { detach(d); });
}

}  // namespace farlane::python
