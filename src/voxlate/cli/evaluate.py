"""`voxlate evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voxlate.cli.options import PATH, no_progress
from voxlate.cli.progress import progress_bar

if TYPE_CHECKING:
    from voxlate.evaluation.schema.results import DataKind


@click.command()
@click.argument("cases", type=PATH)
@click.option("--synthetic", type=PATH, required=True, help="Folder with <case>.nii.gz and <case>.json.")
@click.option("-o", "--output", type=PATH, required=True, help="Folder for scores.tsv and evaluation.json.")
@click.option("--bundle", type=PATH, help="Bundle of the model: histogram match, loss curves.")
@click.option(
    "--protocol", "protocols", multiple=True, help="Evaluation protocol; may be repeated.  [default: voxlate]"
)
@click.option("--split", default="test", show_default=True, help="Which rows of the table.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes.")
@click.option(
    "--data-kind",
    type=click.Choice(["real", "simulated", "unknown"]),
    default="unknown",
    show_default=True,
    help="Whether the images are real or simulated; printed with every figure.",
)
@click.option("--unit", default="relative", show_default=True, help="Unit of calibrated images, for example HU.")
@click.option("--data-range", type=float, help="Intensity range of calibrated images, in their unit.")
@click.option(
    "--enhancing-label",
    "enhancing_labels",
    type=int,
    multiple=True,
    help="Label of enhancing tumour in the label files (BraTS: 4, later 3); may be repeated.",
)
@click.option(
    "--factors",
    type=PATH,
    help="Table of groups (column case, patient or participant_id; all others are factors), or a simulation's truth.",
)
@click.option("--segment", "is_segmented", is_flag=True, help="Also segment tissues and compare their volumes.")
@click.option(
    "--segmenter",
    "more_segmenters",
    multiple=True,
    help="With --segment: a further method: priors, or fsl, spm, synthseg where they are installed; may be repeated.",
)
@click.option("--resample", "is_resampled", is_flag=True, help="Resample images that are on another grid.")
@no_progress
def evaluate(
    cases: Path,
    synthetic: Path,
    output: Path,
    bundle: Path | None,
    protocols: tuple[str, ...],
    split: str,
    jobs: int,
    data_kind: DataKind,
    unit: str,
    data_range: float | None,
    enhancing_labels: tuple[int, ...],
    factors: Path | None,
    is_segmented: bool,
    more_segmenters: tuple[str, ...],
    is_resampled: bool,
    no_progress: bool,
) -> int:
    """Evaluate synthetic images against real ones.

    CASES is a table with the columns case, patient, split, source, target, mask, labels. Missing and
    refused cases are listed, never dropped. The same command resumes a run that was stopped.
    """
    from voxlate.cases import read_cases
    from voxlate.evaluation.card import findings
    from voxlate.evaluation.run import evaluate_cases
    from voxlate.evaluation.settings import Settings

    settings = Settings(
        protocols=protocols or ("voxlate",),
        unit=unit,
        data_range=data_range,
        enhancing_labels=enhancing_labels,
        data_kind=data_kind,
        is_resampled=is_resampled,
        is_segmented=is_segmented,
        more_segmenters=more_segmenters,
        factors=factors,
    )
    rows = [case for case in read_cases(cases, paired=False) if case.split == split and case.is_pair]
    with progress_bar(off=no_progress) as bar:
        task = bar.add_task("evaluating", total=len(rows))
        outcome = evaluate_cases(
            rows, synthetic, output, settings=settings, bundle=bundle, jobs=jobs, watch=lambda _: bar.advance(task)
        )
    for missing in outcome.evaluation.missing:
        click.echo(f"missing {missing.case}: {missing.reason}", err=True)
    for refused in outcome.evaluation.refused:
        click.echo(f"REFUSED:{refused.code} {refused.case}: {refused.message}", err=True)
    for finding in findings(outcome.evaluation):
        click.secho(f"- {finding.text}", fg="red" if finding.is_worse else None)
    counts = f"{outcome.n_evaluated} evaluated, {outcome.n_missing} missing, {outcome.n_refused} refused"
    click.echo(f"{counts} of {len(rows)}; figures in {output / 'evaluation.json'} and {output / 'scores.tsv'}")
    return outcome.exit_status
