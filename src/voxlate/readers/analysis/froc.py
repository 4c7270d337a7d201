"""Lesions found and false marks, on real and on synthetic images of the same cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from voxlate.evaluation.statistics import clopper_pearson, mcnemar
from voxlate.readers.analysis.mrmc import not_below, reader_mean
from voxlate.readers.analysis.records import Record, Values, names
from voxlate.readers.study import Marks

Found = dict[str, Any]
Lesions = Mapping[str, Sequence[Mapping[str, Any]]]


def marks(records: Sequence[Record], design: Marks, lesions: Lesions, alpha: float) -> Found:
    """Returns lesion sensitivity and false marks per image, by version, and the test of their difference."""
    readers, cases = names(records)
    counted = [case for case in cases if lesions[case]]
    hits = {version: _hits(records, design, lesions, version) for version in ("real", "synthetic")}
    false = {version: _false_marks(records, design, lesions, version) for version in ("real", "synthetic")}
    rows = [_reader_row(reader, hits, false) for reader in readers]
    found: Found = {"kind": design.kind, "readers": rows, "lesions": sum(len(lesions[case]) for case in counted)}
    if counted:
        mean = reader_mean(*_sensitivity_difference(hits, readers, counted), bounds=(-1.0, 1.0))
        test = not_below(mean, reference=-design.margin, alpha=alpha)
        found["difference"] = asdict(mean) | {"margin": design.margin, "test": asdict(test)}
    return found


def found_lesions(record: Record, design: Marks, lesions: Lesions) -> tuple[list[bool], int]:
    """Returns which lesions of a case were marked, and how many marks were near none."""
    own = lesions[record.case]
    found, false = [False] * len(own), 0
    for mark in record.answer["marks"]:
        distances = [_distance_mm(mark["voxel"], lesion) for lesion in own]
        nearest = int(np.argmin(distances)) if distances else -1
        if nearest >= 0 and distances[nearest] <= design.tolerance_mm:
            found[nearest] = True
        else:
            false += 1
    return found, false


def _distance_mm(voxel: Sequence[int], lesion: Mapping[str, Any]) -> float:
    apart = (np.array(lesion["voxels"]) - np.array(voxel)) * np.array(lesion["spacing_mm"])
    return float(np.linalg.norm(apart, axis=1).min())


def _hits(
    records: Sequence[Record], design: Marks, lesions: Lesions, version: str
) -> dict[tuple[str, str], list[bool]]:
    return {
        (record.reader, record.case): found_lesions(record, design, lesions)[0]
        for record in records
        if record.version == version and not record.is_repeat
    }


def _false_marks(
    records: Sequence[Record], design: Marks, lesions: Lesions, version: str
) -> dict[tuple[str, str], int]:
    return {
        (record.reader, record.case): found_lesions(record, design, lesions)[1]
        for record in records
        if record.version == version and not record.is_repeat
    }


def _reader_row(reader: str, hits: Mapping[str, Any], false: Mapping[str, Any]) -> Found:
    row: Found = {"reader": reader}
    for version in ("real", "synthetic"):
        own = [hit for (who, _), found in hits[version].items() if who == reader for hit in found]
        marks_ = [count for (who, _), count in false[version].items() if who == reader]
        row[version] = {
            "found": sum(own),
            "of": len(own),
            "false_per_image": float(np.mean(marks_)) if marks_ else None,
        }
        if own:
            row[version]["low"], row[version]["high"] = clopper_pearson(sum(own), len(own))
    both = [place for place in hits["real"] if place in hits["synthetic"] and place[0] == reader]
    pairs = [pair for place in both for pair in zip(hits["real"][place], hits["synthetic"][place], strict=True)]
    row["mcnemar_p"] = mcnemar(sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs))
    return row


def _sensitivity_difference(
    hits: Mapping[str, Any], readers: Sequence[str], cases: Sequence[str]
) -> tuple[Values, Values]:
    """Returns per reader sensitivity(synthetic) − sensitivity(real), a ratio over cases, and its influences."""
    change = np.full((len(readers), len(cases)), np.nan)
    size = np.zeros_like(change)
    for i, reader in enumerate(readers):
        for j, case in enumerate(cases):
            pair = [hits[version].get((reader, case)) for version in ("real", "synthetic")]
            if None not in pair:
                change[i, j], size[i, j] = sum(pair[1]) - sum(pair[0]), len(pair[0])
    total = size.sum(axis=1, keepdims=True)
    change_sum = np.nansum(change, axis=1, keepdims=True)
    ratio = np.divide(change_sum, total, out=np.full(total.shape, np.nan), where=total > 0)
    return ratio[:, 0], np.where(size > 0, np.nan_to_num(change) - ratio * size, 0) / np.maximum(total, 1)
