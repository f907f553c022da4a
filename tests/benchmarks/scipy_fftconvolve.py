#!/usr/bin/env python3
"""The search kernel against scipy.signal.fftconvolve, one channel of one pair at a time, window sums of y and y^2 anew
for every pair, as a user would write it. One thread; both in one run; scipy's part is a sample, extrapolated.

    scipy_fftconvolve.py BENCH_SEARCH [HEIGHTxWIDTH ...]

BENCH_SEARCH is the program bench_search, which times the kernel. Needs Debian's python3-scipy.
"""
import math
import os
import re
import subprocess
import sys
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
try:
    import numpy as np
    from scipy.signal import fftconvolve
except ImportError:
    sys.exit(print("skipped: no scipy here (Debian: python3-scipy)"))

FRAME_PX, CELL_PX, CHANNELS, EXEMPLARS, EROSION_CELLS = (293, 135), 4, 256, 1175, 3
ANGLES_DEG = range(-20, 21, 4)


def kernel_seconds(bench_search, size):
    """Of the search of one mark of this size in all exemplars, as bench_search prints it."""
    out = subprocess.run([bench_search, f"--benchmark_filter=^of_matrix_product/{size[0]}/{size[1]}/"], check=True,
                         capture_output=True, text=True).stdout
    return float(re.search(r"s_for_1175=([\d.]+)", out).group(1))


def support_of(size, angle_deg, offset_px):
    """Cells of the canvas on the turned mark, cut to their bounding box; eroded by as many cells on every side."""
    canvas = [2 * f - s for f, s in zip(FRAME_PX, size)]
    y, x = (np.arange((c - o - 1) // CELL_PX) * CELL_PX + 2 + o - (c - 1) / 2 for c, o in zip(canvas, offset_px))
    y, x = np.meshgrid(y, x, indexing="ij")
    a = math.radians(angle_deg)
    inside = [s / 2 - EROSION_CELLS * CELL_PX for s in size]
    support = ((abs(math.sin(a) * x + math.cos(a) * y) < inside[0]) &
               (abs(math.cos(a) * x - math.sin(a) * y) < inside[1])).astype(np.float32)
    rows, columns = np.flatnonzero(support.any(1)), np.flatnonzero(support.any(0))
    return support[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]


def ncc_at_every_shift(y, x, support, count):
    product = fftconvolve(y, x[::-1, ::-1])
    total = fftconvolve(y, support[::-1, ::-1])
    squares = fftconvolve(y * y, support[::-1, ::-1])
    return product / np.sqrt(np.maximum(squares - total * total / count, 1e-12))


def scipy_seconds(size, pairs=20):
    random = np.random.default_rng(1)
    y = random.random((FRAME_PX[0] // CELL_PX, FRAME_PX[1] // CELL_PX + 1), dtype=np.float32)
    offsets = [(oy, ox) for oy in (0, 2) for ox in (0, 2) if oy <= FRAME_PX[0] - size[0] and ox <= FRAME_PX[1] - size[1]]
    seconds = 0.0
    for angle_deg in ANGLES_DEG:
        support = support_of(size, angle_deg, offsets[0])
        count = support.sum()
        x = (random.random(support.shape, dtype=np.float32) - 0.5) * support
        start = time.perf_counter()
        for _ in range(pairs):
            ncc_at_every_shift(y, x, support, count)
        seconds += (time.perf_counter() - start) / pairs * len(offsets)
    return seconds * CHANNELS * EXEMPLARS


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sizes = [tuple(int(n) for n in word.split("x")) for word in sys.argv[2:]] or [(241, 121), (150, 100), (90, 40)]
    for size in sizes:
        ours, theirs = kernel_seconds(sys.argv[1], size), scipy_seconds(size)
        print(f"{size[0]} x {size[1]}: kernel {ours:.1f} s, scipy {theirs:.0f} s: {theirs / ours:.0f} times slower")


if __name__ == "__main__":
    main()
