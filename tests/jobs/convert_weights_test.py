#!/usr/bin/env python3
"""jobs/convert_weights.py on small models in Caffe's format, written here field by field."""

import array
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "jobs", "convert_weights.py")


def varint(value):
    data = b""
    while value > 0x7F:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def message(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def blob(shape, values, legacy=False):
    floats = message(5, array.array("f", values).tobytes())
    if not legacy:
        return message(7, message(1, b"".join(map(varint, shape)))) + floats
    lengths = [1] * (4 - len(shape)) + shape
    return b"".join(varint(number << 3) + varint(length) for number, length in enumerate(lengths, 1)) + floats


def layer(name, blobs, legacy=False):
    if legacy:  # V1LayerParameter: name 4, blobs 6
        return message(2, message(4, name.encode()) + b"".join(message(6, b) for b in blobs))
    return message(100, message(1, name.encode()) + message(2, b"Convolution") + b"".join(message(7, b) for b in blobs))


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__")
    return {name: (entry["shape"], list(array.array("f", data[8 + length:][slice(*entry["data_offsets"])])))
            for name, entry in header.items()}


class ConvertWeights(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.output = os.path.join(self.folder.name, "w.safetensors")

    def convert(self, network, data, name="m.caffemodel"):
        path = os.path.join(self.folder.name, name)
        with open(path, "wb") as file:
            file.write(data)
        return subprocess.run([sys.executable, SCRIPT, network, path, self.output], capture_output=True, text=True)

    def test_convolutions_keep_shape_and_values_in_both_forms_of_a_layer(self):
        kernel = [i / 8 for i in range(2 * 3 * 3 * 3)]
        for legacy in (False, True):
            done = self.convert("squeezenet", message(1, b"net") + layer(
                "conv1", [blob([2, 3, 3, 3], kernel, legacy), blob([2], [1.5, -2], legacy)], legacy) + layer(
                "fire2/expand3x3", [blob([1, 2, 1, 1], [3, 4], legacy), blob([1], [0.25], legacy)], legacy))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("--weights-convention caffe", done.stdout)
            self.assertEqual(read_safetensors(self.output), {
                "features.0.weight": ([2, 3, 3, 3], kernel), "features.0.bias": ([2], [1.5, -2]),
                "features.3.expand3x3.weight": ([1, 2, 1, 1], [3, 4]), "features.3.expand3x3.bias": ([1], [0.25])})

    def test_googlenet_and_vgg16_get_the_names_of_torchvision(self):
        self.convert("googlenet", layer("inception_4e/5x5_reduce", [blob([1], [1])]))
        self.assertEqual(list(read_safetensors(self.output)), ["inception4e.branch3.0.conv.weight"])
        self.convert("vgg16", layer("conv3_1", [blob([1], [1])]) + layer("conv5_3", [blob([1], [1])]))
        self.assertEqual(list(read_safetensors(self.output)), ["features.10.weight", "features.28.weight"])

    def test_batch_norms_are_divided_by_what_caffe_scaled_them_by(self):
        def unit(convolution, suffix):
            return (layer(convolution, [blob([2, 1, 1, 1], [1, 2]), blob([2], [0.5, 0.25])]) +
                    layer("bn" + suffix, [blob([2], [4, 8]), blob([2], [2, 6]), blob([1], [2])]) +
                    layer("scale" + suffix, [blob([2], [7, 9]), blob([2], [3, 5])]))
        done = self.convert("resnet50", unit("conv1", "_conv1") + unit("res3a_branch2b", "3a_branch2b") +
                            unit("res2a_branch1", "2a_branch1"))
        self.assertEqual(done.returncode, 0, done.stderr)
        tensors = read_safetensors(self.output)
        for convolution, norm in (("conv1", "bn1"), ("layer2.0.conv2", "layer2.0.bn2"),
                                  ("layer1.0.downsample.0", "layer1.0.downsample.1")):
            self.assertEqual(tensors[convolution + ".weight"], ([2, 1, 1, 1], [1, 2]))
            self.assertEqual(tensors[norm + ".running_mean"], ([2], [1.5, 3.75]))
            self.assertEqual(tensors[norm + ".running_var"], ([2], [1, 3]))
            self.assertEqual(tensors[norm + ".weight"], ([2], [7, 9]))
            self.assertEqual(tensors[norm + ".bias"], ([2], [3, 5]))
        self.assertEqual(len(tensors), 15)

    def test_bad_files_are_refused_by_name(self):
        whole = layer("conv1", [blob([2, 3, 3, 3], range(54))])
        for data in (whole[:-5], b"\xff" * 40, b"", layer("conv1", [blob([5], [1, 2])]), layer("other", [blob([1], [1])])):
            done = self.convert("squeezenet", data)
            self.assertEqual(done.returncode, 3, data)
            self.assertIn("m.caffemodel", done.stderr)
            self.assertNotIn("Traceback", done.stderr)
            self.assertFalse(os.path.exists(self.output))
        self.assertEqual(self.convert("resnet50", b"no pickle", "m.pth").returncode, 3)


if __name__ == "__main__":
    unittest.main()
