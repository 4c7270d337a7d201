"""Refuses a scan that a model cannot take, by its voxels, before the brain is looked for.

The check of `voxlate.bundle.out_of_distribution` comes later and compares the prepared scan with the training scans;
this one knows what kind of image it is, and says so.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from voxlate.bundle.recipe import Recipe
from voxlate.errors import InputRefused, UsageError
from voxlate.io.log import warn
from voxlate.preparation.masks.ct_mask import looks_like_ct
from voxlate.preparation.masks.labels import looks_like_labels
from voxlate.volume import Volume, require_several_slices

Gate = Literal["refuse", "flag", "off"]
"""`refuse` the scan, `flag` it with a warning, or `off`."""

_FARTHEST_MEDIAN_HU = 150.0
"""Farthest from 0 that the median of the voxels of a CT without air around the head may lie: fat has -100, soft
tissue 20 to 80. The least median of nine real skull-stripped MR scans was 265; chosen by hand.
"""


def require_use(recipe: Recipe, *, is_research: bool) -> None:
    """Refuses a model for research alone, unless that is what it is used for.

    Args:
        recipe: recipe of the model.
        is_research: whether the user said so (`--research`).

    Raises:
        UsageError: `RESEARCH_ONLY`.
    """
    if recipe.use == "research" and not is_research:
        raise UsageError(
            "RESEARCH_ONLY",
            f"{recipe.name} predicts {recipe.target} from {recipe.from_what}, which cannot show all of it, and is for "
            "research alone; pass --research if this is research",
        )


def check_scan(source: Volume, recipe: Recipe, mask: Volume | None = None, *, gate: Gate, name: str) -> None:
    """Refuses, or flags, a scan that is not an image of the kind that a model takes.

    Args:
        source: the scan, (i, j, k).
        recipe: recipe of the model.
        mask: its brain mask, above 0.5 inside, if one is given; one of another shape is refused later.
        gate: what to do with a label map or a scan of another modality; a single slice is always refused.
        name: of the case, for the message.

    Raises:
        InputRefused: `TOO_FEW_SLICES`, `LABEL_MAP`, `LOOKS_LIKE_CT`, `NOT_HOUNSFIELD`.
    """
    if recipe.preparation.brain_mask != "all":
        require_several_slices(source, name)
    if gate == "off":
        return
    if looks_like_labels(source):
        end_check("LABEL_MAP", f"{name} is a map of labels; name the scan it belongs to, or pass --ood flag", gate)
    _check_modality(source, recipe, mask, gate, name)


def _check_modality(source: Volume, recipe: Recipe, mask: Volume | None, gate: Gate, name: str) -> None:
    takes_ct = recipe.source == "CT" or recipe.preparation.range_hu is not None
    if not takes_ct and looks_like_ct(source):
        end_check(
            "LOOKS_LIKE_CT",
            f"{name} has air at -1000 like a CT, and the model takes {recipe.source}; choose a model that takes CT",
            gate,
        )
    if takes_ct and not _may_be_hounsfield(source, mask):
        end_check(
            "NOT_HOUNSFIELD",
            f"{name} is not in Hounsfield units, and the model takes CT; choose a model that takes this contrast, or "
            "convert the CT with its intercept",
            gate,
        )


def _may_be_hounsfield(source: Volume, mask: Volume | None) -> bool:
    """Returns whether values can be Hounsfield units: there is air at -1000, or the median is that of soft tissue.

    Values below zero alone prove nothing: interpolation makes them in MR, too. Where a mask is given the median is that
    of the brain: the noisy air around an MR of a whole head brings the median of all voxels near zero.
    """
    shown = source.data[source.data != 0]
    if mask is not None and mask.data.shape == source.data.shape:
        shown = source.data[mask.data > 0.5]
    if shown.size == 0 or looks_like_ct(source):
        return True
    return abs(float(np.median(shown))) <= _FARTHEST_MEDIAN_HU


def end_check(code: str, message: str, gate: Gate) -> None:
    """Refuses, or flags, what a check found.

    Raises:
        InputRefused: `code`, when the gate is `refuse`.
    """
    if gate == "refuse":
        raise InputRefused(code, message)
    warn(code, message)
