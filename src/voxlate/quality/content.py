"""Whether two scans hold the same picture, under whatever names, scale and orientation they were filed."""

from __future__ import annotations

import hashlib

import numpy as np

from voxlate.prepare.orientation import ToRas
from voxlate.volume import Volume


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
