#!/usr/bin/env python3
"""Images and tables that the experiments need and no job makes: windows, halves, crops, masks, groups of marks.

Everything is decided by the data and a fixed seed (Python's random.random(), the same everywhere), written whole or not
at all, and not written again when a list that is written last exists.
"""

import argparse
import csv
import hashlib
import math
import os
import random
from pathlib import Path

import numpy as np
from PIL import Image

WHITE = 255
FID_DPI = 50.8  # 20 pixels a centimetre
IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}


def grey(path):
    return np.asarray(Image.open(path).convert("L"))


def write_image(pixels, path, **said):
    Image.fromarray(pixels.astype(np.uint8), mode="L").save(path, compress_level=1, **said)


def images_of(folder):
    return sorted(p for p in Path(folder).iterdir()
                  if p.suffix.lower() in IMAGES and not p.stem.lower().endswith(".mask") and not p.name.startswith("."))


def read_table(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def write_table(path, header, rows):
    part = Path(f"{path}.part")
    with open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    os.replace(part, path)


def number(text):
    """Ids as people write them: 1 is 00001."""
    return str(int(text)) if text.isdigit() else text


def linked(folder, files):
    """A folder with links to some files."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        link = folder / file.name
        if not link.is_symlink() and not link.exists():
            link.symlink_to(Path(file).resolve())


# --- Partial prints ---------------------------------------------------------------------------------------------------


def choose(rng, items):
    return items[int(rng.random() * len(items))]


def padded_to(pixels, side):
    """White paper around an image that a window does not fit into."""
    height, width = (max(length, side) for length in pixels.shape)
    top, left = (height - pixels.shape[0]) // 2, (width - pixels.shape[1]) // 2
    canvas = np.full((height, width), WHITE, np.uint8)
    canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return canvas


def window(pixels, side, least_ink, rng):
    """A square at random, with ink (darker than the middle between the image's 1% and 99% levels) on a share of it."""
    pixels = padded_to(pixels, side)
    low, high = np.percentile(pixels, [1, 99])
    ink = pixels < (low + high) / 2
    best, most = None, -1.0
    for _ in range(200):
        y = int(rng.random() * (pixels.shape[0] - side + 1))
        x = int(rng.random() * (pixels.shape[1] - side + 1))
        share = ink[y : y + side, x : x + side].mean()
        if share > most:
            best, most = pixels[y : y + side, x : x + side], share
        if share >= least_ink:
            break
    return best


def partial_prints(options):
    """Windows of prints that share their group with another print; the others are the true exemplars."""
    output = Path(options.output)
    if (output / "exclude.csv").exists():
        return
    prints = {number(p.stem): p for p in images_of(options.prints)}
    group_of = {number(row["exemplar"]): row["group"] for row in read_table(options.groups)}
    members = {}
    for name in prints:
        if name in group_of:
            members.setdefault(group_of[name], []).append(name)
    sources = sorted(name for names in members.values() if len(names) > 1 for name in names)
    if not sources:
        raise SystemExit(f"{options.groups}: no two of its prints are in {options.prints}")
    (output / "marks").mkdir(parents=True, exist_ok=True)
    rng = random.Random(options.seed)
    labels, own = [], []
    for index in range(options.count):
        source = choose(rng, sources)
        mark = f"w{index + 1:05d}_{prints[source].stem}"
        pixels = window(grey(prints[source]), options.side, options.least_ink, rng)
        write_image(pixels, output / "marks" / f"{mark}.png")
        labels += [(mark, prints[name].stem) for name in sorted(members[group_of[source]]) if name != source]
        own.append((mark, prints[source].stem))
    write_table(output / "labels.csv", ["mark", "exemplar"], labels)
    write_table(output / "exclude.csv", ["mark", "exemplar"], own)


def some_exemplars(options):
    """Links to `count` exemplars: those that a table names, and others at random. 0: all."""
    files = images_of(options.exemplars)
    named = {number(row[options.column]) for row in read_table(options.table)}
    kept = [p for p in files if number(p.stem) in named]
    others = [p for p in files if number(p.stem) not in named]
    others.sort(key=lambda p: hashlib.sha256(f"{options.seed} {p.stem}".encode()).digest())
    if options.count > 0:
        others = others[: max(0, options.count - len(kept))]
    linked(Path(options.output), kept + others)


def replicates(options):
    """Scans without their ruler, and the groups of scans of one sole."""
    output = Path(options.output)
    if (output / "groups.csv").exists():
        return
    (output / "prints").mkdir(parents=True, exist_ok=True)
    groups = []
    for row in read_table(Path(options.folder) / "manifest.csv"):
        path = Path(options.folder) / row["file"]
        pixels = grey(path)
        write_image(pixels[54:1467, 54 : pixels.shape[1] - 54], output / "prints" / f"{path.stem}.png")
        groups.append((path.stem, row["shoe"]))
    write_table(output / "groups.csv", ["exemplar", "group"], groups)


# --- Aligned pairs ----------------------------------------------------------------------------------------------------

# Facades: colours of the label maps (measured), class 1 to 12.
PALETTE = np.array(
    [(0, 0, 222), (0, 48, 255), (0, 128, 255), (0, 207, 255), (32, 255, 222), (112, 255, 143),
     (192, 255, 63), (255, 240, 0), (255, 160, 0), (255, 80, 0), (255, 0, 0), (174, 0, 0)], np.int32)  # fmt: skip


def classes_as_grey(colours):
    """The nearest class of each pixel, 1 to 12 spread over 0 to 255."""
    difference = colours.astype(np.int32)[:, :, None, :] - PALETTE[None, None]
    nearest = (difference**2).sum(axis=-1).argmin(axis=-1)
    return np.rint(nearest * 255 / (len(PALETTE) - 1))


def pairs(options):
    """Left halves as marks, right halves as exemplars, and which belongs to which; odd and even pairs are two folds."""
    output = Path(options.output)
    if (output / "labels.csv").exists():
        return
    for part in ("marks", "exemplars"):
        (output / part).mkdir(parents=True, exist_ok=True)
    labels = []
    for index, path in enumerate(images_of(options.folder)):
        image = Image.open(path).convert("RGB")
        half = image.width // 2
        left, right = image.crop((0, 0, half, image.height)), image.crop((half, 0, 2 * half, image.height))
        write_image(np.asarray(left.convert("L")), output / "marks" / f"{path.stem}.png")
        colours = np.asarray(right)
        answer = classes_as_grey(colours) if options.classes else np.asarray(right.convert("L"))
        write_image(answer, output / "exemplars" / f"{path.stem}.png")
        labels.append((path.stem, path.stem, index % 2))
    write_table(output / "labels.csv", ["mark", "exemplar", "fold"], labels)


# --- Marks of FID-300 -------------------------------------------------------------------------------------------------


def area_of(path):
    with Image.open(path) as image:
        return image.width * image.height


def visible(options):
    """Labels with more columns, and links to `count` marks, evenly.

    `visible`: how much of the exemplar's area the mark has. `half`, with groups of exemplars of one tread: settings are
    chosen on the marks of every second group (the groups that have marks, sorted as text) and confirmed on the others.
    """
    output = Path(options.output)
    marks = {number(p.stem): p for p in images_of(options.marks)}
    exemplars = {number(p.stem): p for p in images_of(options.exemplars)}
    groups = {number(row["exemplar"]): row["group"] for row in read_table(options.groups)} if options.groups else {}
    rows, group_of_row = [], []
    for row in read_table(options.labels):
        mark, exemplar = marks.get(number(row["query"])), exemplars.get(number(row["ref"]))
        if mark is None or exemplar is None:
            continue
        share = area_of(mark) / area_of(exemplar)
        name = ["quarter", "half", "3/4", "full"][sum(share >= limit for limit in (0.375, 0.625, 0.875))]
        rows.append([mark, row["query"], row["ref"], name])
        group_of_row.append(groups.get(number(row["ref"]), "e" + row["ref"]))
    columns = ["query", "ref", "visible"]
    if groups:
        columns.append("half")
        choosing = set(sorted(set(group_of_row))[::2])
        for row, group in zip(rows, group_of_row):
            row.append("choosing" if group in choosing else "confirming")
    if options.count and options.count < len(rows):
        last = len(rows) - 1
        rows = [rows[int(i * last / max(1, options.count - 1) + 0.5)] for i in range(options.count)]
    linked(output / "marks", [row[0] for row in rows])
    write_table(output / "labels.csv", columns, [row[1:] for row in rows])


def clutter(options):
    """Uncropped photos, turned by quarter turns so that the print is roughly upright; the same with an examiner's mask.

    The mask is the cropped mark's frame, laid into the photo at the known pose. Where the crop has more than a share of
    the photo's area (half, the paper's limit) the photo is left out. Masked photos may be enlarged or reduced, too, by
    `scales`, and then say their resolution.
    """
    output = Path(options.output)
    if (output / "labels.csv").exists():
        return
    scales = [float(scale) for scale in options.scales.split()]
    for part in ["whole", "masked", "cropped"] + [f"masked_x{scale:g}" for scale in scales]:
        (output / part).mkdir(parents=True, exist_ok=True)
    fid = Path(options.folder)
    true = {number(row["query"]): row["ref"] for row in read_table(fid / "labels.csv")}
    labels = []
    for row in read_table(fid / "tracks_original_pose.csv"):
        if options.count and len(labels) == options.count:
            break
        name = f"{int(row['query']):05d}"
        photo, crop = grey(fid / "tracks_original" / f"{name}.jpg"), grey(fid / "tracks_cropped" / f"{name}.jpg")
        if crop.size > options.share * photo.size:
            continue
        a, b, tx, ty = (float(row[key]) for key in ("a", "b", "tx", "ty"))
        y, x = np.mgrid[0 : photo.shape[0], 0 : photo.shape[1]]
        dx, dy, scale = x - tx, y - ty, a * a + b * b
        crop_x, crop_y = (a * dx + b * dy) / scale, (a * dy - b * dx) / scale
        mask = (crop_x >= -0.5) & (crop_x < crop.shape[1] - 0.5) & (crop_y >= -0.5) & (crop_y < crop.shape[0] - 0.5)
        # The print's x axis points to (a, b) of the photo, y downwards: by quarter turns it comes to point to the right.
        turns = round(math.degrees(math.atan2(b, a)) / 90)
        photo, mask = np.rot90(photo, turns), np.rot90(mask, turns)
        write_image(photo, output / "whole" / f"{name}.png")
        write_image(photo, output / "masked" / f"{name}.png")
        write_image(mask * 255, output / "masked" / f"{name}.mask.png")
        write_image(crop, output / "cropped" / f"{name}.png")
        for scale in scales:
            size = tuple(round(scale * length) for length in reversed(photo.shape))
            larger = [np.asarray(Image.fromarray(pixels.astype(np.uint8), mode="L").resize(size, how))
                      for pixels, how in ((photo, Image.BICUBIC), (mask * 255, Image.NEAREST))]
            folder = output / f"masked_x{scale:g}"
            write_image(larger[0], folder / f"{name}.png", dpi=(FID_DPI * scale, FID_DPI * scale))
            write_image(larger[1], folder / f"{name}.mask.png")
        labels.append((name, true[number(name)]))
    write_table(output / "labels.csv", ["mark", "exemplar"], labels)


def links(options):
    """Marks that show the same exemplar are linked; no mark is linked with itself."""
    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    marks = [p.stem for p in images_of(options.marks)]
    write_table(output / "exclude.csv", ["mark", "exemplar"], [(mark, mark) for mark in marks])
    if not options.labels:
        return
    table = read_table(options.labels)
    mark_column, exemplar_column = ("mark", "exemplar") if "mark" in table[0] else ("query", "ref")
    shown = {number(row[mark_column]): number(row[exemplar_column]) for row in table}
    of_exemplar = {}
    for mark in marks:
        if number(mark) in shown:
            of_exemplar.setdefault(shown[number(mark)], []).append(mark)
    rows = [(mark, other) for same in of_exemplar.values() for mark in same for other in same if mark != other]
    write_table(output / "pairs.csv", ["mark", "exemplar"], sorted(rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)

    def command(function, *arguments):
        sub = commands.add_parser(function.__name__.replace("_", "-"), help=function.__doc__)
        for argument in arguments:
            sub.add_argument(f"--{argument}", required=True)
        sub.add_argument("--output", required=True)
        sub.set_defaults(function=function)
        return sub

    sub = command(partial_prints, "prints", "groups")
    sub.add_argument("--count", type=int, default=512)
    sub.add_argument("--side", type=int, default=194, help="of a window, in px of the prints")
    sub.add_argument("--least-ink", type=float, default=0.1)
    sub.add_argument("--seed", type=int, default=1)
    sub = command(some_exemplars, "exemplars", "table", "column")
    sub.add_argument("--count", type=int, default=0)
    sub.add_argument("--seed", type=int, default=1)
    command(replicates, "folder")
    sub = command(pairs, "folder")
    sub.add_argument("--classes", action="store_true", help="the right half is a coloured label map")
    sub = command(visible, "marks", "exemplars", "labels")
    sub.add_argument("--count", type=int, default=0)
    sub.add_argument("--groups", help="CSV of exemplar, group")
    sub = command(clutter, "folder")
    sub.add_argument("--count", type=int, default=0)
    sub.add_argument("--share", type=float, default=0.5)
    sub.add_argument("--scales", default="", help="of masked photos, separated by spaces")
    sub = command(links, "marks")
    sub.add_argument("--labels")
    options = parser.parse_args()
    options.function(options)


if __name__ == "__main__":
    main()
