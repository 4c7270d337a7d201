"""`voxlate simulate`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from voxlate.cli.console import begin, say
from voxlate.cli.options import PATH, first_given, jobs, no_progress
from voxlate.cli.progress import progress_bar
from voxlate.cli.verb import Verb

_OF_IMAGES = {
    "sessions": "--sessions",
    "task": "--task",
    "scanner": "--scanner",
    "quality_mix": "--quality-mix",
    "missing": "--missing",
    "dose": "--dose",
    "aligned": "--aligned",
    "same_acquisition": "--same-acquisition",
    "dicom": "--dicom",
}
"""Options that a tissue map does not depend on."""

_OF_AGENT = {"dose": "--dose", "same_acquisition": "--same-acquisition"}
"""Options that only T1ce depends on."""

_OF_HEADS = {"anatomy": "--anatomy", "lesions": "--lesions"}
"""Options that only a head depends on."""


def _refuse_options_of_images() -> None:
    """Refuses options that only images depend on; ignored, they would seem to have been obeyed."""
    from voxlate.errors import UsageError

    option = first_given(_OF_IMAGES)
    if option is not None:
        raise UsageError("OPTION_OF_IMAGES", f"{option} is of images; with --tissue-maps leave it out")


def _refuse_options_of_other_tasks(task: str) -> None:
    """Refuses options that no image of the task depends on; ignored, they would seem to have been obeyed."""
    from voxlate.errors import UsageError
    from voxlate.simulation.subject import TASKS

    foreign = (_OF_HEADS if task == "spine" else {}) | ({} if "T1ce" in TASKS[task] else _OF_AGENT)
    option = first_given(foreign)
    if option is not None:
        raise UsageError(
            "OPTION_OF_TASK", f"{option} changes no image of {task}; leave it out or choose another --task"
        )


def _write_all(made: Iterator[str], what: str, total: int, *, jobs: int, no_progress: bool) -> None:
    """Writes what an iterator yields, with a progress bar.

    Args:
        made: yields a name when one is finished.
        what: is counted.
        total: number of them.
        jobs: number of processes.
        no_progress: no bar.
    """
    with progress_bar(off=no_progress) as bar:
        count = bar.add_task(what, total=total, jobs=jobs)
        for _ in made:
            bar.advance(count)


@click.command(
    cls=Verb,
    example="voxlate simulate patients --subjects 20 --seed 1",
    resumes="the same command goes on where it stopped",
)
@click.argument("out", type=PATH)
@click.option("--subjects", "-n", default=10, show_default=True, help="Number of patients.")
@click.option("--sessions", default=1, show_default=True, help="Visits per patient.")
@click.option("--seed", default=0, show_default=True, help="Random seed; the same seed gives the same bytes.")
@click.option(
    "--task",
    type=click.Choice(["t1ce_t1", "virtual_contrast", "ct_to_mr", "spine"]),
    default="t1ce_t1",
    show_default=True,
    help="Images of each patient.",
)
@click.option(
    "--size", type=click.Choice(["small", "full"]), default="small", show_default=True, help="Voxels of 2 mm or 1 mm."
)
@click.option(
    "--scanner",
    type=click.Choice(list("ABCDEFG")),
    help="One scanner for all; D and F are reserved for testing, G has the timings of Li et al. 2022.  "
    "[default: drawn from A, B, C and E]",
)
@click.option(
    "--anatomy",
    default="embedded",
    show_default=True,
    help="Where heads come from: embedded, formula, or a folder of label maps (FreeSurfer labels).",
)
@click.option("--labels", type=PATH, help="With --anatomy: YAML table of the tissues of each label.")
@click.option(
    "--quality-mix",
    default="good=1",
    show_default=True,
    help="Shares of image quality, such as good=0.7,medium=0.2,low=0.1.",
)
@click.option("--missing", default=0.0, show_default=True, help="Share of images that are left out.")
@click.option(
    "--dose", default=0.1, show_default=True, help="Gadolinium dose in mmol/kg; with 0, T1ce is a second T1w."
)
@click.option("--lesions", help="Lesions of every patient: glioma, metastases, plaques … or none.  [default: drawn]")
@click.option("--aligned", is_flag=True, help="All images of a visit have one pose, so that no registration is needed.")
@click.option(
    "--same-acquisition",
    is_flag=True,
    help="T1ce has the noise, pose and scale of T1w: they differ by the contrast agent alone.",
)
@click.option(
    "--tissue-maps",
    is_flag=True,
    help="Instead of images write the tissues of each head, from which a training draws windows (`simulated` in a "
    "recipe).",
)
@click.option("--dicom", is_flag=True, help="Also write each image as a DICOM series.")
@jobs()
@no_progress
def simulate(
    out: Path,
    subjects: int,
    sessions: int,
    seed: int,
    task: str,
    size: str,
    scanner: str | None,
    anatomy: str,
    labels: Path | None,
    quality_mix: str,
    missing: float,
    dose: float,
    lesions: str | None,
    same_acquisition: bool,
    aligned: bool,
    tissue_maps: bool,
    dicom: bool,
    jobs: int,
    no_progress: bool,
) -> None:
    """Simulate patients and write them as BIDS, with ground truth.

    OUT becomes a BIDS data set. The same command resumes a run that was stopped. Results on simulated images are no
    evidence about real scans.
    """
    from voxlate.errors import UsageError
    from voxlate.io.log import counted
    from voxlate.simulation.anatomy.anatomies import anatomies_named
    from voxlate.simulation.files.dataset import Plan, write_dataset
    from voxlate.simulation.files.tissue_maps import MapPlan, write_tissue_maps
    from voxlate.simulation.physics.quality import parse_mix
    from voxlate.simulation.subject import Options

    if labels is not None and anatomy in ("embedded", "formula"):
        raise UsageError("LABEL_TABLE", "--labels is a table for the maps of --anatomy; name their folder too")
    if tissue_maps:
        _refuse_options_of_images()
        maps = MapPlan(subjects, seed, size, lesions, anatomies_named(anatomy, labels))
        begin(f"building {counted(subjects, 'head')}", out=out, jobs=jobs)
        _write_all(write_tissue_maps(out, maps, jobs=jobs), "heads", subjects, jobs=jobs, no_progress=no_progress)
        say(f"tissue maps of {counted(subjects, 'head')} in {out.name}, for `simulated` in a recipe")
        return
    _refuse_options_of_other_tasks(task)
    options = Options(
        dose_mmol_kg=dose,
        is_same_acquisition=same_acquisition,
        is_aligned=aligned,
        lesions=lesions,
        quality_mix=parse_mix(quality_mix),
        missing_share=missing,
        anatomies=anatomies_named(anatomy, labels),
    )
    plan = Plan(task, subjects, seed, size, scanner, sessions, dicom, options)
    begin(f"simulating {counted(subjects, 'patient')} for {task}", out=out, jobs=jobs)
    _write_all(write_dataset(out, plan, jobs=jobs), "patients", subjects, jobs=jobs, no_progress=no_progress)
    say(f"{counted(subjects, 'simulated patient')} for {task} in {out.name}; not for diagnosis")
