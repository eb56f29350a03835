// SPDX-License-Identifier: Apache-2.0
// Receives: `import farlane`. Hands on: the module, and errors as Python exceptions.
// Owns: the exception type.
#include "handles.hpp"

namespace farlane::python {
namespace {

/// farlane.Error with .status and .code.
void raise(const py::object& type, const Error& e) {
    py::object error = type(to_python(e.what()));
    error.attr("status") = std::string(status_name(e.status()));
    error.attr("code") = static_cast<int>(e.status());
    error.attr("detail") = to_python(e.detail());
    PyErr_SetObject(type.ptr(), error.ptr());
}

}  // namespace

py::str to_python(std::string_view text) {
    return py::reinterpret_steal<py::str>(
        PyUnicode_DecodeUTF8(text.data(), static_cast<py::ssize_t>(text.size()), "replace"));
}

std::string text_of(const py::handle& object) {
    return py::str(object).cast<std::string>();
}

void define_errors(py::module_& m) {
    static py::handle type;
    type = PyErr_NewExceptionWithDoc(
        "farlane.Error",
        "What failed. str() says what, why and what to do; .status is the short name of the "
        "status ('invalid', 'no_memory', 'timeout', ...), .code its number, .detail the text, as "
        "str().",
        PyExc_RuntimeError, nullptr);
    m.attr("Error") = type;
    py::register_exception_translator([](std::exception_ptr p) {
        try {
            if (p) std::rethrow_exception(p);
        } catch (const Error& e) {
            raise(py::reinterpret_borrow<py::object>(type), e);
        }
    });
}

}  // namespace farlane::python

PYBIND11_MODULE(farlane, m) {
    m.doc() =
        "Remote PCIe functions, and accelerators among them, from Python.\n\n"
        "fabric = farlane.Fabric()                      # through farlaned\n"
        "with fabric.attach('accel0') as device, farlane.accel.Context(device) as context:\n"
        "    x = context.buffer(numpy.arange(1000, dtype=numpy.float32))\n"
        "    program = context.load('kernel void twice(global float *x) { x[get_global_id(0)] *= 2; }')\n"
        "    program.kernel('twice')(x, grid=1000)\n"
        "    print(x.to_numpy())\n\n"
        "Calls that wait let other threads of Python run meanwhile.";
    auto accel = m.def_submodule(
        "accel",
        "Accelerators: contexts, buffers of device memory, programs, streams.\n\n"
        "Work is submitted to a stream, and runs in its order; a call without `stream` uses the context's own. "
        "Nothing\n"
        "but what says \"waits\" waits for it. What goes wrong on the device is raised by the next call that waits, "
        "as\n"
        "farlane.Error, which names command, object and reason. Rules: docs/accelerator.md, \"The C++ API\".");
    farlane::python::declare_fabric(m);
    farlane::python::declare_accel(accel);
    farlane::python::define_errors(m);
    farlane::python::define_fabric(m);
    farlane::python::define_context(accel);
    farlane::python::define_streams(accel);
    farlane::python::define_memory(accel);
    farlane::python::define_work(accel);
    farlane::python::define_programs(accel);
    m.attr("__version__") = FARLANE_VERSION;
}
