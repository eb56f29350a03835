#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Receives: the tree. Hands on: a line for each breach of docs/style.md that a machine can see.
# Owns: nothing. Exit 0 = none, 1 = some. check_test.py breaks each rule on purpose.
import pathlib
import re
import subprocess
import sys

MOST_LINES = 800
README_LINES = 150
CODE = {".c", ".h", ".cpp", ".hpp"}
COMMENTED = CODE | {".py", ".sh", ".cmake", ".toml"}
APACHE = "Apache-2.0"
GPL = "GPL-2.0"
CONTRACT = "(GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause"
CONTRACT_FOLDER = "kmod/include/uapi/"
# Put together here, so that this file does not name them.
MACHINE_PATHS = re.compile(r"(?<![\w.$}])/(?:" + "|".join(["wo" + "rk", "ho" + "me", "ro" + "ot"]) + r")/[\w.]")
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"]) + r")\b")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
VERB = re.compile(r'^\s*return \{\s*\.name = "([a-z]+)"', re.MULTILINE)
TEST = re.compile(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", re.MULTILINE)
STATUS_ROW = re.compile(r"^\s*X\((\w+), (\w+), (\d+), (\w+), (\d+), ", re.MULTILINE)


def tree_files(root):
    """Files that belong to the tree: tracked ones, and new ones that git does not ignore."""
    try:
        out = subprocess.run(["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             check=True, capture_output=True).stdout.decode()
        names = [n for n in out.split("\0") if n]
    except (OSError, subprocess.CalledProcessError):
        names = [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()]
        names = [n for n in names if not n.startswith(("build/", ".git/"))]
    return sorted(n for n in names if (root / n).is_file() and not (root / n).is_symlink())


def read(root, name):
    return (root / name).read_text(encoding="utf-8", errors="replace")


def is_text_of_ours(name):
    path = pathlib.PurePath(name)
    return path.suffix in COMMENTED | {".md", ".in", ".map", ".txt"} or path.name in {"CMakeLists.txt", "Makefile"}


def licence_of(name):
    if name.startswith(CONTRACT_FOLDER):
        return CONTRACT
    return GPL if name.startswith("kmod/") else APACHE


def check_spdx(root, name):
    path = pathlib.PurePath(name)
    if path.suffix not in COMMENTED and path.name not in {"CMakeLists.txt", "Makefile"}:
        return
    head = "\n".join(read(root, name).splitlines()[:3])
    wanted = "SPDX-License-Identifier: " + licence_of(name)
    if wanted not in head:
        yield f"{name}: the first lines lack '{wanted}'"


def check_head(root, name):
    """What a file receives, hands on and owns; contract headers and tests say what they are about."""
    if pathlib.PurePath(name).suffix not in CODE or name.startswith(CONTRACT_FOLDER):
        return
    lines = read(root, name).splitlines()
    head = "\n".join(lines[:16])
    if name.startswith("tests/"):
        if len(lines) < 2 or not lines[1].startswith(("//", "/*")):
            yield f"{name}: the second line does not begin to say what it is about"
        return
    for word in ("Receives:", "Hands on:", "Owns"):
        if word not in head:
            yield f"{name}: the head does not say '{word}'"


def check_length(root, name):
    lines = len(read(root, name).splitlines())
    if pathlib.PurePath(name).suffix in CODE and lines > MOST_LINES:
        yield f"{name}: {lines} lines, at most {MOST_LINES}: split it by noun"
    if name == "README.md" and lines > README_LINES:
        yield f"{name}: {lines} lines, at most {README_LINES}"


def check_words(root, name):
    if not is_text_of_ours(name):
        return
    for number, line in enumerate(read(root, name).splitlines(), 1):
        if MACHINE_PATHS.search(line):
            yield f"{name}:{number}: path of one machine: {line.strip()[:80]}"
        if pathlib.PurePath(name).suffix in COMMENTED and UNFINISHED.search(line):
            yield f"{name}:{number}: unfinished on its own word: {line.strip()[:80]}"


def anchors(text):
    """Anchors of a document's headings, as forges make them."""
    found = set()
    for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", title.replace("`", "").lower())
        found.add(plain.strip().replace(" ", "-"))
    return found


def check_links(root, name):
    if not name.endswith(".md"):
        return
    text = re.sub(r"```.*?```", "", read(root, name), flags=re.DOTALL)
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (root / name).parent / target if target else root / name
        if not path.exists():
            yield f"{name}: link to {link}: there is no such file"
        elif anchor and path.suffix == ".md" and anchor not in anchors(path.read_text(encoding="utf-8")):
            yield f"{name}: link to {link}: there is no such heading"


def check_docs(root, names):
    """Documents know every verb of the CLI, every exit code and every decision."""
    program = "sdk/tools/cli/farlane_program.cpp"
    guide = "docs/getting-started.md"
    if program in names and guide in names:
        text = read(root, guide)
        verbs = VERB.findall(read(root, program))
        if not verbs:
            yield f"{program}: no verb found; does check.py still understand it?"
        for verb in verbs:
            if f"farlane {verb}" not in text:
                yield f"{guide}: does not mention 'farlane {verb}'"
        codes = {int(row[4]) for row in STATUS_ROW.findall(read(root, CONTRACT_FOLDER + "farlane/status.h"))}
        documented = {int(c) for c in re.findall(r"^\| (\d) \|", text, re.MULTILINE)}
        if codes != documented:
            yield f"{guide}: exit codes {sorted(documented)}, the status table has {sorted(codes)}"
    decisions = [n for n in names if re.match(r"docs/decisions/\d{4}-", n)]
    index = read(root, "docs/decisions/README.md") if decisions else ""
    for name in decisions:
        if pathlib.PurePath(name).name not in index:
            yield f"docs/decisions/README.md: does not list {name}"


def check_shown_by(root, names):
    """Tests that docs/failures.md names exist."""
    failures = "docs/failures.md"
    if failures not in names:
        return
    known = set()
    for name in names:
        if name.startswith("tests/") and name.endswith(".cpp"):
            known.update(f"{suite}.{test}" for suite, test in TEST.findall(read(root, name)))
    for test in re.findall(r"`([A-Za-z]+\.[A-Za-z0-9]+)`", read(root, failures)):
        if test not in known:
            yield f"{failures}: there is no test {test}"


MEASURED = re.compile(r"`(\w+)` ([\d.]+ (?:ms|MiB))\b")
LOGGED = re.compile(r"^(\w+) +([\d.]+) (ms|MiB) ", re.MULTILINE)


def check_measured(root, names):
    """Values in docs/failures.md are those of docs/logs/contract.txt, the longest of each row."""
    failures, log = "docs/failures.md", "docs/logs/contract.txt"
    if failures not in names:
        return
    found = {}
    for key, value, unit in LOGGED.findall(read(root, log)) if log in names else []:
        if key not in found or float(found[key].split()[0]) < float(value):
            found[key] = f"{value} {unit}"
    for key, value in MEASURED.findall(read(root, failures)):
        if key not in found:
            yield f"{failures}: {log} has no row {key}"
        elif found[key] != value:
            yield f"{failures}: {key} is {value}, and {found[key]} in {log}"


def check_packages(root, names):
    """Each package that set-up installs stands once, with what it is for."""
    packages = "sdk/tools/setup/packages.txt"
    seen = set()
    for number, line in enumerate(read(root, packages).splitlines() if packages in names else [], 1):
        if not line or line.startswith("#"):
            continue
        found = re.fullmatch(r"([a-z0-9][a-z0-9.+-]+) +# \S.*", line)
        if not found:
            yield f"{packages}:{number}: not 'NAME # what for': {line}"
        elif found[1] in seen:
            yield f"{packages}:{number}: {found[1]} stands here twice"
        else:
            seen.add(found[1])


def check_tree(root):
    names = tree_files(root)
    for name in names:
        for check in (check_spdx, check_head, check_length, check_words, check_links):
            yield from check(root, name)
    yield from check_docs(root, names)
    yield from check_shown_by(root, names)
    yield from check_measured(root, names)
    yield from check_packages(root, names)


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]).resolve()
    breaches = list(check_tree(root))
    for line in breaches:
        print(line)
    print(f"style: {len(breaches)} breaches in {len(tree_files(root))} files")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
