"""SynthRAD 2023 and 2025 (MR or CBCT to CT): scores in HU in the body mask, as the scoring code of the challenges."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from voxlate.errors import InputRefused
from voxlate.evaluation.protocols.base import Pair, Protocol, Score, computed, masked
from voxlate.evaluation.similarity import Window, mae, psnr, ssim_map
from voxlate.evaluation.similarity.structural import WANG_WEIGHTS
from voxlate.volume import Array, Mask

RANGE_2023_HU = (-1024.0, 3000.0)
RANGE_2025_HU = (-1024.0, 3071.0)
"""Ranges of HU to which the scoring code of each challenge clips."""

LEAST_SIDE = 97
"""SynthRAD 2025 pads smaller images to this many voxels by repeating their edge, so that five scales fit."""

_WINDOW = Window(shape="uniform", is_sample=True)


def _pointwise(pair: Pair, range_hu: tuple[float, float]) -> Iterator[Score]:
    low, high = range_hu
    yield Score("mask", "mae", mae(pair.image, pair.target, mask=pair.mask), "HU")
    image, target = pair.image.clip(low, high), pair.target.clip(low, high)
    yield Score("mask", "psnr", psnr(image, target, data_range=high - low, mask=pair.mask), "dB")


def _score_2023(pair: Pair) -> Iterator[Score]:
    yield from _pointwise(pair, RANGE_2023_HU)
    image, target = (_above_air(array, pair.mask, RANGE_2023_HU) for array in (pair.image, pair.target))
    yield computed(lambda: _masked_ssim(image, target, pair.mask), "mask", "ssim", "")


def _score_2025(pair: Pair) -> Iterator[Score]:
    yield from _pointwise(pair, RANGE_2025_HU)
    image, target = (_above_air(array, pair.mask, RANGE_2025_HU) for array in (pair.image, pair.target))
    yield computed(lambda: masked_ms_ssim(image, target, pair.mask), "mask", "ms_ssim", "")


def _masked_ssim(image: Array, target: Array, mask: Mask) -> float:
    return float(_masked_map(image, target, mask, RANGE_2023_HU).mean(dtype=np.float64))


def masked_ms_ssim(image: Array, target: Array, mask: Mask) -> float:
    """Returns the MS-SSIM of SynthRAD 2025.

    It differs from Wang's: every scale keeps its luminance term; the exponents are applied to each voxel before the
    mean; windows are uniform, 7 wide, with sample covariance; halving averages a voxel with its predecessors (zero
    before the first) and takes every other one, while the mask is thinned without averaging.

    Args:
        image: (i, j, k), HU above air, 0 outside the mask.
        target: (i, j, k), likewise.
        mask: (i, j, k), body mask.

    Raises:
        InputRefused: `EMPTY_MASK` when the mask vanishes at a coarser scale.
    """
    image, target = _padded(image), _padded(target)
    mask = _padded(mask.astype(np.float32)) > 0
    result = 1.0
    for weight in WANG_WEIGHTS:
        values = _masked_map(image, target, mask, RANGE_2025_HU).clip(0)
        result *= float(np.clip((values**weight).mean(dtype=np.float64), 0, 1))
        image, target = _halve(image), _halve(target)
        mask = mask[::2, ::2, ::2]
    return result


def _masked_map(image: Array, target: Array, mask: Mask, range_hu: tuple[float, float]) -> Array:
    """Returns the SSIM of the voxels of the mask whose window lies within the image, a vector."""
    structure = ssim_map(image, target, data_range=range_hu[1] - range_hu[0], window=_WINDOW)
    interior = _WINDOW.interior(mask.ndim)
    chosen = np.asarray(structure[interior][mask[interior]], dtype=np.float32)
    if chosen.size == 0:
        raise InputRefused("EMPTY_MASK", "the mask has no voxel whose window lies within the image")
    return chosen


def _above_air(image: Array, mask: Mask, range_hu: tuple[float, float]) -> Array:
    """Returns HU − low, clipped to the range, 0 outside the mask."""
    low, high = range_hu
    return masked(image.clip(low, high) - np.float32(low), mask)


def _padded(array: Array) -> Array:
    """Returns the array (i, j, k) padded to `LEAST_SIDE` along each axis by repeating its edge."""
    missing = [max(LEAST_SIDE - side, 0) for side in array.shape]
    return np.pad(array, [(lack // 2, lack - lack // 2) for lack in missing], mode="edge")


def _halve(array: Array) -> Array:
    """Returns the means of each voxel and its predecessors along every axis, at every other voxel."""
    for axis in range(array.ndim):
        before = np.roll(array, 1, axis)
        before[(slice(None),) * axis + (0,)] = 0
        array = np.asarray((array + before) / 2, dtype=np.float32)[(slice(None),) * axis + (slice(None, None, 2),)]
    return array


def _definition(year: int, range_hu: tuple[float, float], structure: str) -> str:
    low, high = range_hu
    return (
        f"SynthRAD {year}: MAE in HU over the body mask; PSNR there with both images clipped to {low:g} to {high:g} HU "
        f"and that range; {structure}; each case counts once."
    )


SYNTHRAD_2023 = Protocol(
    name="synthrad2023",
    definition=_definition(
        2023,
        RANGE_2023_HU,
        "SSIM (3-D uniform window of 7, sample covariance) with air outside the mask, averaged in it",
    ),
    score=_score_2023,
    unit="HU",
)

SYNTHRAD_2025 = Protocol(
    name="synthrad2025",
    definition=_definition(
        2025, RANGE_2025_HU, "the challenge's MS-SSIM of five scales (uniform window of 7) averaged in the mask"
    ),
    score=_score_2025,
    unit="HU",
)
