"""Gives a synthetic scan the contrast of a reference scan, by an intensity curve.

A model keeps the sequence of its source, because the sequence of a scan that was never taken cannot be known. Where the
patient has an earlier scan of the wanted sequence, its quantiles are known. A network with layers for a reference
(`Recipe.reference`) gets them as input. The curve takes the intensities of the synthetic scan to those of the
reference: increasing, linear between seven quantiles of the brain, both scans in units of their median. It keeps the
order of intensities and knows no anatomy. Measured in `benchmarks/bench_like.py`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from voxlate.bundle.bundle import Bundle
from voxlate.bundle.contrast_descriptor import ContrastDescriptor, increasing_curve
from voxlate.errors import UsageError
from voxlate.inference.runtime import INT8
from voxlate.models.gain_offset_unet import takes_reference, with_reference
from voxlate.volume import Array, Mask

SHARE_AFTER_NETWORK = 0.5
"""Share of the curve after a network that got the quantiles. Noise and registration widen the quantiles of a real scan,
which a synthetic image need not have: on real pairs none of the curve was best, on simulated heads all of it."""


def curve(image: Array, mask: Mask, wanted: ContrastDescriptor, *, share: float = 1.0) -> tuple[Array, Array]:
    """Returns an image with another contrast and the same median in its brain, and the slope of the curve per voxel.

    Args:
        image: (i, j, k), of any unit in which 0 is no signal.
        mask: its brain, of the same shape; voxels outside keep their value, with a slope of 1.
        wanted: the contrast of the reference.
        share: of the change, 0 to 1.

    Returns:
        Both float32 of the shape of the image. Below the first quantile the curve goes to 0, beyond the last it goes on
        with its last slope.

    Raises:
        InputRefused: what `ContrastDescriptor.of` refuses.
    """
    median = float(np.median(image[mask])) if mask.any() else 0.0
    own = ContrastDescriptor.of(image, mask)
    values = image[mask].astype(np.float64) / median
    new, slopes = increasing_curve(values, own.quantiles, wanted.quantiles)
    changed, slope = image.astype(np.float32), np.ones(image.shape, dtype=np.float32)
    changed[mask] = ((1 - share) * values + share * new) * median
    slope[mask] = 1 - share + share * slopes
    return changed, slope


def after_curve(
    like: ContrastDescriptor | None, image: Array, spread: Array, mask: Mask, *, is_by_network: bool
) -> tuple[Array, Array]:
    """Returns a synthetic image and its spread after the curve to a reference; both unchanged without one.

    Args:
        like: contrast of the reference, if there is one.
        image: (i, j, k), of any unit in which 0 is no signal.
        spread: of the same shape and unit.
        mask: its brain, of the same shape.
        is_by_network: the network got the reference, and only a share of the curve follows.

    Raises:
        InputRefused: as `curve`.
    """
    if like is None:
        return image, spread
    changed, slope = curve(image, mask, like, share=SHARE_AFTER_NETWORK if is_by_network else 1.0)
    return changed, spread * slope


def with_contrast(bundle: Bundle, source: Array, mask: Mask, like: ContrastDescriptor | None, runtime: str) -> Bundle:
    """Returns the bundle with networks that give the contrast of a reference; the same bundle where they cannot.

    Args:
        bundle: a trained model, or an ensemble.
        source: (i, j, k), in relative units.
        mask: its brain, of the same shape.
        like: contrast of the reference; None for none.
        runtime: one of `voxlate.inference.runtime.RUNTIMES`.

    Raises:
        UsageError: `RUNTIME` for `int8`, since a bundle holds its 8-bit network without reference.
    """
    parts = bundle.parts or (bundle,)
    if like is None or not all(takes_reference(part.network) for part in parts):
        return bundle
    if runtime == INT8:
        raise UsageError("RUNTIME", f"the 8-bit network of {bundle.name} takes no reference; pass --runtime torch")
    contrasts = np.array([ContrastDescriptor.of(source, mask).quantiles, like.quantiles], dtype=np.float32)
    asked = [replace(part, network=with_reference(part.network, contrasts), runtimes={}) for part in parts]
    return replace(bundle, parts=tuple(asked)) if bundle.parts else asked[0]
