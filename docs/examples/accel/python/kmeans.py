#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Receives: a CSV. Hands on: k clusters of its rows, checked by NumPy; a plot of them, with Matplotlib.
# Owns: the points and the clusters, in device memory.
#
# The same as ../kmeans/kmeans.cpp: NumPy arrays in and out, kernels in OpenCL C, and an iteration that stays on the device.
import argparse
import json
import pathlib
import sys

import numpy as np

import farlane
import own_fabric

SOURCE = """
__kernel void assign(__global const float* points, uint n, __global const float* centres, uint k,
                     __global uint* cluster, volatile __global uint* changes) {
    const uint i = get_global_id(0);
    uint best = 0;
    float least = INFINITY;
    for (uint c = 0; c < k; ++c) {
        float distance = 0;
        for (uint d = 0; d < DIMENSIONS; ++d) {
            const float v = points[i * DIMENSIONS + d] - centres[c * DIMENSIONS + d];
            distance += v * v;
        }
        if (distance < least) { least = distance; best = c; }
    }
    if (cluster[i] != best) {
        cluster[i] = best;
        atomic_inc(changes);
    }
}

// One work item for each number of a centre: simple, and enough for a few thousand rows. kmeans.cpp shares it out.
__kernel void update(__global const float* points, uint n, __global const uint* cluster, __global float* centres) {
    const uint c = get_global_id(0), d = get_global_id(1);
    float sum = 0;
    uint count = 0;
    for (uint i = 0; i < n; ++i) {
        if (cluster[i] != c) continue;
        sum += points[i * DIMENSIONS + d];
        ++count;
    }
    if (count != 0) centres[c * DIMENSIONS + d] = sum / count;
}
"""
TOGETHER = 8  # iterations between two looks at what still changes


def read(path, columns):
    table = np.atleast_1d(np.genfromtxt(path, delimiter=",", names=True, dtype=np.float32))
    for name in columns:
        if name not in (table.dtype.names or ()):
            raise ValueError(f"{path}: has no column '{name}'; it has {', '.join(table.dtype.names or ['none'])}")
    points = np.ascontiguousarray(np.stack([table[name] for name in columns], axis=1))
    wrong = ~(np.abs(points) < 1e15).all(1)  # what is no number is NaN; squares of distances must be floats, too
    if wrong.any():
        raise ValueError(f"{path}: row {np.argmax(wrong) + 1} has something else than numbers below 1e15")
    return points


def first_centres(points, k, seed):
    """Rows, each far from those before (k-means++)."""
    random = np.random.default_rng(seed)
    centres = [points[random.integers(len(points))]]
    while len(centres) < k:
        nearest = np.min([((points - c) ** 2).sum(1) for c in centres], axis=0)
        centres.append(points[random.choice(len(points), p=nearest / nearest.sum())])
    return np.array(centres, dtype=np.float32)


def clusters_of(context, points, first):
    n, k, dimensions = np.uint32(len(points)), np.uint32(len(first)), points.shape[1]
    program = context.load(SOURCE, options=f"-DDIMENSIONS={dimensions}", name="kmeans")
    assign, update = program.kernel("assign"), program.kernel("update")
    rows, centres = context.buffer(points), context.buffer(first)
    cluster = context.buffer(np.full(len(points), 0xFFFFFFFF, dtype=np.uint32))
    changes = context.allocate(1, "uint32")
    iterations, changed = 0, 1
    while changed:
        for _ in range(TOGETHER):
            context.fill(changes, 0)
            assign(rows, n, centres, k, cluster, changes, grid=int(n))
            update(rows, n, cluster, centres, grid=(int(k), dimensions))
        iterations += TOGETHER
        changed = int(changes.to_numpy()[0])  # waits: of the last iteration
        if sys.stderr.isatty() or iterations % 1000 == 0:
            print(f"{iterations} iterations, {changed} points still move ", end="\r" if sys.stderr.isatty() else "\n",
                  file=sys.stderr, flush=True)
    return centres.to_numpy(), cluster.to_numpy(), iterations


def check(points, centres, cluster):
    """Each row is with its nearest centre, each centre is the mean of its rows. Sum of squared distances."""
    distances = ((points[:, None, :].astype(float) - centres[None]) ** 2).sum(2)
    mine = distances[np.arange(len(points)), cluster]
    assert (mine <= distances.min(1) * (1 + 1e-5) + 1e-9).all(), "a row is nearer to another centre"
    for c in np.unique(cluster):
        assert np.allclose(points[cluster == c].mean(0), centres[c], atol=1e-3), "a centre is not the mean of its rows"
    return float(mine.sum())


def plot(path, points, centres, cluster):
    import matplotlib  # only for this
    matplotlib.use("Agg")
    from matplotlib import pyplot
    pyplot.figure(figsize=(6, 6))
    pyplot.scatter(points[:, 0], points[:, 1], c=cluster, s=6, cmap="tab10")
    pyplot.plot(centres[:, 0], centres[:, 1], "ko")
    pyplot.savefig(path)


def main():
    parser = argparse.ArgumentParser(description="Finds clusters in the rows of a CSV file.")
    parser.add_argument("--csv", default=pathlib.Path(__file__).parent.parent / "kmeans/points.csv")
    parser.add_argument("--columns", default="x,y", help="names of columns, with commas between them (x,y)")
    parser.add_argument("--clusters", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", metavar="FILE", help="PNG to write; needs Matplotlib")
    parser.add_argument("-o", choices=("text", "json"), default="text")
    own_fabric.add_options(parser)
    options = parser.parse_args()

    points = read(options.csv, options.columns.split(","))
    if not 1 <= options.clusters <= len(points):
        raise ValueError(f"--clusters {options.clusters}: from 1 to {len(points)}, the number of rows")
    first = first_centres(points, options.clusters, options.seed)
    with own_fabric.accelerator(options) as device, farlane.accel.Context(device) as context:
        if not context.takes("opencl-c"):
            sys.exit("kmeans.py: this accelerator takes no OpenCL C: use one with executor = \"opencl\"")
        centres, cluster, iterations = clusters_of(context, points, first)
    inertia = check(points, centres, cluster)
    sizes = np.bincount(cluster, minlength=len(centres)).tolist()
    if options.plot:
        plot(options.plot, points, centres, cluster)
    if options.o == "json":
        print(json.dumps({"rows": len(points), "iterations": iterations, "sizes": sizes, "inertia": inertia}))
    else:
        print(f"{len(points)} rows in clusters of {sizes} after {iterations} iterations; "
              f"sum of squared distances {inertia:.2f}, checked")


if __name__ == "__main__":
    try:
        main()
    except (farlane.Error, RuntimeError, OSError, ValueError) as error:
        sys.exit(f"kmeans.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
