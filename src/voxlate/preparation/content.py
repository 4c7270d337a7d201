"""Whether two scans hold the same picture, under whatever names, scale and orientation they were filed."""

from __future__ import annotations

import hashlib

import numpy as np

from voxlate.preparation.steps.orientation import ToRas
from voxlate.volume import Volume


def outline_hash(volume: Volume) -> str:
    """Returns a hash of where the picture is brighter than its mean: quick, and the same for copies (see below).

    Two pictures of one outline may still differ; `content_hash` tells.
    """
    turned = ToRas(volume.grid).apply(volume).data
    bright = np.packbits(turned > turned.mean(dtype=np.float64))
    return hashlib.sha256(bright.tobytes() + repr(turned.shape).encode()).hexdigest()[:32]


def content_hash(volume: Volume) -> str:
    """Returns a hash of the picture: of the rank of each voxel's value, the shape and the size of the voxels.

    A copy with other identifiers, another slope and intercept or the axes in another order has the same hash; an image
    that was resampled, cut or compressed with losses has not.
    """
    turned = ToRas(volume.grid).apply(volume)
    ranks = np.unique(turned.data, return_inverse=True)[1].astype("<u4")
    digest = hashlib.sha256(ranks.tobytes())
    digest.update(repr((turned.data.shape, [round(mm, 2) for mm in turned.spacing_mm])).encode())
    return digest.hexdigest()[:32]
