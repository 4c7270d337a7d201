"""Results: evaluate, report."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voxlate.api.forms import PathLike, rows_of
from voxlate.api.progress import progress
from voxlate.cases import Case, rows_of_split
from voxlate.errors import UsageError

if TYPE_CHECKING:
    from voxlate.evaluation.run import Outcome
    from voxlate.evaluation.settings import Settings


log = logging.getLogger("voxlate")


def evaluate(
    cases: PathLike | Sequence[Case],
    synthetic: PathLike,
    out: PathLike,
    *,
    model: PathLike | None = None,
    split: str = "test",
    settings: Settings | None = None,
    jobs: int = 1,
) -> Outcome:
    """Evaluates synthetic images against the real ones, beside simple baselines, with statistics over patients.

    Args:
        cases: a table of cases, or its rows.
        synthetic: folder with `<case>.nii.gz`, as `translate_cases` writes it.
        out: gets `scores.tsv`, `evaluation.json` and a file for each case.
        model: whose images they are; adds the histogram match, which needs statistics of the training, and the loss
            curves.
        split: rows to evaluate.
        settings: see `voxlate.evaluation.settings.Settings`; None for relative units and the kind of data (real or
            simulated) of the model.
        jobs: number of processes.

    Returns:
        The outcome: how many cases were evaluated, missing and refused, and `evaluation`, all results.

    Raises:
        NoInput: there is no table, no row of the split, or no folder of images.
        InputRefused: `OTHER_MODEL` when the sidecars of the images state another model.
        ModelInvalid: there is no such model.

    Example:
        >>> import voxlate
        >>> outcome = voxlate.evaluate("cases.tsv", "synthetic", "evaluation", model="runs/mine/bundle")
        >>> outcome.n_evaluated, outcome.n_missing, outcome.n_refused
        (1, 0, 0)
    """
    from voxlate.bundle.pretrained import find_bundle
    from voxlate.bundle.recipe import read_recipe
    from voxlate.evaluation.comparison.systems import flag_seen, require_made_by
    from voxlate.evaluation.run import evaluate_cases
    from voxlate.evaluation.settings import Settings

    bundle = None if model is None else find_bundle(model)
    if settings is None:
        kind = "unknown" if bundle is None else read_recipe(bundle / "recipe.yaml").data_kind
        settings = Settings(data_kind=kind)
    rows = rows_of_split([row for row in rows_of(cases, paired=False) if row.is_pair], split)
    if bundle is not None:
        flag_seen(bundle, rows)
        require_made_by("the model", [bundle], dict.fromkeys([row.case for row in rows], Path(synthetic)))
    with progress("evaluating", len(rows), jobs=jobs) as (bar, task):
        return evaluate_cases(
            rows,
            Path(synthetic),
            Path(out),
            settings=settings,
            bundle=bundle,
            jobs=jobs,
            watch=lambda _: bar.advance(task),
        )


def report(evaluation: PathLike, html: PathLike, *, title: str | None = None, viewer: bool = False) -> Path:
    """Writes the report of an evaluation, or of a comparison of systems: one HTML file that needs no network.

    Args:
        evaluation: folder that `evaluate` wrote.
        html: the file, `.html`; an existing report is replaced.
        title: heading; by default the contrasts.
        viewer: also write an interactive viewer beside the file.

    Returns:
        The path of the file.

    Raises:
        NoInput: the folder holds no evaluation.
        UsageError: `VIEWER` for a comparison, which has no viewer; `OUTPUT_NAME` for another suffix; `OUTPUT_EXISTS`
            for a file that is no report.

    Example:
        >>> import voxlate
        >>> voxlate.report("evaluation", "report.html").name
        'report.html'
    """
    from voxlate.evaluation.comparison.schema import is_comparison
    from voxlate.reporting.page import write_report

    folder, path = Path(evaluation), Path(html)
    if not is_comparison(folder):
        for left_out in write_report(folder, path, title=title, viewer=viewer):
            log.warning("not in the viewer: %s", left_out)
        return path
    if viewer:
        raise UsageError("VIEWER", "a comparison has no viewer; name the folder of one system, such as systems/NAME")
    from voxlate.reporting.comparison.page import write_comparison_report

    write_comparison_report(folder, path, title=title)
    return path
