"""Encodes both versions of a case so that only the image content differs.

Both get the same grid, axes, voxel type, header, file size and range of values. The encoding

- adds noise of one step to integer steps, because a scanner stores integers and a network does not;
- clips values beyond two percentiles, so that minimum and maximum are equal;
- keeps only spacing and orientation of the affine, not the position in the scanner.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxlate.errors import InputRefused
from voxlate.preparation.steps.orientation import ToRas
from voxlate.readers.study import Images
from voxlate.volume import Affine, Array, Mask, Shape, Volume, require_same_grid

_NOISE_SEED = 20200101
"""Fixed, so that encoding an image again gives the same voxels. Chosen by hand."""


class Pair(NamedTuple):
    """The two encoded versions of a case."""

    real: Volume
    synthetic: Volume


def encode_pair(real: Volume, synthetic: Volume, *, case: str, mask: Volume | None, settings: Images) -> Pair:
    """Returns both versions in RAS+ order with integer values from 0 to `settings.levels` − 1.

    Args:
        real: the real image.
        synthetic: the synthetic image, on the same grid.
        case: name of the case, for error messages.
        mask: on the same grid; voxels at or below 0.5 are set to 0. `None` keeps all voxels.
        settings: intensity scaling.

    Raises:
        InputRefused: `GRID_MISMATCH`; `CONSTANT` when an image or its percentiles do not vary; `EMPTY_MASK`.
    """
    require_same_grid(real, synthetic, names=(f"{case}: the real image", "the synthetic one"))
    inside = _inside(real, mask, case)
    order = ToRas(real.grid)
    named = {"the real image": real, "the synthetic image": synthetic}
    filled = [_filled(order.apply(image).data, inside, f"{case}: {name}") for name, image in named.items()]
    ends = [np.percentile(values, settings.percentiles) for _, values in filled]
    if settings.intensity == "shared":
        ends = [np.percentile(np.concatenate([values for _, values in filled]), settings.percentiles)] * 2
    affine = display_affine(order.grid.shape, order.grid.spacing_mm)
    shown = [
        Volume(_levels(data, inside, low=end[0], high=end[1], levels=settings.levels, name=case), affine)
        for (data, _), end in zip(filled, ends, strict=True)
    ]
    return Pair(*shown)


def encode_source(source: Volume, real: Volume, *, case: str, settings: Images) -> Volume:
    """Returns the source of a case in RAS+ order with integer values from 0 to `settings.levels` − 1.

    The mask of the study does not apply: the source shows the whole region.

    Args:
        source: the scan that the synthetic image was made from.
        real: the real image, on the same grid.
        case: name of the case, for error messages.
        settings: intensity scaling; see `Images.source_range`.

    Raises:
        InputRefused: `GRID_MISMATCH`, `CONSTANT`.
    """
    require_same_grid(source, real, names=(f"{case}: the source", "the real image"))
    order = ToRas(source.grid)
    data = order.apply(source).data
    inside = np.ones(data.shape, dtype=np.bool_)
    _, values = _filled(data, inside, f"{case}: the source")
    low, high = (float(end) for end in settings.source_range or np.percentile(values, settings.percentiles))
    shown = _levels(data, inside, low=low, high=high, levels=settings.levels, name=f"{case}: the source")
    return Volume(shown, display_affine(order.grid.shape, order.grid.spacing_mm))


def display_affine(shape: Shape, spacing_mm: tuple[float, float, float]) -> Affine:
    """Returns an affine to mm with this spacing, axes along RAS+, and the origin in the middle of the volume."""
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -np.array(spacing_mm) * (np.array(shape) - 1) / 2
    return affine


def voxel_type(levels: int) -> str:
    """Returns the NIfTI voxel type for this number of grey levels (at most 4096)."""
    return "uint8" if levels <= 256 else "int16"


def _inside(like: Volume, mask: Volume | None, case: str) -> Mask:
    order = ToRas(like.grid)
    if mask is None:
        return np.ones(order.grid.shape, dtype=np.bool_)
    require_same_grid(mask, like, names=(f"{case}: the mask", "the images"))
    inside: Mask = order.apply(mask).data > 0.5
    if not inside.any():
        raise InputRefused("EMPTY_MASK", f"{case}: the mask marks no voxel")
    return inside


def _filled(data: Array, inside: Mask, name: str) -> tuple[Array, NDArray[np.float32]]:
    """Returns the data with noise of one step added, and the (n,) values inside the mask above the lowest one.

    The step is the smallest difference of two values. The lowest value is the background; it gets no noise.
    """
    lowest = data[inside].min()
    above = inside & (data > lowest)
    values = data[above]
    if values.size == 0:
        raise InputRefused("CONSTANT", f"{name} is constant, {lowest:g} everywhere; check the file")
    steps = np.diff(np.unique(values))
    step = float(steps.min()) if steps.size else 0.0
    noise = np.random.default_rng(_NOISE_SEED).random(values.size, dtype=np.float32) - np.float32(0.5)
    values = values + np.float32(step) * noise
    filled = data.copy()
    filled[above] = values
    return filled, values


def _levels(data: Array, inside: Mask, *, low: float, high: float, levels: int, name: str) -> Array:
    if not high > low:
        raise InputRefused("CONSTANT", f"{name}: both percentiles of an image are {low:g}; widen images.percentiles")
    scaled = np.clip((data.astype(np.float64) - low) / (high - low), 0, 1) * (levels - 1)
    return np.where(inside, np.rint(scaled), 0).astype(np.float32)
