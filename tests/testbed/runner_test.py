#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# The testbed's runner without a virtual machine: what it reads, writes and refuses.
import asyncio
import io
import lzma
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import types
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "qemu"))
sys.dont_write_bytecode = True
# pylint: disable=wrong-import-position
from bed import console, cpio, debugkernel, demo, hostcalls, initramfs, kernel, link, run, script, suite, topology, tsc, vm
from bed.paths import Trouble


class SaveTest(unittest.TestCase):
    def save(self, folder, name, offset, data):
        import base64
        return hostcalls.save(pathlib.Path(folder) / "saved", name, offset, base64.b64encode(data).decode())

    def test_parts_in_order_make_the_file(self):
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(2):  # the second time over the first
                self.save(folder, "a.png", "0", b"one")
                path = self.save(folder, "a.png", "3", b"two")
                self.assertEqual(pathlib.Path(path).read_bytes(), b"onetwo")

    def test_names_gaps_and_garbage_are_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("../a", "/a", "", ".a", "a b", "a/b", "a" * 101):
                self.assertRaises(Trouble, self.save, folder, name, "0", b"x")
            for offset in ("1", "-1", "x", ""):
                self.assertRaises(Trouble, self.save, folder, "a", offset, b"x")
            self.assertRaises(ValueError, hostcalls.save, pathlib.Path(folder), "a", "0", "no base64!")
            self.assertEqual(list(pathlib.Path(folder).rglob("*")), [])


class DemoTest(unittest.TestCase):
    def shown(self, line):
        out = io.StringIO()
        demo.Screen(out).from_guest(line)
        return out.getvalue()

    def test_no_colours_without_a_terminal(self):
        self.assertEqual(self.shown("-- A title"), "\nA title\n")
        self.assertEqual(self.shown("+ 10000:01:00.0"), "  + 10000:01:00.0\n")
        self.assertEqual(self.shown("$ lspci"), "  $ lspci\n")

    def test_pictures_are_looked_at_before_anything_boots(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "p"
            self.assertRaisesRegex(Trouble, "no such file", demo.checked_picture, str(path))
            path.write_bytes(b"\xff\xd8\xff a JPEG")
            self.assertRaisesRegex(Trouble, "neither PNG nor PPM", demo.checked_picture, str(path))
            path.write_bytes(b"P6 1 1 255\nabc")
            self.assertEqual(demo.checked_picture(str(path)), str(path))

    def test_what_is_missing_comes_with_the_way_out(self):
        self.assertRaisesRegex(Trouble, "(?s)no such kernel.*make demo-native", demo.needed, "9.9")


class DebugKernelTest(unittest.TestCase):
    def test_a_line_that_the_kernel_does_not_take_is_seen(self):
        fragment = "# words\nCONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D=17\n"
        taken = "CONFIG_A=y\nCONFIG_B=m\nCONFIG_D=17\nCONFIG_E=y\n"
        self.assertEqual(debugkernel.refused(fragment, taken), [])
        self.assertEqual(debugkernel.refused(fragment, taken + "# CONFIG_C is not set\n"), [])
        self.assertEqual(debugkernel.refused(fragment, "CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=y\n"), ["B=m", "C=n", "D=17"])

    def test_the_fragment_asks_for_what_watches(self):
        wanted = debugkernel.settings(debugkernel.fragment("6.12-debug"))
        for name in ("KASAN_GENERIC", "PROVE_LOCKING", "DEBUG_ATOMIC_SLEEP", "DEBUG_KMEMLEAK", "DEBUG_LIST", "KUNIT"):
            self.assertEqual(wanted.get(name), "y", name)

    def test_a_kernel_is_asked_for_what_is_its_own_too(self):
        self.assertEqual(debugkernel.settings(debugkernel.fragment("6.1-debug")).get("CXL_ACPI"), "m")
        self.assertNotEqual(debugkernel.key("6.1-debug"), debugkernel.key("6.12-debug"))

    def test_one_that_is_not_built_says_how(self):
        for name in debugkernel.NAMES:
            if not kernel.Kernel(name).complete():
                self.assertRaisesRegex(Trouble, "make qemu-debug-kernel", kernel.get, name)
        self.assertRaisesRegex(Trouble, "there are: 6.1-debug, 6.12-debug", debugkernel.build, "6.1")


class SuiteTest(unittest.TestCase):
    """Only a stock kernel that did not come up is tried again, once."""
    def tries(self, *runs):
        asked = mock.Mock(side_effect=[(types.SimpleNamespace(reasons=r, folder="logs"), "; ".join(r)) for r in runs])
        with mock.patch.object(suite, "attempt", asked), mock.patch("sys.stdout", new_callable=io.StringIO):
            _, wrong = suite.run_one(types.SimpleNamespace(name="boot"), "6.1")
        return asked.call_count, wrong

    def test_boot_again(self):
        stalled = ["VM i0 did not boot within 120 s"]
        self.assertEqual(self.tries(stalled, []), (2, ""))
        self.assertEqual(self.tries(["VM i0 did not boot: its console has stood still for 30 s"], []), (2, ""))
        self.assertEqual(self.tries(stalled, stalled), (2, "VM i0 did not boot within 120 s"))

    def test_not_again(self):
        for reasons in ([], ["'run /tests/boot.sh' in VM i0 ended with 1"], ["timeout: boot did not end within 60 s"],
                        ["VM i0 ended early"]):
            self.assertEqual(self.tries(reasons), (1, "; ".join(reasons)))


class BootTest(unittest.TestCase):
    """A kernel whose console stands still does not boot any more; one that talks has its time."""
    def boot(self, lines, up_after):
        async def go(console_file):
            event = asyncio.Event()
            guest = types.SimpleNamespace(name="i0", console=console_file)
            runner = types.SimpleNamespace(patience=0.2 / run.STALL_S)  # 0.2 s
            waits = asyncio.ensure_future(run.Run.comes_up(runner, guest, event, look_s=0.01))
            for _ in range(lines):
                with console_file.open("a", encoding="utf-8") as file:
                    file.write("a line\n")
                await asyncio.sleep(0.05)
            if up_after:
                event.set()
            await waits
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(go(pathlib.Path(folder) / "console"))

    def test_talking(self):
        self.boot(12, True)

    def test_silent(self):
        for lines in (0, 3):
            with self.assertRaisesRegex(Trouble, "did not boot: its console has stood still"):
                self.boot(lines, False)


class ConsoleTest(unittest.TestCase):
    def test_lines_that_are_failures(self):
        for line in ("Kernel panic - not syncing: Fatal", "BUG: unable to handle page fault for address: 0",
                     "Oops: 0002 [#1] PREEMPT SMP NOPTI", "WARNING: CPU: 1 PID: 88 at kernel/x.c:1 f+0x1/0x2",
                     "general protection fault, probably for non-canonical address 0x8000000000000000",
                     "watchdog: BUG: soft lockup - CPU#0 stuck for 22s!",
                     "rcu: INFO: rcu_preempt self-detected stall on CPU", "rcu_sched detected stalls on CPUs/tasks:",
                     "INFO: task kworker/0:1:12 blocked for more than 120 seconds.",
                     "BUG: KASAN: slab-use-after-free in f+0x1/0x2", "WARNING: possible circular locking dependency",
                     "======= INFO: possible recursive locking detected =======", "WARNING: suspicious RCU usage",
                     "BUG: sleeping function called from invalid context at mm/slab.h:1",
                     "BUG: scheduling while atomic: sh/1/0x00000002", "kmemleak: 3 new suspected memory leaks",
                     "list_del corruption, ffff888 next is LIST_POISON1", "refcount_t: underflow; use-after-free.",
                     "farlaned[88]: segfault at 0 ip 00 sp 00 error 4 in farlaned", "irq 16: nobody cared",
                     "UBSAN: array-index-out-of-bounds in x.c:1", "Out of memory: Killed process 88 (farlaned)"):
            self.assertEqual(console.scan(f"[    1.000000] {line}"), [f"[    1.000000] {line}"], line)

    def test_ordinary_lines_are_none(self):
        text = "\n".join([
            "Linux version 6.1.0", "x86/mm: Checked W+X mappings: passed, no W+X pages found.",
            "nvme nvme0: 2/0/0 default/read/poll queues", "debugfs: mounted", "RAS: Correctable Errors collector",
            "rcu: Hierarchical RCU implementation.", "Spectre V2 : WARN about nothing", "Freeing SMP alternatives"])
        self.assertEqual(console.scan(text), [])

    def test_allowed_lines_need_a_reason_and_are_let_through(self):
        self.assertIsInstance(console.allowed(), list)
        self.assertEqual(console.scan("WARNING: known one", [re.compile("known one")]), [])

    def test_an_allowed_warning_is_allowed_with_its_trace(self):
        trace = ["WARNING: CPU: 1 PID: 7 at x.c:1 known+0x1/0x2", "Call Trace:", "---[ end trace 0000 ]---"]
        known = [re.compile("known")]
        self.assertEqual(console.scan("\n".join(trace), known), [])
        self.assertEqual(console.scan("\n".join(trace), []), trace[:2])
        self.assertEqual(console.scan("\n".join(trace + ["Call Trace:"]), known), ["Call Trace:"])

    def test_a_console_without_a_kernel_is_a_failure(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "c"
            self.assertTrue(console.judge(log))
            log.write_text("")
            self.assertTrue(console.judge(log))
            log.write_text("Linux version 6.1\n")
            self.assertEqual(console.judge(log), [])
            log.write_bytes(b"Linux version 6.1\n\xff\xfeKernel panic\n")
            self.assertEqual(len(console.judge(log)), 1)


class TopologyTest(unittest.TestCase):
    def test_all_of_the_tree_are_good_and_have_a_picture_and_a_command(self):
        for name in topology.names():
            found = topology.load(name)
            text = (topology.FOLDER / f"{name}.toml").read_text()
            self.assertIn(f"qemu/testbed run {name}", text)
            self.assertIn("+---", text.partition("[[vm]]")[0])
            for host in found.hosts:
                self.assertIn(host.name, text.partition("[[vm]]")[0], "is in the picture")

    def test_addresses_differ(self):
        mesh = topology.load("mesh4")
        self.assertEqual(len({h.mac for h in mesh.hosts}), 4)
        self.assertEqual(len({h.address for h in mesh.hosts}), 4)

    def test_mistakes(self):
        one = '[[vm]]\nname = "i0"\nrole = "initiator"\n'
        for text, wanted in ((one + "colour = 1", "no key 'colour'"), ("", "no VM"), ("x", "topology x"),
                             (one + 'peers = ["t9"]', "t9"), (one.replace("initiator", "king"), "role"),
                             (one.replace("i0", "../i0"), "no name"), (one + one, "twice"),
                             (one + 'address = "10.0.0"', "IPv4"), (one + '[links]\nn = ["i0"]', "two ends"),
                             (one + 'peers = ["i0"]', "is no target")):
            with self.assertRaisesRegex(Trouble, wanted, msg=text):
                topology.parse("x", text)
        with self.assertRaisesRegex(Trouble, "there are: .*one"):
            topology.load("../one")


class ScriptTest(unittest.TestCase):
    def test_all_of_the_tree_are_good(self):
        names = {s.name for s in script.every()}
        self.assertLessEqual({"boot", "userland", "two", "mesh", "panic"}, names)
        for each in script.every():
            self.assertIn(each.topology, topology.names())

    def test_wishes(self):
        found = script.parse(pathlib.Path("x.sh"), "# testbed: topology=two timeout=7\n# testbed: programs=fio,strace\n")
        self.assertEqual((found.topology, found.timeout, found.programs, found.smp), ("two", 7, ["fio", "strace"], 2))

    def test_mistakes(self):
        for words, wanted in (("colour=red", "colour"), ("timeout=0", "number from"), ("smp=x", "number from"),
                              ("module=maybe", "yes or no"), ("expect=joy", "expect is"), ("topology=../x", "a name")):
            with self.assertRaisesRegex(Trouble, wanted):
                script.parse(pathlib.Path("x.sh"), f"# testbed: {words}")


class CpioTest(unittest.TestCase):
    def tree(self):
        tree = cpio.Tree()
        tree.file("a/b/c", b"hello", 0o755)
        tree.link("a/l", "b/c")
        tree.folder("empty")
        return tree

    def test_same_bytes_and_what_cpio_reads(self):
        first, second = io.BytesIO(), io.BytesIO()
        self.tree().write(first)
        self.tree().write(second)
        self.assertEqual(first.getvalue(), second.getvalue())
        self.assertEqual(len(first.getvalue()) % 512, 0)
        listed = subprocess.run(["cpio", "-it"], input=first.getvalue(), capture_output=True, check=True).stdout
        self.assertEqual(listed.decode().split(), ["a", "a/b", "a/b/c", "a/l", "empty"])
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["cpio", "-id", "--quiet"], input=first.getvalue(), cwd=folder, check=True)
            self.assertEqual((pathlib.Path(folder) / "a/l").read_text(), "hello")
            self.assertTrue(os.access(pathlib.Path(folder) / "a/b/c", os.X_OK))


class KernelTest(unittest.TestCase):
    def image(self, payload):
        head = bytearray(1024)
        head[0x1f1] = 1
        head[0x202:0x206] = b"HdrS"
        struct.pack_into("<H", head, 0x206, 0x20f)
        struct.pack_into("<II", head, 0x248, 16, len(payload))
        return bytes(head) + bytes(16) + payload + b"rest"

    def test_vmlinux_is_what_was_packed(self):
        elf = b"\x7fELF" + bytes(range(256)) * 64
        packed = lzma.compress(elf) + struct.pack("<I", len(elf))
        self.assertEqual(kernel.extract_vmlinux(self.image(packed)), elf)

    def test_what_is_no_kernel(self):
        for image, wanted in ((bytes(2048), "no bzImage"), (self.image(b"BZh9" + bytes(64)), "unknown way"),
                              (self.image(lzma.compress(b"no elf")), "ELF")):
            with self.assertRaisesRegex(Trouble, wanted):
                kernel.extract_vmlinux(image)

    def test_newest_is_by_number(self):
        names = ["6.12.9+deb12-amd64", "6.12.117+deb12-amd64", "6.12.12+deb12-amd64"]
        self.assertEqual(max(names, key=kernel.version_key), "6.12.117+deb12-amd64")

    def test_names_that_leave_the_folder(self):
        for name in ("../6.1", "", "a/b", "-x"):
            with self.assertRaises(Trouble):
                kernel.Kernel(name)


class HostTest(unittest.TestCase):
    def test_fields(self):
        value = {"links": {"net": {"delivered": 7}}, "list": [1, {"x": "y"}]}
        self.assertEqual(hostcalls.field_of(value, "links.net.delivered"), 7)
        self.assertEqual(hostcalls.field_of(value, "list.1.x"), "y")
        with self.assertRaisesRegex(Trouble, "there is: net"):
            hostcalls.field_of(value, "links.sw")
        with self.assertRaises(Trouble):
            hostcalls.field_of(value, "list.9")

    def test_an_answer_is_one_line(self):
        for value in ("a", "a\nb", {"a": "b\nc"}, None, 7):
            self.assertNotIn("\n", hostcalls.line_of(value))

    def test_link_words(self):
        links = ["net", "sw"]
        self.assertEqual(link.request_of(["set", "net", "from=i0", "loss=0.01"], links),
                         {"cmd": "set", "link": "net", "from": "i0", "loss": "0.01"})
        for words in ([], ["fly"], ["cut", "nosuch"], ["cut", "net", "sw"]):
            with self.assertRaises(Trouble):
                link.request_of(words, links)


class VmTest(unittest.TestCase):
    def arguments(self, **machine):
        with tempfile.TemporaryDirectory() as folder:
            found = vm.Machine(kernel.Kernel("6.1"), **machine)
            return vm.Vm("i0", found, pathlib.Path(folder), "/s", None).arguments("initrd")

    def test_success_has_a_channel_of_its_own(self):
        a = " ".join(self.arguments())
        self.assertIn("name=farlane.agent", a)
        self.assertIn("-no-reboot", a)
        self.assertIn("panic=-1", a)

    def test_bounce_buffers_can_be_had_and_not(self):
        self.assertIn("iommu=soft", " ".join(self.arguments()))
        self.assertNotIn("iommu=soft", " ".join(self.arguments(swiotlb=False)))


class TscTest(unittest.TestCase):
    def test_two_measurements_agree(self):
        first, second = tsc.khz(), tsc.khz()
        self.assertGreater(first, 100_000)
        self.assertLess(abs(first - second), first // 100)


class InitramfsTest(unittest.TestCase):
    def test_a_program_comes_with_its_libraries(self):
        tree = cpio.Tree()
        initramfs.add_program(tree, "/bin/bash")
        self.assertIn("usr/bin/bash", tree.entries)
        self.assertIn("usr/lib64/ld-linux-x86-64.so.2", tree.entries)
        self.assertTrue(any(name.endswith("libc.so.6") for name in tree.entries))

    def test_add_wants_files(self):
        with self.assertRaisesRegex(Trouble, "no such file"):
            initramfs.add_own(cpio.Tree(), ["/nonexistent"])


if __name__ == "__main__":
    unittest.main()
