# SPDX-License-Identifier: Apache-2.0
"""From what a guest said to rows of a result (bench/README.md).

Receives: lines "BENCH KEY VALUE...". Hands on: rows. Owns: nothing.
"""
import collections
import json
import pathlib
import platform
import statistics


def machine():
    names = [line.partition(":")[2].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, Linux {platform.release()}"


def row(ours, unit, limit=(), reach=0, lower=False):
    """`ours` and `limit` by turns; the ratio is the median of the pairs'."""
    r = {"ours": statistics.median(ours), "unit": unit, "repeats": len(ours), "min": min(ours),
         "median": statistics.median(ours), "max": max(ours)}
    if not limit:
        return r
    ratios = [a / b for a, b in zip(ours, limit)]
    r["limit"] = statistics.median(limit)
    r["ratio"] = statistics.median(ratios)
    r["ratio_min"], r["ratio_max"] = min(ratios), max(ratios)
    if reach:
        r["reach"] = reach
        r["ok"] = r["ratio"] <= reach if lower else r["ratio"] >= reach
    return r


def text(key, r):
    line = f"{key:<28} {r['ours']:9.2f} {r['unit']:<4}"
    if "ratio" in r:
        line += f" beside {r['limit']:9.2f}  ratio {r['ratio']:5.2f} ({r['ratio_min']:.2f} to {r['ratio_max']:.2f})"
    if "ok" in r:
        line += f"  reach {r['reach']:4.2f}  {'ok' if r['ok'] else 'MISSED'}"
    return f"{line}  ({r['min']:.2f} to {r['max']:.2f}, {r['repeats']} repeats)"


def timings(lines):
    """label -> who -> percentile -> microseconds of each round, without what the clock costs."""
    found = collections.defaultdict(lambda: collections.defaultdict(lambda: collections.defaultdict(list)))
    khz, clock = 0, 0
    for words in (line.split() for line in lines if line.startswith("BENCH timing ")):
        label, rest = words[2], words[3:]
        if rest[0] == "tsc_khz":
            khz = int(rest[1])
            continue
        who = rest[3].rstrip(":")
        values = dict(zip(rest[4::2], (int(v) for v in rest[5::2])))
        if who == "clock":
            clock = values["p50"]
            continue
        for key in ("p50", "p99"):
            found[label][who][key].append((values[key] - clock) * 1e3 / khz)
    return found


def of_timing(found, label, key, reach=0):
    return {f"{key}_{p}": row(found[label]["other"][p], "us", found[label]["module"][p], reach if p == "p50" else 0, True)
            for p in ("p50", "p99")}


def trap(lines):
    found = timings(lines)
    return {**of_timing(found, "ring", "read_ring", 1.5), **of_timing(found, "farlaned", "read_farlaned_loop")}


def disk(lines):
    found = timings(lines)
    rows = {}
    for delay, name in (("0", "0"), ("500us", "1ms"), ("10ms", "20ms")):
        rows.update(of_timing(found, f"write_{delay}", f"write_rtt_{name}"))
    waits = next(int(line.split()[2]) for line in lines if line.startswith("BENCH waits "))
    rows["write_waits"] = {**row([waits], ""), "reach": 0, "ok": waits == 0}
    rates = collections.defaultdict(list)
    for words in (line.split(maxsplit=3) for line in lines if line.startswith("BENCH sdk ")):
        rates[words[2]].append(json.loads(words[3])["iops"])
    sdk = {label: [max(pair) for pair in zip(v[0::2], v[1::2])] for label, v in rates.items()}
    fio = collections.defaultdict(list)
    for words in (line.split() for line in lines if line.startswith("BENCH disk ")):
        fio[words[2], words[3]].append(float(words[4]))
    for delay, name in (("500us", "1ms"), ("1ms", "2ms")):
        rows[f"read_4k_depth1_rtt_{name}"] = row(fio[f"depth1_{delay}", "ours"], "/s", sdk[f"depth1_{delay}"], 0.8)
    for rw in ("randread", "randwrite"):
        rows[f"{rw}_4k_depth32"] = row(fio[f"depth32_{rw}", "ours"], "/s", fio[f"depth32_{rw}", "qemu"])
    rows["randread_4k_depth32_sdk"] = row(fio["depth32_randread", "ours"], "/s", sdk["depth32_randread"])
    return rows


PARTS = {"trap": trap, "disk": disk}
