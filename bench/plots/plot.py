#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Receives: a result of farlane-bench. Hands on: its plots as SVG. Owns: nothing.
"""Draws latency distribution, throughput by size, goodput by loss and goodput by distance out of latest.json.

A plot whose figures the result lacks is left alone, and said. Needs Python's standard library only."""
import argparse
import html
import json
import math
import pathlib
import sys

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 180, 48, 56
COLOURS = ["#1f6fb4", "#d1702a", "#3a8f3a", "#8a4fb0", "#b03a3a", "#6b6b6b"]
PORTS = ["vhost", "memif", "udp"]


class Axis:
    """One direction of a plot: values to pixels."""

    def __init__(self, label, values, pixels, logarithmic=False, low=None, high=None):
        self.label, self.pixels, self.logarithmic = label, pixels, logarithmic
        self.low = min(values) if low is None else low
        self.high = max(values) if high is None else high
        if self.high <= self.low:
            self.high = self.low * 2 if self.low > 0 else 1

    def at(self, value):
        scale = math.log10 if self.logarithmic else float
        share = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return self.pixels[0] + share * (self.pixels[1] - self.pixels[0])

    def ticks(self):
        if self.logarithmic:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            return [10.0 ** e for e in range(first, last + 1) if self.low <= 10.0 ** e <= self.high * 1.0001]
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / 4))
        step *= next(m for m in (1, 2, 5, 10) if (self.high - self.low) / (step * m) <= 6)
        first = math.ceil(self.low / step)
        return [i * step for i in range(first, int(self.high / step + 1e-9) + 1)]


def text(x, y, what, anchor="middle", size=13, extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{extra}>{html.escape(what)}</text>'


def line(x1, y1, x2, y2, colour="#dddddd", width=1):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def number(value):
    for limit, unit in ((1 << 20, "Mi"), (1 << 10, "Ki")):
        if value >= limit and value == int(value) and int(value) % limit == 0:
            return f"{int(value) // limit}{unit}"
    return f"{value:g}"


def draw(title, note, x, y, series, x_ticks=None):
    """series: (name, points, dashed)."""
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
           "<!-- SPDX-License-Identifier: Apache-2.0; drawn by bench/plots/plot.py -->",
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>', text(LEFT, 22, title, "start", 16),
           text(LEFT, 39, note, "start", 11, ' fill="#666666"')]
    for value, label in x_ticks or [(t, number(t)) for t in x.ticks()]:
        out += [line(x.at(value), TOP, x.at(value), HEIGHT - BOTTOM), text(x.at(value), HEIGHT - BOTTOM + 18, label)]
    for value in y.ticks():
        out += [line(LEFT, y.at(value), WIDTH - RIGHT, y.at(value)), text(LEFT - 8, y.at(value) + 4, number(value), "end")]
    out += [line(LEFT, TOP, LEFT, HEIGHT - BOTTOM, "#333333"),
            line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "#333333"),
            text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, x.label),
            text(18, (TOP + HEIGHT - BOTTOM) / 2, y.label, "middle", 13,
                 f' transform="rotate(-90 18 {(TOP + HEIGHT - BOTTOM) / 2})"')]
    for i, (name, points, dashed) in enumerate(series):
        colour = COLOURS[(i // 2 if any(s[2] for s in series) else i) % len(COLOURS)]
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        path = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        if not dashed:
            out += [f'<circle cx="{x.at(a):.1f}" cy="{y.at(b):.1f}" r="3" fill="{colour}"/>' for a, b in points]
        height = TOP + 10 + 20 * i
        out += [f'<line x1="{WIDTH - RIGHT + 14}" y1="{height}" x2="{WIDTH - RIGHT + 38}" y2="{height}" '
                f'stroke="{colour}" stroke-width="2"{dash}/>', text(WIDTH - RIGHT + 44, height + 4, name, "start", 12)]
    return "\n".join(out + ["</svg>", ""])


def x_pixels():
    return LEFT, WIDTH - RIGHT


def y_pixels():
    return HEIGHT - BOTTOM, TOP


def where(result):
    return f"{result.get('machine', 'unknown machine')}, {result.get('cores', '?')} cores, {result.get('commit', '')}"


def latency(result):
    series, least = [], 1.0
    for port in PORTS:
        points = result.get("plots", {}).get(f"latency_{port}", [])
        for key, name in (("ours_ns", port), ("raw_ns", f"{port}, raw frame")):
            if points:
                series.append((name, [(100 / (100 - p["percentile"]), p[key] / 1e3) for p in points], key == "raw_ns"))
    if not series:
        return None
    values = [v for s in series for _, v in s[1]]
    ticks = [(100 / (100 - p), f"{p:g} %") for p in (1, 50, 90, 99, 99.9, 99.99)]
    x = Axis("percentile", [ticks[0][0], ticks[-1][0]], x_pixels(), True)
    y = Axis("round trip, us", values, y_pixels(), True, 10 ** math.floor(math.log10(min(values + [least]))))
    return draw("8-byte register read, two processes", where(result), x, y, series, ticks)


def throughput(result):
    series = []
    for port in PORTS:
        points = result.get("plots", {}).get(f"throughput_{port}", [])
        if points:
            series.append((port, [(p["bytes"], p["gb_per_s"]) for p in points], False))
    if not series:
        return None
    sizes = sorted({a for s in series for a, _ in s[1]})
    x = Axis("bytes of a write", sizes, x_pixels(), True)
    y = Axis("GB/s", [b for s in series for _, b in s[1]], y_pixels(), low=0)
    ticks = [(v, number(v)) for v in (8, 64, 512, 4096, 65536, 1048576) if v in sizes]
    return draw("Relaxed writes into a function's memory", where(result), x, y, series, ticks)


def rows_of(result, keys):
    rows = result.get("rows", {})
    return [rows[k] for k in keys] if all(k in rows and rows[k].get("ours") for k in keys) else None


def loss(result):
    keys = ["loss_0p01", "loss_0p1", "loss_1", "loss_5"]
    rows = rows_of(result, keys)
    if not rows:
        return None
    shares = [0.01, 0.1, 1, 5]
    x = Axis("frames lost, %", shares, x_pixels(), True)
    y = Axis("goodput, Gb/s", [10], y_pixels(), low=0, high=10)
    series = [("4 KiB writes", [(s, r["ours"]) for s, r in zip(shares, rows)], False),
              ("without loss", [(s, r["limit"]) for s, r in zip(shares, rows)], True)]
    return draw("Goodput by loss", "simulated time; 10 Gb/s, round trip 100 us, MTU 9000", x, y, series,
                [(s, f"{s:g}") for s in shares])


def distance(result):
    series, times = [], [1, 15, 30, 100]
    for suffix, name in (("", "MTU 9000"), ("_told", "MTU 9000, rate told"), ("_1500", "MTU 1500")):
        rows = rows_of(result, [f"distance_{t}ms{suffix}" for t in times])
        if rows:
            series.append((name, [(t, r["ours"]) for t, r in zip(times, rows)], False))
    if not series:
        return None
    x = Axis("round trip, ms", times, x_pixels(), True)
    y = Axis("goodput, Gb/s", [10], y_pixels(), low=0, high=10)
    return draw("Goodput by distance, steady state", "simulated time; link of 10 Gb/s", x, y, series,
                [(t, str(t)) for t in times])


PLOTS = {"latency": latency, "throughput": throughput, "loss": loss, "distance": distance}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("result", nargs="?", type=pathlib.Path, default=pathlib.Path("bench/results/latest.json"))
    p.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs/pictures"), help="folder of the pictures")
    o = p.parse_args()
    try:
        result = json.loads(o.result.read_text())
    except (OSError, ValueError) as e:
        sys.exit(f"plot: {o.result}: {e}; `make bench` writes one")
    o.out.mkdir(parents=True, exist_ok=True)
    for name, plot in PLOTS.items():
        picture = plot(result)
        if picture is None:
            print(f"plot: {o.result} has no figures for {name}.svg", file=sys.stderr)
            continue
        (o.out / f"{name}.svg").write_text(picture)
        print(o.out / f"{name}.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
