"""Hashes of the image content of a scan, which are equal for copies with other names, rescaling or axis order."""

from __future__ import annotations

import hashlib

import numpy as np

from voxlate.preparation.steps.orientation import ToRas
from voxlate.volume import Volume


def outline_hash(volume: Volume) -> str:
    """Returns a hash of the mask of voxels above the mean: fast, and equal for copies.

    Different images can have the same outline hash; compare `content_hash` then.

    Args:
        volume: any orientation, (i, j, k).
    """
    turned = ToRas(volume.grid).apply(volume).data
    bright = np.packbits(turned > turned.mean(dtype=np.float64))
    return hashlib.sha256(bright.tobytes() + repr(turned.shape).encode()).hexdigest()[:32]


def content_hash(volume: Volume) -> str:
    """Returns a hash of the rank of each voxel's value, the shape and the voxel size (rounded to 0.01 mm).

    A copy with other identifiers, another slope and intercept, or another axis order has the same hash. An image that
    was resampled, cropped or compressed lossily has another one.

    Args:
        volume: any orientation, (i, j, k).
    """
    turned = ToRas(volume.grid).apply(volume)
    ranks = np.unique(turned.data, return_inverse=True)[1].astype("<u4")
    digest = hashlib.sha256(ranks.tobytes())
    digest.update(repr((turned.data.shape, [round(mm, 2) for mm in turned.spacing_mm])).encode())
    return digest.hexdigest()[:32]
