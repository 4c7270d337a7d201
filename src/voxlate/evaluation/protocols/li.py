"""Li et al. 2022 (CT to T1 and T2, DRUNet): 8-bit slices, PSNR, SSIM and Tenengrad."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from voxlate.errors import InputRefused
from voxlate.evaluation.protocols.base import SLICE_COUNT, SLICE_SD, Pair, Protocol, Score, computed, masked
from voxlate.evaluation.protocols.lee import GREATEST_LEVEL, grey_levels
from voxlate.evaluation.similarity import psnr, rmse, ssim, tenengrad
from voxlate.volume import Array


def _score(pair: Pair) -> Iterator[Score]:
    image, target = (masked(grey_levels(array, pair.data_range), pair.mask) for array in (pair.image, pair.target))
    with_tissue = np.flatnonzero(pair.mask.any(axis=(0, 1)))
    by_slice = np.array([_slice_scores(image[..., k], target[..., k]) for k in with_tissue])
    names = ("psnr", "ssim", "rmse", "tenengrad", "tenengrad_of_target")
    units = ("dB", "", "grey levels", "grey levels per voxel", "grey levels per voxel")
    means = {name: _mean(column) for name, column in zip(names, by_slice.T, strict=True)}
    for name, unit, column in zip(names, units, by_slice.T, strict=True):
        yield Score("slices", name, means[name], unit)
        finite = column[np.isfinite(column)]
        if finite.size:  # with these, all slices of all patients can be tested as the paper did
            yield Score(SLICE_COUNT, name, float(finite.size), "")
            yield Score(SLICE_SD, name, float(finite.std()), unit)
    yield computed(lambda: _ratio(means["tenengrad"], means["tenengrad_of_target"]), "slices", "tenengrad_ratio", "")


def _ratio(value: float, of_target: float) -> float:
    """Returns the Tenengrad divided by the target's."""
    if of_target == 0:
        raise InputRefused("CONSTANT", "the target has no gradient in any slice")
    return value / of_target


def _mean(values: NDArray[np.float64]) -> float:
    """Returns the mean of the finite values of the slices; infinite when no slice has any error (PSNR)."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("inf")


def _slice_scores(image: Array, target: Array) -> tuple[float, float, float, float, float]:
    """Returns PSNR, SSIM, RMSE and the Tenengrad of both images for one slice of shape (i, j)."""
    return (
        psnr(image, target, data_range=GREATEST_LEVEL),
        ssim(image, target, data_range=GREATEST_LEVEL),
        rmse(image, target),
        tenengrad(image),
        tenengrad(target),
    )


LI = Protocol(
    name="li2022",
    definition=(
        "Li 2022: 256 grey levels from 0 to the range L of the target, 0 outside the mask; on each axial slice that "
        "holds tissue, background included: PSNR with peak 255, SSIM (2-D Gaussian window of 11, sigma 1.5), RMSE, "
        "Tenengrad (mean Sobel gradient divided by 8, threshold 0; the paper states neither divisor nor threshold); "
        "averaged over slices, whose number and standard deviation are in the regions slice_count and slice_sd; the "
        "ratio of Tenengrad to the target's is the figure to read, 1 as sharp as the target."
    ),
    score=_score,
)
