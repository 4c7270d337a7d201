"""What happened inside lesions, in sentences: the first thing to read in a report, on a card, after a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxlate.evaluation.enhancement import DISTURBANCE, HALF, RESIDUAL
from voxlate.evaluation.enhancement import PROTOCOL as ENHANCEMENT
from voxlate.evaluation.table import patients_of

Means = Mapping[tuple[str, str], float | None]
"""(region, method) to the mean over patients of the MAE, as written."""

UNLABELLED = "No lesion was labelled, so nothing is known of lesions: figures of the brain cannot show them."

_MOST_DISTURBANCE = 200.0
"""Per cent of the source's error elsewhere: some disturbance is the price of removing anything (110 % with a plain
U-Net); twice the error of doing nothing is not."""

_PLACES = {"lesion": "Inside lesions", "lesion_rim": "In the rim of lesions (5 mm around)"}


@dataclass(frozen=True)
class Sentence:
    """One finding.

    Attributes:
        text: a sentence.
        is_worse: the synthetic image is worse than its untouched source there; shown in red.
    """

    text: str
    is_worse: bool = False


def finding_sentences(
    summary: Sequence[Mapping[str, Any]], records: Sequence[Mapping[str, Any]], protocol: str
) -> list[Sentence]:
    """Returns what a report, a card and a command say first: of enhancement, then of lesions.

    Args:
        summary: the summary rows of `evaluation.json`.
        records: its records of lesions.
        protocol: whose MAE is named.
    """
    units = [row["unit"] for row in summary if (row["protocol"], row["metric"]) == (protocol, "mae")]
    lesions = lesion_sentences(means_of(summary, protocol), records, unit=(units or [""])[0])
    return enhancement_sentences(summary) + lesions


def lesion_sentences(means: Means, records: Sequence[Mapping[str, Any]], *, unit: str) -> list[Sentence]:
    """Returns what happened in lesions and their rim, and what false structures appeared.

    Args:
        means: of the run's first protocol with regions.
        records: as `describe_lesions` and `summarize_lesions` make them.
        unit: of the means.
    """
    found = [sentence for region, place in _PLACES.items() for sentence in _error(means, region, place, unit)]
    found += [*_enhancement(records), *_kept(records)]
    if not found:
        found = [Sentence(UNLABELLED)]
    return [*found, *_structures(records)]


def enhancement_sentences(summary: Sequence[Mapping[str, Any]]) -> list[Sentence]:
    """Returns how much of an agent's enhancement is left (or missing), from the summary rows of `evaluation.json`.

    The first thing to know of a model that removes or adds an agent; empty for every other task.
    """
    rows = {(row["region"], row["metric"], row["method"]): row for row in summary if row["protocol"] == ENHANCEMENT}
    ours = rows.get(("enhanced", RESIDUAL, "synthetic"))
    half, cost = (
        rows.get((region, metric, "synthetic")) for region, metric in (("enhanced", HALF), ("mask", DISTURBANCE))
    )
    if ours is None or half is None or ours["mean"] is None or half["mean"] is None:
        return []
    curve = rows.get(("enhanced", RESIDUAL, "curve"))
    text = f"Residual enhancement is {ours['mean']:.0f} %{_interval(ours)}, median {ours['median']:.0f} %"
    text += f" (100 % the untouched source, 0 % the target; {patients_of(ours['n'])})"
    if curve is not None and curve["mean"] is not None:
        text += f"; the best intensity curve, which knows the target, leaves {curve['mean']:.0f} %"
    text += f". Of the enhanced voxels {half['mean']:.0f} % are less than half changed."
    if cost is not None and cost["mean"] is not None:
        text += f" Elsewhere the error is {cost['mean']:.0f} % of the untouched source's."
    found = [Sentence(text, abs(ours["mean"]) > 100 or _exceeds(cost))]
    for region, place in (("enhanced_lesion", "in lesions"), ("enhanced_elsewhere", "beyond lesions and their rim")):
        row = rows.get((region, RESIDUAL, "synthetic"))
        if row is not None and row["mean"] is not None:
            found.append(
                Sentence(
                    f"Residual enhancement {place}: {row['mean']:.0f} %{_interval(row)} ({patients_of(row['n'])}).",
                    abs(row["mean"]) > 100,
                )
            )
    return found


def _exceeds(cost: Mapping[str, Any] | None) -> bool:
    """Tells whether the image is worse than its source away from enhancement by more than the source's own error."""
    return cost is not None and cost["mean"] is not None and cost["mean"] > _MOST_DISTURBANCE


def _interval(row: Mapping[str, Any]) -> str:
    return "" if row["low"] is None else f" [{row['low']:.0f}, {row['high']:.0f}]"


def _error(means: Means, region: str, place: str, unit: str) -> list[Sentence]:
    ours, before = means.get((region, "synthetic")), means.get((region, "source"))
    if ours is None or before is None:
        return []
    is_worse = ours > before
    verdict = "worse than doing nothing" if is_worse else "better than doing nothing"
    matched = means.get((region, "histogram_match"))
    versus = "" if matched is None else f", histogram match {matched:.1f}"
    return [
        Sentence(f"{place} the MAE is {ours:.1f} {unit}, {verdict} (untouched source {before:.1f}{versus}).", is_worse)
    ]


def _enhancement(records: Sequence[Mapping[str, Any]]) -> list[Sentence]:
    """Says how much of the change from source to target was made in the enhancing part."""
    shares: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if record.get("kind") == "enhancement" and record["share_reached"] is not None:
            shares[record["patient"]].append(record["share_reached"])
    if not shares:
        return []
    share = float(np.median([np.mean(own) for own in shares.values()]))
    return [
        Sentence(
            f"Of the change from source to target in lesions that enhance, {100 * share:.0f} % was made in the median "
            f"patient (0 % the untouched source, 100 % the target; {len(shares)} of whom it can be told).",
            share < 0,
        )
    ]


def _kept(records: Sequence[Mapping[str, Any]]) -> list[Sentence]:
    """Says how many lesions that stand out in the target are lost, beside how many the source does not show either."""
    outstanding = [record for record in records if record.get("kind") == "lesion" and record["is_kept"] is not None]
    if not outstanding:
        return []
    lost = sum(not record["is_kept"] for record in outstanding)
    return [
        Sentence(
            f"{lost} of {len(outstanding)} lesions that are brighter or darker than white matter in the target are "
            "lost: less than half of their contrast is left in the synthetic image."
        )
    ]


def _structures(records: Sequence[Mapping[str, Any]]) -> list[Sentence]:
    cases = [record for record in records if record.get("kind") == "structures"]
    if not cases:
        return []
    count = sum(record["false_structures_count"] for record in cases)
    volume = sum(record["false_structures_mm3"] for record in cases) / 1000
    hit = sum(record["false_structures_count"] > 0 for record in cases)
    left = sum(record["leftovers_mm3"] for record in cases) / 1000
    changed = sum(record["candidates_mm3"] for record in cases) / 1000
    text = (
        f"False structures, in neither source nor target, appear in {hit} of {len(cases)} cases: {count} of them, "
        f"{volume:.1f} cm³."
    )
    if changed > 0:
        text += f" Of {changed:.1f} cm³ that differ between source and target, {left:.1f} cm³ were left as they were."
    return [Sentence(text)]


def means_of(summary: Sequence[Mapping[str, Any]], protocol: str) -> Means:
    """Returns the means that `lesion_sentences` reads, from the summary rows of `evaluation.json`."""
    return {
        (row["region"], row["method"]): row["mean"]
        for row in summary
        if (row["protocol"], row["intensity"], row["metric"]) == (protocol, "as_written", "mae")
    }
