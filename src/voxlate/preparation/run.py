"""A cohort prepared case by case: cached, parallel, restartable; in = done + refused + failed, always.

OUT/settings.json                                                     how; a folder is prepared in one way
OUT/<case>/source.nii.gz, target.nii.gz, mask.nii.gz, labels.nii.gz   one grid, that of the source
OUT/<case>/picture.png                                                the steps, to look at
OUT/<case>/preparation.json                                           every figure, the hashes; written last
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from voxlate import __version__
from voxlate.errors import UsageError, VoxlateError
from voxlate.io.atomic import is_partial, remove_orphans, sha256, write_json
from voxlate.io.documents import read_json
from voxlate.io.nifti import read_mask, read_volume, write_volume
from voxlate.jobs.processes import each
from voxlate.preparation.register_pair import PairSettings, PreparedPair, figures, prepare_pair
from voxlate.volume import Volume

RECORD, PICTURE, SETTINGS = "preparation.json", "picture.png", "settings.json"
DONE, REFUSED, FAILED = "done", "refused", "failed"

Draw = Callable[[PreparedPair, Path], None]
"""Writes the picture of a pair to a path; a function that can be pickled."""


@dataclass(frozen=True)
class PairFiles:
    """The files of one case."""

    name: str
    source: Path
    target: Path
    mask: Path | None = None
    labels: Path | None = None

    def named(self) -> dict[str, Path]:
        """Returns role to path for the files that there should be."""
        files = {"source": self.source, "target": self.target, "mask": self.mask, "labels": self.labels}
        return {role: path for role, path in files.items() if path is not None}


def prepare_cohort(
    cases: Sequence[PairFiles], out: Path, settings: PairSettings, *, jobs: int = 1, draw: Draw | None = None
) -> Iterator[dict[str, Any]]:
    """Prepares every case and yields its record: `case`, `state` and, unless done, `code` and `message`.

    A case that was done before from the same files with the same settings is taken over as it stands. What was
    refused or failed is tried again.

    Raises:
        UsageError: `FOLDER_OCCUPIED`, `SETTINGS_DIFFER`.
        TemporaryFailure, CannotWrite: the output cannot be written, or a process was killed.
    """
    _claim(out, settings)
    yield from each(partial(prepare_files, out=out, settings=settings, draw=draw), cases, jobs=jobs)


def prepare_files(files: PairFiles, *, out: Path, settings: PairSettings, draw: Draw | None = None) -> dict[str, Any]:
    """Prepares one case into `out/<case>` and returns its record; a fault of the input is a record, not an error."""
    folder = out / files.name
    try:
        fingerprint = _fingerprint(files, settings)
        known = done_record(folder, fingerprint)
        if known is not None:
            return known
        (folder / RECORD).unlink(missing_ok=True)
        pair, inputs = _prepared(files, settings)
        record: dict[str, Any] = {"case": files.name, "state": DONE, "fingerprint": fingerprint, "voxlate": __version__}
        record |= {"settings": settings.model_dump(mode="json"), "inputs": inputs, **figures(pair)}
        record["files"] = _write(pair, folder, draw)
        write_json(folder / RECORD, record)
    except UsageError:
        raise  # the settings or a missing library, not the case
    except OSError as error:
        reason = error.strerror or type(error).__name__
        record = {"case": files.name, "state": FAILED, "code": "UNREADABLE", "message": f"a file: {reason}"}
    except VoxlateError as error:
        if error.state == "FAILED" and error.exit_status != VoxlateError.exit_status:
            raise  # the disk, not the case
        state = REFUSED if error.state == "REFUSED" else FAILED
        record = {"case": files.name, "state": state, "code": error.code, "message": error.message}
    return record


def _claim(out: Path, settings: PairSettings) -> None:
    """Refuses a folder that holds something else, before anything is written.

    In a folder of ours, what a killed run left half written goes.
    """
    wanted = settings.model_dump(mode="json")
    marker = out / SETTINGS
    remove_orphans(out)
    if marker.is_file():
        if _read(marker) != wanted:
            raise UsageError(
                "SETTINGS_DIFFER", f"{out.name} was prepared in another way; use those settings or another folder"
            )
        for folder in (place for place in out.iterdir() if place.is_dir()):
            remove_orphans(folder)
        return
    if out.is_file() or (out.is_dir() and any(not is_partial(path) for path in out.iterdir())):
        raise UsageError(
            "FOLDER_OCCUPIED", f"{out.name} holds something that voxlate did not prepare; name a new folder"
        )
    write_json(marker, wanted)


def _read(path: Path) -> Any:
    """Returns the content of a JSON file; None when it is not JSON."""
    try:
        return read_json(path)
    except ValueError:
        return None


def done_record(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """Returns the record of a case that was done from the same files and settings and is still whole, or None."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = read_json(path)
        is_same = record["state"] == DONE and record["fingerprint"] == fingerprint
        is_whole = all(
            (folder / name).is_file() and sha256(folder / name) == value for name, value in record["files"].items()
        )
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    return record if is_same and is_whole else None


def _fingerprint(files: PairFiles, settings: PairSettings) -> str:
    """Returns a hash of the bytes that go in, of the settings and of the version that prepares."""
    parts = [__version__, settings.model_dump_json()]
    parts += [f"{role}:{sha256(path) if path.is_file() else 'absent'}" for role, path in files.named().items()]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def _prepared(files: PairFiles, settings: PairSettings) -> tuple[PreparedPair, dict[str, Any]]:
    source, target = read_volume(files.source, shows="source"), read_volume(files.target, shows="target")
    mask = None if files.mask is None else read_mask(files.mask, like=source)
    labels = None if files.labels is None else read_volume(files.labels, shows="labels")
    inputs = {role: _described(volume) for role, volume in {"source": source, "target": target}.items()}
    return prepare_pair(source, target, settings, mask=mask, labels=labels), inputs


def _described(volume: Volume) -> dict[str, Any]:
    return {
        "shape": list(volume.data.shape),
        "spacing_mm": [round(mm, 4) for mm in volume.spacing_mm],
        "orientation": volume.grid.orientation,
        "range": [float(volume.data.min()), float(volume.data.max())],
    }


def _write(pair: PreparedPair, folder: Path, draw: Draw | None) -> dict[str, str]:
    """Writes the files of a case and returns their hashes."""
    volumes = {"source": pair.source, "target": pair.target, "mask": pair.source.with_data(pair.mask, shows="mask")}
    if pair.labels is not None:
        volumes["labels"] = pair.labels
    names = []
    for role, volume in volumes.items():
        names.append(f"{role}.nii.gz")
        write_volume(folder / names[-1], volume, dtype="uint8" if role == "mask" else "auto")
    if draw is not None:
        names.append(PICTURE)
        draw(pair, folder / PICTURE)
    return {name: sha256(folder / name) for name in names}
