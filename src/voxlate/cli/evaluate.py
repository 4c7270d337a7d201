"""`voxlate evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from voxlate.cli.console import begin, complain, say
from voxlate.cli.options import PATH, first_given, jobs, no_progress, overwrite
from voxlate.cli.progress import progress_bar
from voxlate.cli.verb import Verb

if TYPE_CHECKING:
    from voxlate.cases import Case
    from voxlate.evaluation.comparison.settings import ComparisonSettings, Correction, Test
    from voxlate.evaluation.schema.results import DataKind
    from voxlate.evaluation.settings import Settings

_OF_SYSTEMS = {
    "correction": "--correction",
    "test": "--test",
    "alphas": "--alpha",
    "margins": "--margin",
    "allows_training_cases": "--allow-training-cases",
}
"""Options of the comparison of systems, by their parameter."""


@click.command(
    cls=Verb,
    example="voxlate evaluate cases.tsv evaluation --synthetic synthetic -m runs/mine/bundle --data-kind real",
    resumes="the same command goes on where it stopped",
)
@click.argument("cases", type=PATH)
@click.argument("output", metavar="OUT", type=PATH)
@click.option(
    "--synthetic",
    "folders",
    metavar="[NAME=]FOLDER",
    required=True,
    multiple=True,
    help="Folder with CASE.nii.gz and CASE.json, from voxlate translate; NAME=FOLDER, repeated, compares systems.",
)
@click.option(
    "-m",
    "--model",
    "bundles",
    metavar="[NAME=]MODEL",
    multiple=True,
    help="Model that made the images: adds two baselines that need its training cases, loss curves and card.md.",
)
@click.option(
    "--protocol",
    "protocols",
    multiple=True,
    help="Definition of the metrics, such as bottani2024 or synthrad2025; may be repeated.  [default: voxlate]",
)
@click.option("--split", default="test", show_default=True, help="Which rows of the table of cases.")
@jobs()
@click.option(
    "--data-kind",
    type=click.Choice(["real", "simulated", "unknown"]),
    default="unknown",
    show_default=True,
    help="Whether the images are real or simulated; printed with every figure.",
)
@click.option(
    "--unit",
    default="relative",
    show_default=True,
    help="Unit of the intensities, such as HU; relative: each image in units of its median in the brain.",
)
@click.option(
    "--data-range",
    type=float,
    help="With --unit: width of the range of intensities that PSNR and SSIM refer to, such as 4024.",
)
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
    help="Table for results by subgroup: a column case, patient or participant_id, all others are factors; or the "
    "truth folder of a simulation.",
)
@click.option("--segment", "is_segmented", is_flag=True, help="Also segment tissues and compare their volumes.")
@click.option(
    "--segmenter",
    "more_segmenters",
    multiple=True,
    help="With --segment: a further method: priors, or fsl, spm, synthseg where they are installed; may be repeated.",
)
@click.option("--resample", "is_resampled", is_flag=True, help="Resample images that are on another grid.")
@click.option(
    "--correction",
    default="holm",
    show_default=True,
    help="Several systems: adjustment of p for the number of tests: none, bonferroni or holm.",
)
@click.option(
    "--test",
    default="permutation",
    show_default=True,
    help="Several systems: the test that is adjusted: permutation, t or wilcoxon.",
)
@click.option(
    "--alpha",
    "alphas",
    metavar="[METRIC=]LEVEL",
    multiple=True,
    help="Several systems: significance level, of all metrics or of one; may be repeated.  [default: 0.05]",
)
@click.option(
    "--margin",
    "margins",
    metavar="METRIC[@PROTOCOL]=VALUE",
    multiple=True,
    help="Several systems: test equivalence within this margin, in the unit of the metric by the first protocol, or by "
    "PROTOCOL; may be repeated.",
)
@click.option(
    "--folds",
    "are_folds",
    is_flag=True,
    help="Each FOLDER of --synthetic is a run of voxlate train --folds; its folds are joined to one table.",
)
@click.option(
    "--allow-training-cases",
    "allows_training_cases",
    is_flag=True,
    help="Several systems: also evaluate patients of the training.",
)
@overwrite
@no_progress
def evaluate(
    cases: Path,
    output: Path,
    folders: tuple[str, ...],
    bundles: tuple[str, ...],
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
    correction: str,
    test: str,
    alphas: tuple[str, ...],
    margins: tuple[str, ...],
    are_folds: bool,
    allows_training_cases: bool,
    overwrite: bool,
    no_progress: bool,
) -> int:
    """Evaluate synthetic images against real ones; compare systems.

    CASES is a table with the columns case, patient, split, source, target, mask, labels, set. OUT becomes a folder with
    scores.tsv and evaluation.json. Missing and refused cases are listed, never dropped. The same command resumes a run
    that was stopped.
    """
    from voxlate.cases import read_cases
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
    if are_folds and first_given({"split": "--split"}):
        raise click.UsageError("--split is not for --folds: the test cases of folds are those of the training")
    rows = [case for case in read_cases(cases, paired=False) if case.is_pair]
    if not are_folds:  # the test cases of folds are those of the training
        rows = [case for case in rows if case.split == split]
    if len(folders) == 1 and not _is_named(folders[0]) and not are_folds:
        _refuse_options_of_systems()
        if not overwrite:
            from voxlate.evaluation.earlier import require_same_images

            require_same_images(output, rows, _split(folders[0])[1])
        return _evaluate_one(rows, folders[0], output, bundles, settings, jobs, no_progress)
    if overwrite:
        raise click.UsageError("--overwrite is for one system; of several, only images that changed are scored again")
    options = ComparisonOptions(correction, test, alphas, margins, are_folds, allows_training_cases)
    return _compare(rows, folders, output, bundles, settings, options, jobs, no_progress)


def _refuse_options_of_systems() -> None:
    """Refuses options that only a comparison reads; ignored, they would seem to have been obeyed."""
    from voxlate.errors import UsageError

    option = first_given(_OF_SYSTEMS)
    if option is not None:
        raise UsageError("SYSTEM_NAME", f"{option} is of named systems; pass --synthetic NAME=FOLDER with it")


@dataclass(frozen=True)
class ComparisonOptions:
    """Options of the tests between systems, as they were given."""

    correction: str
    test: str
    alphas: tuple[str, ...]
    margins: tuple[str, ...]
    are_folds: bool
    allows_training_cases: bool

    def settings(self) -> ComparisonSettings:
        """Returns the checked options."""
        from voxlate.evaluation.comparison import ComparisonSettings

        levels = _numbers("ALPHA", "--alpha", [text if "=" in text else f"={text}" for text in self.alphas])
        alpha = levels.pop("", 0.05)
        margins = _numbers("MARGIN", "--margin", self.margins)
        correction, test = cast("Correction", self.correction), cast("Test", self.test)
        return ComparisonSettings(
            correction=correction,
            test=test,
            alpha=alpha,
            alphas=levels,
            margins=margins,
            are_folds=self.are_folds,
            allows_training_cases=self.allows_training_cases,
        )


def _numbers(code: str, option: str, given: Sequence[str]) -> dict[str, float]:
    """Returns the values of an option such as `--margin mae=0.5` by metric."""
    from voxlate.errors import UsageError

    values: dict[str, float] = {}
    for text in given:
        name, separator, number = text.partition("=")
        if name.strip() in values:
            raise UsageError(code, f"{option} is given twice for {name.strip() or 'all metrics'}; give it once")
        try:
            values[name.strip()] = float(number)
        except ValueError:
            separator = ""
        if not separator:
            raise UsageError(
                code, f"{option} {text.removeprefix('=')!r} is not a number or METRIC=NUMBER; pass {option} mae=0.5"
            )
    return values


def _is_named(text: str) -> bool:
    """Returns whether a text is NAME=FOLDER, and not a folder with such a name."""
    return "=" in text and not Path(text).exists()


def _split(text: str) -> tuple[str, Path]:
    """Returns name and path of NAME=PATH; an empty name for a path alone."""
    name, _, path = text.partition("=") if _is_named(text) else ("", "", text)
    return name, Path(PATH.convert(path, None, None))


def _evaluate_one(
    rows: Sequence[Case],
    folder: str,
    output: Path,
    bundles: tuple[str, ...],
    settings: Settings,
    jobs: int,
    no_progress: bool,
) -> int:
    from voxlate.bundle.pretrained import find_bundle
    from voxlate.errors import UsageError
    from voxlate.evaluation.card import findings
    from voxlate.evaluation.comparison.systems import flag_seen, require_made_by
    from voxlate.evaluation.run import evaluate_cases
    from voxlate.io.log import counted

    if len(bundles) > 1:
        raise UsageError("MODEL", f"one system has {len(bundles)} models; pass one -m, or name systems by NAME=FOLDER")
    bundle = find_bundle(_split(bundles[0])[1]) if bundles else None
    begin(f"evaluating {counted(len(rows), 'case')}", out=output, jobs=jobs)
    if bundle is not None:
        flag_seen(bundle, rows)
        require_made_by("the model", [bundle], dict.fromkeys([case.case for case in rows], _split(folder)[1]))
    with progress_bar(off=no_progress) as bar:
        task = bar.add_task("evaluating", total=len(rows), jobs=jobs)
        outcome = evaluate_cases(
            rows,
            _split(folder)[1],
            output,
            settings=settings,
            bundle=bundle,
            jobs=jobs,
            watch=lambda _: bar.advance(task),
        )
    for missing in outcome.evaluation.missing:
        complain(f"missing {missing.case}: {missing.reason}")
    for refused in outcome.evaluation.refused:
        complain(f"REFUSED:{refused.code} {refused.case}: {refused.message}")
    counts = f"{outcome.n_evaluated} evaluated, {outcome.n_missing} missing, {outcome.n_refused} refused"
    if not outcome.n_evaluated:
        say(f"{counts} of {len(rows)}; no evaluation was written, and {output} is as it was")
        return outcome.exit_status
    for finding in findings(outcome.evaluation):
        say(f"- {finding.text}", fg="red" if finding.is_worse else None)
    say(f"{counts} of {len(rows)}; figures in {output / 'evaluation.json'} and {output / 'scores.tsv'}")
    if outcome.evaluation.data_kind == "unknown":
        say("the report will say that the kind of data is not stated; --data-kind real or simulated states it")
    return outcome.exit_status


def _compare(
    rows: Sequence[Case],
    folders: tuple[str, ...],
    output: Path,
    bundles: tuple[str, ...],
    settings: Settings,
    options: ComparisonOptions,
    jobs: int,
    no_progress: bool,
) -> int:
    from voxlate.bundle.pretrained import find_bundle
    from voxlate.errors import ModelInvalid, UsageError
    from voxlate.evaluation.comparison import compare_systems
    from voxlate.evaluation.comparison.lines import result_lines
    from voxlate.evaluation.comparison.systems import System, require_names
    from voxlate.io.log import counted

    named = [_split(text) for text in folders]
    if not all(name for name, _ in named):
        raise UsageError("SYSTEM_NAME", "several systems, or folds, need names; pass --synthetic NAME=FOLDER for each")
    require_names([name for name, _ in named])
    made_by: dict[str, list[Path]] = {name: [] for name, _ in named}
    for name, bundle in map(_split, bundles):
        if name not in made_by:
            raise UsageError("SYSTEM_NAME", f"-m of {name or 'no'} system; pass NAME=MODEL of {', '.join(made_by)}")
        try:
            made_by[name].append(find_bundle(bundle))
        except ModelInvalid as error:
            if dict(named)[name].exists():
                raise
            complain(f"{name} has neither its images nor its model ({error.code}); its row says so")
    systems = [System(name, folder, tuple(made_by[name])) for name, folder in named]
    begin(f"evaluating {counted(len(rows), 'case')} of {len(systems)} systems", out=output, jobs=jobs)
    with progress_bar(off=no_progress) as bar:
        task = bar.add_task("evaluating", total=len(rows) * len(systems), jobs=jobs)
        outcome = compare_systems(
            rows,
            systems,
            output,
            settings=settings,
            comparison=options.settings(),
            jobs=jobs,
            watch=lambda name, _: bar.update(task, advance=1, description=f"evaluating {name}"),
        )
    for row in outcome.comparison.unscored:
        state = f"REFUSED:{row.code}" if row.code else "missing"
        complain(f"{state} {row.case} of {row.system}: {row.reason}")
    for line in result_lines(outcome.comparison):
        say(line)
    say(f"figures in {output / 'comparison.json'} and {output / 'scores.tsv'}")
    return outcome.exit_status
