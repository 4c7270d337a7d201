"""Reads trained weights from a safetensors file, checked against its SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError, safe_open
from torch import nn

from voxlate.errors import ModelInvalid, NoInput

N = TypeVar("N", bound=nn.Module)


def load_weights(network: nn.Module, path: Path, *, sha256: str) -> None:
    """Fills a network with the tensors of a file that have its names; other tensors in the file are ignored.

    Args:
        network: network to fill, in place.
        path: a safetensors file.
        sha256: expected SHA-256 of the file, in hexadecimal.

    Raises:
        NoInput: `WEIGHTS_MISSING` when the file does not exist.
        ModelInvalid: `WEIGHTS_CHANGED` for another hash, `WEIGHTS_UNREADABLE`, `WEIGHTS_UNFIT` when tensors are
            missing or have another shape.
    """
    require_hash(path, sha256)
    expected = network.state_dict()
    try:
        with safe_open(str(path), framework="pt") as stream:
            stored = set(stream.keys())
            loaded = {name: stream.get_tensor(name) for name in expected if name in stored}
    except SafetensorError as error:
        raise ModelInvalid("WEIGHTS_UNREADABLE", f"{path.name} is not a safetensors file; convert it") from error
    absent = [n for n in expected if n not in loaded and not n.endswith("num_batches_tracked")]
    if absent:
        raise ModelInvalid("WEIGHTS_UNFIT", f"{path.name} lacks {len(absent)} tensors, such as {absent[0]}")
    for name, tensor in loaded.items():
        if tensor.shape != expected[name].shape:
            shapes = f"has shape {tuple(tensor.shape)}, not {tuple(expected[name].shape)}"
            raise ModelInvalid(
                "WEIGHTS_UNFIT", f"{path.name}: {name} {shapes}; choose the depth and width that it was saved with"
            )
    network.load_state_dict(loaded, strict=False)


def load_frozen(network: N, path: Path, *, sha256: str) -> N:
    """Returns a network with weights that come with voxlate, in evaluation mode and without gradients.

    Args:
        network: network to fill, in place.
        path: a safetensors file.
        sha256: expected SHA-256 of the file, in hexadecimal.

    Raises:
        NoInput, ModelInvalid: see `load_weights`.
    """
    load_weights(network, path, sha256=sha256)
    network.requires_grad_(False)
    return network.eval()


def require_hash(path: Path, sha256: str) -> None:
    """Refuses a file with another hash than the expected one.

    Args:
        path: any file.
        sha256: expected SHA-256, in hexadecimal.

    Raises:
        NoInput: `WEIGHTS_MISSING`.
        ModelInvalid: `WEIGHTS_CHANGED`, with the beginnings of both hashes.
    """
    if not path.is_file():
        raise NoInput(
            "WEIGHTS_MISSING",
            f"there is no file {path.name}; voxlate comes without these weights, name a file of your own",
        )
    with path.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if actual != sha256.lower():
        raise ModelInvalid(
            "WEIGHTS_CHANGED", f"{path.name} has the SHA-256 {actual[:12]}…, not {sha256[:12].lower()}…; fetch it again"
        )
