"""Scans: read, write, simulate, prepare."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxlate.api.forms import PathLike, rows_of
from voxlate.api.progress import progress
from voxlate.cases import Case
from voxlate.volume import Volume

if TYPE_CHECKING:
    from voxlate.preparation.records import PreparationRecord
    from voxlate.preparation.register_pair import PairSettings
    from voxlate.simulation.subject import Options, Subject


log = logging.getLogger("voxlate")


def read(path: PathLike, *, shows: str = "", series: str | None = None) -> Volume:
    """Reads a scan from a NIfTI file, or from a DICOM file, folder or zip.

    Args:
        path: of the scan.
        shows: its contrast, such as `T1ce`.
        series: number or UID of the DICOM series, if there are several.

    Returns:
        The volume: `data`, float32, (i, j, k) in the order of the file, and `affine`, (4, 4), from voxel index to
        millimetres that grow to the right, to the front and to the head (RAS+).

    Raises:
        NoInput: there is no such file.
        InputRefused: the file is not a readable scan, with the reason.
        UsageError: `SERIES`.

    Example:
        >>> import voxlate
        >>> scan = voxlate.read("T1ce.nii.gz")
        >>> scan.grid.shape, scan.spacing_mm
        ((19, 21, 18), (1.0, 1.0, 1.0))
    """
    from voxlate.io.nifti import nifti_suffix, read_volume
    from voxlate.io.scans import read_scan

    path = Path(path)
    if nifti_suffix(path) and series is None:
        return read_volume(path, shows=shows)
    return read_scan(path, shows=shows, series=series).volume


def write(path: PathLike, volume: Volume) -> None:
    """Writes a volume as NIfTI; the file is complete or not there at all.

    Args:
        path: ends in `.nii.gz` or `.nii`; an existing file is replaced.
        volume: finite values.

    Raises:
        UsageError: `FORMAT` for another suffix.
        VoxlateError: `NON_FINITE`; `DIMENSIONS`; the file cannot be written.

    Example:
        >>> import numpy as np, voxlate
        >>> voxlate.write("new.nii.gz", voxlate.Volume(np.ones((8, 9, 7)), affine=np.eye(4)))
    """
    from voxlate.io.nifti import write_volume

    write_volume(Path(path), volume)


def simulate(
    task: str = "t1ce_t1",
    *,
    seed: int = 0,
    subject: int = 0,
    size: str = "small",
    options: Options | None = None,
) -> Subject:
    """Simulates a patient: scans of several contrasts, and the truth about them.

    Args:
        task: `t1ce_t1`, `virtual_contrast`, `ct_to_mr` or `spine`.
        seed: of the data set; the same seed and subject give the same patient.
        subject: number of the patient, from 0.
        size: `small` for voxels of 2 mm, `full` for 1 mm.
        options: dose, lesions, quality and others: `voxlate.simulation.subject.Options`.

    Returns:
        The patient: `name`; `images`, a volume for each contrast; `truth`, with `brain_mask` and `lesion_mask`.

    Raises:
        UsageError: `TASK_UNKNOWN`, `SIZE_UNKNOWN`, `SEED_NEGATIVE`.

    Example:
        >>> import voxlate
        >>> patient = voxlate.simulate("t1ce_t1", seed=1)
        >>> sorted(patient.images)
        ['T1ce', 'T1w']
    """
    from voxlate.simulation.subject import simulate_subject

    return simulate_subject(task, seed=seed, subject=subject, size=size, options=options)


def prepare(
    cases: PathLike | Sequence[Case],
    out: PathLike,
    *,
    brain_mask: str | None = None,
    aligned: bool | None = None,
    settings: PairSettings | None = None,
    jobs: int = 1,
) -> list[PreparationRecord]:
    """Registers the target of each case to its source and extracts the brain.

    Only what is raw needs it: training takes aligned pairs of skull-stripped scans, or with masks, as they are. A run
    that was stopped goes on when it is called again.

    Args:
        cases: a table of cases, or its rows.
        out: gets a folder for each case, the table `cases.tsv` to train on, and `index.html` to look at.
        brain_mask: method for the brain of all scans; by default that of the settings.
        aligned: skip the registration; by default as in the settings.
        settings: see `voxlate.preparation.register_pair.PairSettings`; None for its defaults.
        jobs: number of processes.

    Returns:
        A record for each case: `case`, `state` (`done`, `refused` or `failed`), and why it is not done.

    Raises:
        NoInput: there is no table or no row.
        InputRefused: the table cannot be read.
        UsageError: `BRAIN_MASK`; `SETTINGS_DIFFER` when `out` holds cases prepared with other settings.

    Example:
        >>> import voxlate
        >>> from voxlate.preparation.register_pair import PairSettings
        >>> quick = PairSettings(to_template=False)               # without the second check of position
        >>> records = voxlate.prepare("raw.tsv", "prepared", brain_mask="nonzero", aligned=True, settings=quick)
        >>> [(record["case"], str(record["state"])) for record in records]
        [('sub-0001', 'done')]
    """
    from voxlate.preparation.register_pair import PairSettings
    from voxlate.preparation.run import PairFiles, prepare_cohort, write_prepared
    from voxlate.reporting.figures.preparation_picture import write_picture
    from voxlate.reporting.preparation_page import write_page

    changes: dict[str, Any] = {} if aligned is None else {"is_registered": not aligned}
    if brain_mask is not None:
        changes |= dict.fromkeys(("source_mask", "target_mask", "more_mask"), brain_mask)
    chosen = (settings or PairSettings()).model_copy(update=changes)
    chosen.require_methods()
    rows, out = rows_of(cases), Path(out)
    files = [PairFiles.of(row) for row in rows]
    records = []
    with progress("preparing", len(files), jobs=jobs) as (bar, task):
        for record in prepare_cohort(files, out, chosen, jobs=jobs, draw=write_picture):
            records.append(record)
            bar.advance(task)
    for record in records:
        if record["state"] != "done":
            log.warning("%s:%s %s: %s", record["state"].upper(), record["code"], record["case"], record["message"])
        for doubt in record.get("doubts", []):
            log.warning("doubtful %s: %s; see it in %s", record["case"], doubt, out / "index.html")
    write_page(records, out)
    write_prepared(rows, records, out)
    return records
