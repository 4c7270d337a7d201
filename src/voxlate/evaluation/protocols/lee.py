"""Lee et al. 2020 (lumbar CT to T2): 256 grey levels, and a PSNR that is too high as printed.

The paper prints PSNRs of 61.96 to 68.16 dB beside MAEs of 13.75 to 34.24 grey levels of 255; an MAE of 13.75 allows at
most 25.4 dB. The printed values are 48.13 dB = 20 log10(255) too high: the error was taken from images scaled to [0, 1]
and the peak from 256 levels. Both values are given here, under two names.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from voxlate.evaluation.protocols.base import Pair, Protocol, Score
from voxlate.evaluation.similarity import mae, psnr
from voxlate.volume import Array

GREATEST_LEVEL = 255  # of 8-bit images, as in the paper
SLIP_DB = float(20 * np.log10(GREATEST_LEVEL))
"""Difference between the printed PSNRs and the true ones."""


def _score(pair: Pair) -> Iterator[Score]:
    image, target = (grey_levels(array, pair.data_range) for array in (pair.image, pair.target))
    true = psnr(image, target, data_range=GREATEST_LEVEL, mask=pair.mask)
    yield Score("mask", "mae", mae(image, target, mask=pair.mask), "grey levels")
    yield Score("mask", "psnr", true, "dB")
    yield Score("mask", "psnr_as_printed", true + SLIP_DB, "dB")


def grey_levels(image: Array, data_range: float) -> Array:
    """Returns the image rounded to 256 grey levels and clipped.

    Args:
        image: of any shape.
        data_range: value that becomes level 255; 0 becomes level 0.
    """
    scaled = np.clip(image / data_range, 0, 1) * GREATEST_LEVEL
    return np.asarray(np.rint(scaled), dtype=np.float32)


LEE = Protocol(
    name="lee2020",
    definition=(
        "Lee 2020: both images in 256 grey levels from 0 to the range L of the target; MAE in grey levels and PSNR "
        "with peak 255, over all voxels of the mask; psnr_as_printed adds the 48.13 dB (20 log10 255) by which the "
        "paper's PSNRs exceed what its MAEs allow."
    ),
    score=_score,
    mae_range=float(GREATEST_LEVEL),
)
