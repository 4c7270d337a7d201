"""Recognises whether a scan is skull-stripped, and finds the mask that such a scan carries: its non-zero voxels.

A skull-stripped scan is zero (in a CT also another constant) around one region of at most the size of a brain. A head
with its skull can also have a background of zeros, which the scanner writes; then the region is larger than a brain. In
36 real skull-stripped scans of 9 patients the region had 1,135 to 1,640 cm³ and axial sections of at most 201 cm²; in
11 heads with skull and a background of zeros it had 2,345 to 7,205 cm³ and at least 204 cm². A doubtful scan counts as
not skull-stripped, because its brain is then looked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from voxlate.errors import InputRefused
from voxlate.preparation.masks.checks import LEAST_LARGEST_SHARE, POSSIBLE_CM3
from voxlate.preparation.masks.components import fill_holes, largest_component
from voxlate.preparation.masks.ct_mask import looks_like_ct
from voxlate.volume import Array, Mask, Volume

BACKGROUND_SHARE = 0.05
"""A scan with a smaller fraction of voxels that are exactly zero still has its skull and air; chosen by hand."""

LARGEST_BRAIN_CM3, LARGEST_SECTION_CM2 = 2200.0, 230.0
"""A region with a larger volume, or a larger axial section, is more than a brain.

Both lie between the real scans of the two kinds (see above); chosen by hand. The section tells a part of a head with
few slices from a brain.
"""

Kind = Literal["skull-stripped", "not skull-stripped", "CT"]


@dataclass(frozen=True)
class Recognition:
    """What the voxels of a scan show about it.

    Attributes:
        kind: `skull-stripped`; `CT` for a CT with air around the head; `not skull-stripped` for all others.
        background_share: fraction of the voxels that are exactly the value of the background: zero, in a CT the least.
        region_cm3: volume of the largest region of other values, with its holes; None if too few are background.
        doubt: why a scan with a background of zeros does not count as skull-stripped, or "".
        mask: the mask of a skull-stripped scan, (i, j, k), or None.
    """

    kind: Kind
    background_share: float
    region_cm3: float | None = None
    doubt: str = ""
    mask: Mask | None = field(default=None, repr=False)

    @property
    def text(self) -> str:
        """Returns the kind in words, with the doubt if there is one."""
        kind = "CT, not skull-stripped" if self.kind == "CT" else self.kind
        return f"{kind} ({self.doubt})" if self.doubt else kind

    def to_json(self) -> dict[str, Any]:
        """Returns the figures as plain values."""
        region = None if self.region_cm3 is None else round(self.region_cm3, 1)
        return {
            "kind": self.kind,
            "background_share": round(self.background_share, 4),
            "region_cm3": region,
            "doubt": self.doubt,
        }


def recognise(volume: Volume) -> Recognition:
    """Returns whether a scan is skull-stripped, from its voxels alone.

    Args:
        volume: (i, j, k), in any orientation.
    """
    is_ct = looks_like_ct(volume)
    shown = volume.data != (volume.data.min() if is_ct else 0)
    other: Kind = "CT" if is_ct else "not skull-stripped"
    share = 1 - float(shown.mean())
    if not BACKGROUND_SHARE <= share < 1:
        return Recognition(other, share)
    largest = largest_component(shown)
    mask = fill_holes(largest)
    region_cm3 = volume.grid.volume_cm3(mask)
    doubt = _doubt(mask, region_cm3, volume, connected=float(largest.sum()) / float(shown.sum()))
    if doubt:
        return Recognition(other, share, region_cm3, "" if is_ct else f"{share:.0%} is zero, but {doubt}")
    return Recognition("skull-stripped", share, region_cm3, mask=mask)


def _doubt(mask: Mask, region_cm3: float, volume: Volume, *, connected: float) -> str:
    """Returns why the region inside the background is not a brain, or ""."""
    if region_cm3 > LARGEST_BRAIN_CM3:
        return f"the rest has {region_cm3:,.0f} cm³, more than a brain"
    section_cm2 = _largest_section_cm2(mask, volume)
    if section_cm2 > LARGEST_SECTION_CM2:
        return f"the rest has an axial section of {section_cm2:.0f} cm², more than a brain"
    if connected < LEAST_LARGEST_SHARE:
        return f"only {connected:.0%} of the rest is connected"
    return ""


def _largest_section_cm2(mask: Mask, volume: Volume) -> float:
    """Returns the area of the largest section across the array axis that is nearest to superior."""
    spacing = volume.spacing_mm
    superior = int(np.abs(volume.affine[2, :3] / spacing).argmax())
    others = tuple(axis for axis in range(3) if axis != superior)
    return float(mask.sum(axis=others).max()) * spacing[others[0]] * spacing[others[1]] / 100


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
    if zero_share < BACKGROUND_SHARE:
        raise InputRefused(
            "NOT_SKULL_STRIPPED",
            f"only {zero_share:.1%} of the voxels are zero; give a brain mask for this scan, or find one with "
            "--brain-mask auto (needs pip install 'voxlate[prepare]')",
        )
    return fill_holes(largest_component(nonzero))


def stripped_mask(volume: Volume) -> Mask:
    """Returns the non-zero region of a scan that is said to be skull-stripped.

    Its limit is that of a possible brain mask, because interpolation can widen a brain beyond `LARGEST_BRAIN_CM3`.

    Raises:
        InputRefused: `EMPTY_MASK`; `NOT_SKULL_STRIPPED` also for a region that is larger than any brain.
    """
    mask = nonzero_mask(volume.data)
    region_cm3 = volume.grid.volume_cm3(mask)
    if region_cm3 > POSSIBLE_CM3[1]:
        raise InputRefused(
            "NOT_SKULL_STRIPPED",
            f"the voxels that are not zero have {region_cm3:,.0f} cm³, more than a brain; give a brain mask for this "
            "scan, or find one with --brain-mask auto (needs pip install 'voxlate[prepare]')",
        )
    return mask
