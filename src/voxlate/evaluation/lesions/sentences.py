"""Sentences on enhancement and lesions, which a report, a model card and the command line print first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from voxlate.evaluation.enhancement import DISTURBANCE, HALF, RESIDUAL
from voxlate.evaluation.enhancement import PROTOCOL as ENHANCEMENT
from voxlate.evaluation.protocols import AS_WRITTEN
from voxlate.evaluation.schema.results import SummaryRow
from voxlate.evaluation.schema.rows import AnyLesionRow, of_kind
from voxlate.evaluation.schema.table import patients_of

Means = Mapping[tuple[str, str], float | None]
"""(region, method) to the mean MAE over patients, intensities as written."""

UNLABELLED = "No lesion was labelled, so lesions were not evaluated; scores of the whole brain do not show them."

_MOST_DISTURBANCE = 200.0
"""In % of the error of the untouched source outside enhancement. Some disturbance is inevitable (110 % with a plain
U-Net); an image with twice the source's error is marked as worse."""

_SOURCE = 100.0
"""Residual enhancement of the untouched source in %, by definition."""

_BETTER = {
    "histogram match": "The source after a histogram match, which needs no network, has a smaller error there.",
    "constant": "A constant image has a smaller error there, although it shows no structure.",
}
"""Baselines, and the sentence where the error of one is smaller than that of the synthetic image."""

_REGIONS = {"lesion": "Inside lesions", "lesion_rim": "In the rim of lesions (5 mm around)"}


@dataclass(frozen=True)
class Sentence:
    """One finding.

    Attributes:
        text: a sentence.
        is_worse: the synthetic image is worse than the untouched source there; shown in red.
    """

    text: str
    is_worse: bool = False


def finding_sentences(summary: Sequence[SummaryRow], lesions: Sequence[AnyLesionRow], protocol: str) -> list[Sentence]:
    """Returns the sentences on enhancement, then those on lesions.

    Args:
        summary: rows of `Evaluation.summary`.
        lesions: rows of `Evaluation.lesions`.
        protocol: name of the protocol whose MAE is given.
    """
    units = [row.unit for row in summary if (row.protocol, row.metric) == (protocol, "mae")]
    sentences = lesion_sentences(_mean_errors(summary, protocol), lesions, unit=(units or [""])[0])
    return enhancement_sentences(summary) + sentences


def lesion_sentences(means: Means, lesions: Sequence[AnyLesionRow], *, unit: str) -> list[Sentence]:
    """Returns sentences on the error in lesions and their rim, on lost lesions and on false structures.

    Args:
        means: mean MAE by region and method.
        lesions: rows of `Evaluation.lesions`.
        unit: of the means.
    """
    sentences = [sentence for region, where in _REGIONS.items() for sentence in _error(means, region, where, unit)]
    sentences += [*_enhancement(lesions), *_kept(lesions)]
    return [*(sentences or [Sentence(UNLABELLED)]), *_structures(lesions)]


def enhancement_sentences(summary: Sequence[SummaryRow]) -> list[Sentence]:
    """Returns sentences on the residual enhancement; empty unless the model removes or adds a contrast agent.

    Args:
        summary: rows of `Evaluation.summary`.
    """
    rows = {(row.region, row.metric, row.method): row for row in summary if row.protocol == ENHANCEMENT}
    residual = rows.get(("enhanced", RESIDUAL, "synthetic"))
    half, disturbance = (
        rows.get((region, metric, "synthetic")) for region, metric in (("enhanced", HALF), ("mask", DISTURBANCE))
    )
    if residual is None or half is None or residual.mean is None or half.mean is None:
        return []
    curve = rows.get(("enhanced", RESIDUAL, "curve"))
    text = f"Residual enhancement is {residual.mean:.0f} %{_interval(residual)}, median {residual.median:.0f} %"
    text += f" (100 % the untouched source, 0 % the target; {patients_of(residual.n)}{_distance(residual)})"
    if curve is not None and curve.mean is not None:
        text += f"; the best intensity curve, which knows the target, leaves {curve.mean:.0f} %"
    text += f". Of the enhanced voxels {half.mean:.0f} % are less than half changed."
    if disturbance is not None and disturbance.mean is not None:
        text += f" Elsewhere the error is {disturbance.mean:.0f} % of the untouched source's."
    sentences = [Sentence(text, residual.loss > _SOURCE or _is_disturbed(disturbance))]
    for region, where in (("enhanced_lesion", "in lesions"), ("enhanced_elsewhere", "beyond lesions and their rim")):
        row = rows.get((region, RESIDUAL, "synthetic"))
        if row is not None and row.mean is not None:
            patients = f"{patients_of(row.n)}{_distance(row)}"
            text = f"Residual enhancement {where}: {row.mean:.0f} %{_interval(row)} ({patients})."
            sentences.append(Sentence(text, row.loss > _SOURCE))
    return sentences


def _is_disturbed(disturbance: SummaryRow | None) -> bool:
    """Returns whether the error outside enhancement is above `_MOST_DISTURBANCE`."""
    return disturbance is not None and disturbance.mean is not None and disturbance.mean > _MOST_DISTURBANCE


def _distance(row: SummaryRow) -> str:
    """Returns the mean distance from the target where it is not the mean: too much and too little cancel in a mean."""
    distance = row.mean_distance
    if distance is None or row.mean is None or round(distance) == round(abs(row.mean)):
        return ""
    return f"; mean distance from the target {distance:.0f} %"


def _interval(row: SummaryRow) -> str:
    return "" if row.low is None else f" [{row.low:.0f}, {row.high:.0f}]"


def _error(means: Means, region: str, where: str, unit: str) -> list[Sentence]:
    """Returns a sentence on the MAE of the synthetic image and of the baselines in a region, if it was measured."""
    synthetic, source = means.get((region, "synthetic")), means.get((region, "source"))
    if synthetic is None or source is None:
        return []
    # Compared as they are printed: "4.5, better than doing nothing (untouched source 4.5)" would contradict itself.
    change = round(synthetic, 1) - round(source, 1)
    is_worse = change > 0
    verdict = f"{'worse' if is_worse else 'better'} than doing nothing" if change else "the same as doing nothing"
    others = {name: means.get((region, name.replace(" ", "_"))) for name in _BETTER}
    versus = "".join(f", {name} {value:.1f}" for name, value in others.items() if value is not None)
    text = f"{where} the MAE is {synthetic:.1f} {unit}, {verdict} (untouched source {source:.1f}{versus})."
    # As printed, too: a baseline of the same printed value is not called better.
    better = [name for name, value in others.items() if value is not None and round(value, 1) < round(synthetic, 1)]
    text += "".join(f" {_BETTER[name]}" for name in better)
    return [Sentence(text, is_worse)]


def _enhancement(lesions: Sequence[AnyLesionRow]) -> list[Sentence]:
    """Returns a sentence on the share of the change from source to target that was made in the enhancing part.

    Where no case has an enhancing label, it is on all lesions. A case without one has a row of all its lesions too; it
    says nothing of enhancement.
    """
    shares: dict[str, list[float]] = defaultdict(list)
    rows = of_kind(lesions, "enhancement")
    enhancing = [row for row in rows if row.get("region") == "enhancing"]
    for row in enhancing or rows:
        if row["share_reached"] is not None:
            shares[row["patient"]].append(row["share_reached"])
    if not shares:
        return []
    share = float(np.median([np.mean(own) for own in shares.values()]))
    return [
        Sentence(
            f"Of the change from source to target in lesions{' that enhance' if enhancing else ''}, "
            f"{100 * share:.0f} % was made in the median patient (0 % the untouched source, 100 % the target; "
            f"measured in {patients_of(len(shares))}).",
            abs(share - 1) > 1,  # farther from the target than the source, on either side of it
        )
    ]


def _kept(lesions: Sequence[AnyLesionRow]) -> list[Sentence]:
    """Returns a sentence on the lesions that stand out in the target and are lost in the synthetic image."""
    outstanding = [row for row in of_kind(lesions, "lesion") if row["is_kept"] is not None]
    if not outstanding:
        return []
    lost = sum(not row["is_kept"] for row in outstanding)
    return [
        Sentence(
            f"{lost} of {len(outstanding)} lesions that are brighter or darker than white matter in the target are "
            "lost: less than half of their contrast is left in the synthetic image."
        )
    ]


def _structures(lesions: Sequence[AnyLesionRow]) -> list[Sentence]:
    """Returns a sentence on false structures and leftovers over all cases."""
    cases = of_kind(lesions, "structures")
    if not cases:
        return []
    count = sum(row["false_structures_count"] for row in cases)
    volume = sum(row["false_structures_mm3"] for row in cases) / 1000
    affected = sum(row["false_structures_count"] > 0 for row in cases)
    left = sum(row["leftovers_mm3"] for row in cases) / 1000
    changed = sum(row["candidates_mm3"] for row in cases) / 1000
    text = (
        f"False structures, in neither source nor target, appear in {affected} of {len(cases)} cases: {count} of them, "
        f"{volume:.1f} cm³."
    )
    if changed > 0:
        text += f" Of {changed:.1f} cm³ that differ between source and target, {left:.1f} cm³ were left as they were."
    return [Sentence(text)]


def _mean_errors(summary: Sequence[SummaryRow], protocol: str) -> Means:
    return {
        (row.region, row.method): row.mean
        for row in summary
        if (row.protocol, row.intensity, row.metric) == (protocol, AS_WRITTEN, "mae")
    }
