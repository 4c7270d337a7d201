"""Turns one answer into one number: correct or not, mean similarity, mean grade, or number of marks."""

from __future__ import annotations

import numpy as np

from voxlate.readers.analysis.records import Record
from voxlate.readers.study import Design, ForcedChoice, RealOrSynthetic, Similarity


def decided_synthetic(record: Record, levels: int) -> float:
    """Returns 1 if the reader called the image synthetic, 0 if real, NaN for the middle of an odd scale.

    Args:
        record: an answer to the design `real_or_synthetic`.
        levels: of the confidence scale, from 1 (certainly real) to `levels` (certainly synthetic).
    """
    middle = (levels + 1) / 2
    confidence = record.answer["confidence"]
    return float("nan") if confidence == middle else float(confidence > middle)


def is_correct(record: Record, levels: int) -> float:
    """Returns 1 for a correct decision, 0 for a wrong one, NaN for the middle of an odd scale."""
    decided = decided_synthetic(record, levels)
    return decided if np.isnan(decided) else float(decided == (record.version == "synthetic"))


def chose_synthetic(record: Record) -> float:
    """Returns 1 if the side chosen in a forced choice showed the synthetic image, else 0."""
    return float(record.shown[("left", "right").index(record.answer["side"])] == "synthetic")


def score(record: Record, design: Design) -> float:
    """Returns the score of an answer: correct (0 or 1), mean similarity in percent, mean grade, or number of marks.

    NaN for an undecided answer and for one in which no structure was assessable.
    """
    match design:
        case RealOrSynthetic():
            return is_correct(record, design.levels)
        case ForcedChoice():
            return chose_synthetic(record)
        case Similarity():
            assessed = [value for value in record.answer["scores"].values() if value is not None]
            return float(np.mean(assessed)) if assessed else float("nan")
    values = record.answer.get("grades", {}).values() or [len(record.answer.get("marks", []))]
    return float(np.mean(list(values)))
