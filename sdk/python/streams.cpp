// SPDX-License-Identifier: Apache-2.0
// Receives: calls of Python on streams and events, and built-in kernels. Hands on: the same to farlane::accel.
// Owns: the functions Python gave as callbacks, until they were called.
#include <array>
#include <cstring>

#include "handles.hpp"

namespace farlane::python {
namespace {

using Context = std::shared_ptr<ContextHandle>;
using Stream = std::shared_ptr<StreamHandle>;
using Event = std::shared_ptr<EventHandle>;

/// What Python calls take: the stream's own handle and context, or the context's default one.
template <class F>
auto on(const Stream& s, F work) {
    return with_stream(s->context, s, work);
}

void same_context(const Context& context, const Buffer& b) {
    if (b.memory->context != context)
        throw Error(Status::invalid, "a buffer of " + std::to_string(b.bytes()) +
                                         " bytes belongs to another context; use one that this context allocated");
}

const Buffer& typed(const Buffer& b, const char* name, const char* dtype) {
    if (!b.dtype.equal(py::dtype(dtype))) {
        throw py::type_error(std::string(name) + " has dtype " + text_of(b.dtype) + ", needs " + dtype);
    }
    return b;
}

template <std::size_t N>
void fill_with(accel::Stream& s, const Buffer& b, const std::byte* value) {
    std::array<std::byte, N> element;
    std::memcpy(element.data(), value, N);
    s.fill(b.view<std::array<std::byte, N>>(), element);
}

void fill(const Context& context, const Buffer& b, const py::object& value, const Stream& stream) {
    same_context(context, b);
    const py::array one = py::module_::import("numpy").attr("asarray")(value, b.dtype);
    if (one.size() != 1) throw py::value_error("fill takes one value");
    const auto* bytes = static_cast<const std::byte*>(one.data());
    const auto size = b.dtype.itemsize();
    with_stream(context, stream, [&](accel::Stream& s) {
        switch (size) {
            case 1: return fill_with<1>(s, b, bytes);
            case 2: return fill_with<2>(s, b, bytes);
            case 4: return fill_with<4>(s, b, bytes);
            case 8: return fill_with<8>(s, b, bytes);
            case 16: return fill_with<16>(s, b, bytes);
            default:
                throw Error(Status::invalid, "fill: elements of " + std::to_string(size) +
                                                 " bytes; it takes 1, 2, 4, 8 or 16, else upload an array");
        }
    });
}

void copy(const Context& context, const Buffer& to, const Buffer& from, const Stream& stream) {
    same_context(context, to);
    same_context(context, from);
    with_stream(context, stream,
                [&](accel::Stream& s) { s.copy(to.view(), accel::View<const std::byte>(from.view())); });
}

void download(const Context& context, const Buffer& from, const HostArray& into, const Stream& stream) {
    same_context(context, from);
    with_stream(context, stream, [&](accel::Stream& s) { s.download(from.view(), *into.memory->value); });
}

/// Called on the context's thread; what it raises is told as Python does where nobody can catch it.
void on_complete(const Context& context, const py::function& callback, const Stream& stream) {
    const std::shared_ptr<py::function> kept(new py::function(callback), [](py::function* f) {
        const py::gil_scoped_acquire acquire;
        delete f;
    });
    with_stream(context, stream, [&](accel::Stream& s) {
        s.on_complete([kept, of = context.get()](Status status) {
            callbacks_of = of;  // from now on: it does nothing else, and drops what Python gave behind the call
            const py::gil_scoped_acquire acquire;
            try {
                (*kept)(std::string(status_name(status)));
            } catch (py::error_already_set& e) {
                e.discard_as_unraisable("a callback of farlane.accel");
            }
        });
    });
}

void axpy(const Context& context, float a, const Buffer& x, const Buffer& y, const Stream& stream) {
    typed(x, "x", "float32");
    typed(y, "y", "float32");
    with_stream(context, stream, [&](accel::Stream& s) {
        s.launch(accel::Axpy{a, accel::View<const float>(x.view<float>()), y.view<float>()});
    });
}

void matrix(const Buffer& b, const char* name) {
    typed(b, name, "float32");
    if (b.shape.size() != 2) throw py::value_error(std::string(name) + " must have two dimensions");
}

void gemm(const Context& context, const Buffer& a, const Buffer& b, const Buffer& c, float alpha, float beta,
          bool transpose_a, bool transpose_b, const Stream& stream) {
    matrix(a, "a");
    matrix(b, "b");
    matrix(c, "c");
    const auto m = a.shape[transpose_a ? 1 : 0], k = a.shape[transpose_a ? 0 : 1];
    const auto bk = b.shape[transpose_b ? 1 : 0], n = b.shape[transpose_b ? 0 : 1];
    if (bk != k || c.shape[0] != m || c.shape[1] != n) {
        throw py::value_error("shapes do not fit: a " + shape_text(a.shape) + ", b " + shape_text(b.shape) + ", c " +
                              shape_text(c.shape));
    }
    accel::Gemm g;
    g.a = accel::View<const float>(a.view<float>());
    g.b = accel::View<const float>(b.view<float>());
    g.c = c.view<float>();
    g.m = static_cast<std::uint32_t>(m);
    g.n = static_cast<std::uint32_t>(n);
    g.k = static_cast<std::uint32_t>(k);
    g.alpha = alpha;
    g.beta = beta;
    g.transpose_a = transpose_a;
    g.transpose_b = transpose_b;
    with_stream(context, stream, [&](accel::Stream& s) { s.launch(g); });
}

void reduce(const Context& context, const std::string& operation, const Buffer& x, const Buffer& result,
            const Stream& stream) {
    typed(x, "x", "float32");
    typed(result, "result", "float32");
    accel::Reduction which = accel::Reduction::sum;
    if (operation == "min")
        which = accel::Reduction::minimum;
    else if (operation == "max")
        which = accel::Reduction::maximum;
    else if (operation != "sum")
        throw py::value_error("operation: 'sum', 'min' or 'max'");
    with_stream(context, stream, [&](accel::Stream& s) {
        s.launch(accel::Reduce{which, accel::View<const float>(x.view<float>()), result.view<float>()});
    });
}

accel::Border border_of(const std::string& name) {
    if (name == "clamp") return accel::Border::clamp;
    if (name == "zero") return accel::Border::zero;
    throw py::value_error("border: 'clamp' or 'zero'");
}

void picture(const Buffer& in, const Buffer& out, const Buffer& weights, std::size_t dimensions) {
    const bool fits = in.shape.size() == dimensions && in.shape == out.shape && weights.shape.size() == 2 &&
                      weights.shape[0] == weights.shape[1];
    if (!fits) throw py::value_error("source and destination must have the same shape, the weights be square");
}

void conv2d(const Context& context, const Buffer& in, const Buffer& weights, const Buffer& out,
            const std::string& border, std::uint32_t shift, std::int32_t bias, bool keep_alpha, const Stream& stream) {
    const auto edge = border_of(border);
    if (in.dtype.equal(py::dtype("float32"))) {
        picture(in, typed(out, "destination", "float32"), typed(weights, "weights", "float32"), 2);
        const accel::Conv2dF32 k{accel::View<const float>(in.view<float>()),
                                 accel::View<const float>(weights.view<float>()),
                                 out.view<float>(),
                                 static_cast<std::uint32_t>(in.shape[1]),
                                 static_cast<std::uint32_t>(in.shape[0]),
                                 static_cast<std::uint32_t>(weights.shape[0]),
                                 edge};
        return with_stream(context, stream, [&](accel::Stream& s) { s.launch(k); });
    }
    picture(typed(in, "source", "uint8"), typed(out, "destination", "uint8"), typed(weights, "weights", "int16"), 3);
    if (in.shape[2] != 4) throw py::value_error("a picture of bytes has four channels");
    using accel::Rgba8;
    const accel::Conv2dRgba8 k{accel::View<const Rgba8>(in.view<Rgba8>()),
                               accel::View<const std::int16_t>(weights.view<std::int16_t>()),
                               out.view<Rgba8>(),
                               static_cast<std::uint32_t>(in.shape[1]),
                               static_cast<std::uint32_t>(in.shape[0]),
                               static_cast<std::uint32_t>(weights.shape[0]),
                               edge,
                               shift,
                               bias,
                               keep_alpha};
    with_stream(context, stream, [&](accel::Stream& s) { s.launch(k); });
}

}  // namespace

void define_streams(py::module_& m) {
    class_of<StreamHandle, Stream>(m, "Stream")
        .def(
            "synchronize", [](const Stream& s) { on(s, [](accel::Stream& x) { x.synchronize(); }); },
            "Waits until everything so far has run; raises the first error since the last time.")
        .def(
            "query", [](const Stream& s) { return on(s, [](accel::Stream& x) { return x.query(); }); },
            "Everything so far has run? Does not wait.")
        .def(
            "ping", [](const Stream& s) { on(s, [](accel::Stream& x) { x.ping(); }); }, "One round trip to the device.")
        .def(
            "record", [](const Stream& s, const Event& e) { on(s, [&](accel::Stream& x) { x.record(*e->value); }); },
            py::arg("event"), "The event stands for this point.")
        .def(
            "wait", [](const Stream& s, const Event& e) { on(s, [&](accel::Stream& x) { x.wait(*e->value); }); },
            py::arg("event"), "What comes behind runs after the event. Does not wait itself.");

    class_of<EventHandle, Event>(m, "Event")
        .def(
            "query",
            [](const Event& e) { return with(e->context, [&](accel::Context&) { return e->value->query(); }); },
            "Reached? Does not wait.")
        .def(
            "synchronize", [](const Event& e) { with(e->context, [&](accel::Context&) { e->value->synchronize(); }); },
            "Waits until it is reached.")
        .def(
            "timestamp_ns",
            [](const Event& e) {
                return with(e->context, [&](accel::Context&) { return e->value->timestamp().count(); });
            },
            "Device time when it was reached; only differences mean something. Waits.");
}

/// Calls of a context that go into a stream.
void define_work(py::module_& m) {
    const auto stream = [] { return py::arg("stream") = Stream(); };
    class_of<ContextHandle, std::shared_ptr<ContextHandle>>(m, "Context")
        .def("fill", &fill, py::arg("buffer"), py::arg("value"), stream(), "Sets every element.")
        .def("copy", &copy, py::arg("to"), py::arg("source"), stream(), "From buffer to buffer, as many bytes.")
        .def("download", &download, py::arg("source"), py::arg("into"), stream(),
             "A buffer into a HostArray; returns at once, the data are there once the stream is synchronized.")
        .def("on_complete", &on_complete, py::arg("callback"), stream(),
             "Calls callback(status) once everything so far in the stream has run or failed, on a thread of the\n"
             "context. status: 'ok', or what went wrong. It must not call anything of its context (that raises).")
        .def("axpy", &axpy, py::arg("a"), py::arg("x"), py::arg("y"), stream(), "y = a x + y; float32.")
        .def("gemm", &gemm, py::arg("a"), py::arg("b"), py::arg("c"), py::kw_only(), py::arg("alpha") = 1.0F,
             py::arg("beta") = 0.0F, py::arg("transpose_a") = false, py::arg("transpose_b") = false, stream(),
             "c = alpha op(a) op(b) + beta c; float32 matrices.")
        .def("reduce", &reduce, py::arg("operation"), py::arg("x"), py::arg("result"), stream(),
             "result[0] = 'sum', 'min' or 'max' of x; float32.")
        .def("conv2d", &conv2d, py::arg("source"), py::arg("weights"), py::arg("destination"), py::kw_only(),
             py::arg("border") = "clamp", py::arg("shift") = 0, py::arg("bias") = 0, py::arg("keep_alpha") = true,
             stream(),
             "Filters a float32 matrix with float32 weights, or a picture of (rows, columns, 4) bytes with int16\n"
             "weights: ((sum + round) >> shift) + bias.");
}

}  // namespace farlane::python
