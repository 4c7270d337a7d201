"""Prepares the pairs of a cohort, case by case, in several processes; a run that was stopped can be continued.

OUT/settings.json                                                     settings; a folder has one set of them
OUT/cases.tsv                                                         the cases that are done
OUT/<case>/source.nii.gz, target.nii.gz, mask.nii.gz, labels.nii.gz   on one grid, that of the source
OUT/<case>/target_mask.nii.gz, more_<contrast>.nii.gz                 on the same grid
OUT/<case>/picture.png                                                the steps of the preparation
OUT/<case>/preparation.json                                           measures and hashes; written last

cases = done + refused + failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from voxlate.cases import MORE, TARGET_MASK, Case, more_file_name, prepared_in, write_cases
from voxlate.io.nifti import read_mask, read_volume, write_volume
from voxlate.jobs.processes import parallel_map
from voxlate.jobs.results import hash_files
from voxlate.preparation.case_record import claim_folder, recorded
from voxlate.preparation.further_sources import RegisteredSource, or_missing
from voxlate.preparation.records import PreparationRecord
from voxlate.preparation.register_pair import PairSettings, PreparedPair, figures, prepare_pair
from voxlate.volume import Volume

RECORD, PICTURE, CASES = "preparation.json", "picture.png", "cases.tsv"

Draw = Callable[[PreparedPair, Path], None]
"""Writes the picture of a pair to a path; a function that can be pickled."""


@dataclass(frozen=True)
class PairFiles:
    """The files of one case.

    Attributes:
        name: of the case.
        source, target: the scans.
        mask: brain mask of the source, or None.
        labels: lesion labels on the grid of the target, or None.
        more: further sources by contrast.
    """

    name: str
    source: Path
    target: Path
    mask: Path | None = None
    labels: Path | None = None
    more: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, case: Case) -> PairFiles:
        """Returns the files of a row of a table of cases."""
        return cls(case.case, case.source, case.target, case.mask, case.labels, case.more)

    def __post_init__(self) -> None:
        for contrast in self.more:
            more_file_name(contrast)  # refuses one that cannot name a file

    def named(self) -> dict[str, Path]:
        """Returns the path of each file by its role; a file that is not given is left out."""
        files = {"source": self.source, "target": self.target, "mask": self.mask, "labels": self.labels}
        files |= {f"{MORE}{contrast}": path for contrast, path in self.more.items()}
        return {role: path for role, path in files.items() if path is not None}


def prepare_cohort(
    cases: Sequence[PairFiles], out: Path, settings: PairSettings, *, jobs: int = 1, draw: Draw | None = None
) -> Iterator[PreparationRecord]:
    """Prepares every case and yields its record: `case`, `state` and, unless it is done, `code` and `message`.

    A case that an earlier run prepared from the same files with the same settings is not prepared again. Cases that
    were refused or failed are tried again.

    Args:
        cases: the files of each case.
        out: folder of the run, see the docstring of the module.
        settings: how all cases are prepared.
        jobs: number of processes.
        draw: writes the picture of each case; none is written without it.

    Raises:
        UsageError: `FOLDER_OCCUPIED`, `SETTINGS_DIFFER`.
        TemporaryFailure, CannotWrite: the output cannot be written, or a process was killed.
    """
    claim_folder(out, settings)
    yield from parallel_map(partial(_prepare_files, out=out, settings=settings, draw=draw), cases, jobs=jobs)


def write_prepared(cases: Sequence[Case], records: Sequence[PreparationRecord], out: Path) -> None:
    """Writes the table of the cases that are done; without any, no table of an earlier run is left.

    Args:
        cases: as they were given.
        records: what `prepare_cohort` yielded.
        out: folder of the run.
    """
    done = {record["case"] for record in records if record["state"] == "done"}
    prepared = [prepared_in(out, case) for case in cases if case.case in done]
    (out / CASES).unlink(missing_ok=True)
    if prepared:
        write_cases(out / CASES, prepared)


def _prepare_files(files: PairFiles, *, out: Path, settings: PairSettings, draw: Draw | None) -> PreparationRecord:
    folder = out / files.name
    make = partial(_make, files, settings, folder, draw)
    return cast("PreparationRecord", recorded(files, settings, folder / RECORD, make))


def _make(files: PairFiles, settings: PairSettings, folder: Path, draw: Draw | None) -> dict[str, Any]:
    """Writes the files of a case; returns its measures, and the hashes of what was written."""
    pair, inputs = _prepared(files, settings)
    return {"inputs": inputs, **figures(pair), "files": _write(pair, folder, draw)}


def _prepared(files: PairFiles, settings: PairSettings) -> tuple[PreparedPair, dict[str, Any]]:
    source, target = read_volume(files.source, shows="source"), read_volume(files.target, shows="target")
    mask = None if files.mask is None else read_mask(files.mask, like=source)
    labels = None if files.labels is None else read_volume(files.labels, shows="labels")
    more = {contrast: or_missing(partial(read_volume, path, shows=contrast)) for contrast, path in files.more.items()}
    volumes = {"source": source, "target": target} | {MORE + contrast: each for contrast, each in more.items()}
    inputs = {role: _described(each) for role, each in volumes.items() if isinstance(each, Volume)}
    return prepare_pair(source, target, settings, mask=mask, labels=labels, more=more), inputs


def _described(volume: Volume) -> dict[str, Any]:
    return {
        "shape": list(volume.data.shape),
        "spacing_mm": [round(mm, 4) for mm in volume.spacing_mm],
        "orientation": volume.grid.orientation,
        "range": [float(volume.data.min()), float(volume.data.max())],
    }


def _write(pair: PreparedPair, folder: Path, draw: Draw | None) -> dict[str, str]:
    """Writes the files of a case and returns their hashes; further sources of an earlier run are removed."""
    with_mask = {"mask.nii.gz": pair.mask, f"{TARGET_MASK}.nii.gz": pair.target_mask}
    masks = {name: pair.source.with_data(mask, shows="mask") for name, mask in with_mask.items()}
    volumes = {"source.nii.gz": pair.source, "target.nii.gz": pair.target, **masks}
    if pair.labels is not None:
        volumes["labels.nii.gz"] = pair.labels
    for contrast, each in pair.more.items():
        name = more_file_name(contrast)
        (folder / name).unlink(missing_ok=True)
        if isinstance(each, RegisteredSource):
            volumes[name] = each.volume
    for name, volume in volumes.items():
        write_volume(folder / name, volume, dtype="uint8" if name in masks else "auto")
    names = list(volumes)
    if draw is not None:
        names.append(PICTURE)
        draw(pair, folder / PICTURE)
    return hash_files(folder, names)
