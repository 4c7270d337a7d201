"""Bottani et al. 2024 (BMC Med Imaging 24:67), contrast-enhanced to non-contrast T1: as printed, and as coded.

Both scale each image to [0, 1] by its own minimum and maximum, so that one bright vessel darkens the whole brain of the
contrast-enhanced scan; part of the error of the untouched source is this artefact. In the released code, the means are
over the whole box, including zeros outside the brain, which lowers the MAE and raises the PSNR by 10 log10 (box /
brain), some 5 to 7 dB.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from voxlate.evaluation.protocols.base import Pair, Protocol, Score, to_unit_range
from voxlate.evaluation.similarity import mae, psnr
from voxlate.volume import Array, Mask, Shape

NETWORK_SHAPE: Shape = (128, 128, 128)
BOX_SHAPE: Shape = (169, 208, 179)
"""Grids of the released code: of its networks, and of its template, on which it compares."""


def _as_printed(pair: Pair) -> Iterator[Score]:
    mask = pair.union_mask
    image, target = (_scaled_brain(array, mask) for array in (pair.image, pair.target))
    yield Score("mask", "mae", 100 * mae(image, target, mask=mask), "%")
    yield Score("mask", "psnr", psnr(image, target, data_range=1.0, mask=mask), "dB")
    yield Score("mask", "ssim", global_ssim(image[mask], target[mask], c1=0.01**2, c2=0.03**2), "")


def _as_coded(pair: Pair) -> Iterator[Score]:
    image, target = (_through_network_grid(np.where(pair.union_mask, a, 0)) for a in (pair.image, pair.target))
    brain = (image != 0) | (target != 0)
    image, target = np.where(brain, image, 0), np.where(brain, target, 0)
    yield Score("box", "mae", 100 * mae(image, target), "%")
    yield Score("box", "psnr", psnr(image, target, data_range=1.0), "dB")
    yield Score("box", "ssim", global_ssim(image, target, c1=0.01, c2=0.03, is_sample_sd=True), "")


def global_ssim(image: Array, target: Array, *, c1: float, c2: float, is_sample_sd: bool = False) -> float:
    """Returns the SSIM of one window that holds all given voxels; it cannot be compared with the SSIM of local windows.

    Args:
        image: voxels of any shape.
        target: of the same shape.
        c1: constant of the luminance term.
        c2: constant of the contrast-structure term.
        is_sample_sd: variances are divided by N−1 and the covariance by N, as in the released code.
    """
    x, y = image.astype(np.float64).ravel(), target.astype(np.float64).ravel()
    covariance = float(np.mean((x - x.mean()) * (y - y.mean())))
    variances = float(x.var(ddof=int(is_sample_sd)) + y.var(ddof=int(is_sample_sd)))
    means = float(x.mean()), float(y.mean())
    luminance = (2 * means[0] * means[1] + c1) / (means[0] ** 2 + means[1] ** 2 + c1)
    return luminance * (2 * covariance + c2) / (variances + c2)


def resize(image: Array, shape: Shape) -> Array:
    """Returns the image resized to another shape over the same extent, trilinear, without smoothing before.

    It follows `torch.nn.functional.interpolate(mode="trilinear", align_corners=False)`.

    Args:
        image: (i, j, k).
        shape: of the result.
    """
    for axis, size in enumerate(shape):
        old = image.shape[axis]
        position = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
        before = np.floor(position).astype(np.intp)
        after = np.minimum(before + 1, old - 1)
        share = (position - before).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(image.ndim)])
        image = image.take(before, axis) * (1 - share) + image.take(after, axis) * share
    return np.asarray(image, dtype=np.float32)


def _scaled_brain(image: Array, mask: Mask) -> Array:
    """Returns the skull-stripped image scaled to [0, 1] by its minimum and maximum, background included."""
    stripped = np.where(mask, image, np.float32(0))
    return to_unit_range(stripped, float(stripped.min()), float(stripped.max()))


def _through_network_grid(stripped: Array) -> Array:
    """Returns the image as the code compares it: resized to 128³, scaled to [0, 1], resized to 169 x 208 x 179."""
    small = resize(stripped, NETWORK_SHAPE)
    return resize(to_unit_range(small, float(small.min()), float(small.max())), BOX_SHAPE)


BOTTANI_PRINTED = Protocol(
    name="bottani2024",
    definition=(
        "Bottani 2024 as printed: each skull-stripped image scaled to [0, 1] by its own minimum and maximum; mask the "
        "union of both brains; MAE in % of that range, PSNR with range 1, SSIM by the printed formula with the brain "
        "as its one window and constants 0.01² and 0.03² (our reading: the text names no window)."
    ),
    score=_as_printed,
    mae_range=100.0,
)

BOTTANI_CODED = Protocol(
    name="bottani2024_code",
    definition=(
        "Bottani 2024 as coded: both images resized to 128³ (trilinear), scaled to [0, 1] by their own minimum and "
        "maximum, resized to 169 x 208 x 179; MAE and PSNR averaged over that whole box, zeros outside the brain "
        "counted; SSIM with the box as one window and constants 0.01 and 0.03, sample SD, population covariance."
    ),
    score=_as_coded,
    mae_range=100.0,
)
