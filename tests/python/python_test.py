#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Receives: folder of the module, program that serves accelerators, worker program. Hands on: whether `import farlane`
# does what its documentation says. Owns: the targets it starts.
import ast
import gc
import inspect
import os
import pathlib
import pydoc
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import weakref

FOLDER, TARGET, WORKER = sys.argv[1:4]
sys.path.insert(0, FOLDER)

import numpy as np  # noqa: E402

import farlane  # noqa: E402
from farlane import accel  # noqa: E402


class Target:
    """An accelerator in a process of its own; why it is not there, if so, in `trouble`."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([TARGET, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()
        self.trouble = "" if self.address else self.process.communicate()[1].strip()

    def fabric(self):
        return farlane.Fabric("embedded", port="udp:127.0.0.1:0", peer=self.address, connect_timeout=20)

    def stop(self):
        if self.process.poll() is None:
            self.process.communicate("")


class WithContext(unittest.TestCase):
    KIND = ("cpu",)

    @classmethod
    def setUpClass(cls):
        cls.target = Target(*cls.KIND)
        if cls.target.trouble:
            raise unittest.SkipTest(cls.target.trouble)
        cls.fabric = cls.target.fabric()
        cls.device = cls.fabric.attach("accel0")

    @classmethod
    def tearDownClass(cls):
        gc.collect()  # what a test left in a cycle
        cls.device.detach()
        cls.fabric.close()
        cls.target.stop()

    def setUp(self):
        self.context = accel.Context(self.device)

    def tearDown(self):
        self.context.close()

    def raises(self, status, text=""):
        case = self

        class Check:
            def __enter__(self):
                return self

            def __exit__(self, kind, error, trace):
                case.assertIs(kind, farlane.Error, error)
                case.assertEqual(error.status, status, str(error))
                case.assertIn(text, str(error))
                self.error = error
                return True
        return Check()


class Basics(WithContext):
    def test_functions(self):
        functions = self.fabric.list()
        self.assertEqual([f.name for f in functions], ["accel0"])
        self.assertTrue(functions[0].is_accelerator)
        self.assertIn("cpu: ", repr(functions[0]))
        self.assertEqual(self.device.info.class_code, 0x120000)
        self.assertEqual(self.device.read32(0, 0), 0x43414c46)
        with self.raises("not_found", "accel0"):
            self.fabric.attach("accel7")
        with self.raises("invalid", "provider"):
            farlane.Fabric("nothing")

    def test_errors(self):
        with self.raises("no_memory") as check:
            self.context.allocate(1 << 40)
        self.assertIsInstance(check.error, RuntimeError)
        self.assertGreater(check.error.code, 0)
        self.assertTrue(str(check.error).startswith(check.error.detail))
        with self.raises("busy", "contexts"):
            self.device.detach()

    def test_arrays_there_and_back(self):
        for dtype in ("float16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64",
                      "uint64", "complex64", "complex128", "bool", "S5", "U3", "datetime64[s]",
                      [("a", "<i4"), ("b", "<f8")]):
            data = np.random.default_rng(5).integers(0, 2, 600).astype("int64")
            array = np.zeros((20, 30), dtype=dtype)
            if array.dtype.fields:
                array["a"] = data.reshape(20, 30)
            else:
                array[...] = data.reshape(20, 30).astype(dtype)
            buffer = self.context.buffer(array)
            self.assertEqual((buffer.dtype, buffer.shape, buffer.nbytes), (array.dtype, array.shape, array.nbytes))
            np.testing.assert_array_equal(buffer.to_numpy(), array)
            np.testing.assert_array_equal(np.asarray(buffer), array)

    def test_what_does_not_fit_is_refused(self):
        buffer = self.context.allocate((4, 6), "float32")
        np.testing.assert_array_equal(buffer.to_numpy(), np.zeros((4, 6), "float32"))
        with self.assertRaisesRegex(TypeError, "float64.*float32.*astype"):
            buffer.upload(np.zeros((4, 6)))
        with self.assertRaisesRegex(ValueError, r"\(6, 4\).*\(4, 6\)"):
            buffer.upload(np.zeros((6, 4), "float32"))
        with self.assertRaises(TypeError):
            buffer.download(np.zeros(23, "float32"))
        with self.assertRaisesRegex(ValueError, "contiguous"):
            buffer.download(np.zeros((6, 4), "float32").T)
        with self.assertRaises(ValueError):
            out = np.zeros(24, "float32")
            out.flags.writeable = False
            buffer.download(out)
        with self.assertRaisesRegex(TypeError, "plain data"):
            self.context.allocate(3, object)
        with self.assertRaisesRegex(TypeError, "big-endian"):
            self.context.buffer(np.zeros(3, ">f4"))
        for call in (self.context.buffer, buffer.upload):
            with self.assertRaises((ValueError, TypeError)):  # by NumPy, or as an array of objects
                call([[1, 2], [3]])

    def test_arrays_without_elements_are_refused(self):
        for shape in (0, (3, 0)):
            with self.assertRaisesRegex(ValueError, r"shape \((0,|3, 0)\) has no elements"):
                self.context.buffer(np.zeros(shape, "float32"))
            with self.assertRaisesRegex(ValueError, "no elements"):
                self.context.allocate_host(shape)
        buffer = self.context.buffer(np.float32(7))  # no dimensions, one element
        self.assertEqual((buffer.shape, buffer.to_numpy()), ((), 7))
        self.assertEqual(buffer.reshape(1)[0:0].to_numpy().size, 0)
        with self.assertRaisesRegex(ValueError, "copy"):
            buffer.__array__(copy=False)

    def test_strided_arrays_are_copied(self):
        array = np.arange(48, dtype="float32").reshape(8, 6)
        buffer = self.context.allocate((6, 8))
        buffer.upload(array.T)
        np.testing.assert_array_equal(buffer.to_numpy(), array.T)
        np.testing.assert_array_equal(self.context.buffer(array[::2, 1:5]).to_numpy(), array[::2, 1:5])

    def test_parts(self):
        buffer = self.context.buffer(np.arange(24, dtype="int32").reshape(6, 4))
        np.testing.assert_array_equal(buffer[2:4].to_numpy(), np.arange(8, 16).reshape(2, 4))
        np.testing.assert_array_equal(buffer.part(5, 3).to_numpy(), [5, 6, 7])
        np.testing.assert_array_equal(buffer.reshape((3, 8))[1:2].to_numpy(), [np.arange(8, 16)])
        self.context.fill(buffer[0:3], 7)
        self.assertEqual(buffer.to_numpy().sum(), 12 * 7 + sum(range(12, 24)))
        self.assertEqual(buffer[1:2].address - buffer.address, 16)
        with self.assertRaises(ValueError):
            buffer[::2]
        with self.assertRaises(IndexError):
            buffer.part(20, 5)
        with self.assertRaises(ValueError):
            buffer.reshape(23)

    def test_built_in_kernels(self):
        rng = np.random.default_rng(7)
        a, b = (rng.random((30, 30), "float32") for _ in range(2))
        da, db, dc = self.context.buffer(a), self.context.buffer(b), self.context.allocate((30, 30))
        self.context.gemm(da, db, dc, alpha=2, transpose_b=True)
        np.testing.assert_allclose(dc.to_numpy(), 2 * a @ b.T, rtol=1e-5)
        self.context.axpy(-2, da, dc)
        np.testing.assert_allclose(dc.to_numpy(), 2 * a @ b.T - 2 * a, rtol=1e-4, atol=1e-5)
        result = self.context.allocate(1)
        self.context.reduce("max", da, result)
        self.assertEqual(result.to_numpy()[0], a.max())
        identity = np.zeros((3, 3), "float32")
        identity[1, 1] = 1
        self.context.conv2d(da, self.context.buffer(identity), dc)
        np.testing.assert_array_equal(dc.to_numpy(), a)
        picture = rng.integers(0, 255, (10, 12, 4), "uint8")
        out = self.context.allocate(picture.shape, "uint8")
        self.context.conv2d(self.context.buffer(picture), self.context.buffer(identity.astype("int16")), out)
        np.testing.assert_array_equal(out.to_numpy(), picture)
        with self.assertRaisesRegex(TypeError, "int16"):
            self.context.conv2d(self.context.buffer(picture), self.context.buffer(identity), out)
        with self.assertRaisesRegex(ValueError, "shapes"):
            self.context.gemm(da, self.context.allocate((29, 30)), dc)

    def test_streams_events_and_host_memory(self):
        stream = self.context.create_stream()
        event = self.context.create_event()
        buffer = self.context.allocate(1000)
        host = self.context.allocate_host(1000)
        self.context.fill(buffer, 3, stream=stream)
        stream.record(event)
        with self.raises("invalid"):
            self.context.create_event().synchronize()
        event.synchronize()
        self.assertTrue(event.query())
        self.assertGreater(event.timestamp_ns(), 0)
        self.context.download(buffer, host, stream=stream)
        stream.synchronize()
        self.assertTrue(stream.query())
        stream.ping()
        array = host.array
        del host
        gc.collect()
        np.testing.assert_array_equal(array, np.full(1000, 3, "float32"))
        self.context.copy(buffer[0:10], buffer[10:20])

    def test_callbacks(self):
        called = threading.Event()
        seen = []

        def callback(status):
            seen.append((status, threading.current_thread() is threading.main_thread()))
            called.set()
        buffer = self.context.allocate(1000)
        self.context.fill(buffer, 1)
        kept = weakref.ref(callback)
        self.context.on_complete(callback)
        del callback
        called.wait()
        self.assertEqual(seen, [("ok", False)])
        self.context.synchronize()
        self.context.on_complete(lambda status: seen.append(status))
        self.context.close()
        self.assertEqual(seen[1], "ok")
        gc.collect()
        self.assertIsNone(kept())
        with self.raises("canceled"):
            buffer.to_numpy()

    def test_callbacks_may_not_call_their_context(self):
        called = threading.Event()
        seen = []
        buffer = self.context.allocate(10)

        def callback(status):
            for call in (self.context.synchronize, buffer.to_numpy, self.context.close):
                try:
                    call()
                except farlane.Error as e:
                    seen.append((e.status, "another thread" in str(e)))
            called.set()
        self.context.on_complete(callback)
        self.assertTrue(called.wait(20))
        self.assertEqual(seen, [("invalid", True)] * 3)

    def test_callbacks_may_hold_the_last_of_a_buffer(self):
        """Which then goes on their thread, while somebody closes the context."""
        def keep(buffer):
            def callback(status):
                time.sleep(0.02)
                kept.append(buffer.nbytes)
            return callback
        kept = []
        for _ in range(3):
            with accel.Context(self.device) as context:
                buffer = context.buffer(np.arange(1000))
                context.on_complete(keep(buffer))
                del buffer
        self.assertEqual(kept, [8000] * 3)

    def test_threads_close_one_context(self):
        for _ in range(5):
            context = accel.Context(self.device)
            context.fill(context.allocate(1 << 20), 1)
            threads = [threading.Thread(target=context.close) for _ in range(3)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            with self.raises("canceled"):
                context.synchronize()

    def test_help_speaks_of_python(self):
        for module in (farlane, accel):
            text = pydoc.plaintext.document(module)
            for word in ("farlane::", "std::", "shared_ptr", "Handle"):
                self.assertNotIn(word, text, [x for x in text.splitlines() if word in x])
        for c in (accel.Context, accel.Buffer, accel.Stream, accel.Module, accel.Kernel, farlane.Fabric, farlane.Device):
            for name, member in vars(c).items():
                if not name.startswith("_") and not isinstance(member, property):
                    self.assertRegex(member.__doc__, r"\n\n.*[A-Za-z]", f"{c.__name__}.{name} says nothing")

    def test_stubs_are_right(self):
        stubs = pathlib.Path(FOLDER, "farlane-stubs")
        for module, file in ((farlane, "__init__.pyi"), (accel, "accel.pyi")):
            tree = ast.parse((stubs / file).read_text())
            classes = {c.name: c for c in tree.body if isinstance(c, ast.ClassDef)}
            self.assertEqual(set(classes), {n for n, v in vars(module).items() if inspect.isclass(v)})
            for name, stub in classes.items():
                if name == "Error":
                    continue
                there = vars(getattr(module, name))
                members = {f.name: f for f in stub.body if isinstance(f, ast.FunctionDef)}
                public = {n for n in there if not n.startswith("_")}
                self.assertEqual({n for n in members if not n.startswith("_")}, public, name)
                for n, f in members.items():
                    self.assertIn(n, there, name)
                    if isinstance(there[n], property) or n in ("__exit__", "__call__", "__getitem__", "__len__"):
                        continue
                    signature = there[n].__doc__.splitlines()[0]
                    given = [a.arg for a in f.args.args + f.args.kwonlyargs]
                    listed = re.findall(r"(?:^\w+\(|, )(\w+): ", signature)
                    self.assertEqual([a for a in listed], given, f"{name}.{n}: {signature}")

    def test_other_threads_run_meanwhile(self):
        results = []

        def work(i):
            with accel.Context(self.device) as context:
                data = np.full(100000, i, "float32")
                for _ in range(5):
                    results.append(np.array_equal(context.buffer(data).to_numpy(), data))
        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        shared = self.context.buffer(np.arange(100000, dtype="float32"))
        for _ in range(5):
            self.assertEqual(shared.to_numpy()[99999], 99999)
        for t in threads:
            t.join()
        self.assertEqual(results, [True] * 20)

    def test_what_leaves_a_block(self):
        """Only ^C and exit end what runs."""
        a = np.ones((1024, 1024), "float32")
        before = self.context.properties().kernels_run

        def work():
            with accel.Context(self.device) as context:
                x, y = context.buffer(a), context.allocate(a.shape)
                for _ in range(16):
                    context.gemm(x, x, y)
                yield
        suspended = work()
        next(suspended)
        suspended.close()  # raises GeneratorExit there
        self.assertEqual(self.context.properties().kernels_run - before, 16)

    def test_any_order_of_deletion(self):
        context = accel.Context(self.device)
        buffer = context.buffer(np.arange(10.0))
        stream = context.create_stream()
        del context
        gc.collect()
        self.assertEqual(buffer.to_numpy(stream=stream)[9], 9)
        del buffer, stream
        gc.collect()

    def test_properties(self):
        p = self.context.properties()
        self.assertEqual(p.executor, "cpu")
        self.assertGreater(p.memory_bytes, 1 << 25)
        self.assertIn("cpu", repr(p))


class Programs(WithContext):
    """On an executor that knows: scale(float *x, float a, uint n), add, index(uint *out, local uint *scratch)."""
    KIND = ("programs",)

    def test_launches(self):
        program = self.context.load("scale\nindex\n", name="some.cl", options="-O")
        scale = program.kernel("scale")
        x = self.context.buffer(np.arange(100, dtype="float32"))
        scale(x, np.float32(2), np.uint32(100), grid=100)
        np.testing.assert_array_equal(x.to_numpy(), 2 * np.arange(100))
        scale(x, 0.5, 100, grid=(10, 10), block=(5, 2))  # Python numbers take the parameters' types
        np.testing.assert_array_equal(x.to_numpy(), np.arange(100))
        scale(x[50:60], 0, np.array(10, "uint32"), grid=1, stream=self.context.create_stream())
        self.context.synchronize()
        self.assertEqual(x.to_numpy()[48:62].tolist(), [48, 49] + [0] * 10 + [60, 61])
        out = self.context.allocate(64, np.uint32)
        program.kernel("index")(out, accel.SharedBytes(64), grid=8, block=8, offset=100)
        np.testing.assert_array_equal(out.to_numpy(), np.arange(100, 164))
        self.assertEqual(program.names(), ["scale", "index"])
        self.assertEqual(program.log(), "options: -O")
        info = scale.info()
        self.assertEqual([a.name for a in info.arguments], ["x", "a", "n"])
        self.assertEqual(info.arguments[2].kind, "value")
        self.assertEqual(scale.name, "scale")

    def test_wrong_arguments_are_named(self):
        scale = self.context.load("scale\n").kernel("scale")
        scale.info()
        x = self.context.allocate(10)
        with self.raises("invalid", "argument 2 'n' (uint)"):
            scale(x, np.float32(1), np.uint64(10), grid=10)
        with self.raises("invalid", "takes 3"):
            scale(x, np.float32(1), grid=10)
        with self.assertRaisesRegex(TypeError, "make a Buffer"):
            scale(np.zeros(10), np.float32(1), np.uint32(10), grid=10)
        with self.assertRaisesRegex(ValueError, "does not fit"):
            scale(x, 1.0, 2.5, grid=10)
        for wrong in (1 << 40, -1):
            with self.assertRaisesRegex(ValueError, "does not fit uint"):
                scale(x, 1.0, wrong, grid=10)
        with self.assertRaises(TypeError):
            scale(x, 1.0, "ten", grid=10)
        with self.assertRaises(TypeError):
            scale(1.0, 1.0, 10, grid=10)
        with self.assertRaises(ValueError):
            scale(x, 1.0, 10, grid=(1, 1, 1, 1))
        with self.assertRaisesRegex(TypeError, "gird"):
            scale(x, 1.0, 10, gird=1)
        with self.raises("invalid", "grid"):
            scale(x, 1.0, 10)
        with self.raises("invalid", "belongs to context"):
            with accel.Context(self.device) as other:
                scale(other.allocate(10), 1.0, 10, grid=10)
        self.context.synchronize()

    def test_build_log(self):
        program = self.context.load("error: expected ';'\n", name="broken.cl")
        with self.raises("invalid", "expected ';'") as check:
            program.wait()
        self.assertIn("'broken.cl'", str(check.error))
        self.assertIn("expected ';'", program.log())
        with self.raises("unsupported", "OpenCL C"):
            self.context.load(b"\x7fELF", kind="cubin")
        with self.raises("invalid", "kind"):
            self.context.load("x", kind="basic")
        self.assertTrue(self.context.takes("opencl-c"))
        self.assertFalse(self.context.takes("ptx"))

    def test_logs_in_other_encodings(self):
        program = self.context.load("error: Stra\xdfe\n".encode("latin-1"), name="latin.cl")
        with self.raises("invalid", "error: Stra\ufffde"):
            program.wait()
        self.assertEqual(program.log(), "error: Stra\ufffde")

    def test_interrupted_waits(self):
        """^C ends a wait; what was submitted is still there, and what runs ends with the block."""
        x = self.context.buffer(np.arange(1 << 19, dtype="float32"))
        self.context.synchronize()
        for wait in (self.context.synchronize, x.to_numpy):
            gate = accel.Context(self.device)
            with self.assertRaises(KeyboardInterrupt):
                with gate:
                    y = gate.buffer(np.arange(1 << 19, dtype="float32"))
                    gate.load("hang\n").kernel("hang")(grid=1)
                    ticks = []
                    ticker = threading.Thread(target=lambda: [ticks.append(time.sleep(0.01)) for _ in range(20)])
                    ticker.start()
                    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
                    began = time.monotonic()
                    y.to_numpy() if wait == x.to_numpy else gate.synchronize()
            ticker.join()
            self.assertEqual(len(ticks), 20)
            self.assertLess(time.monotonic() - began, 20)
            np.testing.assert_array_equal(x.to_numpy(), np.arange(1 << 19, dtype="float32"))

    def hanging(self, stream=None):
        context = accel.Context(self.device)
        stream = context.create_stream() if stream else None
        context.load("hang\n").kernel("hang")(grid=1, stream=stream)
        return context, stream

    def test_signal_handlers(self):
        """They run in a wait: they may drop what belongs to that context, and call others."""
        context, stream = self.hanging(True)
        dropped = [context.allocate(10), context.create_event(), context.load("add\n").kernel("add"), stream]
        del stream
        cycle = [context.allocate(10)]
        cycle.append(cycle)
        del cycle
        seen = []

        def handler(*_):
            for call in (context.create_event, context.close):
                try:
                    call()
                except farlane.Error as e:
                    seen.append((e.status, "signal handler" in str(e)))
            dropped.clear()
            gc.collect()
            seen.append(self.context.buffer(np.arange(3)).to_numpy().tolist())
            raise KeyboardInterrupt
        before = signal.signal(signal.SIGALRM, handler)
        try:
            with self.assertRaises(KeyboardInterrupt):
                with context:
                    signal.setitimer(signal.ITIMER_REAL, 0.2)
                    context.synchronize()
        finally:
            signal.signal(signal.SIGALRM, before)
        self.assertEqual(seen, [("invalid", True)] * 2 + [[0, 1, 2]])

    def test_interrupted_ends(self):
        """^C also ends the wait of a close, and that of what is dropped; it is raised in any case."""
        def close(held):
            held[0].close()

        def go_on():
            for _ in range(2000):
                time.sleep(0.01)

        def drop_stream(held):
            held.pop()
            go_on()

        def drop_context(held):
            del held[:]
            go_on()
        for end, on_stream in ((close, False), (close, True), (drop_stream, True), (drop_context, False)):
            held = list(self.hanging(on_stream))
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            began = time.monotonic()
            with self.assertRaises(KeyboardInterrupt, msg=end.__name__):
                end(held)
            self.assertLess(time.monotonic() - began, 15, end.__name__)
            if end is drop_stream:
                held[0].__exit__(KeyboardInterrupt, None, None)
        np.testing.assert_array_equal(self.context.buffer(np.arange(9)).to_numpy(), np.arange(9))

    def test_interrupted_turns(self):
        """^C also ends the wait for another thread's call; leaving the block ends that, too."""
        def wait():
            waits.set()
            try:
                context.synchronize()
            except farlane.Error as e:
                seen.append(e.status)
        seen = []
        for call in ("create_event", "close", None):  # None: the block ends, and that waits
            context = self.hanging()[0]
            waits = threading.Event()
            waiter = threading.Thread(target=wait, daemon=True)
            began = time.monotonic()
            with self.assertRaises(KeyboardInterrupt):
                with context:
                    waiter.start()
                    waits.wait()
                    time.sleep(0.1)
                    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
                    if call:
                        getattr(context, call)()
            waiter.join(20)
            self.assertFalse(waiter.is_alive(), call)
            self.assertLess(time.monotonic() - began, 15)
            with self.raises("canceled"):
                context.synchronize()
        self.assertEqual(seen, ["canceled"] * 3)

    def test_refused_leaves(self):
        """A block that can not be left in a hurry goes on as before."""
        def callback(_):
            try:
                context.__exit__(KeyboardInterrupt, None, None)
            except farlane.Error as e:
                seen.append(e.status)
            called.set()
        seen, called = [], threading.Event()
        context = accel.Context(self.device)
        context.on_complete(callback)
        called.wait()
        self.assertEqual(seen, ["invalid"])
        context.load("hang\n").kernel("hang")(grid=1)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            with self.assertRaises(KeyboardInterrupt):
                context.synchronize()
        finally:
            context.__exit__(KeyboardInterrupt, None, None)

    def test_files(self):
        with tempfile.NamedTemporaryFile("w", suffix=".cl") as file:
            file.write("add\n")
            file.flush()
            self.assertEqual(self.context.load_file(file.name).names(), ["add"])
        with self.raises("not_found"):
            self.context.load_file(file.name)

    def test_callback_says_what_failed(self):
        called = threading.Event()
        seen = []
        self.context.load("error\n")
        self.context.on_complete(lambda status: (seen.append(status), called.set()))
        called.wait()
        self.assertEqual(seen, ["invalid"])
        with self.raises("invalid"):
            self.context.synchronize()


class OpenCl(WithContext):
    """On an OpenCL device of this machine, if there is one."""
    KIND = ("opencl", WORKER)

    def test_saxpy(self):
        program = self.context.load("""
            kernel void saxpy(float a, global const float *x, global float *y, uint n) {
                uint i = get_global_id(0);
                if (i < n) y[i] = a * x[i] + y[i];
            }""")
        x, y = np.arange(10000, dtype="float32"), np.ones(10000, "float32")
        dx, dy = self.context.buffer(x), self.context.buffer(y)
        program.kernel("saxpy")(np.float32(3), dx, dy, np.uint32(10000), grid=40, block=250)
        np.testing.assert_array_equal(dy.to_numpy(), 3 * x + 1)
        program.kernel("saxpy")(1, dx, dy, 10000, grid=10000)
        np.testing.assert_array_equal(dy.to_numpy(), 4 * x + 1)
        self.assertEqual(self.context.properties().executor, "opencl")

    def test_source_that_does_not_compile(self):
        program = self.context.load("kernel void k(global int *x) { x[0] = nonsense; }", name="bad.cl")
        with self.raises("invalid", "nonsense"):
            program.wait()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
