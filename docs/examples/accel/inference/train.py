#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Receives: nothing. Hands on: weights.bin, a network that reads handwritten-like digits of 16 x 16 pixels; digits.png and
# digits.txt, a held-out set of them that the training never saw. Owns: nothing.
# Needs NumPy. Half a minute: python3 train.py. The digits are drawn here: strokes, bent, turned and blurred at random.
import pathlib
import struct
import zlib

import numpy as np

SIDE, HIDDEN, CLASSES = 16, 64, 10
TRAINING, HELD_OUT, HELD_OUT_COLUMNS = 12_000, 1_000, 40
EPOCHS, BATCH, RATE, MOMENTUM = 30, 50, 0.05, 0.9
MAGIC = b"FLNET\x001\n"


def arc(cx, cy, rx, ry, first, last, points=12):
    angle = np.radians(np.linspace(first, last, points))
    return np.stack([cx + rx * np.cos(angle), cy + ry * np.sin(angle)], axis=1)


def line(*points):
    return np.array(points, dtype=float)


# Strokes in the square from -1 to 1, y downwards.
GLYPHS = [
    [arc(0, 0, 0.6, 0.9, 0, 360, 24)],
    [line((-0.35, -0.5), (0.1, -0.9), (0.1, 0.9))],
    [arc(0, -0.4, 0.55, 0.5, -170, 40), line((0.42, -0.08), (-0.55, 0.9), (0.6, 0.9))],
    [arc(-0.05, -0.45, 0.5, 0.45, -150, 90), arc(-0.05, 0.45, 0.55, 0.45, -90, 150)],
    [line((0.25, 0.9), (0.25, -0.9), (-0.6, 0.35), (0.6, 0.35))],
    [line((0.5, -0.9), (-0.4, -0.9), (-0.45, -0.1)), arc(-0.05, 0.35, 0.55, 0.55, -130, 140)],
    [arc(0.5, 0.3, 1.0, 1.25, -125, -180), arc(0, 0.4, 0.52, 0.5, -180, 180, 20)],
    [line((-0.55, -0.9), (0.55, -0.9), (-0.15, 0.9))],
    [arc(0, -0.45, 0.42, 0.43, 0, 360, 20), arc(0, 0.45, 0.52, 0.45, 0, 360, 20)],
    [arc(0, -0.4, 0.52, 0.5, -180, 180, 20), arc(-0.5, -0.3, 1.0, 1.25, 0, 55)],
]


def segments(digit):
    """All straight pieces of a digit: starts and ends."""
    glyph = GLYPHS[digit]
    return np.concatenate([s[:-1] for s in glyph]), np.concatenate([s[1:] for s in glyph])


def draw(digit, random):
    """One digit as 16 x 16 numbers from 0 to 1."""
    turn, slant = random.normal(0, 0.16), random.normal(0, 0.2)
    width, height = random.uniform(3.6, 6.0), random.uniform(4.8, 6.6)
    shape = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.array([[width, slant * width],
                                                                                             [0, height]])
    wave, phase = random.normal(0, 0.09, 2), random.uniform(0, 6.28, 2)
    shift = (SIDE - 1) / 2 + random.normal(0, 0.8, 2)

    def place(points):
        bent = points + wave * np.sin(2.5 * points[:, ::-1] + phase)
        return bent @ shape.T + shift

    a, b = (place(p) for p in segments(digit))
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    pixel = np.stack([x, y], axis=-1).reshape(-1, 1, 2)
    along = b - a
    t = np.clip(((pixel - a) * along).sum(-1) / ((along * along).sum(-1) + 1e-9), 0, 1)
    distance = np.sqrt(((pixel - a - t[..., None] * along) ** 2).sum(-1)).min(1)
    ink = np.clip(random.uniform(0.9, 1.6) - distance, 0, 1)
    return np.clip(ink * random.uniform(0.7, 1) + random.normal(0, 0.1, ink.shape), 0, 1)


def digits(count, seed):
    """Pictures as rows, of 4 bits a pixel; what they show."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, count)
    pictures = np.stack([draw(label, random) for label in labels])
    return np.round(pictures * 15) / 15, labels


def forward(x, layers):
    (w1, b1), (w2, b2) = layers
    hidden = np.maximum(x @ w1 + b1, 0)
    return hidden, hidden @ w2 + b2


def train(x, labels):
    random = np.random.default_rng(3)
    layers = [(random.normal(0, np.sqrt(2 / n), (n, m)), np.zeros(m)) for n, m in ((SIDE * SIDE, HIDDEN), (HIDDEN, CLASSES))]
    speed = [(np.zeros_like(w), np.zeros_like(b)) for w, b in layers]
    for epoch in range(EPOCHS):
        rate = RATE * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        for rows in random.permutation(len(x)).reshape(-1, BATCH):
            hidden, scores = forward(x[rows], layers)
            error = np.exp(scores - scores.max(1, keepdims=True))
            error /= error.sum(1, keepdims=True)
            error[np.arange(BATCH), labels[rows]] -= 1
            back = (error @ layers[1][0].T) * (hidden > 0)
            for layer, (given, wrong) in enumerate(((x[rows], back), (hidden, error))):
                gradient = (given.T @ wrong / BATCH + 1e-4 * layers[layer][0], wrong.mean(0))
                speed[layer] = tuple(MOMENTUM * s - rate * g for s, g in zip(speed[layer], gradient))
                layers[layer] = tuple(p + s for p, s in zip(layers[layer], speed[layer]))
        right = (forward(x, layers)[1].argmax(1) == labels).mean()
        print(f"epoch {epoch + 1} of {EPOCHS}: {100 * right:.2f} % of the training set", flush=True)
    return [(w.astype("<f4"), b.astype("<f4")) for w, b in layers]


def write_png(path, grey):
    """An image of 4 bits a pixel."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    height, width = grey.shape
    nibbles = np.round(grey * 15).astype(np.uint8)
    rows = (nibbles[:, 0::2] << 4 | nibbles[:, 1::2])
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 4, 0, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b""))


def main():
    folder = pathlib.Path(__file__).parent
    layers = train(*digits(TRAINING, 1))
    x, labels = digits(HELD_OUT, 2)
    right = int((forward(x, [(w.astype(float), b) for w, b in layers])[1].argmax(1) == labels).sum())
    print(f"held out: {right} of {HELD_OUT} right")

    # weights.bin, little-endian: magic; how many of the held-out set it reads right; layers; of each layer inputs, outputs,
    # weights (inputs x outputs floats), biases (outputs floats)
    with open(folder / "weights.bin", "wb") as file:
        file.write(MAGIC + struct.pack("<II", right, len(layers)))
        for w, b in layers:
            file.write(struct.pack("<II", *w.shape) + w.tobytes() + b.tobytes())
    sheet = x.reshape(-1, HELD_OUT_COLUMNS, SIDE, SIDE).transpose(0, 2, 1, 3).reshape(-1, HELD_OUT_COLUMNS * SIDE)
    write_png(folder / "digits.png", sheet)
    rows = labels.reshape(-1, HELD_OUT_COLUMNS)
    (folder / "digits.txt").write_text("".join("".join(map(str, row)) + "\n" for row in rows))


if __name__ == "__main__":
    main()
