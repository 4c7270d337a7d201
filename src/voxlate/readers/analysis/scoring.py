"""Reads the values in an answer and turns one answer into one score.

An answer is JSON as the page sent it; the server checked it against the forms in `voxlate.readers.answers`.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from voxlate.readers.analysis.records import Record
from voxlate.readers.study import Design, ForcedChoice, Quality, RealOrSynthetic, Similarity


class Mark(TypedDict):
    """A marked lesion: voxel index (i, j, k) in the displayed image, and a confidence from 1 to `levels`."""

    voxel: list[int]
    confidence: int


def confidence(record: Record) -> int:
    """Returns the confidence, from 1 (certainly real) to `levels`, of an answer to `real_or_synthetic`."""
    value: int = record.answer["confidence"]
    return value


def chose_left(record: Record) -> bool:
    """Returns whether the left image was chosen, in an answer to `forced_choice`."""
    is_left: bool = record.answer["side"] == "left"
    return is_left


def percent(record: Record, structure: str) -> float:
    """Returns the similarity in percent of a structure, in an answer to `similarity`; NaN when not assessable."""
    value: int | None = record.answer["scores"][structure]
    return float("nan") if value is None else float(value)


def grade(record: Record, item: str) -> float:
    """Returns the grade of an item, in an answer to `quality`."""
    return float(record.answer["grades"][item])


def marked(record: Record) -> list[Mark]:
    """Returns the marks in an answer to `marks`."""
    marks: list[Mark] = record.answer["marks"]
    return marks


def decided_synthetic(record: Record, levels: int) -> float:
    """Returns 1 if the reader called the image synthetic, 0 if real, NaN for the middle of an odd scale.

    Args:
        record: an answer to the design `real_or_synthetic`.
        levels: of the confidence scale, from 1 (certainly real) to `levels` (certainly synthetic).
    """
    middle, value = (levels + 1) / 2, confidence(record)
    return float("nan") if value == middle else float(value > middle)


def is_correct(record: Record, levels: int) -> float:
    """Returns 1 for a correct decision, 0 for a wrong one, NaN for the middle of an odd scale."""
    decided = decided_synthetic(record, levels)
    return decided if np.isnan(decided) else float(decided == (record.version == "synthetic"))


def chose_synthetic(record: Record) -> float:
    """Returns 1 if the side chosen in a forced choice showed the synthetic image, else 0."""
    return float(record.shown[0 if chose_left(record) else 1] == "synthetic")


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
        case Quality():
            return float(np.mean(list(record.answer["grades"].values())))
    return float(len(marked(record)))
