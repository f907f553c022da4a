#!/usr/bin/env python3
"""Turns a checkpoint of torchvision (.pth, .pt) or Caffe (.caffemodel) into the safetensors that outsole reads.

    jobs/convert_weights.py resnet50 resnet50-0676ba61.pth resnet50.safetensors
    jobs/convert_weights.py googlenet bvlc_googlenet.caffemodel googlenet.safetensors

Networks: resnet18, resnet50, vgg16, squeezenet (1.1), googlenet. Then index with --weights-convention torchvision for a
checkpoint of torchvision, caffe for one of Caffe. Tensors get torchvision's names and 32-bit floats; layers behind the
last map (fully connected and auxiliary ones) are left out, and so are counts of batches.

A .caffemodel is read with Python alone; a .pth needs torch, which is made to load tensors and nothing that could run.
"""

import argparse
import array
import json
import math
import os
import re
import struct
import sys


class Refused(Exception):
    pass


# --- safetensors ------------------------------------------------------------------------------------------------------

def write_safetensors(path, tensors):
    """`tensors`: name -> (shape, bytes of little-endian 32-bit floats). Written beside and renamed."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(tensors):
        shape, data = tensors[name]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    beside = path + ".partial"
    try:
        with open(beside, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for name in sorted(tensors):
                file.write(tensors[name][1])
        os.replace(beside, path)
    except OSError as error:
        if os.path.exists(beside):
            os.remove(beside)
        raise Refused(f"{path}: cannot be written: {error.strerror}")


# --- torchvision ------------------------------------------------------------------------------------------------------

KEPT = {
    "resnet18": r"conv1\.|bn1\.|layer[1-4]\.",
    "resnet50": r"conv1\.|bn1\.|layer[1-4]\.",
    "vgg16": r"features\.",
    "squeezenet": r"features\.",
    "googlenet": r"conv[123]\.|inception[345][a-e]\.",
}


def from_torchvision(network, path):
    try:
        import torch
    except ImportError:
        raise Refused(f"{path}: a checkpoint of torchvision is read with torch, which this Python lacks: pip install torch")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds, for a file that is none
        raise Refused(f"{path}: torch does not load it: {error}")
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict):
        raise Refused(f"{path}: holds no tensors by name")
    tensors = {}
    for name, tensor in state.items():
        name = name.removeprefix("module.")
        if not re.match(KEPT[network], name) or name.endswith("num_batches_tracked"):
            continue
        values = tensor.detach().to(torch.float32).contiguous()
        tensors[name] = (list(values.shape), bytes(values.numpy().astype("<f4").tobytes()))
    return tensors


# --- Caffe ------------------------------------------------------------------------------------------------------------
# A .caffemodel is a NetParameter in Protocol Buffers' wire format (caffe.proto). Of it the layers' names and blobs count.

def fields(data, where):
    """(number, value) of every field of a message; value: an integer, or bytes."""
    at = 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            if at >= len(data) or shift > 63:
                raise Refused(f"{where}: is no .caffemodel, or is cut short")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        if kind == 2:
            length = varint()
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise Refused(f"{where}: is no .caffemodel")
        if at + length > len(data):
            raise Refused(f"{where}: is cut short")
        yield key >> 3, data[at:at + length]
        at += length


def packed_integers(data, where):
    if isinstance(data, int):
        return [data]
    # A packed list is a message whose fields have no keys: give each one.
    values, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            values.append(value)
            value, shift = 0, 0
    if shift:
        raise Refused(f"{where}: is cut short")
    return values


def blob_of(data, where):
    """(shape, floats) of a BlobProto."""
    shape, legacy, parts = [], {}, []
    for number, value in fields(data, where):
        if number == 7:  # BlobShape
            for part, lengths in fields(value, where):
                if part == 1:
                    shape += packed_integers(lengths, where)
        elif number in (1, 2, 3, 4):  # num, channels, height, width of older models
            legacy[number] = value
        elif number == 5:  # packed floats, or one of them
            parts.append(bytes(value))
        elif number == 8:
            raise Refused(f"{where}: keeps its values in 64 bit, which this script does not read")
    shape = shape or [legacy.get(number, 1) for number in (1, 2, 3, 4)]
    values = array.array("f", b"".join(parts))
    if sys.byteorder == "big":
        values.byteswap()
    if math.prod(shape) != len(values):
        raise Refused(f"{where}: a blob of shape {shape} holds {len(values)} values")
    return shape, values


def caffe_layers(path):
    """Blobs by the layer's name, for those that have any."""
    with open(path, "rb") as file:
        data = memoryview(file.read())
    layers = {}
    for number, value in fields(data, path):
        if number not in (2, 100) or isinstance(value, int):  # V1LayerParameter, LayerParameter
            continue
        name_field, blobs_field = (4, 6) if number == 2 else (1, 7)
        name, blobs = "", []
        for part, content in fields(value, path):
            if part == name_field:
                name = bytes(content).decode("utf-8", "replace")
            elif part == blobs_field:
                blobs.append(content)
        if blobs:
            layers[name] = [blob_of(blob, f"{path}, layer '{name}'") for blob in blobs]
    return layers


def flat(blob):
    """A blob as a vector: older models keep vectors as [1, 1, 1, n]."""
    return [len(blob[1])], blob[1]


def put(tensors, name, shape, values):
    values = array.array("f", values)
    if sys.byteorder == "big":
        values.byteswap()
    tensors[name] = (list(shape), values.tobytes())


def put_convolution(tensors, name, blobs):
    put(tensors, name + ".weight", *blobs[0])
    if len(blobs) > 1:
        put(tensors, name + ".bias", *flat(blobs[1]))


def put_batch_norm(tensors, name, norm, scale, bias):
    """Caffe's BatchNorm (sums of means and variances, and what they were scaled by) and Scale. The convolution's bias,
    which torchvision's residual networks do not have, lowers the mean."""
    factor = norm[2][1][0]
    factor = 1 / factor if factor else 0.0
    mean = [value * factor for value in norm[0][1]]
    if bias is not None:
        mean = [value - shift for value, shift in zip(mean, bias[1])]
    put(tensors, name + ".running_mean", [len(mean)], mean)
    put(tensors, name + ".running_var", [len(mean)], [value * factor for value in norm[1][1]])
    put(tensors, name + ".weight", *flat(scale[0]))
    put(tensors, name + ".bias", *flat(scale[1]))


def vgg16_names():
    names, place = {}, 0
    for block, convolutions in enumerate((2, 2, 3, 3, 3), 1):
        for i in range(1, convolutions + 1):
            names[f"conv{block}_{i}"] = f"features.{place}"
            place += 2
        place += 1
    return names


def squeezenet_names():
    names = {"conv1": "features.0"}
    for fire, place in zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12)):
        names[f"fire{fire}/squeeze1x1"] = f"features.{place}.squeeze"
        for side in ("1x1", "3x3"):
            names[f"fire{fire}/expand{side}"] = f"features.{place}.expand{side}"
    return names


def googlenet_names():
    names = {"conv1/7x7_s2": "conv1.conv", "conv2/3x3_reduce": "conv2.conv", "conv2/3x3": "conv3.conv"}
    branches = {"1x1": "1", "3x3_reduce": "2.0", "3x3": "2.1", "5x5_reduce": "3.0", "5x5": "3.1", "pool_proj": "4.1"}
    for module in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        for layer, branch in branches.items():
            names[f"inception_{module}/{layer}"] = f"inception{module}.branch{branch}.conv"
    return names


def put_resnet50(tensors, layers, path):
    def unit(caffe, torch_convolution, torch_norm):
        convolution, suffix = layers.get(caffe), caffe.removeprefix("res")
        norm, scale = layers.get("bn" + suffix), layers.get("scale" + suffix)
        if caffe == "conv1":
            norm, scale = layers.get("bn_conv1"), layers.get("scale_conv1")
        if not convolution:
            return
        if not norm or not scale or len(norm) < 3 or len(scale) < 2:
            raise Refused(f"{path}: layer '{caffe}' has no batch norm and scale")
        put(tensors, torch_convolution + ".weight", *convolution[0])
        put_batch_norm(tensors, torch_norm, norm, scale, convolution[1] if len(convolution) > 1 else None)

    unit("conv1", "conv1", "bn1")
    for layer, units in enumerate((3, 4, 6, 3), 1):
        for number in range(units):
            caffe, name = f"res{layer + 1}{chr(ord('a') + number)}", f"layer{layer}.{number}"
            for i, letter in enumerate("abc", 1):
                unit(f"{caffe}_branch2{letter}", f"{name}.conv{i}", f"{name}.bn{i}")
            if number == 0:
                unit(f"{caffe}_branch1", f"{name}.downsample.0", f"{name}.downsample.1")


def from_caffe(network, path):
    layers, tensors = caffe_layers(path), {}
    if network == "resnet50":
        put_resnet50(tensors, layers, path)
        return tensors
    names = {"vgg16": vgg16_names, "squeezenet": squeezenet_names, "googlenet": googlenet_names}
    if network not in names:
        raise Refused(f"{network}: its layers' names in Caffe are not known to this script")
    for caffe, name in names[network]().items():
        if caffe in layers:
            put_convolution(tensors, name, layers[caffe])
    return tensors


# ----------------------------------------------------------------------------------------------------------------------

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=sorted(KEPT))
    parser.add_argument("checkpoint", help="FILE.pth, FILE.pt or FILE.caffemodel")
    parser.add_argument("output", help="FILE.safetensors")
    options = parser.parse_args()
    try:
        if not os.path.isfile(options.checkpoint):
            raise Refused(f"{options.checkpoint}: no such file")
        is_caffe = options.checkpoint.endswith(".caffemodel")
        tensors = (from_caffe if is_caffe else from_torchvision)(options.network, options.checkpoint)
        if not tensors:
            raise Refused(f"{options.checkpoint}: holds no layer of {options.network}")
        write_safetensors(options.output, tensors)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 3
    convention = "caffe" if is_caffe else "torchvision"
    print(f"{options.output}: {len(tensors)} tensors; index with --weights-convention {convention}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
