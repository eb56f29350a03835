// SPDX-License-Identifier: Apache-2.0
// Receives: calls of Python on accelerator contexts. Hands on: the same to farlane::accel::Context.
// Owns: nothing but handles.
#include "handles.hpp"

namespace farlane::python {

/// Under the GIL, like the count.
void ContextHandle::close() {
    if (device == nullptr) return;
    {
        const py::gil_scoped_release release;
        const std::lock_guard lock(mutex);
        context.reset();  // waits for what runs, and for callbacks, which want the GIL
    }
    --device->contexts;
    device.reset();
}

ContextHandle::~ContextHandle() {
    close();
}

namespace {

std::shared_ptr<ContextHandle> open(const std::shared_ptr<DeviceHandle>& device, std::uint32_t queue_slots,
                                    unsigned spin_us) {
    accel::ContextOptions options;
    options.queue_slots = queue_slots;
    options.spin = std::chrono::microseconds(spin_us);
    auto handle = std::make_shared<ContextHandle>();
    {
        const py::gil_scoped_release release;
        handle->context.emplace(device->get(), options);
    }
    handle->device = device;
    ++device->contexts;
    return handle;
}

accel::ModuleKind kind_of(const std::string& name) {
    if (name == "opencl-c") return accel::ModuleKind::opencl_c;
    if (name == "spirv") return accel::ModuleKind::spirv;
    if (name == "ptx") return accel::ModuleKind::ptx;
    if (name == "cubin") return accel::ModuleKind::cubin;
    if (name == "cuda-c") return accel::ModuleKind::cuda_c;
    throw Error(Status::invalid, "kind '" + name + "': must be opencl-c, spirv, ptx, cubin or cuda-c");
}

std::shared_ptr<ModuleHandle> load(const std::shared_ptr<ContextHandle>& h, const std::string& source,
                                   const std::string& kind, const std::string& options, const std::string& name) {
    const auto wanted = kind_of(kind);
    return std::make_shared<ModuleHandle>(h, with(h, [&](accel::Context& c) {
                                              return c.load(wanted, std::string_view(source), {options, name});
                                          }));
}

std::shared_ptr<ModuleHandle> load_file(const std::shared_ptr<ContextHandle>& h, const py::object& path,
                                        const std::string& options) {
    const auto text = py::module_::import("os").attr("fspath")(path).cast<std::string>();
    return std::make_shared<ModuleHandle>(h, with(h, [&](accel::Context& c) {
                                              return c.load_file(text, {options, ""});
                                          }));
}

}  // namespace

void define_context(py::module_& m) {
    using P = accel::Properties;
    py::class_<P>(m, "Properties", "What the accelerator is and has, and how it was used.")
        .def_readonly("executor", &P::executor, "'cpu', 'opencl' or 'cuda'.")
        .def_readonly("device_name", &P::device_name)
        .def_readonly("vendor", &P::vendor)
        .def_readonly("driver_version", &P::driver_version)
        .def_readonly("units", &P::units)
        .def_readonly("memory_bytes", &P::memory_bytes)
        .def_readonly("memory_free_bytes", &P::memory_free_bytes)
        .def_readonly("memory_context_bytes", &P::memory_context_bytes)
        .def_readonly("local_bytes", &P::local_bytes)
        .def_readonly("local_free_bytes", &P::local_free_bytes)
        .def_readonly("kernels_run", &P::kernels_run)
        .def_property_readonly("busy_ns", [](const P& p) { return p.busy.count(); })
        .def_readonly("context_kernels", &P::context_kernels)
        .def_property_readonly("context_busy_ns", [](const P& p) { return p.context_busy.count(); })
        .def_readonly("worker_bytes", &P::worker_bytes)
        .def_readonly("energy_uj", &P::energy_uj, "Microjoules since power-on; None: not measured.")
        .def_property_readonly("time_limit_ms", [](const P& p) { return p.time_limit.count(); })
        .def_readonly("max_streams", &P::max_streams)
        .def("__repr__", [](const P& p) {
            return "<farlane.accel.Properties " + p.executor + ": " + p.device_name + ", " + std::to_string(p.units) +
                   " units, " + std::to_string(p.memory_bytes >> 20) + " MiB>";
        });

    py::class_<ContextHandle, std::shared_ptr<ContextHandle>>(
        m, "Context",
        "Work of one program on an accelerator: memory, programs, streams. Any thread; calls of several threads wait "
        "for "
        "each other. A kernel that crashes or runs too long costs the whole context: every later call raises why.")
        .def(py::init(&open), py::arg("device"), py::kw_only(),
             py::arg("queue_slots") = accel::ContextOptions{}.queue_slots, py::arg("spin_us") = 50,
             "Opens one on an attached accelerator. queue_slots: commands of a stream in flight, a power of two; "
             "spin_us: how "
             "long a wait polls before it sleeps.")
        .def(
            "create_stream",
            [](const std::shared_ptr<ContextHandle>& h) {
                return std::make_shared<StreamHandle>(h, with(h, [](accel::Context& c) { return c.create_stream(); }));
            },
            "Another stream beside the one that calls without `stream` use.")
        .def("create_event",
             [](const std::shared_ptr<ContextHandle>& h) {
                 return std::make_shared<EventHandle>(h, with(h, [](accel::Context& c) { return c.create_event(); }));
             })
        .def("load", &load, py::arg("source"), py::kw_only(), py::arg("kind") = "opencl-c", py::arg("options") = "",
             py::arg("name") = "",
             "Loads a program from text or bytes; kind: opencl-c, spirv, ptx, cubin, cuda-c. Returns before it is "
             "compiled; what "
             "goes wrong is raised by the next call that waits, with the build log.")
        .def("load_file", &load_file, py::arg("path"), py::kw_only(), py::arg("options") = "",
             "The same from a file: .cl, .spv, .ptx, .cubin, .cu.")
        .def(
            "takes",
            [](const std::shared_ptr<ContextHandle>& h, const std::string& kind) {
                const auto wanted = kind_of(kind);
                return with(h, [&](accel::Context& c) { return c.takes(wanted); });
            },
            py::arg("kind"), "The accelerator takes programs of this kind.")
        .def(
            "synchronize",
            [](const std::shared_ptr<ContextHandle>& h) { with(h, [](accel::Context& c) { c.synchronize(); }); },
            "Waits for every stream; raises the first error of any.")
        .def(
            "properties",
            [](const std::shared_ptr<ContextHandle>& h) {
                return with(h, [](accel::Context& c) { return c.properties(); });
            },
            "Asks the device: Properties. Waits.")
        .def("close", &ContextHandle::close, "Waits for what runs and for callbacks, then gives everything back.")
        .def("__enter__", [](const std::shared_ptr<ContextHandle>& h) { return h; })
        .def("__exit__", [](ContextHandle& h, const py::args&) { h.close(); });
}

}  // namespace farlane::python
