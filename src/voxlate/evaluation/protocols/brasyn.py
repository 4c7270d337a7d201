"""BraSyn challenge of BraTS (synthesis of a missing contrast): SSIM of the tumour and of the rest of the brain."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from voxlate.evaluation.protocols.base import Pair, Protocol, Score, computed, masked, to_unit_range
from voxlate.evaluation.similarity import ssim_map
from voxlate.volume import Array, Mask

_PERCENTILES = (0.5, 99.5)  # of the definition of the challenge


def _score(pair: Pair) -> Iterator[Score]:
    image, target = (_clipped(masked(a, pair.union_mask)) for a in (pair.image, pair.target))
    lesion = pair.regions.get("lesion", np.zeros(pair.mask.shape, dtype=np.bool_))
    for region, voxels in (("lesion", lesion), ("not_lesion", ~lesion)):
        if voxels.any():
            yield computed(partial(_whole_image_ssim, image, target, voxels), region, "ssim", "")


def _clipped(image: Array) -> Array:
    """Returns the image (i, j, k) clipped to its own 0.5th and 99.5th percentile (not below 0), scaled to [0, 1]."""
    low, high = (float(value) for value in np.percentile(image, _PERCENTILES))
    low = max(low, 0.0)
    return to_unit_range(image.clip(low, high), low, high)


def _whole_image_ssim(image: Array, target: Array, voxels: Mask) -> float:
    """Returns the SSIM averaged over the whole image with all but `voxels` set to 0; L is the larger range of both."""
    kept = [masked(array, voxels) for array in (image, target)]
    data_range = max(float(np.ptp(array)) for array in kept)
    if data_range == 0:
        return 1.0
    return float(ssim_map(kept[0], kept[1], data_range=data_range).mean(dtype=np.float64))


BRASYN = Protocol(
    name="brasyn",
    definition=(
        "BraSyn: each image clipped to its own 0.5th to 99.5th percentile over the whole volume and scaled to [0, 1]; "
        "SSIM (3-D Gaussian window of 11, sigma 1.5) of the tumour with all else set to 0, and of all but the tumour, "
        "each averaged over the whole volume, zeros included, which brings it near 1; Dice of a segmentation is "
        "measured apart."
    ),
    score=_score,
)
