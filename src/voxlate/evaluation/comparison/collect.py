"""Collects the scores of all systems of a comparison from their evaluation folders, each baseline once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from voxlate.evaluation.cases.scores import METHODS
from voxlate.evaluation.comparison.schema import ComparedCase, ComparedScore
from voxlate.evaluation.protocols import AS_WRITTEN
from voxlate.evaluation.schema.results import Evaluated, ScoreRow
from voxlate.evaluation.schema.rows import VolumeRow
from voxlate.evaluation.schema.table import OURS
from voxlate.evaluation.tissues import tissue_protocol, tissue_scores, with_differences

BLURRED = "blurred_target"
"""It is blurred to the PSNR of one system and is no reference for the others, so that no comparison shows it."""

BASELINES = tuple(name for name in METHODS if name not in (BLURRED, OURS))


@dataclass(frozen=True)
class EvaluatedSystem:
    """A system with its evaluation folder that was read."""

    name: str
    evaluated: Evaluated


def collect_scores(systems: Sequence[EvaluatedSystem], cases: Mapping[str, ComparedCase]) -> Iterator[ComparedScore]:
    """Yields the scores of all methods, system by system; tissue volumes with one mean TIV over all systems.

    Args:
        systems: in order; the baselines of each case are in one of them.
        cases: by name, with their sets and folds.
    """
    tissues = {tissue_protocol(segmenter).name for segmenter in _segmenters(systems)}
    for system in systems:
        for score in system.evaluated.scores:
            if score.method != BLURRED and score.protocol not in tissues and score.case in cases:
                yield _compared(score, cases[score.case], system.name)
    yield from _tissue_scores(systems, cases)


def _tissue_scores(systems: Sequence[EvaluatedSystem], cases: Mapping[str, ComparedCase]) -> Iterator[ComparedScore]:
    rows: list[VolumeRow] = []
    seen: set[tuple[str, str, str, str]] = set()
    for system in systems:
        for row in _volumes(system):
            method = system.name if row["method"] == OURS else row["method"]
            place = (row["segmenter"], row["case"], row["tissue"], method)
            # The target with its noise drawn again is measured with each system.
            if row["method"] != BLURRED and row["case"] in cases and place not in seen:
                seen.add(place)
                rows.append({**row, "method": method})
    for row in with_differences(rows):
        protocol = tissue_protocol(row["segmenter"]).name
        case = cases[row["case"]]
        for metric, value, unit in tissue_scores(row):
            subject = (case.case, case.patient, row["method"], row["tissue"])
            yield _compared(ScoreRow(*subject, metric, value, unit, protocol, AS_WRITTEN), case, "")


def _volumes(system: EvaluatedSystem) -> list[VolumeRow]:
    rows = system.evaluated.evaluation.volumes
    return [cast("VolumeRow", row) for row in rows if row.get("kind") is None and "case" in row]


def _segmenters(systems: Sequence[EvaluatedSystem]) -> set[str]:
    return {row["segmenter"] for system in systems for row in _volumes(system)}


def _compared(score: ScoreRow, case: ComparedCase, system: str) -> ComparedScore:
    """Returns a score with the set and the fold of its case, and the name of the system for its synthetic image."""
    return ComparedScore(
        case=case.case,
        patient=case.patient,
        set=case.set,
        fold="" if case.fold is None else str(case.fold),
        system=system if score.method == OURS else score.method,
        region=score.region,
        metric=score.metric,
        value=score.value,
        unit=score.unit,
        protocol=score.protocol,
        intensity=score.intensity,
    )
