"""Chen et al. 2022 (T1, T2 and ADC to contrast-enhanced T1): brain-masked MAE and PSNR, whole-slice SSIM."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from voxlate.evaluation.protocols.base import Pair, Protocol, Score, computed, masked, to_unit_range
from voxlate.evaluation.similarity import Window, mae, psnr, ssim_map
from voxlate.volume import Array, Mask

AXIAL = 2  # axis of the slices, RAS+


def _score(pair: Pair) -> Iterator[Score]:
    inside = pair.target[pair.mask]
    low, high = float(inside.min()), float(inside.max())
    image, target = (masked(to_unit_range(array, low, high), pair.mask) for array in (pair.image, pair.target))
    yield Score("mask", "mae", mae(image, target, mask=pair.mask), "")
    yield Score("mask", "psnr", psnr(image, target, data_range=1.0, mask=pair.mask), "dB")
    lesion = pair.regions.get("lesion")
    if lesion is not None:
        yield Score("lesion", "mae", mae(image, target, mask=lesion), "")
        yield Score("lesion", "psnr", psnr(image, target, data_range=1.0, mask=lesion), "dB")
    yield computed(lambda: _slice_ssim(image, target, pair.mask), "slices", "ssim", "")


def _slice_ssim(image: Array, target: Array, mask: Mask) -> float:
    """Returns the SSIM averaged over whole axial slices, background included, that contain voxels of the mask."""
    window = Window(shape="uniform", slice_axis=AXIAL, is_sample=True)
    inner = ssim_map(image, target, data_range=1.0, window=window)[window.interior(3)]
    return float(inner[..., np.flatnonzero(mask.any(axis=(0, 1)))].mean(dtype=np.float64))


CHEN = Protocol(
    name="chen2022",
    definition=(
        "Chen 2022: brain scaled to [0, 1] by the target's minimum and maximum in the mask, 0 outside; MAE and PSNR "
        "(range 1) over the mask, and PSNR over the lesion where labels are given; SSIM in 2-D on axial slices that "
        "hold brain, uniform window of 7, sample covariance, range 1, averaged over whole slices with their "
        "background."
    ),
    score=_score,
    mae_range=1.0,
)
