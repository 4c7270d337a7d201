"""Do structures have the same volume, and the cortex the same thickness, in synthetic and in real images?

Volumes come from label maps with FreeSurfer's numbers, thickness from tables of FreeSurfer (`freesurfer`). For each
method and structure the mean over patients of method − real is given with its 95 % interval, in percent of the real
mean, with a paired t-test (Holm over the structures of a method) and the intraclass correlation ICC(2,1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from voxlate.errors import InputRefused, NoInput
from voxlate.evaluation.downstream.freesurfer import read_stats, structure_volumes
from voxlate.evaluation.downstream.measurements import (
    TARGET,
    Measurement,
    read_measurements,
    require_method,
    write_result,
)
from voxlate.evaluation.statistics import MINIMUM_PATIENTS, by_patient, holm, icc, mean_interval, paired_t
from voxlate.io.nifti import read_volume
from voxlate.io.tables import read_rows


@dataclass(frozen=True)
class StructureDifference:
    """Difference of one structure between a method and the real images, over `n` patients.

    Attributes:
        method, structure, unit: what is compared.
        n: patients measured by both; the sessions of a patient that both have are averaged.
        real, value: mean of the real images and of the method, in `unit`.
        difference, low, high: mean of method − real with its 95 % interval, in `unit`.
        percent: difference in percent of `real`.
        p, p_holm: of the paired t-test, two-sided, as it is and adjusted over the structures of the method.
        icc, icc_low, icc_high: ICC(2,1) with its 95 % interval.
        note: why it was not computed; the numbers are then NaN.
    """

    method: str
    structure: str
    unit: str
    n: int
    real: float = float("nan")
    value: float = float("nan")
    difference: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    percent: float = float("nan")
    p: float = float("nan")
    p_holm: float = float("nan")
    icc: float = float("nan")
    icc_low: float = float("nan")
    icc_high: float = float("nan")
    note: str = ""


def measure_label_maps(table: Path, *, is_by_side: bool = False) -> list[Measurement]:
    """Measures the label maps and FreeSurfer tables that a table lists.

    Structures that no image has are left out; one that some image has counts as 0 where it is missing.

    Args:
        table: tab-separated with the columns `patient`, `method` and `path` (relative to its folder), and `session` if
            there are several. A path that ends in `.stats` is read by `read_stats`, any other as a label map. One image
            may have several rows, such as its `aseg.stats` and both `aparc.stats`.
        is_by_side: see `structure_volumes`.

    Raises:
        NoInput: `NO_INPUT` for a missing table, or one without a row.
        InputRefused: `LABEL_MAPS` for a missing column, or a structure that one image has twice; `LABELS`, `STATS`.
        VoxlateError: a file cannot be read.
    """
    rows = read_rows(table, code="LABEL_MAPS", needed=("patient", "method", "path"))
    if not rows:
        raise NoInput("NO_INPUT", f"{table.name} lists no file; name one label map or table on each line")
    found: dict[tuple[str, str, str, str], Measurement] = {}
    for row in rows:
        for name, (value, unit) in _measured(table.parent / row["path"], is_by_side=is_by_side).items():
            session = row.get("session", "")
            key = (row["patient"], session, row["method"], name)
            if key in found:
                raise InputRefused(
                    "LABEL_MAPS", f"{table.name}: {row['patient']} has {name} of {row['method']} twice; list one file"
                )
            found[key] = Measurement(row["patient"], row["method"], name, value, session, unit=unit)
    present = {one.structure for one in found.values() if one.value}
    return [one for one in found.values() if one.structure in present]


def _measured(path: Path, *, is_by_side: bool) -> dict[str, tuple[float, str]]:
    if path.suffix == ".stats":
        return read_stats(path)
    volumes = structure_volumes(read_volume(path), is_by_side=is_by_side)
    return {name: (value, "cm3") for name, value in volumes.items()}


def compare_structures(measurements: Sequence[Measurement], *, reference: str = TARGET) -> list[StructureDifference]:
    """Returns one row per method and structure of the reference.

    Args:
        measurements: of volumes or thickness.
        reference: the real images.

    Raises:
        InputRefused: `METHOD` when nothing was measured in the reference.
    """
    require_method(measurements, reference)
    measured = _by_image(measurements)
    units = {one.structure: one.unit for one in measurements}
    rows: list[StructureDifference] = []
    for method in [name for name in measured if name != reference]:
        own = [
            _difference(method, structure, units[structure], measured[method].get(structure, {}), real)
            for structure, real in measured[reference].items()
        ]
        rows += _adjusted(own)
    return rows


Image = tuple[str, str]
"""Patient and session."""


def _by_image(measurements: Sequence[Measurement]) -> dict[str, dict[str, dict[Image, float]]]:
    """Returns the value by method, structure and image."""
    found: dict[str, dict[str, dict[Image, float]]] = {}
    for one in measurements:
        images = found.setdefault(one.method, {}).setdefault(one.structure, {})
        images[one.patient, one.session] = one.value
    return found


def _difference(
    method: str, structure: str, unit: str, ours: dict[Image, float], real: dict[Image, float]
) -> StructureDifference:
    shared = [image for image in real if image in ours]
    patients = [patient for patient, _ in shared]
    made, true = (
        np.array(list(by_patient([each[image] for image in shared], patients).values())) for each in (ours, real)
    )
    n = made.size
    if n < MINIMUM_PATIENTS:
        note = f"at least {MINIMUM_PATIENTS} patients measured by both are needed; here {n}"
        return StructureDifference(method, structure, unit, n, note=note)
    interval = mean_interval(made - true)
    agreement = icc(np.stack([true, made], axis=1))[0] if np.ptp(true) > 0 else None
    return StructureDifference(
        method,
        structure,
        unit,
        n,
        real=float(true.mean()),
        value=float(made.mean()),
        difference=float((made - true).mean()),
        low=interval.low,
        high=interval.high,
        percent=100 * float((made - true).mean()) / float(true.mean()) if true.mean() else float("nan"),
        p=paired_t(made, true).p,
        icc=float("nan") if agreement is None else agreement.value,
        icc_low=float("nan") if agreement is None else agreement.low,
        icc_high=float("nan") if agreement is None else agreement.high,
    )


def _adjusted(rows: Sequence[StructureDifference]) -> list[StructureDifference]:
    """Returns the rows with Holm's p over those that have one."""
    tested = [index for index, row in enumerate(rows) if np.isfinite(row.p)]
    adjusted = dict(zip(tested, holm([rows[index].p for index in tested]), strict=True)) if tested else {}
    return [replace(row, p_holm=float(adjusted[k])) if k in adjusted else row for k, row in enumerate(rows)]


def compare_structures_files(table: Path, out: Path, *, reference: str = TARGET) -> list[StructureDifference]:
    """Reads a table of measurements, and writes `structures.tsv` and `structures.json` into a folder.

    Args:
        table: see `read_measurements`; `measure_label_maps` and `write_measurements` make one from label maps.
        out: folder; created when missing.
        reference: the real images.

    Raises:
        NoInput, InputRefused: as the functions it calls.
    """
    rows = compare_structures(read_measurements(table), reference=reference)
    write_result(out, "structures", StructureDifference, rows, doc=__doc__, reference=reference)
    return rows
