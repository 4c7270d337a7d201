"""Detects heads whose orientation contradicts their header: upside down, back to front, on the side, or mirrored.

Rotations are detected with the template: of the 24 ways in which a header can name the axes, the true one fits best.
The template is symmetric, so a mirrored scan can only be detected by comparison with its partner.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import permutations, product

import numpy as np

from voxlate.errors import InputRefused
from voxlate.preparation.registration.registration import Registration, centre_mm, register
from voxlate.preparation.registration.templates import Template, mni_template
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.steps.grid import coarser
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Affine, Mask, Volume

_WORKING_MM = 3.0  # 24 registrations at this voxel size take about ten seconds
_LEAST_GAIN = 0.08
"""By how much the edge agreement of another orientation must exceed that of the header; chosen by hand."""

_AXES = "RAS"


def better_orientation(volume: Volume, mask: Mask) -> str | None:
    """Returns the true orientation in words if the header is wrong, else None.

    Takes about ten seconds, so it is meant for scans that do not fit the template.

    Args:
        volume: a scan of a head, (i, j, k).
        mask: its brain mask, (i, j, k).
    """
    grid = coarser(volume.grid, _WORKING_MM)
    small = resample(volume.with_data(np.where(mask, volume.data, 0)), grid)
    small_mask = resample(volume.with_data(mask), grid).data > 0.5
    template = _small_template()
    fits = [(turn, _fit(template, small, small_mask, turn)) for turn in proper_turns()]
    scores = [fit.score.edge_agreement for _, fit in fits]
    best_turn, best = fits[int(np.argmax(scores))]
    true = _nearest_turn(best.transform.inverse.matrix[:3, :3] @ best_turn)
    if max(scores) <= scores[0] + _LEAST_GAIN or np.array_equal(true, np.eye(3)):
        return None
    return _in_words(true)


def require_upright(
    name: str, volume: Volume, mask: Mask, *, find: Callable[[Volume, Mask], str | None] | None = None
) -> None:
    """Refuses a head whose orientation contradicts its header.

    Args:
        name: of the scan, for the message.
        volume: a scan of a head, (i, j, k).
        mask: its brain mask, (i, j, k).
        find: called in place of `better_orientation`; see `voxlate.preparation.store`.

    Raises:
        InputRefused: `ORIENTATION`, with the true orientation.
    """
    better = (find or better_orientation)(volume, mask)
    if better is not None:
        raise InputRefused("ORIENTATION", f"the orientation of the head in the {name} contradicts its header: {better}")


def mirrored_fits_better(
    fixed: Volume, moving: Volume, stated: Registration, *, fixed_mask: Mask, moving_mask: Mask
) -> bool:
    """Returns whether a scan fits its partner clearly better after exchanging left and right.

    Args:
        fixed: one scan, (i, j, k).
        moving: its partner, on its own grid.
        stated: registration of the two scans as their headers say.
        fixed_mask: brain on the grid of `fixed`.
        moving_mask: brain on the grid of `moving`.
    """
    mirror = np.diag([-1.0, 1.0, 1.0])
    turned = _turned(moving, mirror, centre_mm(moving, moving_mask))
    mirrored = register(fixed, turned, fixed_mask=fixed_mask, moving_mask=moving_mask, working_mm=_WORKING_MM / 2)
    return mirrored.score.edge_agreement > stated.score.edge_agreement + _LEAST_GAIN


def proper_turns() -> list[Affine]:
    """Returns the 24 rotations that map axes to axes, as (3, 3) matrices; the identity comes first."""
    turns = []
    for order, signs in product(permutations(range(3)), product((1.0, -1.0), repeat=3)):
        turn = np.zeros((3, 3))
        turn[range(3), list(order)] = signs
        if np.linalg.det(turn) > 0:
            turns.append(turn)
    return turns


def _fit(template: Template, small: Volume, mask: Mask, turn: Affine) -> Registration:
    turned = _turned(small, turn, centre_mm(small, mask))
    return register(
        template.volume,
        turned,
        degrees=12,
        fixed_mask=template.mask,
        moving_mask=mask,
        to_average=True,
        working_mm=_WORKING_MM,
    )


@lru_cache(maxsize=1)
def _small_template() -> Template:
    whole = mni_template()
    grid = coarser(whole.volume.grid, _WORKING_MM)
    mask = resample(whole.volume.with_data(whole.mask), grid).data > 0.5
    return Template(whole.name, resample(whole.volume, grid), mask)


def _turned(volume: Volume, turn: Affine, about_mm: Affine) -> Volume:
    """Returns the volume rotated (or mirrored) about a point: a new affine, the same voxels."""
    move = np.eye(4)
    move[:3, :3] = turn
    move[:3, 3] = about_mm - turn @ about_mm
    return Transform(move).carry(volume)


def _nearest_turn(linear: Affine) -> Affine:
    """Returns the one of the 24 rotations that is nearest to a linear map."""
    return max(proper_turns(), key=lambda turn: float((turn * linear).sum()))


def _in_words(turn: Affine) -> str:
    """Describes a rotation: for each true direction the one that the header states."""
    opposite = {"R": "L", "A": "P", "S": "I"}
    named = []
    for axis, name in enumerate(_AXES):
        source = int(np.argmax(np.abs(turn[axis])))
        stated = _AXES[source] if turn[axis, source] > 0 else opposite[_AXES[source]]
        if stated != name:
            named.append(f"{name} where the header says {stated}")
    return ", ".join(named)
