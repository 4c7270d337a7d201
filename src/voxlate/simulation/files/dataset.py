"""Writes many simulated subjects as a BIDS data set with its truth; a run that was stopped can be continued.

Every subject depends on the seed and its own number alone, so that the files are the same with any number of processes.
A subject is finished when its manifest, written last, names each of its files and they have the hashes in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from voxlate.errors import InputRefused, UsageError
from voxlate.io.atomic import write_json
from voxlate.io.documents import read_json
from voxlate.jobs.processes import require_jobs
from voxlate.jobs.results import are_unchanged, hash_files, resume
from voxlate.jobs.run_folder import RunFolder
from voxlate.simulation.anatomy.anatomies import FormulaHeads
from voxlate.simulation.checks import require_not_negative
from voxlate.simulation.files.bids import TRUTH, write_session
from voxlate.simulation.files.dataset_files import write_description_files, write_summary_files
from voxlate.simulation.physics.scanners import scanner_named
from voxlate.simulation.subject import (
    Options,
    require_heads,
    require_size,
    require_task,
    simulate_subject,
    subject_name,
)
from voxlate.version import __version__

SETTINGS_FILE = TRUTH / "simulation.json"


@dataclass(frozen=True)
class Plan:
    """The settings of a data set.

    Attributes:
        task, size, scanner, seed, options: see `simulate_subject`.
        subjects: number of subjects.
        sessions: number of sessions of each subject.
        has_dicom: whether each image is written as a DICOM series too.

    Raises:
        UsageError: `SUBJECTS` when a number is below 1; `TASK_UNKNOWN`, `SIZE_UNKNOWN`, `SCANNER_UNKNOWN`,
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
            raise UsageError(
                "SUBJECTS", f"{self.subjects} subjects with {self.sessions} sessions: give 1 or more of each"
            )
        require_task(self.task)
        require_size(self.size)
        require_heads(self.task, self.options)
        if self.scanner is not None:
            scanner_named(self.scanner)

    def identity(self) -> dict[str, Any]:
        """Returns the settings that two runs must share to write into one folder; the number of subjects may grow."""
        plain = replace(self, options=replace(self.options, anatomies=FormulaHeads()))
        settings = {name: value for name, value in asdict(plain).items() if name != "subjects"}
        del settings["options"]["anatomies"]
        settings["anatomies"] = None if self.task == "spine" else self.options.anatomies.identity()
        return {**settings, "software": f"voxlate {__version__}"}


def write_dataset(root: Path, plan: Plan, *, jobs: int = 1) -> Iterator[str]:
    """Writes a data set and yields the name of each subject as it is finished; those of earlier runs come first.

    Args:
        root: a new or empty folder, or that of an earlier run with the same settings.
        plan: the settings.
        jobs: number of processes.

    Raises:
        UsageError: `FOLDER_OCCUPIED`, `SETTINGS_DIFFER`, `JOBS`.
        InputRefused: what `read_label_map` refuses, before anything is written.
        CannotWrite, TemporaryFailure: see `voxlate.errors.writing`.
    """
    require_jobs(jobs)
    folder = RunFolder(root, SETTINGS_FILE)
    folder.require_own()
    if folder.is_claimed:
        folder.require_same(plan.identity())
    elif plan.task != "spine":
        plan.options.anatomies.check(plan.seed, plan.subjects)
    write_description_files(root, plan.task, plan.identity(), SETTINGS_FILE)
    yield from resume(
        partial(write_subject, root, plan), range(plan.subjects), partial(_finished_name, root), jobs=jobs
    )
    write_summary_files(root, plan.task, plan.sessions, [subject_name(number) for number in range(plan.subjects)])


def write_subject(root: Path, plan: Plan, number: int) -> str:
    """Simulates and writes one subject with all its sessions, the manifest last; returns its name."""
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
    write_json(manifest_path(root, name), hash_files(root, [path.as_posix() for path in sorted(written)]))
    return name


def _finished_name(root: Path, number: int) -> str | None:
    """Returns the name of a subject that an earlier run finished, or None."""
    name = subject_name(number)
    return name if is_finished(root, name) else None


def is_finished(root: Path, subject: str) -> bool:
    """Returns whether the manifest of a subject exists and all files in it have the hashes in it.

    Raises:
        InputRefused: `MANIFEST` when the manifest itself is damaged.
    """
    path = manifest_path(root, subject)
    if not path.is_file():
        return False
    try:
        return are_unchanged(root, read_json(path))
    except (ValueError, AttributeError) as error:
        raise InputRefused(
            "MANIFEST", f"{path.name} of {subject} is damaged; delete it to make the subject again"
        ) from error


def manifest_path(root: Path, subject: str) -> Path:
    """Returns the path of the manifest of a subject."""
    return root / TRUTH / subject / "manifest.json"
