"""One pair as it comes to one pair on one grid: the brain found on the source, the target brought to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from voxlate.errors import InputRefused
from voxlate.preparation.masks.brain_mask import find_brain
from voxlate.preparation.masks.checks import MaskReport, check_mask, require_plausible
from voxlate.preparation.masks.ct_mask import AIR_OUTSIDE_HU, METAL_HU, looks_like_ct, metal_cm3
from voxlate.preparation.registration.alignment import AlignmentScore, alignment_score, require_aligned
from voxlate.preparation.registration.registration import Registration, register
from voxlate.preparation.registration.templates import to_template
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.steps.head_orientation import mirrored_fits_better, require_upright
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Affine, Mask, Volume, require_same_grid

_MUCH_METAL_CM3 = 0.3
_NEVER_MIRRORED = 0.5
"""No mirrored partner was seen to reach this edge agreement, so that looking for one is left out."""


class PairSettings(BaseModel):
    """How a pair is prepared.

    Attributes:
        source_mask: method that finds the brain on the source; see `preparation.masks.brain_mask.BRAIN_MASKS`. A mask
            that is given goes before it.
        target_mask: the same for the target. It only serves registration and its score; the mask of the pair
            is that of the source, as at inference there is no target.
        is_registered: bring the target to the source by a rigid transform; otherwise both must share a grid.
        to_template: also find the affine transform to the template: a second opinion on position and orientation.
        doubtful: what to do with a pair whose mask or registration is doubtful.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source_mask: str = "deepbet"
    target_mask: str = "deepbet"
    is_registered: bool = True
    to_template: bool = True
    doubtful: Literal["keep", "refuse"] = "keep"


@dataclass(frozen=True)
class PreparedPair:
    """A pair on the grid of the source.

    Attributes:
        source: as it came.
        target: interpolated onto the grid of the source, its values otherwise as they came.
        unmoved: the target on the grid of the source if its header alone were believed; to look at.
        mask: brain of the source, (i, j, k).
        labels: lesion labels on the grid of the source, or None.
        transform: millimetres of the source to those of the target.
        score: how good that transform is.
        warnings: what else speaks against the pair.
        template: transform from the source to the template and its score, or None.
        mask_report: volume and position of the mask.
        target_mask: brain of the target on its own grid.
        seconds: how long each step took.
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
    seconds: dict[str, float]

    @property
    def doubts(self) -> tuple[str, ...]:
        """Returns why a person should look at this pair, in words; empty when nothing speaks against it."""
        found = [*self.mask_report.reasons, *self.score.reasons, *self.warnings]
        if self.template is not None:
            found += [f"template: {reason}" for reason in self.template[1].reasons]
        return tuple(found)


class Stopwatch:
    """Seconds per named step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Takes the time of a block."""
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
) -> PreparedPair:
    """Returns a pair on one grid, with what speaks for and against it.

    Args:
        source: the scan to translate, in any orientation, with or without skull.
        target: the scan of the other contrast, of the same patient.
        settings: see `PairSettings`.
        mask: brain on the grid of the source; None to find it.
        labels: lesion labels on the grid of the target, or None.

    Raises:
        InputRefused: `LOOKS_LIKE_CT`, `MISREGISTERED`, `MIRRORED`, `ORIENTATION` (a header that names axes wrongly),
            `GRID_MISMATCH`, what the masks refuse, or `DOUBTFUL`.
        UsageError: `MISSING_LIBRARY`.
    """
    watch = Stopwatch()
    if mask is None:
        _require_kind("source", source, settings.source_mask)
    _require_kind("target", target, settings.target_mask)
    with watch("mask of the source"):
        brain = find_brain(source, settings.source_mask) if mask is None else mask
        report = check_mask(brain, source)
        require_plausible(report)
    with watch("mask of the target"):
        target_brain = find_brain(target, settings.target_mask)
        require_plausible(check_mask(target_brain, target))
    with watch("registration"):
        transform, score = _aligned(source, target, brain, target_brain, settings)
    with watch("resampling"):
        air = AIR_OUTSIDE_HU if looks_like_ct(target) else 0.0
        moved = resample(target, source.grid, transform, outside=air)
        unmoved = resample(target, source.grid, outside=air)
        moved_labels = None if labels is None else _labels_on(source, labels, target, transform)
    with watch("template"):
        template = _on_template(source, brain) if settings.to_template else None
    warnings = tuple(_warnings(source, target))
    pair = PreparedPair(
        source,
        moved,
        unmoved,
        brain,
        moved_labels,
        transform,
        score,
        warnings,
        template,
        report,
        target_brain,
        watch.seconds,
    )
    if pair.doubts and settings.doubtful == "refuse":
        raise InputRefused("DOUBTFUL", f"{'; '.join(pair.doubts)}; look at the pair, or keep what is doubtful")
    return pair


def _aligned(
    source: Volume, target: Volume, brain: Mask, target_brain: Mask, settings: PairSettings
) -> tuple[Transform, AlignmentScore]:
    """Returns the transform from source to target and its score, refusing what is bad with the reason for it."""
    if settings.is_registered:
        found = register(source, target, degrees=6, fixed_mask=brain, moving_mask=target_brain)
        _explain(source, target, brain, target_brain, found)
    else:
        require_same_grid(source, target, names=("source", "target"))
        still = Transform.identity()
        score = alignment_score(source, target, still, fixed_mask=brain, moving_mask=target_brain)
        found = Registration(still, score)
    require_aligned(found.score)
    return found.transform, found.score


def _on_template(source: Volume, brain: Mask) -> tuple[Transform, AlignmentScore]:
    found = to_template(source, brain)
    if found.score.verdict != "good":
        require_upright("source", source, brain)
    return found.transform, found.score


def _explain(source: Volume, target: Volume, brain: Mask, target_brain: Mask, found: Registration) -> None:
    """Refuses a pair that does not fit because a header names the axes of a scan wrongly, and says which.

    A head is nearly its own mirror image: with thick slices a mirrored partner was seen to agree by 0.31.
    """
    if found.score.edge_agreement >= _NEVER_MIRRORED:
        return
    if mirrored_fits_better(source, target, found, fixed_mask=brain, moving_mask=target_brain):
        raise InputRefused(
            "MIRRORED",
            "source and target fit when left and right of one are exchanged; one header is wrong: compare them with "
            "the images as the scanner showed them",
        )
    if found.score.verdict == "good":
        return
    for name, volume, mask in (("source", source, brain), ("target", target, target_brain)):
        require_upright(name, volume, mask)


def _require_kind(name: str, volume: Volume, method: str) -> None:
    """Refuses a CT for which a method for magnetic resonance is asked; the other way is refused by the method."""
    if looks_like_ct(volume) and not method.startswith("ct") and method != "nonzero":
        raise InputRefused("LOOKS_LIKE_CT", f"the {name} has air at -1000 like a CT; find its brain with `ct`")


def _warnings(source: Volume, target: Volume) -> Iterator[str]:
    """Yields what a person should know of the two scans beside mask and registration."""
    for name, volume in (("source", source), ("target", target)):
        if float(volume.data.min()) < -900 and float(volume.data.max()) > METAL_HU:
            metal = metal_cm3(volume)
            if metal > _MUCH_METAL_CM3:
                yield f"the {name} holds {metal:.1f} cm³ of metal, which streaks"


def _labels_on(source: Volume, labels: Volume, target: Volume, transform: Transform) -> Volume:
    require_same_grid(labels, target, names=("labels", "target"))
    moved = resample(labels, source.grid, transform, interpolation="nearest")
    if np.any(labels.data) and not np.any(moved.data):
        raise InputRefused("LABELS_LOST", "no label lies inside the field of view of the source")
    return moved


def figures(pair: PreparedPair) -> dict[str, Any]:
    """Returns every figure of a prepared pair as plain JSON."""
    points = _points_mm(pair)
    still = Transform.identity()
    content: dict[str, Any] = {
        "mask": pair.mask_report.to_json(),
        "registration": {
            "matrix": pair.transform.matrix.tolist(),
            "moved_mm": round(float(pair.transform.distance_mm(still, points).mean()), 3),
            "score": pair.score.to_json(),
        },
        "doubts": list(pair.doubts),
        "seconds": pair.seconds,
    }
    if pair.template is not None:
        transform, score = pair.template
        content["template"] = {"matrix": transform.matrix.tolist(), "score": score.to_json()}
    return content


def _points_mm(pair: PreparedPair) -> Affine:
    """Returns voxel centres of the brain, about a thousand of them, in millimetres."""
    index = np.argwhere(pair.mask)
    return pair.source.grid.to_mm(index[:: max(1, len(index) // 1000)])
