"""Gives a synthetic scan the contrast of a reference scan, by an intensity curve.

A model keeps the sequence of its source, because the sequence of a scan that was never taken cannot be known. Where the
patient has an earlier scan of the wanted sequence, a curve takes the intensities of the synthetic scan to those of that
reference: increasing, linear between seven quantiles of the brain, both scans in units of their median. The curve keeps
the order of intensities and knows no anatomy. Patients differ in their tissues more than many sequences do, so that
the scan of another person mostly makes the error larger. Measured in `benchmarks/bench_like.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from voxlate.errors import InputRefused
from voxlate.volume import Array, Mask

SHARES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
"""Quantiles of the brain: fluid, grey and white matter each lie between some of them; the outer 2 % are vessels,
lesions and noise. Chosen by hand; not tuned."""

_MIDDLE = SHARES.index(0.5)

_LEAST_STEP = 1e-4
"""Least distance of two quantiles, in units of the median, so that the curve has a slope; far below noise."""


@dataclass(frozen=True)
class ContrastDescriptor:
    """The contrast of a scan.

    Attributes:
        quantiles: of its brain at `SHARES`, in units of its median.
        sha256: hash of the file of the scan.
    """

    quantiles: tuple[float, ...]
    sha256: str = ""

    @classmethod
    def of(cls, image: Array, mask: Mask, *, sha256: str = "") -> ContrastDescriptor:
        """Returns the contrast of an image.

        Args:
            image: (i, j, k), of any positive unit.
            mask: its brain, of the same shape.
            sha256: hash of its file.

        Raises:
            InputRefused: `REFERENCE_LEVEL` when the median of the brain is not above zero; `CONSTANT` when its
                intensities do not differ.
        """
        values = image[mask]
        found = np.quantile(values, SHARES).astype(np.float64) if values.size else np.zeros(len(SHARES))
        if found[_MIDDLE] <= 0:
            raise InputRefused("REFERENCE_LEVEL", "the median of the brain is not above 0; check the scan and its mask")
        if np.ptp(found) <= _LEAST_STEP * found[_MIDDLE]:
            raise InputRefused("CONSTANT", "the brain has a single intensity; check the scan and its mask")
        return cls(tuple(float(value) for value in found / found[_MIDDLE]), sha256)

    def to_json(self) -> dict[str, Any]:
        """Returns what the sidecar of a translated scan holds; a file with it can be read again."""
        return {"Shares": list(SHARES), "Quantiles": list(self.quantiles), "ReferenceSHA256": self.sha256}


def curve(image: Array, mask: Mask, wanted: ContrastDescriptor) -> tuple[Array, Array]:
    """Returns an image with another contrast and the same median in its brain, and the slope of the curve per voxel.

    Args:
        image: (i, j, k), of any unit in which 0 is no signal.
        mask: its brain, of the same shape; voxels outside keep their value, with a slope of 1.
        wanted: the contrast of the reference.

    Returns:
        Both float32 of the shape of the image. Below the first quantile the curve goes to 0, beyond the last it goes on
        with its last slope.

    Raises:
        InputRefused: what `ContrastDescriptor.of` refuses.
    """
    median = float(np.median(image[mask])) if mask.any() else 0.0
    own = _knots(ContrastDescriptor.of(image, mask).quantiles)
    new = _knots(wanted.quantiles)
    values = image[mask].astype(np.float64) / median
    part = np.clip(np.searchsorted(own, values, side="right") - 1, 0, len(own) - 2)
    slopes = (np.diff(new) / np.diff(own))[part]
    changed, slope = image.astype(np.float32), np.ones(image.shape, dtype=np.float32)
    changed[mask] = (new[part] + slopes * (values - own[part])) * median
    slope[mask] = slopes
    return changed, slope


def _knots(quantiles: tuple[float, ...]) -> Array:
    """Returns the knots of a curve, increasing, with 0 before them."""
    knots = np.array([0.0, *quantiles])
    return np.asarray(np.maximum.accumulate(knots + _LEAST_STEP * np.arange(len(knots))))
