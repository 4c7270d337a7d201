"""Weights that others trained: a safetensors file that is named together with its hash."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError, safe_open
from torch import nn

from voxlate.errors import ModelInvalid, NoInput

N = TypeVar("N", bound=nn.Module)


def load_weights(network: nn.Module, path: Path, *, sha256: str) -> None:
    """Fills a network with the tensors of its names; others in the file are left out.

    Args:
        network: what to fill, in place.
        path: a safetensors file.
        sha256: what the file must hash to, in hexadecimal.

    Raises:
        NoInput: `WEIGHTS_MISSING` when there is no such file.
        ModelInvalid: `WEIGHTS_CHANGED` for another hash, `WEIGHTS_UNREADABLE`, `WEIGHTS_UNFIT` when tensors are
            missing or of another shape.
    """
    require_hash(path, sha256)
    expected = network.state_dict()
    try:
        with safe_open(str(path), framework="pt") as stream:
            held = set(stream.keys())
            found = {name: stream.get_tensor(name) for name in expected if name in held}
    except SafetensorError as error:
        raise ModelInvalid("WEIGHTS_UNREADABLE", f"{path.name} is not a safetensors file; convert it") from error
    absent = [n for n in expected if n not in found and not n.endswith("num_batches_tracked")]
    if absent:
        raise ModelInvalid("WEIGHTS_UNFIT", f"{path.name} lacks {len(absent)} tensors, as {absent[0]}")
    for name, tensor in found.items():
        if tensor.shape != expected[name].shape:
            shapes = f"{tuple(tensor.shape)}, not {tuple(expected[name].shape)}"
            raise ModelInvalid("WEIGHTS_UNFIT", f"{path.name}: {name} is {shapes}; choose the depth it was saved with")
    network.load_state_dict(found, strict=False)


def load_frozen(network: N, path: Path, *, sha256: str) -> N:
    """Returns a network filled with weights that come with voxlate, in evaluation mode and never trained on.

    Raises:
        NoInput, ModelInvalid: see `load_weights`.
    """
    load_weights(network, path, sha256=sha256)
    network.requires_grad_(False)
    return network.eval()


def require_hash(path: Path, sha256: str) -> None:
    """Refuses a file that is not the one expected.

    Raises:
        NoInput: `WEIGHTS_MISSING`.
        ModelInvalid: `WEIGHTS_CHANGED`, with the beginnings of both hashes.
    """
    if not path.is_file():
        raise NoInput("WEIGHTS_MISSING", f"there is no file {path.name}; no weights come with voxlate, name your own")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256.lower():
        raise ModelInvalid(
            "WEIGHTS_CHANGED", f"{path.name} hashes to {found[:12]}…, not {sha256[:12].lower()}…; fetch it again"
        )
