"""Experiment files: YAML that names data, preparations, systems, evaluations, tables and figures.

An experiment is a list of command lines of voxlate (`voxlate.experiments.plan`) and a list of what is made of their
results. Everything that a system differs in is written in its recipe, its variants and its overrides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from voxlate.bundle.settings import Frozen
from voxlate.errors import UsageError
from voxlate.io.settings import parse_settings, read_settings, validated
from voxlate.web.labels import method as method_label

ScaleName = Literal["tiny", "small", "published"]
Override = dict[str, Any]
"""Dotted key of a recipe to its value, as `--set` takes it: `{"training.steps": 20}`."""

BASELINES = ("source", "histogram_match", "constant")
"""Methods that a comparison may have beside the systems, in the order in which tables show them before these.

The blurred target is not among them: it is blurred to the PSNR of one system, and no comparison has it.
"""


class Paper(Frozen):
    """Reference of the published work.

    Attributes:
        citation: authors, title, journal, year.
        doi: digital object identifier, or empty.
        known_faults: what is known to be wrong or contradictory in it, one sentence each.
        deviations: how this experiment differs from it, one sentence each.
        comparable: why the printed numbers can or cannot be compared with these.
    """

    citation: str
    doi: str = ""
    known_faults: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()
    comparable: str = ""


class Scale(Frozen):
    """The size of an experiment.

    Attributes:
        patients: number of simulated patients.
        size: of simulated heads, `small` (2 mm) or `full` (1 mm).
        override: of the recipe of every system.
        needs: time, memory and data that it needs, for people.
    """

    patients: int = Field(ge=3)
    size: Literal["small", "full"] = "small"
    override: Override = Field(default_factory=dict)
    needs: str = ""


class DataStep(Frozen):
    """A command line that makes data.

    Attributes:
        run: arguments of voxlate. `{data}` is the folder of the data, `{patients}` and `{size}` come from the scale.
        makes: what it makes, below `{data}`, removed before it runs with other settings; all of `{data}` without it.
        scales: further arguments by scale.
    """

    run: str
    makes: str = ""
    scales: dict[ScaleName, str] = Field(default_factory=dict)


class Data(Frozen):
    """The data of an experiment.

    Attributes:
        steps: run one after the other; with data of the user's they do not run.
        cases: table of cases that the last step writes, below `{data}`; data of the user's have it as `cases.tsv`.
        sets: names of test sets that the simulated test patients are assigned to in turn.
    """

    steps: tuple[DataStep, ...]
    cases: str = "cases.tsv"
    sets: tuple[str, ...] = ()


class System(Frozen):
    """A system that is compared: a trained network, and how it is applied.

    Attributes:
        label: as tables and figures print it, its own in each evaluation; the key of the system without one.
        recipe: name or path of its recipe.
        variants: of the recipe, merged in this order.
        override: of the recipe.
        scales: further overrides by scale, for example a narrower network.
        preparation: key of `Experiment.preparations`; the first one without it.
        weights_of: a system whose bundle it uses, in place of a recipe.
        blank: sources that are set to zero when it is applied.
        input: the image that it is applied to; `target` for a control, the real target through the network.
        impute: source to the system that synthesises it.
        folds: number of folds of a cross-validation by patient.
        options: further options of `voxlate translate`.
    """

    label: str = ""
    recipe: str = ""
    variants: tuple[str, ...] = ()
    override: Override = Field(default_factory=dict)
    scales: dict[ScaleName, Override] = Field(default_factory=dict)
    preparation: str = ""
    weights_of: str = ""
    blank: tuple[str, ...] = ()
    input: Literal["source", "target"] = "source"
    impute: dict[str, str] = Field(default_factory=dict)
    folds: int | None = Field(default=None, ge=2)
    options: str = ""

    @model_validator(mode="after")
    def _one_origin(self) -> System:
        if bool(self.recipe) == bool(self.weights_of):
            raise ValueError("give either `recipe` or `weights_of`")
        if self.weights_of and (self.variants or self.override or self.scales or self.folds):
            raise ValueError("a system with `weights_of` is not trained: it has no variants, overrides or folds")
        return self


class Evaluation(Frozen):
    """Systems that are evaluated against one target.

    Attributes:
        systems: keys of `Experiment.systems`, in the order of the tables; all without it.
        target: contrast of the column `more:CONTRAST` that is the target, in place of the column `target`.
        options: of `voxlate evaluate`, such as protocols and the correction for many tests.
    """

    systems: tuple[str, ...] = ()
    target: str = ""
    options: str = ""


class Column(Frozen):
    """A column of a table: one metric.

    Attributes:
        head: title of the column.
        digits: decimals.
        factor: values are multiplied by this, for example 0.01 for a share in place of per cent.
    """

    metric: str
    head: str
    protocol: str = "voxlate"
    region: str = "mask"
    intensity: Literal["as_written", "linear_fit"] = "as_written"
    digits: int = Field(default=2, ge=0, le=4)
    factor: float = 1.0


class Table(Frozen):
    """A table as the paper prints it: a block for each evaluation and test set, a row for each method.

    Attributes:
        evaluations: keys of `Experiment.evaluations`; the first one without it.
        rows: systems and baselines; all without it.
        sets: test sets; all without it.
        against: method that the others are tested against; its stars are explained below the table.
        correction: of the p values.
        alpha: level of significance.
        has_slice_test: show, beside the p of the paired test, that of an independent-samples t-test over all slices,
            as Li 2022 tested.
        printed: cells of the paper by row, under `EVALUATION`, `SET` or `EVALUATION/SET`; shown beside ours.
    """

    title: str
    evaluations: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    columns: tuple[Column, ...]
    sets: tuple[str, ...] = ()
    against: str = ""
    correction: Literal["none", "bonferroni", "holm"] = "bonferroni"
    alpha: float = Field(default=0.05, gt=0, lt=1)
    has_slice_test: bool = False
    printed: dict[str, dict[str, tuple[str, ...]]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_tests(self) -> Table:
        if self.has_slice_test and not self.against:
            raise ValueError("`has_slice_test` needs `against`, the method that the others are tested against")
        return self


class Figure(Frozen):
    """A figure.

    Attributes:
        kind: see `voxlate.experiments.figures`.
        evaluation: key of `Experiment.evaluations`; the first one without it.
        systems: systems and baselines; all of the evaluation without it.
        patients: number of cases of each test set.
        planes: of slices.
        is_difference_shown: montage: also the absolute difference from the target.
        more_sources: montage: contrasts of columns `more:CONTRAST`, such as T2w, shown beside the source.
        blocks: montage: cases side by side.
        column: metric of bars, boxes and curves.
        values: curve: value of the swept setting of each system.
        axis: curve: name of the swept setting.
        parts: residual_blocks: blocks of each system's network, by their names in its code, such as `encoder.layer2.0`.
    """

    title: str
    kind: Literal[
        "montage",
        "boxes",
        "bars",
        "case_bars",
        "curve",
        "losses",
        "profile",
        "features",
        "volumes",
        "masks",
        "networks",
        "probabilities",
        "residual_blocks",
        "contextual_loss",
    ]
    evaluation: str = ""
    systems: tuple[str, ...] = ()
    patients: int = Field(default=2, ge=1)
    planes: tuple[Literal["axial", "sagittal", "coronal"], ...] = ("axial",)
    is_difference_shown: bool = False
    more_sources: tuple[str, ...] = ()
    blocks: int = Field(default=1, ge=1)
    column: Column | None = None
    values: dict[str, float] = Field(default_factory=dict)
    axis: str = ""
    parts: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Figure:
        if self.kind in ("boxes", "bars", "case_bars", "curve") and self.column is None:
            raise ValueError(f"a figure of kind `{self.kind}` needs a `column`")
        if self.kind == "curve" and not self.values:
            raise ValueError("a curve needs `values`, the swept setting of each system")
        if self.kind == "residual_blocks" and not self.parts:
            raise ValueError("a figure of residual blocks needs `parts`, their names in the code of the network")
        return self


class ReaderStudy(Frozen):
    """A reader study of the images of one system; people answer it, see `voxlate readers serve`.

    Attributes:
        system: whose images are read beside the real ones.
        has_source: whether readers see the source, such as the CT, beside them.
        study: further keys of the study file (docs/how-to/reader-study.md): readers, designs.
    """

    title: str
    system: str
    has_source: bool = False
    study: dict[str, Any]


class Experiment(Frozen):
    """One experiment; the keys of systems, evaluations, tables and figures name files and folders.

    Attributes:
        name: of the experiment.
        title: what is compared.
        paper: the published work that it repeats, if any.
        data_kind: of the data that its own steps make.
        scales: by name.
        data: see `Data`.
        preparations: command lines that prepare the cases: `{cases}` is the table, `{out}` the folder. An empty one
            uses the cases as they are.
        readers: reader studies by name.
    """

    name: str
    title: str
    paper: Paper | None = None
    data_kind: Literal["real", "simulated", "unknown"] = "simulated"
    scales: dict[ScaleName, Scale]
    data: Data
    preparations: dict[str, str] = Field(default_factory=lambda: {"none": ""})
    systems: dict[str, System] = Field(min_length=1)
    evaluations: dict[str, Evaluation] = Field(min_length=1)
    tables: dict[str, Table] = Field(default_factory=dict)
    figures: dict[str, Figure] = Field(default_factory=dict)
    readers: dict[str, ReaderStudy] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_exist(self) -> Experiment:
        for name, known, where in self._named():
            if name and name not in known:
                raise ValueError(f"{where}: there is no {name!r}; there are {', '.join(known)}")
        for key, system in self.systems.items():
            if system.weights_of and self.systems[system.weights_of].weights_of:
                raise ValueError(f"systems.{key}: {system.weights_of} has no weights of its own")
        for key in self.evaluations:
            if len({self.systems[name].folds for name in self.systems_of(key)}) > 1:
                raise ValueError(f"evaluations.{key}: systems with and without folds are not tested on the same cases")
        return self

    @model_validator(mode="after")
    def _labels_differ(self) -> Experiment:
        """Figures hold the values of a system under its label: of two systems with one label, one would be lost."""
        groups = {f"evaluations.{key}": (*BASELINES, *self.systems_of(key)) for key in self.evaluations}
        figures = [(key, figure) for key, figure in self.figures.items() if figure.kind != "profile"]  # names targets
        for where, names in (groups | {f"figures.{key}": figure.systems for key, figure in figures}).items():
            first: dict[str, str] = {}
            for name in names:
                label = method_label(self.label_of(name))
                if first.setdefault(label, name) != name:
                    raise ValueError(f"{where}: {first[label]} and {name} have one label, {label!r}; give each its own")
        return self

    def label_of(self, method: str) -> str:
        """Returns how tables and figures name a system or a baseline."""
        system = self.systems.get(method)
        return (system.label or method) if system is not None else method_label(method)

    def _named(self) -> Iterator[tuple[str, Mapping[str, Any], str]]:
        """Yields every name that another key must define, what may be named, and where it stands."""
        for key, system in self.systems.items():
            yield system.preparation, self.preparations, f"systems.{key}.preparation"
            for other in (system.weights_of, *system.impute.values()):
                yield other, self.systems, f"systems.{key}"
        for key, evaluation in self.evaluations.items():
            yield from ((name, self.systems, f"evaluations.{key}.systems") for name in evaluation.systems)
        methods = dict.fromkeys(BASELINES) | self.systems
        for key, table in self.tables.items():
            yield from ((name, self.evaluations, f"tables.{key}.evaluations") for name in table.evaluations)
            yield from ((name, methods, f"tables.{key}") for name in (*table.rows, table.against))
        for key, figure in self.figures.items():
            yield figure.evaluation, self.evaluations, f"figures.{key}.evaluation"
            yield from ((name, methods, f"figures.{key}") for name in (*figure.systems, *figure.values))
        for key, study in self.readers.items():
            yield study.system, self.systems, f"readers.{key}.system"

    @model_validator(mode="after")
    def _names_are_safe(self) -> Experiment:
        for name in (*self.systems, *self.readers, *self.evaluations, *self.tables, *self.figures, *self.preparations):
            if not name.replace("_", "").replace("-", "").isalnum():
                raise ValueError(f"the key {name!r} names a folder: use letters, digits, '-' and '_'")
        return self

    def systems_of(self, evaluation: str) -> list[str]:
        """Returns the systems of an evaluation, in the order of its tables."""
        return list(self.evaluations[evaluation].systems or self.systems)

    def bundle_owner(self, system: str) -> str:
        """Returns the system whose training makes the bundle that a system uses."""
        return self.systems[system].weights_of or system

    def with_needed(self, systems: Iterable[str]) -> set[str]:
        """Returns systems together with those whose bundles they use."""
        needed = set(systems)
        for name in list(needed):
            needed |= {self.bundle_owner(name), *map(self.bundle_owner, self.systems[name].impute.values())}
        return needed

    def preparation_of(self, system: str) -> str:
        """Returns the key of the preparation of a system: its own, that of its weights, or the first."""
        own = self.systems[system].preparation or self.systems[self.bundle_owner(system)].preparation
        return own or next(iter(self.preparations))


def read_experiment(path: Path) -> Experiment:
    """Returns the experiment in a YAML file.

    Raises:
        NoInput: there is no such file.
        UsageError: `EXPERIMENT`, with the key of each fault; a key that occurs twice is one of them.
    """
    content = parse_settings(
        read_settings(path, code="EXPERIMENT", what="experiment"), code="EXPERIMENT", name=path.name
    )
    if isinstance(content, dict):
        content.pop("parts", None)  # pieces that YAML anchors name
    return validated(content, Experiment, code="EXPERIMENT", name=path.name, whole="experiment")


def scale_of(experiment: Experiment, name: str) -> Scale:
    """Returns a scale of an experiment.

    Raises:
        UsageError: `SCALE`, with the names that exist.
    """
    for key, scale in experiment.scales.items():
        if key == name:
            return scale
    raise UsageError("SCALE", f"{experiment.name} has no scale {name!r}; it has: {', '.join(experiment.scales)}")
