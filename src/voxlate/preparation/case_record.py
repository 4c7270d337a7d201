"""The record of a case: made once, taken again while it is current, and a reason where the case is not done.

OUT/settings.json           settings; a folder has one set of them
OUT/<case>/<record>.json    measures and hashes of a case that is done; written last
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from voxlate.errors import UsageError, VoxlateError
from voxlate.io.atomic import remove_orphans, write_json
from voxlate.io.log import of_case
from voxlate.jobs.results import are_unchanged, hash_inputs, read_result
from voxlate.jobs.run_folder import RunFolder
from voxlate.jobs.states import DONE, FAILED, CaseOutcome, outcome_of_error
from voxlate.version import __version__

SETTINGS = "settings.json"


class CaseFiles(Protocol):
    """The input files of a case."""

    @property
    def name(self) -> str:
        """Returns the name of the case."""

    def named(self) -> Mapping[str, Path]:
        """Returns the path of each file by its role."""


def claim_folder(out: Path, settings: BaseModel) -> None:
    """Takes a folder for a run with these settings, and removes what killed runs left in it and in its cases.

    Raises:
        UsageError: `FOLDER_OCCUPIED`, `SETTINGS_DIFFER`.
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    remove_orphans(out)
    RunFolder(out, SETTINGS).claim(settings.model_dump(mode="json"))
    for folder in (path for path in out.iterdir() if path.is_dir()):
        remove_orphans(folder)


def recorded(
    files: CaseFiles, settings: BaseModel, path: Path, make: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    """Returns the record of a case: that of an earlier run if it is current, else a new one; errors become records.

    Args:
        files: of the case.
        settings: of the run.
        path: of the record, in the folder of the case.
        make: writes the case into that folder, and returns its measures with the hashes of its files as `files`.

    Raises:
        UsageError: the settings are wrong or a library is missing.
        TemporaryFailure, CannotWrite: the output cannot be written.
    """
    try:
        fingerprint = _fingerprint(files, settings)
        earlier = _done_record(path, fingerprint)
        if earlier is not None:
            return earlier
        path.unlink(missing_ok=True)
        content: dict[str, Any] = {"case": files.name, "state": DONE, "fingerprint": fingerprint}
        with of_case(files.name):
            measures = make()
        content |= {"voxlate": __version__, "settings": settings.model_dump(mode="json"), **measures}
        write_json(path, content)
        return content
    except UsageError:
        raise  # the settings or a missing library, not the case
    except OSError as error:
        outcome = CaseOutcome(files.name, FAILED, "UNREADABLE", f"a file: {error.strerror or type(error).__name__}")
    except VoxlateError as error:
        if error.state == "FAILED" and error.exit_status != VoxlateError.exit_status:
            raise  # the disk, not the case
        outcome = outcome_of_error(files.name, error)
    return {"case": outcome.case, "state": outcome.state, "code": outcome.code, "message": outcome.message}


def _done_record(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """Returns the record of a case that is done, if its fingerprint is this and its files are those in the record."""
    record = read_result(path, state=DONE, fingerprint=fingerprint)
    try:
        return record if record is not None and are_unchanged(path.parent, record["files"]) else None
    except (KeyError, AttributeError, TypeError):  # damaged
        return None


def _fingerprint(files: CaseFiles, settings: BaseModel) -> str:
    """Returns a hash of the contents of the input files, of the settings and of the version of voxlate."""
    hashes = hash_inputs(files.named())
    parts = [__version__, settings.model_dump_json()]
    parts += [f"{role}:{hashes.get(role, 'absent')}" for role in files.named()]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()
