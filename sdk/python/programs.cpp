// SPDX-License-Identifier: Apache-2.0
// Receives: calls of Python on modules and kernels. Hands on: launches with typed arguments.
// Owns: nothing but handles.
#include <cstring>

#include "handles.hpp"

namespace farlane::python {
namespace {

using Module = std::shared_ptr<ModuleHandle>;
using Kernel = std::shared_ptr<KernelHandle>;
using Stream = std::shared_ptr<StreamHandle>;

accel::Extent extent_of(const py::object& object, const char* what) {
    if (object.is_none()) return {};
    const auto shape = shape_of(object);
    switch (shape.size()) {
        case 1: return {shape[0]};
        case 2: return {shape[0], shape[1]};
        case 3: return {shape[0], shape[1], shape[2]};
        default: throw py::value_error(std::string(what) + ": one to three numbers");
    }
}

accel::Argument value_of(const py::array& scalar) {
    const auto* data = static_cast<const std::byte*>(scalar.data());
    return accel::Argument(std::span(data, static_cast<std::size_t>(scalar.nbytes())));
}

/// The NumPy type of a parameter, by its name in the source and its size; None: it is not known.
py::object dtype_of(const accel::ArgumentInfo& info) {
    const std::string& t = info.type_name;
    const bool is_unsigned = t.starts_with("u") || t == "size_t" || t == "bool";
    if (t == "float" || t == "double" || t == "half") return py::dtype("f" + std::to_string(info.bytes));
    static constexpr std::string_view kIntegers[] = {"char", "uchar", "short",  "ushort", "int",      "uint",
                                                     "long", "ulong", "size_t", "bool",   "ptrdiff_t"};
    const bool integer =
        std::find(std::begin(kIntegers), std::end(kIntegers), t) != std::end(kIntegers) || t.starts_with("unsigned");
    if (!integer || info.bytes == 0 || info.bytes > 8) return py::none();
    return py::dtype((is_unsigned ? "u" : "i") + std::to_string(info.bytes));
}

/// A Python number has no size: that of the parameter, which the device must have told.
accel::Argument number_of(const Kernel& kernel, const py::handle& object, std::size_t index) {
    const auto& arguments = with(kernel->context, [&](accel::Context&) { return kernel->value->arguments(); });
    const bool number = PyLong_Check(object.ptr()) != 0 || PyFloat_Check(object.ptr()) != 0;
    if (!number || index >= arguments.size() || arguments[index].kind != accel::ArgumentKind::value) {
        throw py::type_error("argument " + std::to_string(index) + " of kernel '" + kernel->value->name() +
                             "': give a Buffer, a numpy scalar, SharedBytes or None; a number where it takes one");
    }
    const py::object dtype = dtype_of(arguments[index]);
    if (dtype.is_none()) {
        throw py::type_error("argument " + std::to_string(index) + " of kernel '" + kernel->value->name() + "' is a " +
                             arguments[index].type_name + ": give a numpy scalar of the right type");
    }
    const py::object numpy = py::module_::import("numpy");
    if (dtype.attr("kind").cast<std::string>() != "f") {
        const py::object limits = numpy.attr("iinfo")(dtype);
        const auto value = py::reinterpret_borrow<py::object>(object);
        const py::object least = limits.attr("min"), most = limits.attr("max");
        const bool fits = value.equal(py::int_(value)) && least <= value && value <= most;
        if (!fits) {
            throw py::value_error("argument " + std::to_string(index) + " of kernel '" + kernel->value->name() +
                                  "': " + text_of(object) + " does not fit " + arguments[index].type_name);
        }
    }
    return value_of(numpy.attr("array")(object, dtype));
}

accel::Argument argument_of(const Kernel& kernel, const py::handle& object, std::size_t index) {
    if (object.is_none()) return {nullptr};
    if (py::isinstance<Buffer>(object)) {
        const auto& b = object.cast<const Buffer&>();
        return {b.view()};
    }
    if (py::isinstance<accel::SharedBytes>(object)) return {object.cast<accel::SharedBytes>()};
    const py::object numpy = py::module_::import("numpy");
    const bool scalar = py::isinstance(object, numpy.attr("generic"));
    if (scalar || (py::isinstance<py::array>(object) && py::reinterpret_borrow<py::array>(object).ndim() == 0)) {
        return value_of(numpy.attr("asarray")(object));
    }
    if (py::isinstance<py::array>(object)) {
        throw py::type_error("argument " + std::to_string(index) +
                             " is an array of the host: make a Buffer of it with Context.buffer()");
    }
    if (py::isinstance<py::bytes>(object)) {
        const std::string_view bytes = py::reinterpret_borrow<py::bytes>(object);
        return accel::Argument(std::as_bytes(std::span(bytes)));
    }
    return number_of(kernel, object, index);
}

/// Takes a keyword argument away; None when it is not there.
py::object take(py::dict& keywords, const char* name) {
    return keywords.attr("pop")(name, py::none());
}

/// Keywords by hand: pybind11 2.10 does not convert the last of those that stand behind *args.
void launch(const Kernel& kernel, const py::args& arguments, const py::kwargs& given) {
    py::dict keywords = given.attr("copy")();
    accel::LaunchShape shape;
    shape.grid = extent_of(take(keywords, "grid"), "grid");
    shape.block = extent_of(take(keywords, "block"), "block");
    shape.offset = extent_of(take(keywords, "offset"), "offset");
    if (const auto shared = take(keywords, "shared_bytes"); !shared.is_none()) {
        shape.shared_bytes = shared.cast<std::uint32_t>();
    }
    const auto stream = take(keywords, "stream").cast<Stream>();
    if (!keywords.empty()) {
        throw py::type_error("keywords of a launch are grid, block, offset, shared_bytes and stream, not " +
                             text_of(keywords));
    }
    std::vector<accel::Argument> all;
    all.reserve(arguments.size());
    for (std::size_t i = 0; i < arguments.size(); ++i) all.push_back(argument_of(kernel, arguments[i], i));
    with_stream(kernel->context, stream, [&](accel::Stream& s) { s.launch_with(*kernel->value, shape, all); });
}

const char* kind_name(accel::ArgumentKind kind) {
    switch (kind) {
        case accel::ArgumentKind::value: return "value";
        case accel::ArgumentKind::address: return "address";
        case accel::ArgumentKind::shared: return "shared";
        default: return "unknown";
    }
}

/// `work` with the module, under the mutex of its context.
template <class F>
auto on(const Module& m, F work) {
    return with(m->context, [&](accel::Context&) { return work(*m->value); });
}

void define_infos(py::module_& m) {
    using A = accel::ArgumentInfo;
    class_of<A>(m, "ArgumentInfo")
        .def_property_readonly(
            "kind", [](const A& a) { return kind_name(a.kind); }, "value, address, shared or unknown.")
        .def_readonly("bytes", &A::bytes, "Of a value; 0: not known.")
        .def_readonly("is_const", &A::is_const, "What it points to is not written.")
        .def_property_readonly(
            "type_name", [](const A& a) { return to_python(a.type_name); }, "As in the source; '': not known.")
        .def_property_readonly(
            "name", [](const A& a) { return to_python(a.name); }, "As in the source; '': not known.")
        .def("__repr__", [](const A& a) {
            return to_python(std::string("<farlane.accel.ArgumentInfo ") + kind_name(a.kind) + " " + a.type_name + " " +
                             a.name + ">");
        });
    using K = accel::KernelInfo;
    class_of<K>(m, "KernelInfo")
        .def_readonly("argument_count", &K::argument_count)
        .def_readonly("arguments", &K::arguments, "[ArgumentInfo]: the first 36 at most.")
        .def_readonly("max_block", &K::max_block, "Work items of a block at most.")
        .def_readonly("preferred_block", &K::preferred_block, "A multiple of this is fast.")
        .def_readonly("shared_bytes", &K::shared_bytes, "Of a block, without what a launch adds.")
        .def_readonly("private_bytes", &K::private_bytes, "Of a work item.")
        .def_readonly("required_block", &K::required_block, "Block the source asks for; 0: any.");
    class_of<accel::SharedBytes>(m, "SharedBytes")
        .def(py::init([](std::uint32_t bytes) { return accel::SharedBytes{bytes}; }), py::arg("bytes"))
        .def_readonly("bytes", &accel::SharedBytes::bytes);
}

}  // namespace

void define_programs(py::module_& m) {
    define_infos(m);
    class_of<ModuleHandle, Module>(m, "Module")
        .def(
            "kernel",
            [](const Module& module, const std::string& name) {
                return std::make_shared<KernelHandle>(module->context,
                                                      on(module, [&](accel::Module& x) { return x.kernel(name); }));
            },
            py::arg("name"), "The kernel of that name. Does not wait.")
        .def(
            "wait", [](const Module& module) { on(module, [](accel::Module& x) { x.wait(); }); },
            "Waits until it is loaded; raises what loading failed with.")
        .def(
            "query", [](const Module& module) { return on(module, [](accel::Module& x) { return x.query(); }); },
            "Loaded, or failed? Does not wait.")
        .def(
            "log", [](const Module& module) { return to_python(on(module, [](accel::Module& x) { return x.log(); })); },
            "The build log. Waits.")
        .def(
            "names",
            [](const Module& module) {
                py::list names;
                for (const auto& name : on(module, [](accel::Module& x) { return x.names(); }))
                    names.append(to_python(name));
                return names;
            },
            "Names of the kernels. Waits; raises what loading failed with.");

    class_of<KernelHandle, Kernel>(m, "Kernel")
        .def_property_readonly("name", [](const Kernel& k) { return to_python(k->value->name()); })
        .def(
            "info",
            [](const Kernel& k) {
                return with(k->context, [&](accel::Context&) -> accel::KernelInfo { return k->value->info(); });
            },
            "What the device knows of it: KernelInfo. Waits.")
        .def("__call__", &launch,
             "kernel(*arguments, grid, block=None, offset=None, shared_bytes=0, stream=None)\n\n"
             "Launches it with `grid` work items, or grid x block when block is given: numbers or tuples of up to\n"
             "three. Arguments: Buffer (its address), numpy scalars (as long as the parameter), SharedBytes, None (a\n"
             "null pointer), bytes (a value), and Python numbers, which take the parameter's type and therefore wait,\n"
             "once, until the kernel is bound. Returns before it has run.");
}

}  // namespace farlane::python
