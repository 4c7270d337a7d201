"""Writes what an experiment found: `results.json`, the tables as TSV, the figures, and the page `index.html`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxlate.errors import writing
from voxlate.evaluation.comparison.schema import ComparedTest, read_comparison_document, read_scores
from voxlate.experiments.figures import MadeFigure, make_figures
from voxlate.experiments.page import page
from voxlate.experiments.plan import EVALUATIONS, Size, Step
from voxlate.experiments.run import StepOutcome
from voxlate.experiments.settings import Experiment, scale_of
from voxlate.experiments.tables import MadeTable, make_table
from voxlate.io.atomic import write_json, write_text
from voxlate.jobs.states import DONE, PENDING
from voxlate.reporting.figures.drawing import files_of
from voxlate.version import __version__

RESULTS, PAGE, TABLES, FIGURES = "results.json", "index.html", "tables", "figures"

_PLACE, _VALUES = ("evaluation", "set", "method", "label", "column"), ("mean", "sd", "p", "p_adjusted", "p_slices")
_TSV_COLUMNS = (*_PLACE, "n", *_VALUES, "printed", "state")


def publish(
    experiment: Experiment, folder: Path, size: Size, steps: Sequence[Step], outcomes: Mapping[str, StepOutcome]
) -> Path | None:
    """Writes the tables and figures of the evaluations that are done, and returns the page; None without any.

    Scores that an evaluation left behind when it was stopped, or that were made before one of its systems changed, are
    not shown, and the tables, figures and page that an earlier call made of them are removed.

    Args:
        experiment: what was compared.
        folder: of the experiment.
        size: how large it was run.
        steps: its plan.
        outcomes: how each step ended.

    Raises:
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    done = [name for name in experiment.evaluations if outcomes[f"evaluate-{name}"].state == DONE]
    scores = {name: rows for name in done if (rows := read_scores(folder / EVALUATIONS / name))}
    states = system_states(experiment, steps, outcomes)
    tests = _tests(experiment, folder, scores)
    made = [make_table(experiment, key, scores, states, tests) for key in experiment.tables]
    tables = [table for table in made if table is not None]
    if not tables:
        _remove_others(folder, experiment, (), ())
        return None
    for table in tables:
        write_text(folder / TABLES / f"{table.key}.tsv", as_tsv(table))
    figures = make_figures(experiment, folder, size, steps, scores, folder / FIGURES)
    _remove_others(folder, experiment, tables, figures)
    content = results(experiment, size, steps, outcomes, states, tables, figures)
    write_json(folder / RESULTS, content)
    write_text(folder / PAGE, page(experiment, content, tables, figures))
    return folder / PAGE


def _remove_others(
    folder: Path, experiment: Experiment, tables: Sequence[MadeTable], figures: Sequence[MadeFigure]
) -> None:
    """Removes the tables, figures and page that an earlier call wrote and this one did not write again."""
    shown = {table.key for table in tables}
    drawn = {figure.key for figure in figures if figure.png is not None}
    old = [folder / TABLES / f"{key}.tsv" for key in experiment.tables if key not in shown]
    old += [path for key in experiment.figures if key not in drawn for path in files_of(folder / FIGURES / key)]
    old += [] if tables else [folder / RESULTS, folder / PAGE]
    for path in old:
        with writing(path.name):
            path.unlink(missing_ok=True)


def _tests(experiment: Experiment, folder: Path, names: Iterable[str]) -> dict[str, Sequence[ComparedTest]]:
    """Returns the tests of the evaluations of which a table shows one that it does not compute itself."""
    first = next(iter(experiment.evaluations))
    tables = [table for table in experiment.tables.values() if table.has_slice_test]
    wanted = {name for table in tables for name in table.evaluations or (first,)}
    folders = {name: folder / EVALUATIONS / name for name in names if name in wanted}
    return {name: read_comparison_document(path).tests for name, path in folders.items()}


def system_states(experiment: Experiment, steps: Sequence[Step], outcomes: Mapping[str, StepOutcome]) -> dict[str, str]:
    """Returns why a system has no images, or that some cases are missing; systems that are done are left out."""
    states: dict[str, str] = {}
    for name in experiment.systems:
        own = [step for step in steps if step.system in (name, experiment.bundle_owner(name))]
        bad = [outcomes[step.name] for step in own if outcomes[step.name].state != DONE or outcomes[step.name].code]
        ended = [outcome for outcome in bad if outcome.state != PENDING]
        if ended:
            first = ended[0]
            states[name] = f"{first.state.upper()}:{first.code} {first.message}"
        elif bad:
            states[name] = "PENDING"
    return states


def results(
    experiment: Experiment,
    size: Size,
    steps: Sequence[Step],
    outcomes: Mapping[str, StepOutcome],
    states: Mapping[str, str],
    tables: list[MadeTable],
    figures: list[MadeFigure],
) -> dict[str, Any]:
    """Returns the content of `results.json`: everything that a page or a document about the experiment prints."""
    scale = scale_of(experiment, size.scale)
    return {
        "voxlate_version": __version__,
        "experiment": experiment.name,
        "title": experiment.title,
        "scale": size.scale,
        "patients": size.patients or scale.patients if size.data is None else None,
        "head_size": scale.size if size.data is None else None,
        "data_kind": experiment.data_kind if size.data is None else "unknown",
        "systems": {
            name: {"label": system.label or name, "recipe": system.recipe, "state": states.get(name, "OK")}
            for name, system in experiment.systems.items()
        },
        "steps": [
            {"name": step.name, "state": outcome.state, "code": outcome.code, "seconds": outcome.seconds}
            for step in steps
            for outcome in [outcomes[step.name]]
        ],
        "seconds": round(sum(outcome.seconds for outcome in outcomes.values())),
        "tables": [table.to_json() for table in tables],
        "figures": [{"key": figure.key, "caption": figure.caption, "fault": figure.fault} for figure in figures],
    }


def as_tsv(table: MadeTable) -> str:
    """Returns a table as tab-separated values: one line for each block, row and column."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    writer.writerow(_TSV_COLUMNS)
    for block in table.blocks:
        for row in block.rows:
            for head, cell in zip(table.heads, row.cells, strict=True):
                values = (cell.mean, cell.sd, cell.p, cell.p_adjusted, cell.p_slices)
                numbers = ["" if value is None else repr(value) for value in values]
                place = (block.evaluation, block.set, row.method, row.label, head)
                writer.writerow((*place, cell.n, *numbers, cell.printed, row.state))
    return stream.getvalue()
