"""Bottani et al. 2024 (BMC Med Imaging 24:67), contrast-enhanced to non-contrast T1: as printed, and as coded.

Both scale the real scans to [0, 1] by the minimum and maximum of the whole head, each by its own, before the brain is
masked; one bright vessel of the contrast-enhanced scan darkens its whole brain, and part of the error of the untouched
source is this artefact. The answer of a network lives in that scale and is left alone: an image that is 20 % too dark
has an error. In the released code (evaluation.py), the means are over the whole box, zeros outside the brain included,
which lowers the MAE and raises the PSNR by 10 log10 (box / brain), some 5 to 7 dB.

An image whose unit is not the range of a head, such as that of a network that works in relative units, is scaled by the
minimum and maximum of the target: its error is then in per cent of the target's whole range, as that of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from voxlate.evaluation.protocols.base import Pair, Protocol, Score, computed, masked, require_skull, to_unit_range
from voxlate.evaluation.similarity import mae, psnr
from voxlate.volume import Array, Shape

NETWORK_SHAPE: Shape = (128, 128, 128)
BOX_SHAPE: Shape = (169, 208, 179)
"""Grids of the released code: of its networks, and of its template, on which it compares."""


def _as_printed(pair: Pair) -> Iterator[Score]:
    mask = pair.union_mask

    @cache
    def scaled() -> tuple[Array, Array]:
        _require_skulls(pair)
        return _in_unit(pair, _answer(pair), pair.target), _to_unit(pair.target, pair.target)

    yield computed(lambda: 100 * mae(*scaled(), mask=mask), "mask", "mae", "%")
    yield computed(lambda: psnr(*scaled(), data_range=1.0, mask=mask), "mask", "psnr", "dB")
    yield computed(lambda: global_ssim(*(a[mask] for a in scaled()), c1=0.01**2, c2=0.03**2), "mask", "ssim", "")


def _as_coded(pair: Pair) -> Iterator[Score]:
    @cache
    def scaled() -> tuple[Array, Array]:
        _require_skulls(pair)
        image, target = resize(_answer(pair), NETWORK_SHAPE), resize(pair.target, NETWORK_SHAPE)
        image, target = _in_unit(pair, image, target), _to_unit(target, target)
        brain = resize(pair.union_mask.astype(np.float32), BOX_SHAPE) > 0.5
        return masked(resize(image, BOX_SHAPE), brain), masked(resize(target, BOX_SHAPE), brain)

    yield computed(lambda: 100 * mae(*scaled()), "box", "mae", "%")
    yield computed(lambda: psnr(*scaled(), data_range=1.0), "box", "psnr", "dB")
    yield computed(lambda: global_ssim(*scaled(), c1=0.01, c2=0.03, is_sample_sd=True), "box", "ssim", "")


def _require_skulls(pair: Pair) -> None:
    for scan in (pair.target, *([pair.image] if pair.is_scan else [])):
        require_skull(scan, pair.union_mask)


def _answer(pair: Pair) -> Array:
    return pair.image if pair.share is None else pair.share


def _in_unit(pair: Pair, image: Array, target: Array) -> Array:
    """Returns the compared image in the scale of the scans, in which the answer of a min_max network already is.

    Args:
        pair: says what the image is.
        image: the compared image, on the grid of the target.
        target: the real image.
    """
    if pair.share is not None:
        return image
    return _to_unit(image, image if pair.is_scan else target)


def _to_unit(image: Array, scan: Array) -> Array:
    """Returns the image as a share of the range of a whole scan."""
    return to_unit_range(image, float(scan.min()), float(scan.max()))


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


_SCALING = (
    "each real scan scaled to [0, 1] by the minimum and maximum of its whole head, skull included; the synthetic image "
    "left alone where its network answers in that scale (min_max), else scaled as the target; then masked by the union "
    "of both brain masks (that of the source where no mask of the target is given)"
)

BOTTANI_PRINTED = Protocol(
    name="bottani2024",
    definition=(
        f"Bottani 2024 as printed: {_SCALING}; MAE in % of that range and PSNR with range 1 over the voxels of the "
        "mask, SSIM by the printed formula with the brain as its one window and constants 0.01² and 0.03² (our "
        "reading: the text names no window); on the grid of the target."
    ),
    score=_as_printed,
    mae_range=100.0,
    needs_skull=True,
)

BOTTANI_CODED = Protocol(
    name="bottani2024_code",
    definition=(
        "Bottani 2024 as coded: all images, and the answer of a min_max network as it is, resized to 128³ (trilinear), "
        f"there {_SCALING}; resized to 169 x 208 x 179 and masked there; MAE and PSNR averaged over that whole box, "
        "zeros outside the brain counted, so that they depend on the share of the brain in the field of view (the "
        "authors' box is that of Clinica's t1-linear); "
        "SSIM with the box as one window and constants 0.01 and 0.03, sample SD, population covariance."
    ),
    score=_as_coded,
    mae_range=100.0,
    needs_skull=True,
)
