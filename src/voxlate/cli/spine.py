"""`voxlate spine`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voxlate.cli.console import begin, complain, say
from voxlate.cli.options import PATH, jobs, no_progress
from voxlate.cli.progress import progress_bar
from voxlate.cli.verb import Verb
from voxlate.errors import InputRefused, UsageError

if TYPE_CHECKING:
    from voxlate.cases import Case
    from voxlate.preparation.spine.labels import SpineLabels
    from voxlate.preparation.spine.run import SpineFiles, SpineRecord


@click.command(
    cls=Verb,
    example="voxlate spine cases.tsv discs --labels-as verse",
    resumes="the same command goes on where it stopped",
)
@click.argument("cases", type=PATH)
@click.argument("out", type=PATH)
@click.option("--labels", help="Label map of each case below the folder of CASES, with {case} and {patient}.")
@click.option(
    "--labels-as",
    type=click.Choice(["simulated", "verse"]),
    help="Numbering of the label maps: dseg of voxlate simulate, or VerSe and SPINEPS.  [default: verse]",
)
@click.option("--discs", help="Instead of a numbering: labels of discs, as 100 or 91,92,93.")
@click.option("--vertebrae", help="Or labels of vertebrae from superior to inferior, as 20,21,22.")
@click.option("--canal", help="Labels of the spinal canal, as 60,61; verse names none.")
@click.option(
    "--slices",
    type=click.Choice(["parallel", "acquired"]),
    default="parallel",
    show_default=True,
    help="Cut both scans parallel to the endplates, or take the nearest T2w slice as acquired.",
)
@click.option("--aligned", is_flag=True, help="Skip registration: CT and T2w are already aligned.")
@click.option("--size", type=click.IntRange(min=32), default=256, show_default=True, help="Pixels along each axis.")
@click.option("--least-discs", type=click.IntRange(min=1), default=1, show_default=True, help="Discs a patient needs.")
@jobs()
@no_progress
def spine(
    cases: Path,
    out: Path,
    labels: str | None,
    labels_as: str | None,
    discs: str | None,
    vertebrae: str | None,
    canal: str | None,
    slices: str,
    aligned: bool,
    size: int,
    least_discs: int,
    jobs: int,
    no_progress: bool,
) -> int:
    """Register CT and T2w of spines, and write a pair for each disc.

    The spines are lumbar, and a pair is one of slices. CASES is a table with the columns case, patient, split, source
    (CT), target (T2w), mask (of the spine, optional) and labels (label map on the grid of either scan). OUT gets
    OUT/cases.tsv with one row for each disc, each slice one image of SIZE x SIZE x 1 voxels, and OUT/index.html
    with a picture for each patient. The same command goes on where it was stopped.
    """
    from voxlate.cases import read_cases
    from voxlate.preparation.spine.run import prepare_spines
    from voxlate.preparation.spine.sections import SpineSettings
    from voxlate.reporting.figures.spine_picture import write_spine_picture
    from voxlate.reporting.spine_page import write_spine_page

    settings = SpineSettings(
        labels=_values(labels_as, discs, vertebrae, canal),
        slices="acquired" if slices == "acquired" else "parallel",
        is_registered=not aligned,
        size=size,
        least_discs=least_discs,
    )
    rows = read_cases(cases)
    files = [_files(row, labels, cases.parent) for row in rows]
    records = []
    begin(f"preparing {len(rows)} spines", out=out, jobs=jobs)
    with progress_bar(off=no_progress) as bar:
        task = bar.add_task("spines", total=len(rows), jobs=jobs)
        for record in prepare_spines(files, out, settings, jobs=jobs, draw=write_spine_picture):
            records.append(record)
            bar.advance(task)
    write_spine_page(records, out)
    return _tell(rows, records, out)


def _values(labels_as: str | None, discs: str | None, vertebrae: str | None, canal: str | None) -> SpineLabels:
    """Returns the values of the label maps.

    Raises:
        UsageError: `SPINE_LABELS` for two numberings at once, or values that are no whole numbers.
    """
    from voxlate.preparation.spine.labels import LABELS, SpineLabels

    if labels_as is not None and (discs is not None or vertebrae is not None):
        raise UsageError("SPINE_LABELS", "give either --labels-as, or --discs and --vertebrae")
    try:
        parts = [tuple(int(word) for word in text.split(",")) if text else () for text in (discs, vertebrae, canal)]
        if discs is not None or vertebrae is not None:
            return SpineLabels(discs=parts[0], vertebrae=parts[1], canal=parts[2])
    except ValueError as error:
        raise UsageError(
            "SPINE_LABELS", "labels are whole numbers, as 91,92,93: those of discs, or those of two or more vertebrae"
        ) from error
    numbering = LABELS[labels_as or "verse"]
    return numbering if canal is None else numbering.model_copy(update={"canal": parts[2]})


def _files(row: Case, pattern: str | None, folder: Path) -> SpineFiles:
    """Returns the files of a case; its label map by the pattern, else by the table.

    Raises:
        UsageError: `PATTERN` when the pattern has other braces.
        InputRefused: `NO_LABELS` for a case without a label map.
    """
    from voxlate.preparation.spine.run import SpineFiles

    if pattern is None:
        path = row.labels
    else:
        if set(pattern.replace("{case}", "").replace("{patient}", "")) & set("{}"):
            raise UsageError("PATTERN", f"{pattern!r} may contain {{case}} and {{patient}} alone")
        path = folder / pattern.replace("{case}", row.case).replace("{patient}", row.patient)
    if path is None:
        raise InputRefused(
            "NO_LABELS",
            f"{row.case} has no label map of discs or vertebrae; fill the column labels, or give a pattern by --labels",
        )
    return SpineFiles(row.case, row.source, row.target, path, row.mask)


def _tell(rows: list[Case], records: list[SpineRecord], out: Path) -> int:
    """Writes the table of slices, prints how each case ended, and returns the exit status."""
    from dataclasses import replace

    from voxlate.cases import write_cases
    from voxlate.jobs.states import DONE, FAILED, REFUSED, count_states
    from voxlate.preparation.spine.run import ROLES

    by_name = {row.case: row for row in rows}
    slices = []
    for record in records:
        name = record["case"]
        if record["state"] != DONE:
            complain(f"{record['state'].upper()}:{record['code']} {name}: {record['message']}")
        for disc, reason in record.get("left_out", {}).items():
            complain(f"left out {name} {disc}: {reason}")
        for disc in record.get("discs", {}):
            source, target, mask = (out / name / f"{disc}_{role}.nii.gz" for role in ROLES)
            row = replace(by_name[name], case=f"{name}_{disc}", labels=None, more={})
            slices.append(replace(row, source=source, target=target, mask=mask, target_mask=mask))
    (out / "cases.tsv").unlink(missing_ok=True)
    if slices:
        write_cases(out / "cases.tsv", slices)
    counts = count_states(record["state"] for record in records)
    told = f"; {len(slices) / counts.done:.2f} pairs of slices for each, {out / 'cases.tsv'}" if slices else ""
    say(f"{counts.told(DONE, REFUSED, FAILED)} of {len(rows)} patients{told}")
    return counts.exit_status
