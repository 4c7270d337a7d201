"""Many subjects on disk: a BIDS data set with its truth, written by several processes, taken up again where it stopped.

Every subject depends on the seed and its own number alone, so that the files are the same however many processes
write them. A subject is finished when its manifest, written last, names each of its files with its hash.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from voxlate import __version__
from voxlate.errors import InputRefused, UsageError
from voxlate.io.atomic import sha256, write_json
from voxlate.io.documents import read_json
from voxlate.jobs.processes import each
from voxlate.simulation.files.bids import TRUTH, write_session
from voxlate.simulation.files.dataset_files import write_description_files, write_summary_files
from voxlate.simulation.physics.scanners import scanner_named
from voxlate.simulation.physics.sequences import require_not_negative
from voxlate.simulation.subject import SIZES_MM, TASKS, Options, require_heads, simulate_subject

SETTINGS_FILE = TRUTH / "simulation.json"


@dataclass(frozen=True)
class Plan:
    """A data set to be made.

    Attributes:
        task, size, scanner, seed, options: see `simulate_subject`.
        subjects: how many.
        sessions: visits of each.
        has_dicom: whether each image is written as a DICOM series too.

    Raises:
        UsageError: `SUBJECTS` when none is asked for; `TASK_UNKNOWN`, `SIZE_UNKNOWN`, `SCANNER_UNKNOWN`,
            `SEED_NEGATIVE`, `ANATOMY_TASK`.
    """

    task: str
    subjects: int
    seed: int
    size: str = "small"
    scanner: str | None = None
    sessions: int = 1
    has_dicom: bool = False
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        require_not_negative("SEED_NEGATIVE", seed=self.seed)
        if self.subjects < 1 or self.sessions < 1:
            raise UsageError("SUBJECTS", f"{self.subjects} subjects with {self.sessions} sessions make no data set")
        if self.task not in TASKS:
            raise UsageError("TASK_UNKNOWN", f"no task is called {self.task!r}; there are {', '.join(TASKS)}")
        if self.size not in SIZES_MM:
            raise UsageError("SIZE_UNKNOWN", f"no size is called {self.size!r}; there are {', '.join(SIZES_MM)}")
        require_heads(self.task, self.options)
        if self.scanner is not None:
            scanner_named(self.scanner)

    def identity(self) -> dict[str, Any]:
        """Returns what two runs must share to write into one folder; the number of subjects may grow."""
        anatomies = self.options.anatomies
        plain = replace(self, options=replace(self.options, anatomies=None))
        settings = {name: value for name, value in asdict(plain).items() if name != "subjects"}
        del settings["options"]["anatomies"]
        settings["anatomies"] = None if anatomies is None else anatomies.identity()
        return {**settings, "software": f"voxlate {__version__}"}


def write_dataset(root: Path, plan: Plan, *, jobs: int = 1) -> Iterator[str]:
    """Writes a data set and yields the name of each subject as it is finished; subjects found finished come first.

    Args:
        root: a new or empty folder, or one that an earlier run of the same plan left.
        plan: what to make.
        jobs: processes.

    Raises:
        UsageError: `FOLDER_OCCUPIED`, `SETTINGS_DIFFER`, `JOBS`.
        CannotWrite, TemporaryFailure: see `voxlate.errors.writing`.
    """
    if jobs < 1:
        raise UsageError("JOBS", f"{jobs} processes cannot work; give --jobs 1 or more")
    check_folder(root, plan)
    write_description_files(root, plan.task, plan.identity(), SETTINGS_FILE)
    finished = [number for number in range(plan.subjects) if is_finished(root, subject_name(number))]
    yield from (subject_name(number) for number in finished)
    todo = [number for number in range(plan.subjects) if number not in set(finished)]
    yield from each(partial(write_subject, root, plan), todo, jobs=jobs)
    write_summary_files(root, plan.task, plan.sessions, [subject_name(number) for number in range(plan.subjects)])


def check_folder(root: Path, plan: Plan) -> None:
    """Refuses a folder that holds something else, before anything is written.

    Raises:
        UsageError: `FOLDER_OCCUPIED`, `SETTINGS_DIFFER`.
    """
    if root.is_file() or (root.is_dir() and any(root.iterdir()) and not (root / SETTINGS_FILE).is_file()):
        raise UsageError(
            "FOLDER_OCCUPIED", f"{root.name} holds something that is no simulated data set; name a new or empty folder"
        )
    if (root / SETTINGS_FILE).is_file():
        found = read_json(root / SETTINGS_FILE)
        wanted = json.loads(json.dumps(plan.identity()))
        differing = [name for name in wanted if found.get(name) != wanted[name]]
        if differing:
            raise UsageError(
                "SETTINGS_DIFFER",
                f"{root.name} was made with other settings ({', '.join(differing)}); use those or another folder",
            )


def write_subject(root: Path, plan: Plan, number: int) -> str:
    """Makes and writes one subject with all its sessions, the manifest last; returns its name."""
    written: list[Path] = []
    for session in range(plan.sessions):
        made = simulate_subject(
            plan.task,
            seed=plan.seed,
            subject=number,
            session=session,
            size=plan.size,
            scanner=plan.scanner,
            options=plan.options,
        )
        written += write_session(root, made, session)
        if plan.has_dicom:
            from voxlate.simulation.files.dicom import write_dicom

            written += write_dicom(root, made, session)
    name = subject_name(number)
    write_json(manifest_path(root, name), {path.as_posix(): sha256(root / path) for path in sorted(written)})
    return name


def is_finished(root: Path, subject: str) -> bool:
    """Tells whether a subject's manifest is there and each file it names has the hash it names.

    Raises:
        InputRefused: `MANIFEST` when the manifest itself is damaged.
    """
    path = manifest_path(root, subject)
    if not path.is_file():
        return False
    try:
        hashes = read_json(path)
        return all((root / name).is_file() and sha256(root / name) == value for name, value in hashes.items())
    except (ValueError, AttributeError) as error:
        raise InputRefused(
            "MANIFEST", f"{path.name} of {subject} is damaged; delete it to make the subject again"
        ) from error


def manifest_path(root: Path, subject: str) -> Path:
    """Returns where a subject's manifest lies."""
    return root / TRUTH / subject / "manifest.json"


def subject_name(number: int) -> str:
    """Returns `sub-0001` for the first subject."""
    return f"sub-{number + 1:04d}"
