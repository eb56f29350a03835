#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Receives: nothing. Hands on: points.csv on stdout: 2,000 points in five groups of different size, shape and density.
# Owns: nothing. Always the same: python3 make_points.py > points.csv
import math
import random

#         centre       spread      turned by  points
GROUPS = [((-6.0, 4.0), (1.6, 0.6), 0.6, 500),
          ((5.5, 5.0), (0.9, 0.9), 0.0, 450),
          ((0.0, -0.5), (1.3, 1.0), -0.3, 600),
          ((-5.0, -5.5), (0.7, 1.4), 0.2, 250),
          ((6.5, -4.5), (2.0, 0.8), -0.7, 200)]


def points():
    generator = random.Random(5)
    for group, (centre, spread, angle, count) in enumerate(GROUPS):
        for _ in range(count):
            u, v = (generator.gauss(0, s) for s in spread)
            x = centre[0] + u * math.cos(angle) - v * math.sin(angle)
            y = centre[1] + u * math.sin(angle) + v * math.cos(angle)
            yield f"{x:.4f},{y:.4f},{group}"


rows = list(points())
random.Random(6).shuffle(rows)
print("x,y,group")
print("\n".join(rows))
