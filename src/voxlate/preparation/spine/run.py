"""Takes the disc slices of all patients of a table; a run that was stopped can be continued.

OUT/settings.json                                       settings; a folder has one set of them
OUT/<case>/<disc>_source.nii.gz, _target, _mask         the slices of a disc on one grid; the mask is the whole slice
OUT/<case>/picture.png                                  CT beside T2w, one disc below the other, the highest first
OUT/<case>/spine.json                                   measures and hashes; written last

cases = done + refused + failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

import numpy as np

from voxlate.io.nifti import read_mask, read_volume, write_volume
from voxlate.jobs.processes import parallel_map
from voxlate.jobs.results import hash_files
from voxlate.preparation.case_record import claim_folder, recorded
from voxlate.preparation.spine.sections import SpinePair, SpineSettings, prepare_spine
from voxlate.volume import Volume

RECORD, PICTURE = "spine.json", "picture.png"
ROLES = ("source", "target", "mask")

Draw = Callable[[SpinePair, Path], None]
"""Writes the picture of a patient to a path; a function that can be pickled."""


@dataclass(frozen=True)
class SpineFiles:
    """The files of one patient: CT, T2w, label map, and a mask of the spine on the grid of the CT or None."""

    name: str
    source: Path
    target: Path
    labels: Path
    mask: Path | None = None

    def named(self) -> dict[str, Path]:
        """Returns the path of each file by its role; a file that is not given is left out."""
        files = {"source": self.source, "target": self.target, "labels": self.labels, "mask": self.mask}
        return {role: path for role, path in files.items() if path is not None}


class SpineRecord(TypedDict):
    """One case of a run.

    Attributes:
        case, state: name, and `done`, `refused` or `failed`.
        code, message: of the error, unless the case is done.
        discs: for each disc with slices, pixel size, thickness and tilt against the disc, if the case is done.
        left_out: code and message of each disc without slices, if the case is done.
        registration: matrix and score, if the case is done.
        fingerprint, voxlate, settings, files: origin of the case and hashes of its files, if it is done.
    """

    case: str
    state: str
    code: NotRequired[str]
    message: NotRequired[str]
    discs: NotRequired[dict[str, dict[str, float]]]
    left_out: NotRequired[dict[str, str]]
    registration: NotRequired[dict[str, Any]]
    fingerprint: NotRequired[str]
    voxlate: NotRequired[str]
    settings: NotRequired[dict[str, Any]]
    files: NotRequired[dict[str, str]]


def prepare_spines(
    cases: Sequence[SpineFiles], out: Path, settings: SpineSettings, *, jobs: int = 1, draw: Draw | None = None
) -> Iterator[SpineRecord]:
    """Takes the slices of every patient and yields its record.

    A case that an earlier run finished from the same files with the same settings is not done again.

    Args:
        cases: the files of each patient.
        out: folder of the run, see the docstring of the module.
        settings: see `SpineSettings`.
        jobs: number of processes.
        draw: writes the picture of each patient; none is written without it.

    Raises:
        UsageError: `FOLDER_OCCUPIED`, `SETTINGS_DIFFER`.
        TemporaryFailure, CannotWrite: the output cannot be written, or a process was killed.
    """
    claim_folder(out, settings)
    yield from parallel_map(partial(_prepare_files, out=out, settings=settings, draw=draw), cases, jobs=jobs)


def _prepare_files(files: SpineFiles, *, out: Path, settings: SpineSettings, draw: Draw | None) -> SpineRecord:
    folder = out / files.name
    make = partial(_make, files, settings, folder, draw)
    return cast("SpineRecord", recorded(files, settings, folder / RECORD, make))


def _make(files: SpineFiles, settings: SpineSettings, folder: Path, draw: Draw | None) -> dict[str, Any]:
    """Writes the slices of a patient; returns its measures, and the hashes of what was written."""
    source, target = read_volume(files.source, shows="CT"), read_volume(files.target, shows="T2w")
    mask = None if files.mask is None else read_mask(files.mask, like=source)
    pair = prepare_spine(source, target, read_volume(files.labels, shows="labels"), settings, mask=mask)
    return {**_figures(pair), "files": _write(pair, folder, draw)}


def _figures(pair: SpinePair) -> dict[str, Any]:
    discs = {}
    for name, disc in pair.discs.items():
        spacing = disc.source.spacing_mm
        figures = {"pixel_mm": spacing[0], "thickness_mm": spacing[2], "tilt_deg": disc.tilt_deg}
        discs[name] = {key: round(value, 3) for key, value in figures.items()}
    found = pair.registration
    score = {key: round(getattr(found.score, key), 4) for key in ("edge_agreement", "nmi", "coverage")}
    return {
        "registration": {"matrix": found.transform.matrix.tolist(), "score": score},
        "discs": discs,
        "left_out": {name: f"{code} {message}" for name, (code, message) in pair.refused.items()},
    }


def _write(pair: SpinePair, folder: Path, draw: Draw | None) -> dict[str, str]:
    """Writes the slices of a patient and returns the hashes of the files."""
    names = []
    for disc, slices in pair.discs.items():
        whole = slices.source.with_data(np.ones_like(slices.source.data), shows="mask")
        volumes: dict[str, Volume] = {"source": slices.source, "target": slices.target, "mask": whole}
        for role, volume in volumes.items():
            names.append(f"{disc}_{role}.nii.gz")
            write_volume(folder / names[-1], volume, dtype="uint8" if role == "mask" else "auto")
    if draw is not None:
        names.append(PICTURE)
        draw(pair, folder / PICTURE)
    return hash_files(folder, names)
