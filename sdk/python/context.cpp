// SPDX-License-Identifier: Apache-2.0
// Receives: calls of Python on accelerator contexts. Hands on: the same to farlane::accel::Context.
// Owns: nothing but handles.
#include <chrono>
#include <exception>

#include "handles.hpp"

namespace farlane::python {

void ContextHandle::check_caller() const {
    // Its mutex may be held by somebody who waits for this very callback.
    if (callbacks_of == this)
        throw Error(Status::invalid, "a callback must not call its own context: let another thread do it");
    if (Inside::has(*this))
        throw Error(Status::invalid,
                    "a signal handler must not call the context whose wait it interrupts: set a flag, or let another "
                    "thread do it");
}

/// Who has it may be waiting for the device.
std::unique_lock<std::timed_mutex> ContextHandle::lock() {
    std::unique_lock held(mutex, std::try_to_lock);
    const bool can_raise = patience == Patience::usual || patience == Patience::end;
    while (!held.owns_lock() && !held.try_lock_for(std::chrono::milliseconds(100))) {
        if (!can_raise) continue;
        const py::gil_scoped_acquire acquire;
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    }
    return held;
}

/// By the program, which may be wrong to. Under the GIL, like the count; one of several threads does it.
void ContextHandle::close() {
    check_caller();
    const auto on = std::exchange(device, nullptr);
    if (on == nullptr) return;
    std::exception_ptr raised;
    try {
        const py::gil_scoped_release release;
        const Inside inside(*this);
        // The end of the context waits too, but what a signal handler raises can not be thrown from there.
        try {
            if (patience == Patience::usual) context->synchronize();
        } catch (const py::error_already_set&) {
            raised = std::current_exception();
        } catch (const Error&) {
            // Of work that nobody waited for.
        }
        const WithPatience now(raised ? Patience::end : patience == Patience::usual ? Patience::none : patience);
        context.reset();  // waits for callbacks, which want the GIL
    } catch (...) {
        device = on;  // it was not our turn yet
        throw;
    }
    --on->contexts;
    if (raised) std::rethrow_exception(raised);
}

ContextHandle::~ContextHandle() {
    if (device == nullptr) return;
    {
        const py::gil_scoped_release release;
        const Inside inside(*this);
        const WithPatience now(Patience::destructor);
        context.reset();
    }
    --device->contexts;
}

namespace {

/// Python's signal handlers run in the main thread, and only while it is asked.
void look_at_signals() {
    if (patience == Patience::none) return;
    if (patience == Patience::end || Inside::hurried()) throw Error(Status::canceled, "the context is closed");
    const py::gil_scoped_acquire acquire;
    if (patience == Patience::usual && PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (patience != Patience::destructor || PyOS_InterruptOccurred() == 0) return;
    PyErr_SetInterrupt();  // asking took it away; its handler runs when the destructor is over
    throw Error(Status::canceled, "interrupted");
}

void close_hurriedly(ContextHandle& h) {
    const WithPatience now(Patience::end);
    h.hurried = true;
    try {
        h.close();
    } catch (...) {
        h.hurried = false;
        throw;
    }
}

/// ^C and exit do not wait for what runs, nor does ^C while this waits for its turn.
void leave(ContextHandle& h, const py::args& raised) {
    const bool hurried = raised.size() > 0 && (PyErr_GivenExceptionMatches(raised[0].ptr(), PyExc_KeyboardInterrupt) ||
                                               PyErr_GivenExceptionMatches(raised[0].ptr(), PyExc_SystemExit));
    if (hurried) return close_hurriedly(h);
    try {
        h.close();
    } catch (const py::error_already_set&) {
        close_hurriedly(h);
        throw;
    }
}

std::shared_ptr<ContextHandle> open(const std::shared_ptr<DeviceHandle>& device, std::uint32_t queue_slots,
                                    unsigned spin_us) {
    accel::ContextOptions options;
    options.queue_slots = queue_slots;
    options.spin = std::chrono::microseconds(spin_us);
    options.while_waiting = &look_at_signals;
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

void declare_accel(py::module_& m) {
    py::class_<accel::Properties>(m, "Properties", "What the accelerator is and has, and how it was used.");
    py::class_<ContextHandle, std::shared_ptr<ContextHandle>>(
        m, "Context",
        "Work of one program on an accelerator: memory, programs, streams. Any thread; calls of several threads wait\n"
        "for each other. A kernel that crashes or runs too long costs the whole context: every later call raises why.");
    py::class_<Buffer>(m, "Buffer",
                       "Elements of device memory, zero at first. Freed when it and its parts are gone and commands\n"
                       "that use it have run.");
    py::class_<HostArray>(m, "HostArray",
                          "Host memory that the device reaches without a copy on the way: for asynchronous downloads.");
    py::class_<StreamHandle, std::shared_ptr<StreamHandle>>(
        m, "Stream",
        "Commands that run one after the other; streams run beside each other. Calls that use a stream take it as\n"
        "`stream`. Made by Context.create_stream.");
    py::class_<EventHandle, std::shared_ptr<EventHandle>>(
        m, "Event", "A point in a stream: Stream.record. Made by Context.create_event.");
    py::class_<accel::ArgumentInfo>(m, "ArgumentInfo", "One argument of a kernel, as far as the device knows it.");
    py::class_<accel::KernelInfo>(m, "KernelInfo", "What binding a kernel found.");
    py::class_<accel::SharedBytes>(m, "SharedBytes", "An argument that is memory shared by a block (__local).");
    py::class_<ModuleHandle, std::shared_ptr<ModuleHandle>>(m, "Module", "A program on the accelerator: Context.load.");
    py::class_<KernelHandle, std::shared_ptr<KernelHandle>>(m, "Kernel", "A kernel of a module: Module.kernel.");
}

void define_context(py::module_& m) {
    using P = accel::Properties;
    class_of<P>(m, "Properties")
        .def_readonly("executor", &P::executor, "'cpu', 'opencl' or 'cuda'.")
        .def_property_readonly(
            "device_name", [](const P& p) { return to_python(p.device_name); }, "Of what executes; '': not told.")
        .def_property_readonly("vendor", [](const P& p) { return to_python(p.vendor); })
        .def_property_readonly("driver_version", [](const P& p) { return to_python(p.driver_version); })
        .def_readonly("units", &P::units, "Compute units.")
        .def_readonly("memory_bytes", &P::memory_bytes, "That buffers can have in all.")
        .def_readonly("memory_free_bytes", &P::memory_free_bytes, "Not given to any context.")
        .def_readonly("memory_context_bytes", &P::memory_context_bytes, "Of this context.")
        .def_readonly("local_bytes", &P::local_bytes,
                      "Memory of the accelerator itself, where buffers lie then; 0: none.")
        .def_readonly("local_free_bytes", &P::local_free_bytes)
        .def_readonly("kernels_run", &P::kernels_run, "Since power-on.")
        .def_property_readonly(
            "busy_ns", [](const P& p) { return p.busy.count(); }, "In kernels, since power-on.")
        .def_readonly("context_kernels", &P::context_kernels, "Kernels of this context that finished.")
        .def_property_readonly(
            "context_busy_ns", [](const P& p) { return p.context_busy.count(); }, "In kernels of this context.")
        .def_readonly("worker_bytes", &P::worker_bytes, "Host memory of this context's worker process; 0: it has none.")
        .def_readonly("energy_uj", &P::energy_uj, "Microjoules since power-on; None: not measured.")
        .def_property_readonly(
            "time_limit_ms", [](const P& p) { return p.time_limit.count(); }, "That one kernel may run; 0: no limit.")
        .def_readonly("max_streams", &P::max_streams)
        .def("__repr__", [](const P& p) {
            return to_python("<farlane.accel.Properties " + p.executor + ": " + p.device_name + ", " +
                             std::to_string(p.units) + " units, " + std::to_string(p.memory_bytes >> 20) + " MiB>");
        });

    class_of<ContextHandle, std::shared_ptr<ContextHandle>>(m, "Context")
        .def(py::init(&open), py::arg("device"), py::kw_only(),
             py::arg("queue_slots") = accel::ContextOptions{}.queue_slots, py::arg("spin_us") = 50,
             "Opens one on an attached accelerator. queue_slots: commands of a stream in flight, a power of two;\n"
             "spin_us: how long a wait polls before it sleeps.")
        .def(
            "create_stream",
            [](const std::shared_ptr<ContextHandle>& h) {
                return std::make_shared<StreamHandle>(h, with(h, [](accel::Context& c) { return c.create_stream(); }));
            },
            "Another stream beside the one that calls without `stream` use.")
        .def(
            "create_event",
            [](const std::shared_ptr<ContextHandle>& h) {
                return std::make_shared<EventHandle>(h, with(h, [](accel::Context& c) { return c.create_event(); }));
            },
            "An event, to be recorded: Stream.record.")
        .def(
            "load", &load, py::arg("source"), py::kw_only(), py::arg("kind") = "opencl-c", py::arg("options") = "",
            py::arg("name") = "",
            "Loads a program from text or bytes; kind: opencl-c, spirv, ptx, cubin, cuda-c. options: of the compiler;\n"
            "name: for errors. Returns before it is compiled; what goes wrong is raised by the next call that waits,\n"
            "with the build log.")
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
        .def(
            "close", &ContextHandle::close,
            "Waits for what runs and for callbacks, then gives everything back. The end of a with block does it; when\n"
            "KeyboardInterrupt or SystemExit leaves the block, or ^C comes meanwhile, what runs is ended instead.")
        .def("__enter__", [](const std::shared_ptr<ContextHandle>& h) { return h; })
        .def("__exit__", &leave);
}

}  // namespace farlane::python
