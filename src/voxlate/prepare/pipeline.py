"""From a scan as it comes to what a network takes, and back; fitted on the source alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from voxlate.prepare.brain_mask import nonzero_mask
from voxlate.prepare.crop import Crop
from voxlate.prepare.orientation import ToRas
from voxlate.prepare.scale import Scale
from voxlate.reference_level import reference_level
from voxlate.volume import Array, Mask, Volume, require_same_grid


class PreparationSettings(BaseModel):
    """What a bundle says about preparation.

    Attributes:
        margin_mm: what is kept around the brain.
        reference: the statistic that gives one in relative units; see `voxlate.reference_level`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    margin_mm: float = Field(default=4.0, ge=0)
    reference: Literal["median_in_mask"] = "median_in_mask"


@dataclass(frozen=True)
class Preparation:
    """The steps of one case, each with its inverse.

    Attributes:
        orientation: stored axes to RAS+.
        crop: the box around the brain.
        mask: the brain inside the box.
        level: reference level of the source, in its own units.
    """

    orientation: ToRas
    crop: Crop
    mask: Mask
    level: float

    def locate(self, volume: Volume) -> Volume:
        """Returns `volume`, which lies on the source's grid, reordered and cropped, values untouched."""
        return self.crop.apply(self.orientation.apply(volume))

    def apply(self, volume: Volume) -> Volume:
        """Returns `volume` as a network takes it: relative units, zero outside the brain."""
        located = Scale(self.level).apply(self.locate(volume))
        return located.with_data(np.where(self.mask, located.data, 0))

    def apply_to_target(self, target: Volume) -> tuple[Volume, float]:
        """Returns a target in relative units of its own level, and that level. For training and evaluation only."""
        located = self.locate(target)
        level = reference_level(located.data, self.mask & (located.data != 0))
        return Scale(level).apply(located.with_data(np.where(self.mask, located.data, 0))), level

    def invert(self, data: Array, like: Volume, *, level: float) -> Volume:
        """Returns an answer of a network on the grid of the scan that came in.

        Args:
            data: relative units, shape of `mask`.
            like: the scan that `apply` was given; its grid and stored type are taken.
            level: what one relative unit is in the units wanted.
        """
        box = Volume(np.where(self.mask, data, 0), self.crop.apply(self.orientation.apply(like)).affine)
        native = self.orientation.invert(self.crop.invert(Scale(level).invert(box)))
        return like.with_data(native.data)


def fit_preparation(source: Volume, mask: Volume | None, settings: PreparationSettings) -> Preparation:
    """Returns the preparation of one case.

    Args:
        source: the scan to translate.
        mask: its brain mask on the same grid, above 0.5 inside; None for a skull-stripped scan.
        settings: see `PreparationSettings`.

    Raises:
        InputRefused: `EMPTY_MASK`, `GRID_MISMATCH`, `NOT_SKULL_STRIPPED`, `CONSTANT`, `REFERENCE_LEVEL`.
    """
    if mask is None:
        inside = nonzero_mask(source.data)
    else:
        require_same_grid(source, mask, names=("source", "mask"))
        inside = mask.data > 0.5
    orientation = ToRas(source.grid)
    as_ras = orientation.apply(source.with_data(inside)).data > 0.5
    crop = Crop.around(as_ras, orientation.grid, margin_mm=settings.margin_mm)
    brain = np.ascontiguousarray(as_ras[crop.box])
    located = crop.apply(orientation.apply(source))
    return Preparation(orientation, crop, brain, reference_level(located.data, brain))
