"""One case: the scan goes through the preparation, the network and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from voxlate.errors import InputRefused, UsageError
from voxlate.prepare import fit_preparation
from voxlate.train.bundle import Bundle
from voxlate.train.measure import whole_volume
from voxlate.volume import Volume

SPACING_TOLERANCE = 1.25
"""A voxel may be this much smaller or larger than those of the training before the scan is refused."""


@dataclass(frozen=True)
class Synthesis:
    """A synthetic volume and the numbers that tell how it came to its units.

    Attributes:
        volume: on the grid of the source, in units like those of the source, zero outside what the network saw.
        source_level: what one relative unit is on the source.
        reference_level: the median that the brain of `volume` should have; predicted by the bundle, not measured.
        brain_voxels: voxels that were translated.
    """

    volume: Volume
    source_level: float
    reference_level: float
    brain_voxels: int


def choose_device(name: str) -> torch.device:
    """Returns the device called `name`, or for `auto` the first graphics processor, or else the processor.

    Raises:
        UsageError: `DEVICE` when it is not there; another is never taken in its place.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError("DEVICE", f"{name!r} cannot be used here: {reason}") from error
    return device


def translate_volume(
    bundle: Bundle,
    source: Volume,
    mask: Volume | None = None,
    *,
    device: torch.device | None = None,
    any_spacing: bool = False,
) -> Synthesis:
    """Returns the synthetic counterpart of one scan.

    Args:
        bundle: a trained model.
        source: the scan, in any orientation.
        mask: its brain mask, above 0.5 inside; None for a skull-stripped scan.
        device: where the network runs; the processor by default.
        any_spacing: translate also what has voxels of a size that the model has never seen.

    Raises:
        InputRefused: what `fit_preparation` refuses, and `SPACING_UNSEEN`.
        InputRefused: `MODEL_OUTPUT` when the network's answer is not finite.
    """
    if not any_spacing:
        _require_known_spacing(source, bundle)
    preparation = fit_preparation(source, mask, bundle.recipe.preparation)
    prepared = preparation.apply(source)
    place = device or torch.device("cpu")
    x = torch.from_numpy(np.array(prepared.data))[None, None].to(place)
    answer = whole_volume(bundle.network.to(place), x, bundle.recipe.inference)[0, 0].float().cpu().numpy()
    if not np.isfinite(answer).all():
        raise InputRefused("MODEL_OUTPUT", "the network's answer is not finite; look at the intensities of the scan")
    if prepared.data.min() >= 0:
        answer = np.maximum(answer, 0)
    level = preparation.level * bundle.mapping.gain
    volume = preparation.invert(answer, source, level=level, offset=bundle.mapping.offset)
    shown = volume.with_data(volume.data, shows=bundle.recipe.target)
    reference = level * bundle.mapping.median
    return Synthesis(shown, preparation.level, reference, int(preparation.mask.sum()))


def _require_known_spacing(source: Volume, bundle: Bundle) -> None:
    low, high = bundle.spacing_mm
    least, most = min(source.spacing_mm), max(source.spacing_mm)
    if low / SPACING_TOLERANCE <= least and most <= high * SPACING_TOLERANCE:
        return
    size = " x ".join(f"{mm:.3g}" for mm in source.spacing_mm)
    raise InputRefused(
        "SPACING_UNSEEN",
        f"voxels of {size} mm, the model knows {low:.3g} to {high:.3g} mm; resample the scan, or pass --any-spacing",
    )
