"""The contrast of a scan as a few quantiles of its brain, which describe the sequence that it was taken with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxlate.errors import InputRefused
from voxlate.volume import Array, Mask

Floats = NDArray[np.floating[Any]]

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


def increasing_curve(
    values: Floats, own: Sequence[float] | Floats, new: Sequence[float] | Floats
) -> tuple[Array, Array]:
    """Returns values after the curve that takes some quantiles to others, and the slope of the curve at each value.

    The curve is increasing, and linear between 0 and the quantiles; beyond the last it goes on with its last slope.

    Args:
        values: of any shape.
        own: quantiles, not falling.
        new: what they become, not falling.

    Returns:
        Both of the shape of `values`.
    """
    before, after = _knots(own), _knots(new)
    part = np.clip(np.searchsorted(before, values, side="right") - 1, 0, len(before) - 2)
    slopes = (np.diff(after) / np.diff(before))[part]
    return after[part] + slopes * (values - before[part]), slopes


def _knots(quantiles: Sequence[float] | Floats) -> Array:
    """Returns the knots of a curve, increasing, with 0 before them."""
    knots = np.array([0.0, *quantiles])
    return np.asarray(np.maximum.accumulate(knots + _LEAST_STEP * np.arange(len(knots))))
