#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# wlangenpmkocl (Debian's hcxkeys) on a remote device: keys of passwords, against Python's. Run by with_accelerator.py.
import hashlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

SKIP = 77
NETWORK = "farlane"


def main():
    if shutil.which("wlangenpmkocl") is None:
        print("no wlangenpmkocl: install hcxkeys", file=sys.stderr)
        return SKIP
    words = [f"password {i}" for i in range(1000)]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "words").write_text("\n".join(words) + "\n")
        subprocess.run(["wlangenpmkocl", "-e", NETWORK, "-i", folder / "words", "-A", folder / "keys"],
                       stdout=subprocess.DEVNULL, timeout=200, check=True)
        got = dict(reversed(line.split(":", 1)) for line in (folder / "keys").read_text().splitlines())
    assert len(got) == len(words), f"{len(got)} keys of {len(words)} words"
    for w in words[::100]:
        assert got[w] == hashlib.pbkdf2_hmac("sha1", w.encode(), NETWORK.encode(), 4096, 32).hex(), w
    print(f"ok: {len(got)} keys")
    return 0


if __name__ == "__main__":
    sys.exit(main())
