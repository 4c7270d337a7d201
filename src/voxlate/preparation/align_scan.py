"""Aligns one scan of a patient with the source, and explains why two scans do not fit."""

from __future__ import annotations

from voxlate.errors import InputRefused
from voxlate.preparation.masks.brain_mask import AUTO, UNCHECKED
from voxlate.preparation.masks.ct_mask import looks_like_ct
from voxlate.preparation.masks.labels import looks_like_labels
from voxlate.preparation.masks.skull_stripped import Recognition
from voxlate.preparation.registration.alignment import alignment_score, require_aligned
from voxlate.preparation.registration.registration import Degrees, Registration, refine_affine, register
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.steps.head_orientation import mirrored_fits_better, require_upright
from voxlate.volume import Mask, Volume, require_same_grid, require_several_slices

_NEVER_MIRRORED = 0.5
"""No mirrored partner was seen to reach this edge agreement, so above it the search for one is skipped."""


_SAME_OUTLINE = 0.995
"""Dice from which the outlines of two skull-stripped scans are one outline; chosen by hand.

Of 16 aligned real pairs none had less than 0.997; moved by 1 mm or 2°, two of these had at most 0.988.
"""


def aligned_already(
    source: Volume, other: Volume, seen: tuple[Recognition | None, Recognition | None]
) -> Registration | None:
    """Returns the identity and its score if two skull-stripped scans are aligned already, else None.

    They are if they share a grid and an outline and their edges agree. Heads with their skull are never taken for
    aligned: a pair with one header was 8.5 mm apart.

    Args:
        source: (i, j, k).
        other: another scan of the patient.
        seen: what was recognised in each; None if nothing was looked for.
    """
    first, second = (None if each is None else each.mask for each in seen)
    if first is None or second is None or not source.grid.matches(other.grid):
        return None
    if 2 * (first & second).sum() < _SAME_OUTLINE * (int(first.sum()) + int(second.sum())):
        return None
    score = alignment_score(source, other, Transform.identity(), fixed_mask=first, moving_mask=second)
    return Registration(Transform.identity(), score) if score.verdict == "good" else None


def align_scan(
    source: Volume,
    other: Volume,
    masks: tuple[Mask, Mask],
    *,
    name: str,
    degrees: Degrees = 6,
    is_aligned: bool = False,
) -> Registration:
    """Returns the transform from the source to another scan of the patient, and its score.

    Args:
        source: the fixed scan, (i, j, k).
        other: the moving scan, on its own grid.
        masks: brain of the source and of the other scan, each (i, j, k) on the grid of its scan.
        name: of the other scan in messages, such as `target` or `T2w`.
        degrees: of freedom: 6 for a rigid transform, 12 for an affine one.
        is_aligned: the scans are aligned and share a grid; they are not registered, only scored.

    Raises:
        InputRefused: `GRID_MISMATCH` with `is_aligned`; `MISREGISTERED`, or its cause: `MIRRORED`, `ORIENTATION`.
        MissingLibrary: `MISSING_LIBRARY`.
    """
    if is_aligned:
        require_same_grid(source, other, names=("source", name))
        identity = Transform.identity()
        score = alignment_score(source, other, identity, fixed_mask=masks[0], moving_mask=masks[1])
        result = Registration(identity, score)
    else:
        result = register(source, other, fixed_mask=masks[0], moving_mask=masks[1])
        if degrees == 12:
            result = refine_affine(source, other, result, fixed_mask=masks[0], moving_mask=masks[1])
        _explain(source, other, masks, name, result)
    require_aligned(result.score)
    return result


def require_scan(name: str, volume: Volume) -> None:
    """Refuses a single slice and a map of labels, which cannot be registered.

    Raises:
        InputRefused: `TOO_FEW_SLICES`, `LABEL_MAP`.
    """
    require_several_slices(volume, f"the {name}")
    if looks_like_labels(volume):
        raise InputRefused("LABEL_MAP", f"the {name} is a map of labels, not a scan; name the scan it belongs to")


def require_kind(name: str, volume: Volume, method: str) -> None:
    """Refuses a CT if the mask method is for MR; an MR scan with a method for CT is refused by the method itself.

    Raises:
        InputRefused: `LOOKS_LIKE_CT`.
    """
    if looks_like_ct(volume) and not method.startswith("ct") and method not in {AUTO, *UNCHECKED}:
        raise InputRefused("LOOKS_LIKE_CT", f"the {name} has air at -1000 like a CT; use --brain-mask auto or ct")


def _explain(source: Volume, other: Volume, masks: tuple[Mask, Mask], name: str, result: Registration) -> None:
    """Refuses a pair that does not fit because one header names the axes wrongly, and says which scan it is.

    A head is nearly its own mirror image: with thick slices, a mirrored partner reached an edge agreement of 0.31.
    """
    if result.score.edge_agreement >= _NEVER_MIRRORED:
        return
    if mirrored_fits_better(source, other, result, fixed_mask=masks[0], moving_mask=masks[1]):
        raise InputRefused(
            "MIRRORED",
            f"source and {name} fit if left and right of one are exchanged, so one header is wrong; compare both "
            "with the images on the scanner",
        )
    if result.score.verdict == "good":
        return
    for label, volume, mask in (("source", source, masks[0]), (name, other, masks[1])):
        require_upright(label, volume, mask)
