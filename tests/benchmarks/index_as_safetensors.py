#!/usr/bin/env python3
"""The first 32 exemplars' maps of an index, for `bench_search --index`: index_as_safetensors.py index.h5 maps.safetensors

Needs h5py and numpy. The index's maps must have the size of FID-300's search (256 channels, 67 x 28 cells)."""
import json
import struct
import sys

import h5py
import numpy

with h5py.File(sys.argv[1]) as index:
    block = index["maps"][0].astype(numpy.float32)  # [C, W, H, lanes]
maps = numpy.ascontiguousarray(block.transpose(3, 0, 2, 1))  # [lanes, C, H, W]
header = json.dumps({"maps": {"dtype": "F32", "shape": list(maps.shape), "data_offsets": [0, maps.nbytes]}}).encode()
with open(sys.argv[2], "wb") as file:
    file.write(struct.pack("<Q", len(header)) + header + maps.tobytes())
