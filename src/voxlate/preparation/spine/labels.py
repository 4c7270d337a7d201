"""Finds the discs of a spine in a label map: labelled discs, or the gaps between labelled vertebrae."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator
from scipy import ndimage

from voxlate.errors import InputRefused
from voxlate.preparation.masks.components import largest_component
from voxlate.volume import Mask, Volume

_SMALLEST_SHARE = 0.2
"""Connected components of a disc label below this share of the largest one are no discs; chosen by hand."""

_HALF_GAP_MM, _SHEET_MM = 8.0, 1.5
"""Half the height of the highest lumbar disc (14 to 15 mm), and half the thickness of the sheet between two vertebrae,
at least half a diagonal of the usual voxels. Chosen by hand."""

_CORE_MM, _RIM = 7.0, 1.3
"""Half the thickness that only the body of a lumbar vertebra exceeds (pedicles and processes measure up to 12 mm), and
how far its surface lies from that core, in units of the same, more than 1 because of its corners. Chosen by hand."""


class SpineLabels(BaseModel):
    """The values of a label map.

    Attributes:
        discs: values of discs. If there is one value, each connected component is a disc.
        vertebrae: values of vertebrae, from superior to inferior; used when no disc is labelled.
        canal: values of the spinal canal, the thecal sac or the fluid in it; may be empty.
        names: name of a disc by its value, or by that of the vertebra above it; others are numbered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    discs: tuple[int, ...] = ()
    vertebrae: tuple[int, ...] = ()
    canal: tuple[int, ...] = ()
    names: Mapping[int, str] = {}

    @model_validator(mode="after")
    def _some(self) -> SpineLabels:
        if not self.discs and len(self.vertebrae) < 2:
            raise ValueError("give the label of discs, or those of at least two vertebrae")
        return self


_LUMBAR = {19: "T12L1", 20: "L1L2", 21: "L2L3", 22: "L3L4", 23: "L4L5", 24: "L5S1"}
"""Discs by the vertebra above, numbered as in VerSe (Sekuboyina et al., Med Image Anal 2021): 20 to 24 are L1 to L5."""

LABELS: Mapping[str, SpineLabels] = {
    "simulated": SpineLabels(discs=(9,), canal=(1,)),
    "verse": SpineLabels(
        discs=tuple(100 + vertebra for vertebra in _LUMBAR),
        vertebrae=(*_LUMBAR, 25, 26),
        names=_LUMBAR | {100 + vertebra: name for vertebra, name in _LUMBAR.items()},
    ),
}
"""Numberings of label maps by name. `simulated`: `dseg` of `voxlate simulate --task spine`. `verse`: vertebrae as in
VerSe, with the discs of SPINEPS, which adds 100 to the number of the vertebra above."""


def find_discs(labels: Volume, values: SpineLabels) -> dict[str, Mask]:
    """Returns the mask of each disc, (i, j, k) on the grid of `labels`, by its name, from inferior to superior.

    Args:
        labels: label map, (i, j, k).
        values: see `SpineLabels`.

    Raises:
        InputRefused: `NO_DISC_LABELS` when the map holds neither discs nor two neighbouring vertebrae.
    """
    present = {int(value) for value in np.unique(labels.data)}
    discs = [value for value in values.discs if value in present]
    vertebrae = [value for value in values.vertebrae if value in present]
    if len(values.discs) == 1 and discs:
        found = {0 - number: part for number, part in enumerate(_components(labels.data == discs[0]), start=1)}
    elif discs:
        found = {value: labels.data == value for value in discs}
    else:
        found = {above: _gap(labels, above, below) for above, below in pairwise(vertebrae)}
        found = {value: gap for value, gap in found.items() if gap.any()}
    if not found:
        shown = ", ".join(str(value) for value in sorted(present - {0})[:20]) or "none"
        raise InputRefused(
            "NO_DISC_LABELS",
            f"the label map holds the values {shown}: neither a disc nor two neighbouring vertebrae; name them with "
            "--labels-as or --discs",
        )
    ordered = sorted(found, key=lambda value: _height_mm(labels, found[value]))
    return {values.names.get(value, f"disc{number}"): found[value] for number, value in enumerate(ordered, start=1)}


def _components(mask: Mask) -> list[Mask]:
    numbered, count = ndimage.label(mask)
    sizes = np.bincount(numbered.ravel(), minlength=count + 1)[1:]
    return [numbered == number for number in np.flatnonzero(sizes >= _SMALLEST_SHARE * sizes.max()) + 1]


def _gap(labels: Volume, above: int, below: int) -> Mask:
    """Returns the sheet half-way between the bodies of two vertebrae; empty when they are not neighbours."""
    bodies = [_body(labels, value) for value in (above, below)]
    upper, lower = (np.asarray(ndimage.distance_transform_edt(~body, sampling=labels.spacing_mm)) for body in bodies)
    reach = _HALF_GAP_MM
    sheet = (upper > 0) & (lower > 0) & (upper < reach) & (lower < reach) & (np.abs(upper - lower) <= _SHEET_MM)
    return largest_component(sheet) if sheet.any() else sheet


def _body(labels: Volume, value: int) -> Mask:
    """Returns the body of a vertebra: what lies near its thick core, without the thin arch and its processes."""
    vertebra = labels.data == value
    depth = np.asarray(ndimage.distance_transform_edt(vertebra, sampling=labels.spacing_mm))
    core = depth > min(_CORE_MM, 0.8 * float(depth.max()))
    near = np.asarray(ndimage.distance_transform_edt(~largest_component(core), sampling=labels.spacing_mm))
    body: Mask = vertebra & (near <= _RIM * _CORE_MM)
    return body


def _height_mm(labels: Volume, mask: Mask) -> float:
    return float(labels.grid.to_mm(np.argwhere(mask).mean(axis=0))[2])
