"""Files that a step reads and no verb writes: tables of cases with another target or with test sets, reader studies."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import yaml

from voxlate.bundle.recipe import Recipe
from voxlate.cases import MORE, Case, read_cases, write_cases
from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.experiments.settings import Evaluation
from voxlate.io.atomic import replacing, write_text

STUDY, PATIENTS = "study.yaml", "patients.tsv"


class StepInput(Protocol):
    """A file that is written before a step runs."""

    @property
    def settings(self) -> Any:
        """Returns what decides its content beside other files, as JSON values."""

    def write(self) -> None:
        """Writes it."""


@dataclass(frozen=True)
class CaseTable:
    """A table of cases that is made from another one.

    Attributes:
        path: where it is written.
        origin: the table that it is made from.
        target: additional contrast that becomes the target; empty to keep the target.
        sets: test sets that the test patients are assigned to in turn, where the table names none.
        is_target_source: the target takes the place of the source, as a control: a network that removes a contrast
            agent should leave a scan without agent as it is.
    """

    path: Path
    origin: Path
    target: str = ""
    sets: tuple[str, ...] = ()
    is_target_source: bool = False

    @property
    def settings(self) -> Any:
        """Returns target, sets and whether the target takes the place of the source."""
        return [self.target, *self.sets, self.is_target_source]

    def write(self) -> None:
        """Writes the table.

        Raises:
            InputRefused: `TARGET_MISSING` when no case has the contrast that is the target.
        """
        cases = read_cases(self.origin)
        if self.target:
            cases = [replace(case, target=case.more[self.target]) for case in cases if self.target in case.more]
            if not cases:
                advice = f"add the column more:{self.target} to {self.origin.name}"
                raise InputRefused("TARGET_MISSING", f"no case has {self.target}; {advice}")
        if self.sets and not any(case.set for case in cases):
            patients = list(dict.fromkeys(case.patient for case in cases if case.split == "test"))
            set_of = {patient: self.sets[index % len(self.sets)] for index, patient in enumerate(patients)}
            cases = [replace(case, set=set_of.get(case.patient, "")) for case in cases]
        if self.is_target_source:
            cases = [replace(case, source=case.target) for case in cases]
        write_cases(self.path, cases)


def require_contrasts(table: Path, recipes: Mapping[str, Recipe], evaluations: Mapping[str, Evaluation]) -> None:
    """Refuses a cohort that lacks a contrast, before anything is trained on it.

    Where some systems can be trained without the contrast, the experiment begins, and the tables name the others with
    the reason.

    Args:
        table: the user's table of cases.
        recipes: of the systems that are trained, by system.
        evaluations: of the experiment.

    Raises:
        NoInput, InputRefused: what `read_cases` refuses; `TARGET_MISSING` for the target of an evaluation;
            `SOURCE_NOWHERE` for a source of every system.
    """
    cases = read_cases(table, paired=False)
    known = {contrast for case in cases for contrast in case.more}
    for name, evaluation in evaluations.items():
        if evaluation.target and evaluation.target not in known:
            raise InputRefused(
                "TARGET_MISSING",
                f"no case has {evaluation.target}, the target of the evaluation {name}; add the column "
                f"more:{evaluation.target} to {table.name}",
            )
    lacking = [[each for each in recipe.more_sources if each not in known] for recipe in recipes.values()]
    if lacking and all(lacking):
        absent = sorted({each for some in lacking for each in some})
        columns = ", ".join(MORE + each for each in absent)
        raise UsageError("SOURCE_NOWHERE", f"no case has {', '.join(absent)}; add to {table.name}: {columns}")


@dataclass(frozen=True)
class StudyFiles:
    """The study file of a reader study and its images, copied from the test cases and the images of a system.

    Attributes:
        folder: gets `study.yaml`, the patients of the cases and a folder for each kind of image.
        cases: table of the test cases.
        synthetic: folder of the system's images.
        content: of the study file, without its images.
        has_source: whether readers see the source beside the images.
    """

    folder: Path
    cases: Path
    synthetic: Path
    content: Mapping[str, Any]
    has_source: bool

    @property
    def settings(self) -> Any:
        """Returns the content of the study file."""
        return [dict(self.content), self.has_source]

    def write(self) -> None:
        """Writes the study file and the images of all cases that have a synthetic one.

        Raises:
            NoInput: `NO_INPUT` when no test case has a synthetic image.
        """
        cases = [case for case in read_cases(self.cases) if case.split == "test" and self._synthetic(case).is_file()]
        if not cases:
            raise NoInput("NO_INPUT", "no test case has a synthetic image for the readers")
        images = {"real": "real", "synthetic": "synthetic"} | ({"source": "source"} if self.has_source else {})
        for kind in images:  # images of an earlier run, whose case may have none now
            shutil.rmtree(self.folder / kind, ignore_errors=True)
        for case in cases:
            files = {"real": case.target, "synthetic": self._synthetic(case), "source": case.source}
            for kind in images:
                with replacing(self.folder / kind / f"{case.case}.nii.gz") as partial:
                    shutil.copyfile(files[kind], partial)
        # Several cases of one patient, such as the discs of a spine, are one cluster of the analysis.
        rows = [["case", "patient"], *([case.case, case.patient] for case in cases)]
        write_text(self.folder / PATIENTS, "".join(f"{case}\t{patient}\n" for case, patient in rows))
        images_of = {**self.content.get("images", {}), **images}
        study = {"patients": PATIENTS, **self.content, "images": images_of}
        write_text(self.folder / STUDY, yaml.safe_dump(study, sort_keys=False, allow_unicode=True))

    def _synthetic(self, case: Case) -> Path:
        return self.synthetic / f"{case.case}.nii.gz"
