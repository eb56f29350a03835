// SPDX-License-Identifier: Apache-2.0
// Receives: NumPy arrays. Hands on: buffers of the accelerator, and arrays back.
// Owns: nothing but handles.
#include <cstring>
#include <numeric>

#include "handles.hpp"

namespace farlane::python {
namespace {

using Context = std::shared_ptr<ContextHandle>;
using Stream = std::shared_ptr<StreamHandle>;

void check_dtype(const py::dtype& dtype) {
    const char kind = dtype.kind();
    const bool plain = dtype.itemsize() > 0 && kind != 'O' && !dtype.attr("hasobject").cast<bool>();
    if (!plain) throw py::type_error("dtype " + text_of(dtype) + ": device memory holds plain data");
    const auto order = dtype.attr("byteorder").cast<std::string>();
    if (order == ">") throw py::type_error("big-endian data: convert with array.astype(array.dtype.newbyteorder('<'))");
}

std::size_t bytes_of(const std::vector<py::ssize_t>& shape, const py::dtype& dtype) {
    std::size_t bytes = static_cast<std::size_t>(dtype.itemsize());
    for (const auto n : shape) {
        if (n < 0) throw py::value_error("a dimension is negative: " + shape_text(shape));
        if (__builtin_mul_overflow(bytes, static_cast<std::size_t>(n), &bytes)) {
            throw Error(Status::no_memory, "more elements than there are addresses: " + shape_text(shape));
        }
    }
    return bytes;
}

Buffer allocate(const Context& h, const py::object& shape, const py::object& type) {
    const auto dtype = py::dtype::from_args(type);
    check_dtype(dtype);
    Buffer b{nullptr, 0, dtype, shape_of(shape)};
    const std::size_t bytes = bytes_of(b.shape, dtype);
    if (bytes == 0)
        throw py::value_error("shape " + shape_text(b.shape) + " has no elements: a buffer has at least one");
    b.memory = std::make_shared<MemoryHandle>(h, with(h, [&](accel::Context& c) { return c.allocate_bytes(bytes); }));
    return b;
}

void upload(const Buffer& b, const py::object& array, const Stream& stream) {
    const py::array data = matching(array, b);
    const auto* from = static_cast<const std::byte*>(data.data());
    with_stream(b.memory->context, stream, [&](accel::Stream& s) { s.upload(b.view(), std::span(from, b.bytes())); });
}

/// Raises what NumPy says, which py::array::ensure forgets.
py::array as_array(const py::handle& array) {
    return py::module_::import("numpy").attr("asarray")(array);
}

Buffer buffer(const Context& h, const py::object& array, const Stream& stream) {
    const py::array data = as_array(array);
    Buffer b = allocate(h, py::cast(std::vector<py::ssize_t>(data.shape(), data.shape() + data.ndim())), data.dtype());
    upload(b, data, stream);
    return b;
}

void download(const Buffer& b, py::array& out, const Stream& stream) {
    const bool fits = out.dtype().equal(b.dtype) && static_cast<std::size_t>(out.size()) == b.count();
    if (!fits) {
        throw py::type_error("out has dtype " + text_of(out.dtype()) + " and " + std::to_string(out.size()) +
                             " elements; the buffer " + text_of(b.dtype) + " and " + std::to_string(b.count()));
    }
    if ((out.flags() & py::array::c_style) == 0) {
        throw py::value_error("out is not C-contiguous: download into a contiguous array, then assign");
    }
    auto* into = static_cast<std::byte*>(out.mutable_data());  // raises when it is read-only
    with_stream(b.memory->context, stream, [&](accel::Stream& s) { s.download(b.view(), std::span(into, b.bytes())); });
}

py::array to_numpy(const Buffer& b, const Stream& stream) {
    py::array out(b.dtype, b.shape);
    download(b, out, stream);
    return out;
}

Buffer part(const Buffer& b, std::size_t first, std::size_t count) {
    if (first > b.count() || count > b.count() - first) {
        throw py::index_error("elements " + std::to_string(first) + "+" + std::to_string(count) +
                              " are not inside a buffer of " + std::to_string(b.count()));
    }
    return {b.memory,
            b.offset_bytes + first * static_cast<std::size_t>(b.dtype.itemsize()),
            b.dtype,
            {static_cast<py::ssize_t>(count)}};
}

/// Along the first dimension, without steps: what stays contiguous.
Buffer slice(const Buffer& b, const py::slice& which) {
    if (b.shape.empty()) throw py::index_error("a buffer without dimensions has no parts");
    py::ssize_t start = 0, stop = 0, step = 0, length = 0;
    if (!which.compute(b.shape[0], &start, &stop, &step, &length)) throw py::error_already_set();
    if (step != 1) throw py::value_error("a part of a buffer is contiguous: no steps");
    const std::size_t row = b.shape[0] == 0 ? 0 : b.count() / static_cast<std::size_t>(b.shape[0]);
    Buffer p = part(b, static_cast<std::size_t>(start) * row, static_cast<std::size_t>(length) * row);
    p.shape = b.shape;
    p.shape[0] = length;
    return p;
}

Buffer reshape(const Buffer& b, const py::object& shape) {
    Buffer r{b.memory, b.offset_bytes, b.dtype, shape_of(shape)};
    if (bytes_of(r.shape, r.dtype) != b.bytes()) {
        throw py::value_error("can not reshape " + shape_text(b.shape) + " into " + shape_text(r.shape));
    }
    return r;
}

HostArray allocate_host(const Context& h, const py::object& shape, const py::object& type) {
    const auto dtype = py::dtype::from_args(type);
    check_dtype(dtype);
    HostArray a{nullptr, dtype, shape_of(shape)};
    const std::size_t bytes = bytes_of(a.shape, dtype);
    if (bytes == 0)
        throw py::value_error("shape " + shape_text(a.shape) + " has no elements: host memory has at least one");
    a.memory =
        std::make_shared<HostHandle>(h, with(h, [&](accel::Context& c) { return c.allocate_host<std::byte>(bytes); }));
    return a;
}

}  // namespace

std::vector<py::ssize_t> shape_of(const py::object& shape) {
    if (py::hasattr(shape, "__index__")) return {shape.attr("__index__")().cast<py::ssize_t>()};
    std::vector<py::ssize_t> all;
    for (const auto& n : shape) all.push_back(n.attr("__index__")().cast<py::ssize_t>());
    return all;
}

std::string shape_text(const std::vector<py::ssize_t>& shape) {
    std::string text = "(";
    for (const auto n : shape) text += std::to_string(n) + ", ";
    if (shape.size() > 1) text.resize(text.size() - 2);
    if (shape.size() == 1) text.resize(text.size() - 1);
    return text + ")";
}

py::array matching(const py::handle& array, const Buffer& buffer) {
    const py::array data = as_array(array);
    if (!data.dtype().equal(buffer.dtype)) {
        throw py::type_error("the array has dtype " + text_of(data.dtype()) + ", the buffer " + text_of(buffer.dtype) +
                             ": convert with array.astype()");
    }
    const std::vector<py::ssize_t> shape(data.shape(), data.shape() + data.ndim());
    if (shape != buffer.shape && !(data.ndim() == 1 && static_cast<std::size_t>(data.size()) == buffer.count())) {
        throw py::value_error("the array has shape " + shape_text(shape) + ", the buffer " + shape_text(buffer.shape));
    }
    if ((data.flags() & py::array::c_style) != 0) return data;
    return py::module_::import("numpy").attr("ascontiguousarray")(data);
}

void define_memory(py::module_& m) {
    const auto stream = [] { return py::arg("stream") = Stream(); };

    class_of<Buffer>(m, "Buffer")
        .def_property_readonly("dtype", [](const Buffer& b) { return b.dtype; })
        .def_property_readonly("shape", [](const Buffer& b) { return py::tuple(py::cast(b.shape)); })
        .def_property_readonly(
            "size", [](const Buffer& b) { return b.count(); }, "Elements.")
        .def_property_readonly(
            "nbytes", [](const Buffer& b) { return b.bytes(); }, "Bytes.")
        .def_property_readonly(
            "address", [](const Buffer& b) { return b.memory->value->address() + b.offset_bytes; }, "On the device.")
        .def("__len__", [](const Buffer& b) { return b.shape.empty() ? 0 : b.shape[0]; })
        .def(
            "upload", &upload, py::arg("array"), stream(),
            "Copies an array of the same dtype and shape (or of one dimension and as many elements) into it; one that\n"
            "is not contiguous is copied on the way. Returns when the array may change.")
        .def("download", &download, py::arg("out"), stream(),
             "Copies it into a C-contiguous array of the same dtype and size. Waits; raises errors of the stream.")
        .def("to_numpy", &to_numpy, stream(), "A new array with its content. Waits; raises errors of the stream.")
        .def(
            "__array__",
            [](const Buffer& b, const py::object& dtype, const py::object& copy) -> py::object {
                if (!copy.is_none() && !copy.cast<bool>())
                    throw py::value_error("a buffer is on the accelerator: it can not be had without a copy");
                py::array a = to_numpy(b, nullptr);
                return dtype.is_none() ? py::object(a) : a.attr("astype")(dtype);
            },
            py::arg("dtype") = py::none(), py::arg("copy") = py::none(), "For numpy.asarray(buffer). Waits.")
        .def("part", &part, py::arg("first"), py::arg("count"), "Elements [first, first + count) of it, flat.")
        .def("__getitem__", &slice, "b[from:to] along the first dimension; shares the memory.")
        .def("reshape", &reshape, py::arg("shape"), "The same memory with other dimensions.")
        .def("__repr__", [](const Buffer& b) {
            return "<farlane.accel.Buffer " + text_of(b.dtype) + " " + shape_text(b.shape) + ">";
        });

    class_of<HostArray>(m, "HostArray")
        .def_property_readonly(
            "array",
            [](const py::object& self) {
                auto& a = self.cast<HostArray&>();
                return py::array(a.dtype, a.shape, a.memory->value->data(), self);
            },
            "The memory as a NumPy array; valid once the stream has been synchronized.")
        .def_property_readonly("dtype", [](const HostArray& a) { return a.dtype; })
        .def_property_readonly("shape", [](const HostArray& a) { return py::tuple(py::cast(a.shape)); });

    class_of<ContextHandle, std::shared_ptr<ContextHandle>>(m, "Context")
        .def("allocate", &allocate, py::arg("shape"), py::arg("dtype") = "float32",
             "A Buffer of zeros; costs no round trip.")
        .def("buffer", &buffer, py::arg("array"), stream(), "A Buffer with the content of an array.")
        .def("allocate_host", &allocate_host, py::arg("shape"), py::arg("dtype") = "float32", "A HostArray of zeros.");
}

}  // namespace farlane::python
