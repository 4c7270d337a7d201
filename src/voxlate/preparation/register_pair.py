"""Registers a pair of scans: finds the brain of the source and resamples the target to the grid of the source."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from voxlate.errors import InputRefused, UsageError, naming
from voxlate.preparation.align_scan import align_scan, aligned_already, require_kind, require_scan
from voxlate.preparation.further_sources import (
    FurtherSettings,
    FurtherSource,
    MissingSource,
    doubts_of,
    register_further,
    require_all,
)
from voxlate.preparation.masks.brain_mask import (
    AUTO,
    GIVEN,
    FoundBrain,
    given_mask,
    locate_brain,
    plausible_report,
    require_method,
)
from voxlate.preparation.masks.checks import MaskReport
from voxlate.preparation.masks.ct_mask import AIR_OUTSIDE_HU, METAL_HU, looks_like_ct, metal_cm3
from voxlate.preparation.masks.skull_stripped import recognise
from voxlate.preparation.registration.alignment import AlignmentScore
from voxlate.preparation.registration.registration import Degrees, Registration
from voxlate.preparation.registration.templates import to_template
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.steps.denoise import denoised
from voxlate.preparation.steps.head_orientation import require_upright
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Affine, Mask, Volume, require_same_grid

_MUCH_METAL_CM3 = 0.3  # above this, metal is reported; chosen by hand


class PairSettings(BaseModel):
    """Settings of the registration of a pair.

    Attributes:
        source_mask: method for the brain mask of the source: `auto`, or a name of
            `preparation.masks.brain_mask.BRAIN_MASKS`. It is not used if a mask is given.
        target_mask: method for the brain mask of the target. It is used for registration and its score only; the mask
            of the pair is that of the source, because there is no target at inference.
        more_mask: method for the brain masks of further sources; used as `target_mask` is.
        is_registered: register the target and the further sources to the source; otherwise all must share a grid. With
            `auto` for both masks, skull-stripped scans that are aligned already are not registered.
        degrees: degrees of freedom of the target's registration: 6 (rigid), or 12 (affine) as in Li et al. 2022.
            Further sources are registered rigidly: they were scanned in the same body.
        targets: further contrasts that are targets of other networks, such as the T2w of Li et al.; they are registered
            and denoised as the target is.
        is_denoised: remove noise from the target; see `preparation.steps.denoise`. The source stays as scanned,
            because the network meets it so at inference.
        to_template: also register the source to the template, as a second check of position and orientation.
        doubtful: keep or refuse a pair whose mask or registration is doubtful.
        missing: keep or refuse a pair with a further source that cannot be read or registered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source_mask: str = AUTO
    target_mask: str = AUTO
    more_mask: str = AUTO
    is_registered: bool = True
    degrees: Degrees = 6
    targets: tuple[str, ...] = ()
    is_denoised: bool = False
    to_template: bool = True
    doubtful: Literal["keep", "refuse"] = "keep"
    missing: Literal["keep", "refuse"] = "keep"

    def require_methods(self) -> None:
        """Refuses a method for a brain mask that does not exist or that finds no brain to register.

        Raises:
            UsageError: `BRAIN_MASK`.
        """
        for method in (self.source_mask, self.target_mask, self.more_mask):
            require_method(method)
            if "all" in method.split("+"):
                raise UsageError(
                    "BRAIN_MASK",
                    "`all` takes every voxel, but scans are registered by their brains; name a method that finds the "
                    "brain",
                )

    def for_further_sources(self) -> FurtherSettings:
        """Returns the settings that concern further sources."""
        return FurtherSettings(
            self.more_mask, not self.is_registered, self.targets, degrees=self.degrees, is_denoised=self.is_denoised
        )


@dataclass(frozen=True)
class PreparedPair:
    """A pair on the grid of the source.

    Attributes:
        source: the source, unchanged.
        target: the target resampled to the grid of the source; values are not normalised.
        unmoved: the target resampled by its header alone, without registration; for the picture.
        mask: brain mask of the source, (i, j, k).
        labels: lesion labels on the grid of the source, or None.
        transform: RAS+ millimetres of the source to those of the target.
        score: score of that transform.
        warnings: other reasons to check the pair.
        template: transform from the template to the source, and its score, or None.
        mask_report: measurements of the mask.
        target_mask: brain mask of the target, (i, j, k), on the grid of the source.
        more: further sources by contrast, on the grid of the source, or why they are missing.
        brains: how the brain of the source and of the target were found, and what was recognised in the scans.
        is_aligned: whether the scans were aligned already, so that they were not registered.
        seconds: duration of each step.
    """

    source: Volume
    target: Volume
    unmoved: Volume
    mask: Mask = field(repr=False)
    labels: Volume | None
    transform: Transform
    score: AlignmentScore
    warnings: tuple[str, ...]
    template: tuple[Transform, AlignmentScore] | None
    mask_report: MaskReport
    target_mask: Mask = field(repr=False)
    more: Mapping[str, FurtherSource]
    brains: tuple[FoundBrain, FoundBrain]
    is_aligned: bool
    seconds: dict[str, float]

    @property
    def saw(self) -> str:
        """Returns in one line what was recognised in the two scans, such as `skull-stripped, aligned`.

        Scans of one kind share their words; else each has its own, or none where nothing was looked for.
        """
        source, target = (brain.seen for brain in self.brains)
        if source is not None and target is not None and source.kind == target.kind:
            words = [source.text]
        else:
            words = [f"{role} {seen.text}" for role, seen in (("source", source), ("target", target)) if seen]
        moved_mm = _moved_mm(self.transform, _points_mm(self))
        return ", ".join([*words, "aligned" if self.is_aligned else f"registered (moved by {moved_mm:.1f} mm)"])

    @property
    def doubts(self) -> tuple[str, ...]:
        """Returns the reasons why a person should check this pair; empty if there are none."""
        reasons = [*self.mask_report.reasons, *self.score.reasons, *self.warnings]
        if self.template is not None:
            reasons += [f"template: {reason}" for reason in self.template[1].reasons]
        return tuple(reasons + doubts_of(self.more))


class Stopwatch:
    """Measures the duration of named steps, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Measures the duration of a block."""
        start = time.perf_counter()
        yield
        self.seconds[step] = round(time.perf_counter() - start, 2)


def prepare_pair(
    source: Volume,
    target: Volume,
    settings: PairSettings,
    *,
    mask: Mask | None = None,
    labels: Volume | None = None,
    more: Mapping[str, Volume | MissingSource] | None = None,
) -> PreparedPair:
    """Registers a pair of scans, and checks masks, registration and orientation.

    Args:
        source: the scan to translate, (i, j, k), in any orientation, with or without skull.
        target: the scan of the other contrast, of the same patient, on its own grid.
        settings: see `PairSettings`.
        mask: brain mask on the grid of the source, (i, j, k); None to find it.
        labels: lesion labels on the grid of the target, or None.
        more: further sources by contrast, of the same patient, each on its own grid.

    Raises:
        InputRefused: `LOOKS_LIKE_CT`, `MISREGISTERED`, `MIRRORED`, `ORIENTATION` (a header with wrong axes),
            `GRID_MISMATCH`, `MASK_TINY`, `LABELS_LOST`, `DOUBTFUL`, `SOURCE_MISSING`, or what the mask methods refuse.
        MissingLibrary: `MISSING_LIBRARY`.
    """
    watch = Stopwatch()
    with watch("masks"):
        brains, report = _brains(source, target, mask, settings)
        brain, target_brain = brains[0].mask, brains[1].mask
    with watch("registration"):
        found, is_aligned = _aligned(source, target, brains, settings)
    with watch("further sources"):
        further = register_further(source, brain, more or {}, settings.for_further_sources(), seen=brains[0].seen)
    if settings.missing == "refuse":
        require_all(further)
    with watch("resampling"):
        air = AIR_OUTSIDE_HU if looks_like_ct(target) else 0.0
        shown = denoised(target) if settings.is_denoised else target
        moved = resample(shown, source.grid, found.transform, outside=air)
        unmoved = resample(target, source.grid, outside=air)
        moved_labels = None if labels is None else _labels_on(source, labels, target, found.transform)
        moved_brain = resample(target.with_data(target_brain), source.grid, found.transform, interpolation="nearest")
    with watch("template"):
        template = _on_template(source, brain) if settings.to_template else None
    pair = PreparedPair(
        source,
        moved,
        unmoved,
        brain,
        moved_labels,
        found.transform,
        found.score,
        tuple(_warnings(source, target)),
        template,
        report,
        moved_brain.data > 0.5,
        further,
        brains,
        is_aligned,
        watch.seconds,
    )
    if settings.doubtful == "refuse":
        _require_no_doubts(pair)
    return pair


def _aligned(
    source: Volume, target: Volume, brains: tuple[FoundBrain, FoundBrain], settings: PairSettings
) -> tuple[Registration, bool]:
    """Returns the transform of the target, and whether it was aligned already."""
    first, second = brains
    already = aligned_already(source, target, (first.seen, second.seen))
    if already is not None:
        return already, True
    masks, is_aligned = (first.mask, second.mask), not settings.is_registered
    found = align_scan(source, target, masks, name="target", degrees=settings.degrees, is_aligned=is_aligned)
    return found, is_aligned


def _require_no_doubts(pair: PreparedPair) -> None:
    if pair.doubts:
        raise InputRefused(
            "DOUBTFUL", f"{'; '.join(pair.doubts)}; check the pair, or prepare it without --refuse-doubtful"
        )


def _brains(
    source: Volume, target: Volume, mask: Mask | None, settings: PairSettings
) -> tuple[tuple[FoundBrain, FoundBrain], MaskReport]:
    """Returns the brains of source and target, each on the grid of its scan, and the report of the first."""
    for name, volume in (("source", source), ("target", target)):
        require_scan(name, volume)
    if mask is None:
        require_kind("source", source, settings.source_mask)
    require_kind("target", target, settings.target_mask)
    with naming("source"):
        if mask is None:
            brain = locate_brain(source, settings.source_mask)
        else:
            given = given_mask(source, source.with_data(mask))
            brain = FoundBrain(given, GIVEN, recognise(source) if settings.source_mask == AUTO else None)
        report = plausible_report(brain, source)
    with naming("target"):
        target_brain = locate_brain(target, settings.target_mask)
        plausible_report(target_brain, target)
    return (brain, target_brain), report


def _on_template(source: Volume, brain: Mask) -> tuple[Transform, AlignmentScore]:
    result = to_template(source, brain)
    if result.score.verdict != "good":
        require_upright("source", source, brain)
    return result.transform, result.score


def _warnings(source: Volume, target: Volume) -> Iterator[str]:
    """Yields warnings about the two scans that do not concern masks or registration."""
    for name, volume in (("source", source), ("target", target)):
        if float(volume.data.min()) < -900 and float(volume.data.max()) > METAL_HU:
            metal = metal_cm3(volume)
            if metal > _MUCH_METAL_CM3:
                yield f"the {name} holds {metal:.1f} cm³ of metal, which causes streaks"


def _labels_on(source: Volume, labels: Volume, target: Volume, transform: Transform) -> Volume:
    require_same_grid(labels, target, names=("labels", "target"))
    moved = resample(labels, source.grid, transform, interpolation="nearest")
    if np.any(labels.data) and not np.any(moved.data):
        raise InputRefused("LABELS_LOST", "no lesion label is inside the field of view of the source; check the labels")
    return moved


def figures(pair: PreparedPair) -> dict[str, Any]:
    """Returns all measurements of a prepared pair as JSON values."""
    points = _points_mm(pair)
    roles = zip(("source", "target"), pair.brains, strict=True)
    content: dict[str, Any] = {
        "saw": pair.saw,
        "is_aligned": pair.is_aligned,
        "brains": {
            role: {key: value for key, value in brain.to_json().items() if key != "report"} | {"text": brain.text}
            for role, brain in roles
        },
        "mask": pair.mask_report.to_json(),
        "registration": _registration(pair.transform, pair.score, points),
        "doubts": list(pair.doubts),
        "seconds": pair.seconds,
    }
    if pair.more:
        content["more"] = {
            contrast: {"code": each.code, "message": each.message}
            if isinstance(each, MissingSource)
            else _registration(each.registration.transform, each.registration.score, points)
            for contrast, each in pair.more.items()
        }
    if pair.template is not None:
        transform, score = pair.template
        content["template"] = {"matrix": transform.matrix.tolist(), "score": score.to_json()}
    return content


def _registration(transform: Transform, score: AlignmentScore, points_mm: Affine) -> dict[str, Any]:
    moved_mm = round(_moved_mm(transform, points_mm), 3)
    return {"matrix": transform.matrix.tolist(), "moved_mm": moved_mm, "score": score.to_json()}


def _moved_mm(transform: Transform, points_mm: Affine) -> float:
    """Returns the mean distance by which a transform moves points."""
    return float(transform.distance_mm(Transform.identity(), points_mm).mean())


def _points_mm(pair: PreparedPair) -> Affine:
    """Returns the centres of about 1,000 brain voxels, (n, 3), in RAS+ millimetres."""
    index = np.argwhere(pair.mask)
    return pair.source.grid.to_mm(index[:: max(1, len(index) // 1000)])
