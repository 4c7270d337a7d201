"""The plan of an experiment: command lines of voxlate, each with what it needs and what it makes.

    data-1 … data-n -> prepare-NAME -> train-SYSTEM -> translate-SYSTEM -> evaluate-NAME -> readers-1 …

A step is a command line that anyone can run by hand. Files that it reads and no verb writes are described by
`voxlate.experiments.inputs` and written before it runs.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from voxlate.bundle.recipe import Recipe, read_recipe
from voxlate.errors import UsageError
from voxlate.experiments.inputs import STUDY, CaseTable, StepInput, StudyFiles, require_contrasts
from voxlate.experiments.settings import Evaluation, Experiment, Override, ScaleName, System, scale_of
from voxlate.shipped import find_shipped

DATA, PREPARED, ARRAYS, CACHE, SYSTEMS, EVALUATIONS, READERS = (
    "data", "prepared", "arrays", "cache", "systems", "evaluation", "readers",
)  # fmt: skip
CASES = "cases.tsv"


@dataclass(frozen=True)
class Step:
    """One command line.

    Attributes:
        name: unique in the plan; names its log and its record.
        argv: arguments of `voxlate`.
        needs: steps that must be done before.
        prefers: steps that must have ended before, done or not: an evaluation goes on without a system that failed.
        output: file or folder that the step makes, removed before it runs with other settings.
        system: the system that it belongs to; empty for steps that all systems share.
        reads: a file that is written before it runs.
        inputs: files from outside whose content decides its result: rules of a cohort, a table of the user's.
        recipe: of a training, resolved.
    """

    name: str
    argv: tuple[str, ...]
    needs: tuple[str, ...]
    output: Path
    prefers: tuple[str, ...] = ()
    system: str = ""
    reads: StepInput | None = None
    inputs: tuple[Path, ...] = ()
    recipe: Recipe | None = None

    @property
    def decisive(self) -> tuple[str, ...]:
        """Returns the arguments that decide the result: all but `--cache FOLDER`, which only saves time."""
        if "--cache" not in self.argv:
            return self.argv
        place = self.argv.index("--cache")
        return self.argv[:place] + self.argv[place + 2 :]

    @property
    def command(self) -> str:
        """Returns the command line, as one types it."""
        return shlex.join(["voxlate", *self.argv])


@dataclass(frozen=True)
class Size:
    """The size of a run of an experiment.

    Attributes:
        scale: key of `Experiment.scales`.
        patients: number of simulated patients; that of the scale without it.
        data: folder of the user's data with a `cases.tsv`; None to make the experiment's own data.
        is_prepared: whether the user's data are used as they are.
    """

    scale: ScaleName
    patients: int | None = None
    data: Path | None = None
    is_prepared: bool = False


def build_plan(experiment: Experiment, folder: Path, size: Size) -> list[Step]:
    """Returns the steps of an experiment in an order in which they can run.

    Args:
        experiment: what is compared.
        folder: of all results.
        size: how large.

    Raises:
        UsageError: `SCALE`; `EXPERIMENT` for a command line with an unknown `{name}`.
        NoInput: a recipe does not exist.
    """
    plan = _Planner(experiment, folder, size)
    steps = [*plan.data_steps(), *plan.preparation_steps()]
    for name in experiment.systems:
        steps += plan.system_steps(name)
    for name in experiment.evaluations:
        steps.append(plan.evaluation_step(name))
    return [*steps, *plan.reader_steps()]


def require_data(experiment: Experiment, size: Size) -> None:
    """Refuses data of the user's that lack what the experiment needs; nothing is checked without them.

    Args:
        experiment: what is compared.
        size: with the folder of the data.

    Raises:
        VoxlateError: what `require_contrasts` refuses.
    """
    if size.data is None:
        return
    systems = experiment.systems
    recipes = {name: recipe_of(experiment, name, size.scale) for name in systems if not systems[name].weights_of}
    require_contrasts(size.data / CASES, recipes, experiment.evaluations)


def overrides_of(experiment: Experiment, system: System, scale: ScaleName) -> Override:
    """Returns the overrides of a system's recipe: of the scale, of the system, of the system at this scale."""
    return {**scale_of(experiment, scale).override, **system.override, **system.scales.get(scale, {})}


def recipe_of(experiment: Experiment, name: str, scale: ScaleName) -> Recipe:
    """Returns the recipe that a system with weights of its own is trained with at a scale.

    Args:
        experiment: that names the system.
        name: of the system.
        scale: of the experiment.

    Raises:
        UsageError: see `read_recipe`.
    """
    system = experiment.systems[name]
    path = find_shipped("recipes", system.recipe, what="recipe")
    return read_recipe(path, variants=system.variants, overrides=overrides_of(experiment, system, scale))


class _Planner:
    """Builds the steps of one experiment; see `build_plan`."""

    def __init__(self, experiment: Experiment, folder: Path, size: Size) -> None:
        self.experiment, self.folder, self.size = experiment, folder, size
        scale = scale_of(experiment, size.scale)
        data = folder / DATA if size.data is None else size.data
        self.words = {"data": str(data), "patients": str(size.patients or scale.patients), "size": scale.size}
        self.cases = data / (experiment.data.cases if size.data is None else CASES)
        self.given = () if size.data is None else (self.cases,)
        steps = experiment.data.steps if size.data is None else ()
        self.after_data = (f"data-{len(steps)}",) if steps else ()

    def data_steps(self) -> list[Step]:
        """Returns the steps that make the data; none with data of the user's."""
        if self.size.data is not None:
            return []
        steps = []
        for number, each in enumerate(self.experiment.data.steps, start=1):
            argv = self.filled(f"{each.run} {each.scales.get(self.size.scale, '')}")
            needs = (f"data-{number - 1}",) if number > 1 else ()
            is_cohort = argv[0] == "cohort"
            rules = (find_shipped("cohorts", argv[1], what="rules of a cohort"),) if is_cohort else ()
            steps.append(Step(f"data-{number}", argv, needs, self.folder / DATA / each.makes, inputs=rules))
        return steps

    def preparation_steps(self) -> list[Step]:
        """Returns the steps that prepare the cases; only those that a system uses."""
        used = {self.preparation_of(name) for name in self.experiment.systems}
        sets = self.experiment.data.sets if self.size.data is None else ()
        cases = self.folder / CASES if sets else self.cases
        table = CaseTable(cases, self.cases, sets=sets) if sets else None
        return [
            Step(
                f"prepare-{name}",
                self.filled(line, cases=cases, out=out),
                self.after_data,
                out,
                reads=table,
                inputs=self.given,
            )
            for name, line in self.experiment.preparations.items()
            if name in used
            for out in [self.folder / PREPARED / name]
        ]

    def system_steps(self, name: str) -> list[Step]:
        """Returns the training and the translation of a system, one translation for each fold."""
        system = self.experiment.systems[name]
        steps = [] if system.weights_of else [self._training(name, system)]
        return steps + [self._translation(step, name, system, fold) for step, fold in self._translations(name)]

    def evaluation_step(self, name: str) -> Step:
        """Returns the evaluation of all of its systems."""
        evaluation = self.experiment.evaluations[name]
        systems = self.experiment.systems_of(name)
        ends = tuple(step for key in systems for step, _ in self._translations(key))
        out = self.folder / EVALUATIONS / name
        table = self._evaluated_cases(name, evaluation, systems[0])
        argv = ["evaluate", str(table.path if table else self.cases_of(systems[0])), str(out), "--no-progress"]
        for key in systems:
            argv += ["--synthetic", f"{key}={self.synthetic(key)}"]
            if self.experiment.systems[key].folds is None:
                argv += ["--model", f"{key}={self.bundle(key)}"]
        if self.experiment.systems[systems[0]].folds:
            argv.append("--folds")  # of the training patients
        if self.size.data is None:
            argv += ["--data-kind", self.experiment.data_kind]
        return Step(f"evaluate-{name}", (*argv, *shlex.split(evaluation.options)), (), out, prefers=ends, reads=table)

    def reader_steps(self) -> list[Step]:
        """Returns the reader studies, made from the images of a system."""
        steps = []
        for name, study in self.experiment.readers.items():
            folder = self.folder / READERS / name
            content = {"name": name, "title": study.title, "data_kind": self.experiment.data_kind, **study.study}
            cases, synthetic = self.cases_of(study.system), self.synthetic(study.system)
            files = StudyFiles(folder / "images", cases, synthetic, content, study.has_source)
            argv = ("readers", "create", str(folder / "images" / STUDY), str(folder / "study"), "--no-progress")
            needs = (f"translate-{study.system}",)
            steps.append(Step(f"readers-{name}", argv, needs, folder / "study", reads=files))
        return steps

    def _translations(self, name: str) -> list[tuple[str, int | None]]:
        """Returns the names of the translations of a system, each with its fold."""
        folds = self.experiment.systems[name].folds
        if folds is None:
            return [(f"translate-{name}", None)]
        return [(f"translate-{name}-fold-{fold}", fold) for fold in range(folds)]

    def _training(self, name: str, system: System) -> Step:
        run = self.folder / SYSTEMS / name / "run"
        path = find_shipped("recipes", system.recipe, what="recipe")
        overrides = {"data.cases": self.cases_of(name).name} | overrides_of(self.experiment, system, self.size.scale)
        recipe = read_recipe(path, variants=system.variants, overrides=overrides)
        argv = ["train", str(path), str(run), "--data", str(self.cases_of(name).parent), "--no-progress"]
        argv += [word for variant in system.variants for word in ("--variant", variant)]
        argv += [word for key, value in overrides.items() for word in ("--set", f"{key}={_as_yaml(value)}")]
        argv += ["--prepared", str(self.folder / ARRAYS), *self.cached()]
        argv += ["--resume"] if system.folds is None else ["--resume", "--folds", str(system.folds)]
        needs, given = self.after_preparation(name), self.given
        return Step(f"train-{name}", tuple(argv), needs, run, system=name, inputs=given, recipe=recipe)

    def _translation(self, step: str, name: str, system: System, fold: int | None) -> Step:
        out = self.synthetic(name) if fold is None else self.synthetic(name) / f"fold-{fold}" / "synthetic"
        cases = self.synthetic(name) / f"fold-{fold}" / CASES if fold is not None else self.cases_of(name)
        table = None
        if system.input == "target":
            table = CaseTable(self.folder / SYSTEMS / name / CASES, cases, is_target_source=True)
            cases = table.path
        argv = ["translate", str(cases), str(out), "-m", str(self.bundle(name, fold))]
        argv += [word for key, other in system.impute.items() for word in ("--impute", f"{key}={self.bundle(other)}")]
        argv += [word for contrast in system.blank for word in ("--blank", contrast)]
        argv += ["--ood", "flag", "--keep-spacing", *self.cached(), "--no-progress", *shlex.split(system.options)]
        others = (self.experiment.bundle_owner(name), *map(self.experiment.bundle_owner, system.impute.values()))
        needs = tuple(f"train-{other}" for other in others)
        if self.experiment.preparation_of(name) != self.experiment.preparation_of(others[0]):
            needs += self.after_preparation(name)  # that of the weights comes before their training
        return Step(step, tuple(argv), needs, out, system=name, reads=table)

    def _evaluated_cases(self, name: str, evaluation: Evaluation, system: str) -> CaseTable | None:
        if not evaluation.target:
            return None
        return CaseTable(self.folder / EVALUATIONS / f"{name}.tsv", self.cases_of(system), target=evaluation.target)

    def preparation_of(self, system: str) -> str:
        """Returns the preparation that makes the cases of a system; an empty text where they are used as they are."""
        name = self.experiment.preparation_of(system)
        return name if self.experiment.preparations[name] and not self.size.is_prepared else ""

    def cases_of(self, system: str) -> Path:
        """Returns the table of the prepared cases of a system."""
        name = self.preparation_of(system)
        return self.folder / PREPARED / name / CASES if name else self.cases

    def synthetic(self, system: str) -> Path:
        """Returns the folder of the synthetic images of a system; of a cross-validation, the folder of its folds."""
        is_folded = self.experiment.systems[system].folds is not None
        return self.folder / SYSTEMS / system / ("run" if is_folded else "synthetic")

    def bundle(self, system: str, fold: int | None = None) -> Path:
        """Returns the bundle that a system uses."""
        run = self.folder / SYSTEMS / self.experiment.bundle_owner(system) / "run"
        return run / "bundle" if fold is None else run / f"fold-{fold}" / "bundle"

    def cached(self) -> tuple[str, str]:
        """Returns the option by which training and translation share what is fitted to a scan."""
        return ("--cache", str(self.folder / CACHE))

    def after_preparation(self, system: str) -> tuple[str, ...]:
        """Returns the step that makes the cases of a system."""
        name = self.preparation_of(system)
        return (f"prepare-{name}",) if name else self.after_data

    def filled(self, line: str, **more: Path) -> tuple[str, ...]:
        """Returns the arguments of a command line with its `{names}` filled in, each within its argument."""
        words = self.words | {key: str(value) for key, value in more.items()}
        try:
            return tuple(word.format(**words) for word in shlex.split(line))
        except (KeyError, IndexError, ValueError) as error:
            known = ", ".join("{" + word + "}" for word in words)
            raise UsageError("EXPERIMENT", f"the command {line!r} may only name {known}") from error


def _as_yaml(value: Any) -> str:
    """Returns a value as YAML on one line, as `--set` reads it."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("\n").removesuffix("\n...")
