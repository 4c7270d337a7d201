"""Volumes of GM, WM and CSF on each image and their differences from the target, as in Bottani 2024.

With V the volume of a tissue in cm³, TIV = GM + WM + CSF, I the real target and J another image:

    VD = (V_I − V_J) / TIV_I × mean TIV        AVD = |V_I − V_J| / TIV_I × mean TIV

in cm³; the mean TIV is that of the targets of all cases. VD below 0 means that J overestimates the tissue.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from voxlate.errors import InputRefused
from voxlate.evaluation.lesions.reference import noise_sd
from voxlate.evaluation.metrics import METRICS
from voxlate.evaluation.schema.results import ProtocolDefinition
from voxlate.evaluation.schema.rows import TissueRow, VolumeRow
from voxlate.evaluation.tissues.classes import TISSUES, Labels
from voxlate.evaluation.tissues.clusters import segment_by_clusters
from voxlate.evaluation.tissues.external import EXTERNAL
from voxlate.evaluation.tissues.mixture import segment_by_mixture
from voxlate.evaluation.tissues.overlap import dice, hd95
from voxlate.evaluation.tissues.priors import Priors
from voxlate.volume import Array, Mask, Volume

Segmenter = Callable[..., Labels]

SEGMENTERS: dict[str, Segmenter] = {"mixture": segment_by_mixture, "clusters": segment_by_clusters}
"""Two that need nothing but the image: a difference in only one of them may be an error of the segmenter."""

MORE_SEGMENTERS = ("priors", *EXTERNAL)
"""Segmenters that need more than the image: a registration to the template, or an external program."""


def segmenters_for(target: Volume, mask: Mask, more: Sequence[str]) -> dict[str, Segmenter]:
    """Returns the segmenters of a case by name: the two of `SEGMENTERS` and those of `more`.

    Args:
        target: the real image.
        mask: (i, j, k), its brain.
        more: names from `MORE_SEGMENTERS`.

    Raises:
        UsageError: `MISSING_LIBRARY`, `MISSING_TOOL`.
        InputRefused: as the registration to the template.
    """
    chosen = dict(SEGMENTERS)
    for name in more:
        if name == "priors":
            chosen[name] = Priors.registered(target, mask).segment
        else:
            chosen[name] = EXTERNAL[name](target.affine).segment
    return chosen


RESCANNED = "target_again"
"""Name of the target with its noise added once more: differences that are not larger than its are noise."""

TARGET = "target"


MOST_ZEROS = 0.10
"""Share of the mask without signal (exactly 0) above which an image is not segmented. A mask that is one voxel wider
than the brain contains some 3 % zeros, a mask two voxels wider some 8 %; more is a hole or another scan."""


class Unsegmented(NamedTuple):
    """An image that a segmenter refused, and why."""

    segmenter: str
    method: str
    reason: str


@dataclass(frozen=True)
class TissueResults:
    """Tissue volumes of one case.

    Attributes:
        rows: one per segmenter, image and tissue.
        left_out: images that could not be segmented.
    """

    rows: list[TissueRow]
    left_out: list[Unsegmented]


def measure_tissues(
    images: dict[str, Array],
    target: Array,
    mask: Mask,
    *,
    spacing_mm: tuple[float, float, float],
    segmenters: Mapping[str, Segmenter] | None = None,
    seed: int = 0,
) -> TissueResults:
    """Returns one row per segmenter, tissue and image, compared with the segmentation of the target.

    Voxels of the mask that are 0 are not segmented. An image that cannot be segmented is left out with the reason: the
    mask is too small, the image is constant, or more than `MOST_ZEROS` of the mask is 0.

    Args:
        images: method to image (i, j, k), in the unit of the target.
        target: (i, j, k), the real image.
        mask: (i, j, k), the brain.
        spacing_mm: of the grid, along the three axes.
        segmenters: by name; those of `SEGMENTERS` by default.
        seed: of the noise that is added to the target for `target_again`.
    """
    noise = np.random.default_rng(seed).normal(0, noise_sd(target, mask), target.shape).astype(np.float32)
    compared = {**images, RESCANNED: np.where(mask & (target != 0), target + noise, target)}
    results = TissueResults([], [])
    for name, segment in (segmenters or SEGMENTERS).items():
        try:
            real = segment(target, with_signal(target, mask), spacing_mm=spacing_mm)
        except InputRefused as error:
            results.left_out.append(Unsegmented(name, TARGET, error.message))
            continue
        for method, image in compared.items():
            try:
                labels = segment(image, with_signal(image, mask), spacing_mm=spacing_mm)
            except InputRefused as error:
                results.left_out.append(Unsegmented(name, method, error.message))
                continue
            results.rows.extend(_by_tissue(labels, real, spacing_mm, segmenter=name, method=method))
    return results


def with_signal(image: Array, mask: Mask) -> Mask:
    """Returns the voxels of the mask where the image is not 0.

    Args:
        image: (i, j, k).
        mask: (i, j, k), the brain.

    Raises:
        InputRefused: `ZEROS_IN_MASK` when more than `MOST_ZEROS` of the mask is 0.
    """
    inside: Mask = mask & (image != 0)
    share = 1 - int(inside.sum()) / max(int(mask.sum()), 1)
    if share > MOST_ZEROS:
        raise InputRefused(
            "ZEROS_IN_MASK",
            f"{100 * share:.0f} % of the mask is 0 in this image (at most {100 * MOST_ZEROS:g} %); give its own mask",
        )
    return inside


def _by_tissue(
    labels: Labels, real: Labels, spacing_mm: tuple[float, float, float], *, segmenter: str, method: str
) -> Iterator[TissueRow]:
    tiv = sum(volume_cm3(real, tissue, spacing_mm) for tissue in TISSUES)
    for tissue, number in TISSUES.items():
        yield {
            "segmenter": segmenter,
            "method": method,
            "tissue": tissue,
            "volume_cm3": volume_cm3(labels, tissue, spacing_mm),
            "target_cm3": volume_cm3(real, tissue, spacing_mm),
            "tiv_cm3": tiv,
            "dice": dice(labels == number, real == number),
            "hd95_mm": hd95(labels == number, real == number, spacing_mm=spacing_mm),
        }


def undefined_overlaps(rows: Sequence[TissueRow]) -> Iterator[tuple[TissueRow, str, str]]:
    """Yields each row with a metric of overlap that is not defined because a tissue is absent, and the reason.

    Args:
        rows: of one case, as `measure_tissues` returns them.
    """
    for row in rows:
        in_image, in_target = row["volume_cm3"] > 0, row["target_cm3"] > 0
        if not (in_image and in_target):
            where = "the image" if in_target else "the target" if in_image else "both the image and the target"
            reason = f"tissue absent in {where} ({row['tissue']})"
            yield row, "hd95", reason
            if not (in_image or in_target):
                yield row, "dice", reason


def volume_cm3(labels: Labels, tissue: str, spacing_mm: tuple[float, float, float]) -> float:
    """Returns the volume of a tissue, the number of its voxels times the volume of a voxel.

    Args:
        labels: (i, j, k), a segmentation.
        tissue: name from `TISSUES`.
        spacing_mm: of the grid, along the three axes.
    """
    return int((labels == TISSUES[tissue]).sum()) * float(np.prod(spacing_mm)) / 1000


def volume_difference(target_cm3: float, other_cm3: float, *, tiv_cm3: float, mean_tiv_cm3: float) -> float:
    """Returns VD in cm³; its absolute value is AVD.

    Args:
        target_cm3: volume of the tissue in the target.
        other_cm3: volume of the tissue in the other image.
        tiv_cm3: TIV of the target.
        mean_tiv_cm3: mean TIV of the targets of all cases.
    """
    return (target_cm3 - other_cm3) / tiv_cm3 * mean_tiv_cm3


def with_differences(rows: Sequence[TissueRow]) -> list[VolumeRow]:
    """Returns the rows of all cases with `vd_cm3`, `avd_cm3` and `mean_tiv_cm3`, the mean TIV over cases."""
    tiv: dict[str, dict[str, float]] = {}
    for row in rows:
        tiv.setdefault(row["segmenter"], {})[row["case"]] = row["tiv_cm3"]
    means = {segmenter: float(np.mean(list(cases.values()))) for segmenter, cases in tiv.items()}
    result: list[VolumeRow] = []
    for row in rows:
        mean = means[row["segmenter"]]
        difference = volume_difference(row["target_cm3"], row["volume_cm3"], tiv_cm3=row["tiv_cm3"], mean_tiv_cm3=mean)
        result.append({**row, "mean_tiv_cm3": mean, "vd_cm3": difference, "avd_cm3": abs(difference)})
    return result


def tissue_protocol(segmenter: str) -> ProtocolDefinition:
    """Returns the definition of the scores of a segmenter, as `evaluation.json` lists it beside the protocols."""
    return ProtocolDefinition(
        name=f"tissues_{segmenter}",
        definition=(
            f"Tissues segmented by {segmenter} in the mask where the image is not 0, in every image alike; volume = "
            "voxels x voxel volume; AVD and VD = (target - image) / TIV of the target x mean TIV of all targets of "
            "this run, in cm3 (Bottani 2024), below 0 when the image overestimates; Dice and HD95 (the larger directed "
            "95th percentile, mm) against the target's own segmentation; target_again is the target with its noise "
            "drawn once more, the floor below which a difference is noise; cases averaged to patients, patients to "
            "the mean."
        ),
    )


def tissue_scores(row: VolumeRow) -> Iterator[tuple[str, float, str]]:
    """Yields metric, value and unit of each score of a row; NaN where it is not defined."""
    values = {"avd": row["avd_cm3"], "vd": row["vd_cm3"], "dice": row["dice"], "hd95": row["hd95_mm"]}
    for name, value in values.items():
        yield name, math.nan if value is None else value, METRICS[name].unit
