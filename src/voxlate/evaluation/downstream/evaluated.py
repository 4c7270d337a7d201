"""Tissue volumes of an evaluation, or of a comparison of several systems, as measurements."""

from __future__ import annotations

from pathlib import Path

from voxlate.evaluation.comparison.schema import is_comparison, read_comparison_document
from voxlate.evaluation.downstream.measurements import Measurement, from_volume_rows
from voxlate.evaluation.schema.results import read_evaluation_document
from voxlate.evaluation.schema.table import OURS


def read_volumes(folder: Path, *, segmenter: str = "mixture") -> list[Measurement]:
    """Returns the tissue volumes of all methods of an evaluation folder, made with `voxlate evaluate --segment`.

    Those of the synthetic images of a comparison have the name of their system.

    Args:
        folder: of an evaluation, or of a comparison of several systems.
        segmenter: whose volumes are taken.

    Raises:
        NoInput: `EVALUATION_MISSING`; `NO_INPUT` without volumes of this segmenter.
        InputRefused: `EVALUATION_INVALID`, `COMPARISON_INVALID`.
    """
    if not is_comparison(folder):
        return from_volume_rows(read_evaluation_document(folder).volumes, segmenter=segmenter)
    found: dict[tuple[str, str, str, str], Measurement] = {}
    for system in read_comparison_document(folder).systems:
        if system.state == "nothing":
            continue
        rows = read_evaluation_document(folder / system.evaluation).volumes
        for one in from_volume_rows(rows, segmenter=segmenter, names={OURS: system.name}):
            found.setdefault((one.patient, one.session, one.method, one.structure), one)
    return list(found.values())
