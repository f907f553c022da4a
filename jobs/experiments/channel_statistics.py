#!/usr/bin/env python3
"""How differently channels of feature maps behave, from one print to the next: the reason for normalizing each by itself.

Reads an index (outsole index) and writes means and standard deviations of every channel over each exemplar and over the
whole set, and histograms of values as variants of the similarity see them: statistics.json and two figures.
"""

import argparse
import json
from pathlib import Path

import h5py
import numpy as np

PERCENTILES = [5, 25, 50, 75, 95]
EDGES = np.linspace(-4, 8, 121)
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"]


def exemplars_of(path, limit):
    """Maps as [channels, cells] float64, exemplar by exemplar."""
    with h5py.File(path, "r") as file:
        maps, white = file["maps"], np.asarray(file["white_response"], np.float64)
        blocks, channels, _, _, lanes = maps.shape
        count = min(len(file["exemplar_id"]), limit or 1 << 60)
        for block in range(blocks):
            values = maps[block].astype(np.float64).reshape(channels, -1, lanes) + white[:, None, None]
            for lane in range(min(lanes, count - block * lanes)):
                yield values[:, :, lane]


def moments(path, limit):
    means, deviations = [], []
    for values in exemplars_of(path, limit):
        means.append(values.mean(axis=1))
        deviations.append(values.std(axis=1))
    return np.array(means), np.array(deviations)  # [exemplars, channels]


def histograms(path, limit, mean_of_set, deviation_of_set):
    """Shares of values in bins, normalized in four ways; what lies outside of the bins counts in the last ones."""
    counts = {name: np.zeros(len(EDGES) - 1) for name in ("mu,sigma", "mu_c,sigma", "mu_bar_c,sigma_bar_c", "mu_c,sigma_c")}
    for values in exemplars_of(path, limit):
        mean, deviation = values.mean(axis=1, keepdims=True), values.std(axis=1, keepdims=True)
        centred = values - mean
        normalized = {
            "mu,sigma": (values - values.mean()) / values.std(),
            "mu_c,sigma": centred / np.sqrt((centred**2).mean()),
            "mu_bar_c,sigma_bar_c": (values - mean_of_set[:, None]) / deviation_of_set[:, None],
            "mu_c,sigma_c": (centred / np.where(deviation > 0, deviation, 1)),
        }
        for name, numbers in normalized.items():
            counts[name] += np.histogram(np.clip(numbers, EDGES[0], EDGES[-1]), EDGES)[0]
    return {name: (count / count.sum()).tolist() for name, count in counts.items()}


# --- Figures ----------------------------------------------------------------------------------------------------------


def text(x, y, words, anchor="middle"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>\n'


def panel(left, top, width, height, curves, x_range, y_range, x_name, title):
    """Curves (name or None, xs, ys, colour) in a frame."""
    body = text(left, top - 12, title, "start")
    body += f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#333333"/>\n'
    body += text(left + width / 2, top + height + 34, x_name)
    for value in x_range:
        body += text(left + width * (value - x_range[0]) / (x_range[1] - x_range[0]), top + height + 16, f"{value:g}")
    for value in y_range:
        body += text(left - 8, top + height - height * (value - y_range[0]) / (y_range[1] - y_range[0]) + 4, f"{value:.3g}", "end")
    line = 0
    for name, xs, ys, colour in curves:
        x = left + width * (np.asarray(xs) - x_range[0]) / (x_range[1] - x_range[0])
        y = top + height - height * (np.clip(ys, *y_range) - y_range[0]) / (y_range[1] - y_range[0])
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y))
        body += f'<polyline fill="none" stroke="{colour}" points="{points}"/>\n'
        if name:
            body += f'<g fill="{colour}">' + text(left + width - 10, top + 20 + 17 * line, name, "end") + "</g>\n"
            line += 1
    return body


def figure(path, width, height, body):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
    head += 'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="#222222">\n<rect width="100%" height="100%" fill="#ffffff"/>\n'
    path.write_text(head + body + "</svg>\n", encoding="utf-8")


def spread_curves(values):
    """Percentiles over exemplars, channels in the order of their median."""
    order = np.argsort(np.median(values, axis=0))
    lines = np.percentile(values[:, order], PERCENTILES, axis=0)
    channels = np.arange(values.shape[1])
    return [(f"{p}%", channels, line, colour) for p, line, colour in zip(PERCENTILES, lines, COLOURS)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", required=True)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--limit", type=int, default=0, help="so many exemplars; 0: all")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    means, deviations = moments(options.index, options.limit)
    mean_of_set = means.mean(axis=0)
    deviation_of_set = np.sqrt((deviations**2).mean(axis=0) + means.var(axis=0))
    deviation_of_set[deviation_of_set == 0] = 1
    shares = histograms(options.index, options.limit, mean_of_set, deviation_of_set)

    # How much of a channel's variance over the set lies between prints, and how unlike channels are.
    between = means.var(axis=0) / deviation_of_set**2
    summary = {
        "exemplars": len(means),
        "channels": means.shape[1],
        "mean_over_channels_5_50_95_percent": np.percentile(mean_of_set, [5, 50, 95]).tolist(),
        "deviation_over_channels_5_50_95_percent": np.percentile(deviation_of_set, [5, 50, 95]).tolist(),
        "variance_between_exemplars_percent": float(100 * between.mean()),
        "deviation_ratio_95_to_5_percent_over_exemplars": float(
            np.median(np.percentile(deviations, 95, axis=0) / np.maximum(np.percentile(deviations, 5, axis=0), 1e-9))
        ),
    }
    result = {
        **summary,
        "mean": {str(p): row.tolist() for p, row in zip(PERCENTILES, np.percentile(means, PERCENTILES, axis=0))},
        "deviation": {str(p): row.tolist() for p, row in zip(PERCENTILES, np.percentile(deviations, PERCENTILES, axis=0))},
        "bin_edges": EDGES.tolist(),
        "share_of_values": shares,
    }
    (options.output / "statistics.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")

    body, left = "", 70
    for name, values in (("mean", means), ("standard deviation", deviations)):
        top = float(np.percentile(values, 99.5))
        body += panel(left, 50, 400, 320, spread_curves(values), (0, values.shape[1] - 1), (min(0.0, float(values.min())), top),
                      "channel, by its median", f"{name} over a print: percentiles over {len(values)} prints")
        left += 500
    figure(options.output / "channels.svg", 1000, 430, body)
    middle = (EDGES[:-1] + EDGES[1:]) / 2
    normal = np.exp(-(middle**2) / 2) / np.sqrt(2 * np.pi) * (EDGES[1] - EDGES[0])
    curves = [(name, middle, share, colour) for (name, share), colour in zip(shares.items(), COLOURS)]
    curves.append(("normal", middle, normal, "#999999"))
    highest = max(max(share[1:-1]) for share in shares.values())
    figure(options.output / "values.svg", 660, 430,
           panel(70, 50, 560, 320, curves, (EDGES[0], EDGES[-1]), (0, highest), "normalized value", "share of values"))

    print(f"{summary['exemplars']} exemplars, {summary['channels']} channels")
    for name, value in summary.items():
        if name not in ("exemplars", "channels"):
            numbers = value if isinstance(value, list) else [value]
            print(f"  {name.replace('_', ' '):<52}" + " ".join(f"{number:10.3f}" for number in numbers))


if __name__ == "__main__":
    main()
