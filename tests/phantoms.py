"""Small scans that many tests share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from voxlate.volume import Volume

DATA = Path(os.environ.get("VOXLATE_DEVELOPMENT_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


def ball(shape: tuple[int, int, int], radius: float) -> np.ndarray:
    """Returns a mask: a ball about the centre of an array."""
    index = np.indices(shape).reshape(3, -1).T - (np.array(shape) - 1) / 2
    return (np.linalg.norm(index, axis=1) <= radius).reshape(shape)


def head(seed: int, *, shape: tuple[int, int, int] = (21, 26, 23), affine: np.ndarray | None = None) -> Volume:
    """Returns a skull-stripped scan: a ball of textured tissue in air that is exactly zero."""
    random = np.random.default_rng(seed)
    data = np.where(ball(shape, min(shape) / 2 - 2), random.uniform(200, 800, shape), 0)
    return Volume(data, np.eye(4) if affine is None else affine, "T1ce", "int16")
