"""Figures of an experiment: collects what each kind shows and hands it to `voxlate.reporting.figures`.

A figure that cannot be drawn, for example because a system failed, is left out with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from voxlate.bundle.recipe import Recipe
from voxlate.cases import Case, read_cases
from voxlate.errors import NoInput, VoxlateError
from voxlate.evaluation.tissues import TISSUES, tissue_protocol
from voxlate.experiments.blocks import residual_block_of
from voxlate.experiments.matching import example_of
from voxlate.experiments.networks import discriminator_stages_of, stages_of
from voxlate.experiments.plan import SYSTEMS, Size, Step, recipe_of
from voxlate.experiments.settings import Column, Experiment, Figure
from voxlate.experiments.tables import Scores, Values, read_values
from voxlate.reporting.figures.bars import draw_bars_by_case, draw_bars_by_system, draw_sweep
from voxlate.reporting.figures.box_by_system import VOLUME_DIFFERENCE, draw_boxes
from voxlate.reporting.figures.contextual_loss import draw_contextual_loss
from voxlate.reporting.figures.drawing import Drawing, save
from voxlate.reporting.figures.feature_maps import draw_feature_maps, read_pictures, sheets_of
from voxlate.reporting.figures.line_profile import draw_line_profile
from voxlate.reporting.figures.montage import draw_montage
from voxlate.reporting.figures.montage_layout import Layout
from voxlate.reporting.figures.montage_rows import Column as MontageColumn
from voxlate.reporting.figures.montage_rows import Row, with_reference_levels
from voxlate.reporting.figures.network_diagram import Stage, draw_networks
from voxlate.reporting.figures.preparation_steps import draw_masks
from voxlate.reporting.figures.probability_maps import draw_probability_maps
from voxlate.reporting.figures.residual_block import draw_residual_blocks
from voxlate.reporting.figures.training_curves import draw_training_curves

_DEFAULT_TISSUES = tissue_protocol("mixture").name
"""Protocol of the volumes that a figure shows unless it names another one; it needs no other program."""


@dataclass(frozen=True)
class MadeFigure:
    """A figure of an experiment.

    Attributes:
        key: of `Experiment.figures`.
        png: the picture; None when it could not be drawn.
        caption: states n, the kind of data and the unit.
        fault: why it was not drawn.
    """

    key: str
    title: str
    png: Path | None
    caption: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Context:
    """What a figure is drawn from.

    Attributes:
        experiment: of the figure.
        folder: of the experiment.
        size: how large it was run.
        steps: the plan, by name.
        scores: of the evaluations that are there.
        key: of the figure.
    """

    experiment: Experiment
    folder: Path
    size: Size
    steps: Mapping[str, Step]
    scores: Scores
    key: str

    @property
    def figure(self) -> Figure:
        """Returns the settings of the figure."""
        return self.experiment.figures[self.key]

    @property
    def evaluation(self) -> str:
        """Returns the evaluation that the figure shows."""
        return self.figure.evaluation or next(iter(self.experiment.evaluations))

    @property
    def systems(self) -> list[str]:
        """Returns the systems that the figure shows."""
        return list(self.figure.systems) or self.experiment.systems_of(self.evaluation)

    @property
    def data_kind(self) -> str:
        """Returns the kind of data, as captions state it."""
        return self.experiment.data_kind if self.size.data is None else "unknown"

    def label(self, method: str) -> str:
        """Returns how the figure names a system or a baseline."""
        return self.experiment.label_of(method)

    def values(self, column: Column | None = None, *, by: Literal["patient", "case"] = "patient") -> Values:
        """Returns the scores of a column by set and method, for each patient or each case.

        Raises:
            NoInput: `NO_INPUT` when the evaluation is not there.
        """
        column = column or self.figure.column
        if column is None or self.evaluation not in self.scores:
            raise NoInput("NO_INPUT", f"the evaluation {self.evaluation} is not done")
        return read_values(self.scores[self.evaluation], column, by=by)

    @cached_property
    def cases(self) -> list[Case]:
        """Returns the test cases of the evaluation.

        Raises:
            NoInput: `NO_INPUT` when the table is not there.
        """
        table = self.steps[f"evaluate-{self.evaluation}"].argv[1]
        return [case for case in read_cases(Path(table)) if case.split == "test"]

    def synthetic(self, system: str, case: str) -> Path | None:
        """Returns the synthetic image of a case, or None when there is none; folds are searched one after the other."""
        folder = self.folder / SYSTEMS / system
        found = [folder / "synthetic" / f"{case}.nii.gz", *sorted(folder.glob(f"run/fold-*/synthetic/{case}.nii.gz"))]
        return next((path for path in found if path.is_file()), None)

    def source_of(self, system: str) -> str:
        """Returns the contrast that a system takes."""
        recipe = self.steps[f"train-{self.experiment.bundle_owner(system)}"].recipe
        return "" if recipe is None else recipe.source

    def target_of(self, system: str) -> str:
        """Returns the contrast that a system is evaluated against: `target` unless its evaluation names another."""
        for name, evaluation in self.experiment.evaluations.items():
            if system in self.experiment.systems_of(name):
                return evaluation.target or "target"
        return "target"

    def runs(self) -> dict[str, Path]:
        """Returns the folder of the training of each system with weights of its own."""
        systems = self.experiment.systems
        trained = [name for name in self.systems if name in systems and not systems[name].weights_of]
        folders = {self.label(name): self.folder / SYSTEMS / name / "run" for name in trained}
        return {label: folder for label, folder in folders.items() if folder.is_dir()}


def make_figures(
    experiment: Experiment, folder: Path, size: Size, steps: Sequence[Step], scores: Scores, out: Path
) -> list[MadeFigure]:
    """Draws the figures of an experiment as PNG and SVG files.

    Args:
        experiment: of the figures.
        folder: of the experiment.
        size: how large it was run.
        steps: its plan.
        scores: of the evaluations that are there.
        out: folder of the files.
    """
    made, named = [], {step.name: step for step in steps}
    for key, figure in experiment.figures.items():
        try:
            drawing = KINDS[figure.kind](Context(experiment, folder, size, named, scores, key))
            png, _, _ = save(drawing, out / key)
            made.append(MadeFigure(key, figure.title, png, drawing.caption))
        except VoxlateError as error:
            made.append(MadeFigure(key, figure.title, None, fault=f"{error.code}: {error.message}"))
    return made


def _of_systems(context: Context, values: Values) -> dict[str, dict[str, float]]:
    """Returns value by patient of each shown system, by its label; all test sets are joined."""
    found: dict[str, dict[str, float]] = {}
    for method in context.systems:
        joined = {
            patient: value for place, rows in values.items() if place[1] == method for patient, value in rows.items()
        }
        if joined:
            found[context.label(method)] = joined
    return found


def _bars(context: Context) -> Drawing:
    column = _column(context)
    units = {column.head: ""}
    return draw_bars_by_system(
        {column.head: _of_systems(context, context.values())}, units=units, data_kind=context.data_kind
    )


def _case_bars(context: Context) -> Drawing:
    systems = _of_systems(context, context.values(by="case"))
    return draw_bars_by_case(systems, metric=_column(context).head, unit="", data_kind=context.data_kind)


def _curve(context: Context) -> Drawing:
    values, column = context.values(), _column(context)
    sweep = {}
    for system, at in context.figure.values.items():
        rows = [rows for place, rows in values.items() if place[1] == system]
        if rows:
            sweep[at] = {patient: value for row in rows for patient, value in row.items()}
    return draw_sweep({column.head: sweep}, parameter=context.figure.axis, units={}, data_kind=context.data_kind)


def _column(context: Context) -> Column:
    if context.figure.column is None:
        raise NoInput("NO_INPUT", f"the figure {context.key} names no column")
    return context.figure.column


def _boxes(context: Context) -> Drawing:
    return draw_boxes(
        {_column(context).head: _by_set(context, context.values())}, units={}, data_kind=context.data_kind
    )


def _volumes(context: Context) -> Drawing:
    """Draws the volume differences of the tissues, real minus synthetic, by set and system."""
    protocol = _DEFAULT_TISSUES if context.figure.column is None else context.figure.column.protocol
    metrics = {}
    for tissue in TISSUES:
        column = Column(metric="vd", head=tissue, protocol=protocol, region=tissue)
        by_set = _by_set(context, context.values(column))
        if by_set:
            metrics[tissue] = by_set
    return draw_boxes(
        metrics,
        units=dict.fromkeys(metrics, "cm³"),
        data_kind=context.data_kind,
        note=VOLUME_DIFFERENCE,
        has_zero=True,
    )


def _losses(context: Context) -> Drawing:
    return draw_training_curves(context.runs(), is_normalised=True, data_kind=context.data_kind)


def _montage(context: Context) -> Drawing:
    """Draws the first cases of each set with all systems, at the same slices."""
    columns = _columns_of(context)
    rows = [with_reference_levels(_row_of(context, case), columns) for case in _first_of_each_set(context)]
    layout = Layout(
        planes=context.figure.planes,
        difference="absolute" if context.figure.is_difference_shown else "none",
        blocks=context.figure.blocks,
    )
    return draw_montage(rows, columns, data_kind=context.data_kind, unit="relative units", layout=layout)


def _row_of(context: Context, case: Case) -> Row:
    images = {context.label(name): context.synthetic(name, case.case) for name in context.systems}
    found = {name: path for name, path in images.items() if path is not None}
    more = {name: case.more[name] for name in context.figure.more_sources if name in case.more}
    given = {"source": case.source, **more, "target": case.target, **found}
    is_alone = sum(other.patient == case.patient for other in context.cases) == 1
    return Row(case.patient if is_alone else case.case, given, mask=case.mask, labels=case.labels, set=case.set)


def _first_of_each_set(context: Context) -> list[Case]:
    cases = context.cases
    sets = dict.fromkeys(case.set for case in cases)
    return [case for name in sets for case in [c for c in cases if c.set == name][: context.figure.patients]]


def _probabilities(context: Context) -> Drawing:
    """Draws the probability of grey matter in the real and synthetic images of the first cases."""
    columns = _columns_of(context)
    rows = [_row_of(context, case) for case in _first_of_each_set(context)]
    return draw_probability_maps(rows, columns, tissue="GM", data_kind=context.data_kind)


def _profile(context: Context) -> Drawing:
    """Draws intensities along a line through the source and, for each target, the real and the synthetic image."""
    case = next(iter(_first_of_each_set(context)), None)
    if case is None or case.mask is None:
        name = "the first test case" if case is None else case.case
        raise NoInput("NO_INPUT", f"{name} has no mask; prepare it first")
    contrasts: dict[str, dict[str, Path]] = {"source": {"source": case.source}}
    targets = {system: context.target_of(system) for system in context.systems}
    for system, name in targets.items():
        target = case.more.get(name, case.target)
        shown = contrasts.setdefault(name, {f"real {name}": target})
        synthetic = context.synthetic(system, case.case)
        if synthetic is not None:
            is_alone = list(targets.values()).count(name) == 1
            shown[f"synthetic {name}" if is_alone else context.label(system)] = synthetic
    units = {"source": "HU"} if context.source_of(context.systems[0]) == "CT" else {}
    return draw_line_profile(contrasts, mask=case.mask, data_kind=context.data_kind, units=units)


def _masks(context: Context) -> Drawing:
    """Draws the source, its mask and the masked source of the first cases."""
    cases = [case for case in _first_of_each_set(context) if case.mask is not None]
    return draw_masks(
        {case.case: {"source": case.source} for case in cases},
        {case.case: case.mask for case in cases if case.mask is not None},
        data_kind=context.data_kind,
        unit="as stored",
    )


def _features(context: Context) -> Drawing:
    """Draws filters and feature maps of the first system."""
    for run in context.runs().values():
        pictures = read_pictures(run / "bundle")
        return draw_feature_maps(sheets_of(pictures), case=pictures.case, data_kind=context.data_kind)
    raise NoInput("NO_INPUT", "none of the shown systems is trained")


def _columns_of(context: Context) -> list[MontageColumn]:
    systems = [MontageColumn(context.label(name)) for name in context.systems if name in context.experiment.systems]
    sources = [MontageColumn(name, "source") for name in ("source", *context.figure.more_sources)]
    return [*sources, MontageColumn("target", "target"), *systems]


def _by_set(context: Context, values: Values) -> dict[str, dict[str, dict[str, float]]]:
    """Returns value by patient, by system, by set."""
    sets = dict.fromkeys(place[0] for place in values)
    found = {
        name: {context.label(key): values[name, key] for key in context.systems if values.get((name, key))}
        for name in sets
    }
    return {name or "test": systems for name, systems in found.items() if systems}


def _networks(context: Context) -> Drawing:
    """Draws the networks of the shown systems at the published size; systems that share one are named together."""
    labels: dict[str, list[str]] = {}
    stages: dict[str, Callable[[], tuple[list[Stage], int]]] = {}
    for label, recipe in _published(context):
        parts = [("", recipe.model, stages_of)]
        if recipe.adversarial is not None:
            parts.append((", discriminator", recipe.adversarial.discriminator, discriminator_stages_of))
        for part, model, read in parts:
            key = f"{part}{model.model_dump_json()}"
            labels.setdefault(key, []).append(f"{label}{part}")
            stages.setdefault(key, partial(read, recipe))
    found = {", ".join(names): stages[key]() for key, names in labels.items()}
    return draw_networks(
        {label: stages for label, (stages, _) in found.items()}, {label: count for label, (_, count) in found.items()}
    )


def _residual_blocks(context: Context) -> Drawing:
    """Draws blocks of the networks of the shown systems at the published size."""
    return draw_residual_blocks(
        {
            f"{label}\n{part}": residual_block_of(recipe, part)
            for label, recipe in _published(context)
            for part in context.figure.parts
        }
    )


def _contextual_loss(context: Context) -> Drawing:
    """Draws the contextual loss with the bandwidth of the first system."""
    for _, recipe in _published(context):
        return draw_contextual_loss(example_of(recipe))
    raise NoInput("NO_INPUT", "none of the shown systems is trained")


def _published(context: Context) -> list[tuple[str, Recipe]]:
    """Returns label and recipe of the shown systems: those of the paper, whose networks are not narrowed."""
    experiment = context.experiment
    shown = [name for name in context.systems if name in experiment.systems]
    return [(context.label(name), recipe_of(experiment, experiment.bundle_owner(name), "published")) for name in shown]


KINDS: dict[str, Callable[[Context], Drawing]] = {
    "bars": _bars,
    "boxes": _boxes,
    "case_bars": _case_bars,
    "contextual_loss": _contextual_loss,
    "curve": _curve,
    "features": _features,
    "losses": _losses,
    "masks": _masks,
    "montage": _montage,
    "networks": _networks,
    "probabilities": _probabilities,
    "profile": _profile,
    "residual_blocks": _residual_blocks,
    "volumes": _volumes,
}
"""Kinds of figures, by the names of `Figure.kind`."""
