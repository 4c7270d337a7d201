"""Translates one head with a ready model, then simulates patients, trains, translates unseen ones, and evaluates."""

from __future__ import annotations

import sys
import time
from importlib import resources
from pathlib import Path
from shutil import rmtree

import click

from voxlate.bundle.pretrained import find_bundle
from voxlate.bundle.recipe import Recipe, parse_recipe
from voxlate.cases import read_cases
from voxlate.cli import run_with_status
from voxlate.cli.console import begin
from voxlate.cli.progress import progress_bar
from voxlate.demo.patients import SPLITS, write_patients
from voxlate.errors import UsageError
from voxlate.io.documents import read_json

MODEL = "t1ce-to-t1"
"""The model of the package that the demo shows first, and whose weights its training starts with."""

MARKER = ".voxlate-demo"
"""Marks a folder as made by the demo; without it nothing in a folder is ever deleted."""

MADE = ("first", "data", "run", "synthetic", "evaluation", "report.html")
"""What the demo makes in its folder, and all that it removes before it makes it again."""


@click.command("python -m voxlate.demo")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default="demo")
def demo(folder: Path) -> int:
    """Translate a head with a ready model; then simulate, train, translate, evaluate and report, in FOLDER (demo).

    FOLDER must be new, empty, or one that the demo made before; other folders are refused and left as they are.
    """
    claim(folder)
    start = time.perf_counter()
    _show_first(folder / "first", start)
    run_stages(folder, embedded_recipe(), start_from=find_bundle(MODEL))
    _say_what_matters(folder, time.perf_counter() - start)
    return 0


def main() -> int:
    """Runs the demo with the arguments of the command line."""
    return int(demo.main(standalone_mode=False) or 0)


def claim(folder: Path) -> None:
    """Makes the folder the demo's own, without the results of the demo before; files of others in it stay.

    Raises:
        UsageError: `FOLDER` when it holds anything and was not made by the demo.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise UsageError("FOLDER", "the folder was not made by the demo and is not empty; name another one")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).touch()
    for name in MADE:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            rmtree(path)
        else:
            path.unlink(missing_ok=True)


def embedded_recipe() -> Recipe:
    """Returns the recipe that comes with the package."""
    text = resources.files("voxlate.demo").joinpath("recipe.yaml").read_text(encoding="utf-8")
    return parse_recipe(text, name="recipe.yaml")


def _show_first(folder: Path, start: float) -> None:
    """Translates one head with a model of the package and says what came of it."""
    from voxlate.demo.first import translate_first_head

    click.echo(f"1. A ready model: {MODEL} removes the contrast agent from one simulated head of 1 mm ...")
    folder.mkdir()
    left = translate_first_head(folder, MODEL)
    said = f"residual enhancement {left:.0f} % (100 % the untouched scan, 0 % the scan before the agent)"
    click.echo(f"   {folder / 'first.png'}: {said} ({_since(start)})")
    click.echo("2. A model of your own: simulate patients, train, translate unseen ones, evaluate and report ...")


def _since(start: float) -> str:
    return f"{time.perf_counter() - start:.0f} s"


def run_stages(
    folder: Path, recipe: Recipe, splits: tuple[str, ...] = SPLITS, *, start_from: Path | None = None
) -> None:
    """Runs every stage; each meets the next only through files below `folder`.

    Args:
        folder: folder of the demo.
        recipe: recipe of the training.
        splits: split of each patient.
        start_from: bundle whose weights the training starts with.
    """
    from voxlate.bundle.bundle import read_bundle
    from voxlate.evaluation.run import evaluate_cases
    from voxlate.evaluation.settings import Settings
    from voxlate.inference.batch import translate_many
    from voxlate.inference.item import Item
    from voxlate.inference.translate import Options
    from voxlate.reporting.page import write_report
    from voxlate.training.loop import train

    with progress_bar(off=False) as bar:
        begin(f"simulating {len(splits)} patients", out=folder / "data")
        patients = bar.add_task("simulating patients", total=len(splits))
        for _ in write_patients(folder / "data", splits):
            bar.advance(patients)
        begin(f"training {recipe.name}: {recipe.steps:,} steps", out=folder / "run")
        steps = bar.add_task("training", total=recipe.steps)
        bundle = train(
            recipe,
            folder / "run",
            root=folder / "data",
            start_from=start_from,
            watch=lambda done, _: bar.reach(steps, done.step),
        )
        tested = [case for case in read_cases(folder / "data" / "cases.tsv") if case.split == "test"]
        begin(f"translating {len(tested)} scans", out=folder / "synthetic")
        scans = bar.add_task("translating", total=len(tested))
        items = [Item(case.case, case.source, case.mask, case.more) for case in tested]
        # Ten training patients give a narrow limit of what is usual; all test patients are of the same kind here.
        options = Options(gate="flag")
        translate_many(
            read_bundle(bundle), items, folder / "synthetic", options=options, watch=lambda _: bar.advance(scans)
        )
        begin(f"evaluating {len(tested)} cases", out=folder / "evaluation")
        judged = bar.add_task("evaluating", total=len(tested))
        evaluate_cases(
            tested,
            folder / "synthetic",
            folder / "evaluation",
            settings=Settings(data_kind=recipe.data_kind),
            bundle=bundle,
            watch=lambda _: bar.advance(judged),
        )
    write_report(folder / "evaluation", folder / "report.html")


def _say_what_matters(folder: Path, seconds: float) -> None:
    from voxlate.evaluation.card import findings
    from voxlate.evaluation.schema.results import Evaluation

    content = read_json(folder / "evaluation" / "evaluation.json")
    rows = [
        row
        for row in content["summary"]
        if row["intensity"] == "as_written" and row["region"] == "mask" and row["protocol"] == "voxlate"
    ]
    names = {"mae": "MAE, % of range", "psnr": "PSNR, dB", "ssim": "SSIM"}
    click.echo(f"\n{len(content['cases'])} simulated patients that training never saw, in the brain:")
    click.echo(f"{'':18}" + "".join(f"{method:>18}" for method in content["methods"]))
    for metric, title in names.items():
        means = {row["method"]: row["mean"] for row in rows if row["metric"] == metric}
        click.echo(f"{title:18}" + "".join(f"{means[method]:18.3f}" for method in content["methods"]))
    click.echo("")
    for finding in findings(Evaluation.model_validate(content)):
        click.secho(f"- {finding.text}", fg="red" if finding.is_worse else None)
    click.echo(f"\nreport: {folder / 'report.html'}   ({seconds:.0f} s)")


if __name__ == "__main__":
    sys.exit(run_with_status(main))
