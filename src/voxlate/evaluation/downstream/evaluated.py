"""Tissue volumes of an evaluation, or of a comparison of several systems, as measurements."""

from __future__ import annotations

from pathlib import Path

from voxlate.evaluation.comparison.schema import COMPARISON, read_comparison
from voxlate.evaluation.downstream.measurements import Measurement, from_volume_rows
from voxlate.evaluation.schema.results import read_evaluation

SYNTHETIC = "synthetic"
"""Name of the model in an evaluation of one system; in a comparison, the system's own name takes its place."""


def read_volumes(folder: Path, *, segmenter: str = "mixture") -> list[Measurement]:
    """Returns the tissue volumes of all methods of an evaluation folder, made with `voxlate evaluate --segment`.

    Args:
        folder: of an evaluation, or of a comparison of several systems.
        segmenter: whose volumes are taken.

    Raises:
        NoInput: `EVALUATION_MISSING`; `NO_INPUT` without volumes of this segmenter.
        InputRefused: `EVALUATION_INVALID`.
    """
    if not (folder / COMPARISON).is_file():
        return from_volume_rows(read_evaluation(folder).evaluation.volumes, segmenter=segmenter)
    found: dict[tuple[str, str, str, str], Measurement] = {}
    for system in read_comparison(folder).comparison.systems:
        if system.state == "nothing":
            continue
        rows = read_evaluation(folder / system.evaluation).evaluation.volumes
        named = [{**row, "method": system.name if row["method"] == SYNTHETIC else row["method"]} for row in rows]
        for one in from_volume_rows(named, segmenter=segmenter):  # type: ignore[arg-type]  # rows with another name
            found.setdefault((one.patient, one.session, one.method, one.structure), one)
    return list(found.values())
