# SPDX-License-Identifier: Apache-2.0
# Receives: PNG files, pictures. Hands on: the same as lists of rows of (r, g, b, a); what filters make of them.
# Owns: nothing. Written apart from the examples, so that it can judge them.
import struct
import zlib


def write_png(path, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    data = b"".join(b"\0" + bytes(v for pixel in row for v in pixel) for row in rows)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 6, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


def read_png(path):
    """8 bits a channel, RGBA."""
    file, at, data = path.read_bytes(), 8, b""
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    while at < len(file):
        length, kind = struct.unpack(">I4s", file[at:at + 8])
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", file[at + 8:at + 18])
            assert (depth, colour) == (8, 6), (depth, colour)
        if kind == b"IDAT":
            data += file[at + 8:at + 8 + length]
        at += 12 + length
    data, rows, above = zlib.decompress(data), [], bytearray(4 * width)
    for y in range(height):
        start = y * (4 * width + 1)
        kind, line = data[start], bytearray(data[start + 1:start + 1 + 4 * width])
        for x in range(4 * width):
            a, b, c = (line[x - 4] if x >= 4 else 0), above[x], (above[x - 4] if x >= 4 else 0)
            near = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            line[x] = line[x] + [0, a, b, (a + b) // 2, near][kind] & 255
        above = line
        rows.append([tuple(line[4 * x:4 * x + 4]) for x in range(width)])
    return rows


def filtered(rows, rule):
    """`rule` of the nine values around, row by row, for each channel but alpha."""
    height, width = len(rows), len(rows[0])

    def around(x, y, c):
        return [rows[min(max(y + j, 0), height - 1)][min(max(x + i, 0), width - 1)][c] for j in (-1, 0, 1) for i in (-1, 0, 1)]
    return [[tuple(rule(around(x, y, c)) for c in range(3)) + (rows[y][x][3],) for x in range(width)] for y in range(height)]


def clamped(value):
    return min(max(value, 0), 255)


def median(p):
    return sorted(p)[4]


def blur(p):
    return (sum(w * v for w, v in zip((1, 2, 1, 2, 4, 2, 1, 2, 1), p)) + 8) >> 4


def sharpen(p):
    return clamped((8 * p[4] - p[1] - p[3] - p[5] - p[7] + 2) >> 2)


def laplace(p):
    return clamped(9 * p[4] - sum(p) + 128)


def sobel(p):
    gx = p[2] + 2 * p[5] + p[8] - p[0] - 2 * p[3] - p[6]
    gy = p[6] + 2 * p[7] + p[8] - p[0] - 2 * p[1] - p[2]
    return clamped((abs(gx) + abs(gy)) // 2)
