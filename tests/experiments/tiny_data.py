#!/usr/bin/env python3
"""Data sets of a few small random images, in the layout of FID-300, facades and maps: tiny_data.py FOLDER"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

root = Path(sys.argv[1])
rng = np.random.RandomState(1)


def texture(height, width):
    coarse = rng.randint(0, 256, (height // 8 + 2, width // 8 + 2)).astype(np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.BICUBIC)
    return np.asarray(image)


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, quality=95)


def table(path, lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


fid = root / "fid300"
treads = [texture(48, 36) for _ in range(3)]
exemplars = {number: treads[number % 3] for number in range(1, 7)}  # 1 and 4 show the same tread, 2 and 5, 3 and 6
for number, pixels in exemplars.items():
    write(fid / "references" / f"{number:05d}.png", pixels)
table(fid / "groups.csv", ["exemplar,group"] + [f"{n},{n % 3}" for n in exemplars])
true = {1: 1, 2: 2, 3: 1, 4: 3}
for mark, exemplar in true.items():
    crop = exemplars[exemplar][8:36, 4:30]
    write(fid / "tracks_cropped" / f"{mark:05d}.jpg", crop)
    photo = np.full((48, 64), 200, np.uint8)
    photo[10 : 10 + crop.shape[1], 20 : 20 + crop.shape[0]] = np.rot90(crop, -1)  # turned clockwise: x points down
    write(fid / "tracks_original" / f"{mark:05d}.jpg", photo)
table(fid / "labels.csv", ["query,ref"] + [f"{m},{e}" for m, e in true.items()])
table(fid / "result_accv14_ranks.csv", ["query,rank"] + [f"{m},{m}" for m in true])
# x_orig = -b y + tx, y_orig = b x + ty with b = 1: the crop's x axis points down in the photo, its y axis to the left.
table(fid / "tracks_original_pose.csv",
      ["query,a,b,tx,ty,angle_deg,scale,sift_inliers,ncc"] + [f"{m},0,1,47,10,90,1,9,1" for m in true])

for name, side in (("facades", 32), ("maps", 40)):
    for number in range(4):
        left = texture(side, side)
        right = np.stack([255 - left, left, left // 2], axis=-1)
        write(root / name / f"train_{number:04d}.jpg", np.concatenate([np.stack([left] * 3, axis=-1), right], axis=1))
