#!/usr/bin/env python3
"""How the numbers of the recent trend were chosen: docs/wear.md's table. Needs numpy and h5py.

    recent_trend.py FOLDER

FOLDER holds the prepared years that `wear_accuracy.py` made, seed1.h5 to seed5.h5. Of each, each of the weeks 20 to 38 is
once the last one known, and the scans of the ten weeks after it, week 42 at most, are judged: all are training weeks. Beside
it, for the last training week, 42, the held-out ones.
"""
import pathlib
import sys

import h5py
import numpy as np

# Scans in the mean, scans in the slope, passes of a 1-2-1 filter over the slope, share of the slope that goes on.
SETTINGS = [(3, 6, 0, 0.5), (5, 6, 0, 0.5), (2, 6, 1, 0.5), (3, 10, 0, 0.5), (3, 10, 1, 1), (3, 10, 1, 0.5), (3, 10, 1, 0.25),
            (3, 10, 1, 0), (1, 6, 0, 0)]
WINDOW = np.exp(-np.arange(-5, 6) ** 2 / 4.5) / np.exp(-np.arange(-5, 6) ** 2 / 4.5).sum()


def shoes_of(path):
    """{shoe: {week: (grey, known)}}."""
    shoes = {}
    for shard in sorted(path.with_suffix(".shards").glob("*.h5")):
        with h5py.File(shard) as file:
            for shoe, week, grey, known in zip(file["shoe"][:], file["week"][:], file["pixels"][:], file["support"][:]):
                shoes.setdefault(shoe, {})[float(week)] = (grey.astype(np.float32), known > 0)
    return shoes


def smoothed(image, passes):
    for _ in range(passes):
        for axis in (0, 1):
            wide = np.pad(image, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
            image = (np.take(wide, range(0, wide.shape[axis] - 2), axis) + 2 * image
                     + np.take(wide, range(2, wide.shape[axis]), axis)) / 4
    return image


def slope(weeks, images):
    centred = np.array(weeks) - np.mean(weeks)
    return np.tensordot(centred, np.stack(images), 1) / np.sum(centred * centred)


def windowed(image):
    wide = np.pad(image, 5, mode="reflect")
    rows = sum(WINDOW[i] * wide[i:i + image.shape[0]] for i in range(11))
    return sum(WINDOW[i] * rows[:, i:i + image.shape[1]] for i in range(11))


def scores(answer, truth, known):
    """PSNR in dB and SSIM, as `evaluate wear` has them."""
    x, y = np.where(known, np.clip(np.rint(answer), 0, 255), 255), np.where(known, truth, 255)
    mean_x, mean_y = windowed(x), windowed(y)
    variances = windowed(x * x) - mean_x**2 + windowed(y * y) - mean_y**2
    covariance = windowed(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + 6.5025) * (2 * covariance + 58.5225) / (
        (mean_x**2 + mean_y**2 + 6.5025) * (variances + 58.5225))
    return 10 * np.log10(255**2 / np.mean((x - y)[known] ** 2)), similarity[known].mean()


def judged(shoes, setting, last_known_weeks, last_week):
    in_mean, in_slope, passes, share = setting
    values = []
    for last_known in last_known_weeks:
        for scans in shoes.values():
            weeks = [week for week in sorted(scans) if week <= last_known]
            mean = np.mean([scans[week][0] for week in weeks[-in_mean:]], 0)
            line = smoothed(slope(weeks[-in_slope:], [scans[week][0] for week in weeks[-in_slope:]]), passes)
            for week, (truth, known) in scans.items():
                if last_known < week <= min(last_known + 10, last_week):
                    values.append(scores(mean + share * line * (week - np.mean(weeks[-in_mean:])), truth, known))
    return np.mean(values, 0)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    years = [shoes_of(pathlib.Path(sys.argv[1]) / f"seed{seed}.h5") for seed in range(1, 6)]
    print("in the mean, in the slope, smoothed, share | training weeks | held-out weeks")
    for setting in SETTINGS:
        inner = np.mean([judged(shoes, setting, range(20, 40, 2), 42) for shoes in years], 0)
        outer = np.mean([judged(shoes, setting, [42], 52) for shoes in years], 0)
        print(setting, "| {:.1f} dB, {:.3f} | {:.1f} dB, {:.3f}".format(*inner, *outer), flush=True)


if __name__ == "__main__":
    main()
