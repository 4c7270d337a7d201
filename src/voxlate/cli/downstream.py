"""`voxlate downstream`: volumes, classify, change, structures."""

from __future__ import annotations

from pathlib import Path

import click

from voxlate.cli.console import say
from voxlate.cli.options import PATH
from voxlate.cli.verb import VerbGroup


@click.group(cls=VerbGroup, example="voxlate downstream classify volumes.tsv classes.tsv out")
def downstream() -> None:
    """Compare conclusions drawn from real and synthetic images.

    Tissue volumes, a classifier of atrophy, change between sessions, structures and thickness.
    """


@downstream.command(example="voxlate downstream volumes evaluation volumes.tsv")
@click.argument("evaluation", type=PATH)
@click.argument("table", type=PATH)
@click.option(
    "--segmenter",
    default="mixture",
    show_default=True,
    help="Method whose volumes are written; see voxlate evaluate --segmenter.",
)
def volumes(evaluation: Path, table: Path, segmenter: str) -> None:
    """Write the tissue volumes of an evaluation to a table.

    EVALUATION is a folder of voxlate evaluate --segment. TABLE is what `classify` and `change` read.
    """
    from voxlate.evaluation.downstream import write_measurements
    from voxlate.evaluation.downstream.evaluated import read_volumes
    from voxlate.io.log import counted

    found = read_volumes(evaluation, segmenter=segmenter)
    write_measurements(table, found)
    patients = counted(len({one.patient for one in found}), "patient")
    say(f"{counted(len(found), 'volume')} of {patients}; {table}")


@downstream.command(example="voxlate downstream classify volumes.tsv classes.tsv out")
@click.argument("table", type=PATH)
@click.argument("classes", type=PATH)
@click.argument("out", type=PATH)
@click.option("--positive", help="Label of the positive class.  [default: 1]")
@click.option(
    "--simulated",
    is_flag=True,
    help="CLASSES is a folder of voxlate simulate; sulci wider than the median are the class.",
)
def classify(table: Path, classes: Path, out: Path, positive: str | None, simulated: bool) -> None:
    """Train and test a classifier on tissue volumes.

    It is trained on real and tested on synthetic images, and the other combinations. TABLE is that of `volumes`,
    CLASSES a table with the columns patient and label. No image of a test patient is in the training.
    """
    from voxlate.evaluation.downstream import classify_files, simulated_atrophy
    from voxlate.io.atomic import write_text

    if simulated:
        labels = "".join(f"{patient}\t{int(label)}\n" for patient, label in simulated_atrophy(classes).items())
        classes = out / "classes.tsv"
        write_text(classes, "patient\tlabel\n" + labels)
    for row in classify_files(table, classes, out, positive=positive):
        interval = f"[{row.auc_low:.2f}, {row.auc_high:.2f}]"
        say(f"trained on {row.train}, tested on {row.test}: AUC {row.auc:.2f} {interval}")


@downstream.command(example="voxlate downstream change volumes.tsv out --percent")
@click.argument("table", type=PATH)
@click.argument("out", type=PATH)
@click.option("--percent", is_flag=True, help="Change in per cent of the first session.")
@click.option("--per-year", is_flag=True, help="Change per year; TABLE needs the column years.")
def change(table: Path, out: Path, percent: bool, per_year: bool) -> None:
    """Compare the change between two sessions.

    The change is that from the first to the last session, in real and in synthetic images. TABLE has the columns
    patient, session, method, structure and value, as that of `volumes`.
    """
    from voxlate.evaluation.downstream import compare_changes_files
    from voxlate.io.log import counted

    rows = compare_changes_files(table, out, is_percent=percent, is_per_year=per_year)
    say(f"{counted(len(rows), 'comparison')}; {out / 'longitudinal.tsv'}")


@downstream.command(example="voxlate downstream structures maps.tsv out")
@click.argument("maps", type=PATH)
@click.argument("out", type=PATH)
@click.option("--by-side", is_flag=True, help="Give left and right separately.")
def structures(maps: Path, out: Path, by_side: bool) -> None:
    """Compare volumes of structures and cortical thickness.

    MAPS is a table with the columns patient, method (target, or the name of a system) and path: a label map with
    FreeSurfer's numbers, or a file *.stats.
    """
    from voxlate.evaluation.downstream import compare_structures_files, measure_label_maps, write_measurements
    from voxlate.io.log import counted

    measured = out / "measurements.tsv"
    write_measurements(measured, measure_label_maps(maps, is_by_side=by_side))
    rows = compare_structures_files(measured, out)
    say(f"{counted(len(rows), 'comparison')}; {out / 'structures.tsv'}")
