"""Preprocesses a scan for a network and maps the network's output back; fitted on the source scan alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from voxlate.errors import InputRefused
from voxlate.preparation.masks.brain_mask import AUTO, fault_of_method, find_brain, given_mask, locate_brain
from voxlate.preparation.registration.t1_linear import T1Linear
from voxlate.preparation.registration.templates import to_template
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.steps.bias import Bias, fit_bias
from voxlate.preparation.steps.crop import Crop
from voxlate.preparation.steps.head_orientation import require_upright
from voxlate.preparation.steps.intensity import SCALES, LinearNormalisation, by_range_hu
from voxlate.preparation.steps.orientation import ToRas
from voxlate.preparation.steps.respace import Respace, respaced
from voxlate.volume import Array, Grid, Mask, Volume

if TYPE_CHECKING:
    from voxlate.preparation.store import PreparationStore

ScaleName = Literal["median_in_mask", "min_max", "percentile", "white_matter_peak", "z_score"]


EVERY_KEY = {"every_key": True}
"""Context of `model_dump` with which `PreparationSettings` also writes its added keys at their defaults."""
_ADDED = ("bias_region", "grey_levels")
"""Keys that are not written at their defaults, so that stored cases and checkpoints of earlier versions keep their
hashes."""


class PreparationSettings(BaseModel):
    """Preprocessing settings of a recipe and a bundle.

    Attributes:
        brain_mask: method for a scan without a given mask: `auto` or a name of
            `preparation.masks.brain_mask.BRAIN_MASKS`.
        bias: correct the bias field of source and target with N4, each on its own.
        bias_control_mm: distance of the control points of that field at the coarsest level; see `fit_bias`.
        bias_region: where that field is fitted: in the `brain`, or on `all` voxels above zero, background included, as
            Bottani et al. 2024 did (N4 without a mask).
        frame: `native` keeps the voxels of the scan and crops to the brain; `t1_linear` is the frame of Bottani et al.,
            with the skull and 128³ voxels.
        margin_mm: margin around the brain in the native frame.
        spacing_mm: voxel size that scans of other voxel sizes are resampled to in the native frame; None to keep the
            voxels of each scan in training, and to resample at inference only those outside the range of training. See
            `voxlate.preparation.steps.respace`.
        reference: intensity normalisation; see `voxlate.preparation.steps.intensity.SCALES`.
        target_reference: intensity normalisation of the target, if it differs.
        range_hu: window of a CT source in Hounsfield units; replaces `reference`.
        grey_levels: round all images to that many grey levels from 0 to 1, as the 256 of Lee et al. 2020; needs the
            reference `min_max`. None for no rounding.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    brain_mask: str = AUTO
    bias: bool = False
    bias_control_mm: float = Field(default=60.0, gt=0)
    bias_region: Literal["brain", "all"] = "brain"
    frame: Literal["native", "t1_linear"] = "native"
    margin_mm: float = Field(default=4.0, ge=0)
    spacing_mm: float | None = Field(default=None, gt=0)
    reference: ScaleName = "median_in_mask"
    target_reference: ScaleName | None = None
    range_hu: tuple[float, float] | None = None
    grey_levels: int | None = Field(default=None, ge=2)

    @model_serializer(mode="wrap")
    def _added_if_used(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        if info.context == EVERY_KEY:
            return content
        fields = type(self).model_fields
        return {key: value for key, value in content.items() if key not in _ADDED or value != fields[key].default}

    @model_validator(mode="after")
    def _sensible(self) -> PreparationSettings:
        if self.range_hu is not None and self.range_hu[0] >= self.range_hu[1]:
            raise ValueError(f"a window from {self.range_hu[0]:g} to {self.range_hu[1]:g} HU has no width")
        if self.range_hu is not None and self.frame == "t1_linear":
            raise ValueError("the frame `t1_linear` is for T1-weighted scans only; leave out `frame` or `range_hu`")
        if self.spacing_mm is not None and self.frame == "t1_linear":
            raise ValueError("the frame `t1_linear` has voxels of its own; leave out `frame` or `spacing_mm`")
        fault = fault_of_method(self.brain_mask)
        if fault is not None:
            raise ValueError(fault)
        if self.range_hu is not None and self.bias:
            raise ValueError("a CT in Hounsfield units has no bias field; leave out `bias` or `range_hu`")
        if self.grey_levels is not None and {self.reference, self.target_reference or self.reference} != {"min_max"}:
            raise ValueError("`grey_levels` lie from 0 to 1: scale with `reference: min_max`, or leave them out")
        return self


class SpatialStep(Protocol):
    """A step that changes the grid: it takes volumes from one grid to another, and back."""

    @property
    def grid(self) -> Grid:
        """Returns the grid of the result of `apply`."""

    def apply(self, volume: Volume) -> Volume:
        """Returns a volume of the original grid on `grid`."""

    def invert(self, volume: Volume) -> Volume:
        """Returns a volume on `grid` on the original grid."""


@dataclass(frozen=True)
class Preparation:
    """The preprocessing of one case; every step has an inverse.

    Attributes:
        settings: the settings it was fitted with.
        spatial_steps: the steps that change the grid, in order.
        mask: brain mask, (i, j, k), on the last grid, which the network sees.
        stored_mask: brain mask on the grid of the source.
        intensity: intensity normalisation of the source.
        bias: bias field of the source on its own grid, or None.
        store: keeps the bias fields of the volumes that are preprocessed later; None to keep nothing.
    """

    settings: PreparationSettings
    spatial_steps: tuple[SpatialStep, ...]
    mask: Mask
    stored_mask: Mask
    intensity: LinearNormalisation
    bias: Bias | None
    store: PreparationStore | None = field(default=None, repr=False, compare=False)

    @property
    def level(self) -> float:
        """Returns the value of 1 relative unit in the units of the source."""
        return self.intensity.scale

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Returns the voxel size that the network sees, in millimetres."""
        return self.spatial_steps[-1].grid.spacing_mm

    @property
    def is_respaced(self) -> bool:
        """Returns whether the scan was resampled to another voxel size in the native frame."""
        return any(isinstance(step, Respace) for step in self.spatial_steps)

    @property
    def is_whole(self) -> bool:
        """Returns whether the network also sees voxels outside the brain."""
        return self.settings.frame == "t1_linear"

    def locate(self, volume: Volume) -> Volume:
        """Returns a volume on the grid of the source resampled to the grid of the network, not normalised."""
        for step in self.spatial_steps:
            volume = step.apply(volume)
        return volume

    def apply(self, volume: Volume) -> Volume:
        """Preprocesses the source, or a volume on its grid; in the native frame, voxels outside the brain are zero."""
        clean = volume if self.bias is None else self.bias.apply(volume)
        return self._shown(self.locate(clean), self.intensity)

    def apply_to_target(self, target: Volume) -> tuple[Volume, LinearNormalisation]:
        """Preprocesses a target with its own normalisation; returns both. For training and evaluation only."""
        return self._normalised(target, self.settings.target_reference or self.settings.reference)

    def apply_to_more(self, volume: Volume) -> Volume:
        """Preprocesses an additional source, on the grid of the first, with its own normalisation."""
        shown, _ = self._normalised(volume, self.settings.reference)
        return shown

    def invert(self, data: Array, like: Volume, *, level: float, offset: float = 0.0) -> Volume:
        """Returns the output of a network on the grid of the source: (data + offset) x level.

        Args:
            data: output of the network in relative units, in the shape of `mask`.
            like: the source scan; the result has its grid and stored type.
            level: value of 1 relative unit in the units of the result.
            offset: zero of those units, in relative units.
        """
        back = LinearNormalisation(level, offset * level).invert(data)
        if self.is_whole:
            return like.with_data(self._native(back).data)
        native = self._native(np.where(self.mask, back, np.float32(0))).data
        return like.with_data(self._without_edge_loss(native) if self.is_respaced else native)

    def _without_edge_loss(self, native: Array) -> Array:
        """Returns interpolated values over the share of the brain in each; else zeros darken the edge of the brain."""
        share = self._native(self.mask.astype(np.float32)).data
        inside = self.stored_mask & (share > 0)
        return np.divide(native, share, out=np.zeros_like(native), where=inside)

    def _normalised(self, volume: Volume, reference: str) -> tuple[Volume, LinearNormalisation]:
        """Preprocesses a scan on the grid of the source with its own normalisation; returns both."""
        native = self._native_mask()
        if self.settings.bias:
            volume = _bias(volume, native, self.settings, self.store).apply(volume)
        located = self.locate(volume)
        whole, within = (volume, native) if self.is_whole else (located, self.mask)
        scale = SCALES[reference](whole.data, within & (whole.data != 0))
        scale = replace(scale, levels=self.settings.grey_levels)
        return self._shown(located, scale), scale

    def _shown(self, located: Volume, scale: LinearNormalisation) -> Volume:
        scaled = scale.apply(located.data)
        return located.with_data(scaled if self.is_whole else np.where(self.mask, scaled, np.float32(0)))

    def _native_mask(self) -> Mask:
        """Returns the mask on the grid of the source without what lies outside the field of view of the network."""
        if self.is_respaced:
            return self.stored_mask
        seen: Mask = self._native(self.mask.astype(np.float32)).data > 0.5
        return seen

    def _native(self, data: Array) -> Volume:
        """Returns data, (i, j, k) on the last grid, on the grid of the source."""
        volume = Volume(data, self.spatial_steps[-1].grid.affine)
        for step in reversed(self.spatial_steps):
            volume = step.invert(volume)
        return volume


def fit_preparation(
    source: Volume,
    mask: Volume | None,
    settings: PreparationSettings,
    *,
    spacing_range_mm: tuple[float, float] | None = None,
    store: PreparationStore | None = None,
) -> Preparation:
    """Fits the preprocessing of one case.

    Args:
        source: the scan to translate, (i, j, k).
        mask: its brain mask on the same grid, above 0.5 inside; None to find it by `settings.brain_mask`.
        settings: see `PreparationSettings`.
        spacing_range_mm: least and largest voxel size of the scans that the network was trained on; axes outside it
            are resampled. None to resample only to `settings.spacing_mm`, if there is one.
        store: keeps brain mask, bias fields and registration for later calls on the same scan; the result is the same,
            bit for bit. None to keep nothing.

    Raises:
        InputRefused: `EMPTY_MASK`, `MASK_TINY`, `GRID_MISMATCH`, `NOT_SKULL_STRIPPED`, `CONSTANT`, `REFERENCE_LEVEL`;
            what the method of the mask refuses, `MASK_IMPLAUSIBLE`, `BIAS_FIELD`; in the frame `t1_linear`
            `NOT_ON_TEMPLATE` and `ORIENTATION`.
        MissingLibrary: `MISSING_LIBRARY`.
    """
    inside = _brain(source, mask, settings, store)
    bias = _bias(source, inside, settings, store) if settings.bias else None
    clean = source if bias is None else bias.apply(source)
    if settings.frame == "t1_linear":
        steps: tuple[SpatialStep, ...] = (T1Linear(source.grid, _on_template(clean, inside, store)),)
    else:
        own = settings.spacing_mm
        steps = _native_steps(clean, inside, settings.margin_mm, spacing_range_mm if own is None else (own, own))
    located, brain = clean, clean.with_data(inside)
    for step in steps:
        located, brain = step.apply(located), step.apply(brain)
    seen = np.ascontiguousarray(brain.data > 0.5)
    is_whole = settings.frame == "t1_linear"
    scale = _scale(clean.data if is_whole else located.data, inside if is_whole else seen, settings)
    return Preparation(settings, steps, seen, inside, scale, bias, store)


def _brain(source: Volume, mask: Volume | None, settings: PreparationSettings, store: PreparationStore | None) -> Mask:
    if mask is not None:
        return given_mask(source, mask)
    find = find_brain if store is None else store.find_brain
    return locate_brain(source, settings.brain_mask, find=find).mask


def _bias(volume: Volume, inside: Mask, settings: PreparationSettings, store: PreparationStore | None) -> Bias:
    fit = fit_bias if store is None else store.fit_bias
    region = volume.data > 0
    if settings.bias_region == "brain":
        region = region & inside
    return fit(volume, region, control_mm=settings.bias_control_mm)


def _native_steps(
    source: Volume, inside: Mask, margin_mm: float, spacing_range_mm: tuple[float, float] | None
) -> tuple[SpatialStep, ...]:
    orientation = ToRas(source.grid)
    as_ras = orientation.apply(source.with_data(inside)).data > 0.5
    crop = Crop.around(as_ras, orientation.grid, margin_mm=margin_mm)
    box = crop.grid
    grid = box if spacing_range_mm is None else respaced(box, *spacing_range_mm)
    return (orientation, crop) if grid is box else (orientation, crop, Respace(box, grid))


def _on_template(source: Volume, inside: Mask, store: PreparationStore | None) -> Transform:
    register = to_template if store is None else store.to_template
    registration = register(source, inside)
    if registration.score.verdict == "bad":
        reasons = "; ".join(registration.score.reasons)
        raise InputRefused("NOT_ON_TEMPLATE", f"the scan does not fit the template: {reasons}")
    if registration.score.verdict == "doubtful":
        require_upright("source", source, inside, find=None if store is None else store.better_orientation)
    return registration.transform


def _scale(data: Array, inside: Mask, settings: PreparationSettings) -> LinearNormalisation:
    if settings.range_hu is not None:
        scale = by_range_hu(*settings.range_hu)
    else:
        scale = SCALES[settings.reference](data, inside)
    return replace(scale, levels=settings.grey_levels)
