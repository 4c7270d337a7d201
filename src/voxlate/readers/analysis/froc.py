"""Analyses marked lesions, the design `marks`: sensitivity and false marks on both versions of the same cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from voxlate.evaluation.statistics import clopper_pearson, mcnemar
from voxlate.readers.analysis.margin_tests import compared
from voxlate.readers.analysis.records import Record, Values, names, patients
from voxlate.readers.analysis.results import CountInterval, MarkCounts, MarksResult, ReaderMarks
from voxlate.readers.analysis.scoring import marked
from voxlate.readers.analysis.statistics.mrmc import reader_mean
from voxlate.readers.package import Lesion
from voxlate.readers.study import Marks

Lesions = Mapping[str, Sequence[Lesion]]


class Detection(NamedTuple):
    """Result of one reading: for each lesion of the case whether it was marked, and the number of false marks."""

    hits: list[bool]
    false_marks: int


Detections = Mapping[tuple[str, str], Detection]
"""First readings of one version, by reader and case."""


def marks(records: Sequence[Record], design: Marks, lesions: Lesions, alpha: float) -> MarksResult:
    """Returns lesion sensitivity and false marks per image of both versions, and tests their difference.

    Args:
        records: answers to this design.
        design: as frozen in the study.
        lesions: of each case.
        alpha: of the test of non-inferiority.
    """
    readers, cases = names(records)
    cases_with_lesions = [case for case in cases if lesions[case]]
    real, synthetic = (_detections(records, design, lesions, version) for version in ("real", "synthetic"))
    comparison = None
    if cases_with_lesions:
        read = np.array(
            [[(r, case) in real and (r, case) in synthetic for case in cases_with_lesions] for r in readers], dtype=bool
        )
        figures = _sensitivity_difference(real, synthetic, readers, cases_with_lesions)
        mean = reader_mean(*figures, read=read, patients=patients(records, cases_with_lesions), bounds=(-1.0, 1.0))
        comparison = compared(mean, reference=-design.margin, margin=design.margin, alpha=alpha)
    return MarksResult(
        readers=[_reader_marks(reader, real, synthetic) for reader in readers],
        lesions=sum(len(lesions[case]) for case in cases_with_lesions),
        difference=comparison,
    )


def detect(record: Record, design: Marks, lesions: Lesions) -> Detection:
    """Returns which lesions of the case were marked. A mark counts for the nearest lesion within the tolerance."""
    own = lesions[record.case]
    hits, false_marks = [False] * len(own), 0
    for mark in marked(record):
        distances = [_distance_mm(mark["voxel"], lesion) for lesion in own]
        nearest = int(np.argmin(distances)) if distances else -1
        if nearest >= 0 and distances[nearest] <= design.tolerance_mm:
            hits[nearest] = True
        else:
            false_marks += 1
    return Detection(hits, false_marks)


def _distance_mm(voxel: Sequence[int], lesion: Lesion) -> float:
    offsets_mm = (np.array(lesion["voxels"]) - np.array(voxel)) * np.array(lesion["spacing_mm"])
    return float(np.linalg.norm(offsets_mm, axis=1).min())


def _detections(records: Sequence[Record], design: Marks, lesions: Lesions, version: str) -> Detections:
    return {
        (record.reader, record.case): detect(record, design, lesions)
        for record in records
        if record.version == version and not record.is_repeat
    }


def _reader_marks(reader: str, real: Detections, synthetic: Detections) -> ReaderMarks:
    both = [reading for reading in real if reading in synthetic and reading[0] == reader]
    pairs = [pair for reading in both for pair in zip(real[reading].hits, synthetic[reading].hits, strict=True)]
    only_real = sum(in_real and not in_synthetic for in_real, in_synthetic in pairs)
    only_synthetic = sum(in_synthetic and not in_real for in_real, in_synthetic in pairs)
    return ReaderMarks(
        reader=reader,
        real=_counts(detection for (name, _), detection in real.items() if name == reader),
        synthetic=_counts(detection for (name, _), detection in synthetic.items() if name == reader),
        mcnemar_p=mcnemar(only_real, only_synthetic),
    )


def _counts(detections: Iterable[Detection]) -> MarkCounts:
    detections = list(detections)
    hits = [hit for detection in detections for hit in detection.hits]
    false_marks = [detection.false_marks for detection in detections]
    interval = None
    if hits:
        low, high = clopper_pearson(sum(hits), len(hits))
        interval = CountInterval(low=low, high=high)
    return MarkCounts(
        found=sum(hits),
        of=len(hits),
        false_per_image=float(np.mean(false_marks)) if false_marks else None,
        interval=interval,
    )


def _sensitivity_difference(
    real: Detections, synthetic: Detections, readers: Sequence[str], cases: Sequence[str]
) -> tuple[Values, Values]:
    """Returns (readers,) differences sensitivity(synthetic) − sensitivity(real) and (readers, cases) influences.

    The sensitivity is a ratio: lesions found in all cases divided by lesions in all cases.
    """
    change = np.full((len(readers), len(cases)), np.nan)
    size = np.zeros_like(change)
    for i, reader in enumerate(readers):
        for j, case in enumerate(cases):
            in_real, in_synthetic = real.get((reader, case)), synthetic.get((reader, case))
            if in_real is not None and in_synthetic is not None:
                change[i, j], size[i, j] = sum(in_synthetic.hits) - sum(in_real.hits), len(in_real.hits)
    total = size.sum(axis=1, keepdims=True)
    change_sum = np.nansum(change, axis=1, keepdims=True)
    ratio = np.divide(change_sum, total, out=np.full(total.shape, np.nan), where=total > 0)
    return ratio[:, 0], np.where(size > 0, np.nan_to_num(change) - ratio * size, 0) / np.maximum(total, 1)
