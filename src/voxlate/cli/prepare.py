"""`voxlate prepare`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voxlate.cli.console import begin, complain, say
from voxlate.cli.options import PATH, jobs, no_progress
from voxlate.cli.progress import progress_bar
from voxlate.cli.verb import Verb
from voxlate.errors import UsageError

if TYPE_CHECKING:
    from voxlate.cases import Case
    from voxlate.preparation.records import PreparationRecord


@click.command(
    cls=Verb,
    example="voxlate prepare cases.tsv prepared -j 2",
    resumes="the same command goes on where it stopped",
)
@click.argument("cases", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--brain-mask",
    default="auto",
    show_default=True,
    help="Brain mask of the source: auto (its own if skull-stripped, else deepbet, or ct for CT), robex …; two are "
    "joined as deepbet+robex.",
)
@click.option("--target-brain-mask", help="Brain mask of the target.  [default: as the source]")
@click.option("--more-brain-mask", help="Brain mask of the further sources.  [default: as the source]")
@click.option(
    "--aligned",
    is_flag=True,
    help="Register nothing: all scans are aligned. Skull-stripped scans that are aligned are recognised without this.",
)
@click.option(
    "--degrees",
    type=click.Choice(["6", "12"]),
    default="6",
    show_default=True,
    help="Degrees of freedom of the registration of the target: 6 is rigid, 12 is affine.",
)
@click.option(
    "--target-too",
    multiple=True,
    metavar="T2w",
    help="Contrast of a column more: that is the target of another network; treated as the target. May be repeated.",
)
@click.option("--denoise", is_flag=True, help="Remove noise from the target by anisotropic diffusion.")
@click.option(
    "--template/--no-template",
    default=True,
    show_default=True,
    help="Also register to a template in MNI space, which checks the orientation of the head; takes longer.",
)
@click.option("--refuse-doubtful", is_flag=True, help="Refuse cases whose registration or mask is doubtful.")
@click.option("--refuse-missing", is_flag=True, help="Refuse cases of which a further source is missing.")
@jobs()
@no_progress
def prepare(
    cases: Path,
    out: Path,
    brain_mask: str,
    target_brain_mask: str | None,
    more_brain_mask: str | None,
    aligned: bool,
    degrees: str,
    target_too: tuple[str, ...],
    denoise: bool,
    template: bool,
    refuse_doubtful: bool,
    refuse_missing: bool,
    jobs: int,
    no_progress: bool,
) -> int:
    """Register the scans of each case, and extract the brain.

    The target and the further sources of a case are registered to its source. CASES is a table with the columns case,
    patient, split, source, target, mask, labels, and a column more:CONTRAST for each further source, such as
    more:T2w. A further source that cannot be registered is missing. OUT gets a folder per case, the table
    OUT/cases.tsv for training, and OUT/index.html, which shows the worst cases first. The same command goes on
    where it was stopped.
    """
    from voxlate.cases import read_cases
    from voxlate.io.log import counted, tell
    from voxlate.preparation.register_pair import PairSettings
    from voxlate.preparation.run import PairFiles, prepare_cohort
    from voxlate.reporting.figures.preparation_picture import write_picture
    from voxlate.reporting.preparation_page import write_page

    settings = PairSettings(
        source_mask=brain_mask,
        target_mask=target_brain_mask or brain_mask,
        more_mask=more_brain_mask or brain_mask,
        is_registered=not aligned,
        degrees=12 if degrees == "12" else 6,
        targets=target_too,
        is_denoised=denoise,
        to_template=template,
        doubtful="refuse" if refuse_doubtful else "keep",
        missing="refuse" if refuse_missing else "keep",
    )
    settings.require_methods()
    rows = read_cases(cases)
    absent = [name for name in target_too if not any(name in row.more for row in rows)]
    if absent:
        raise UsageError("TARGET_NOWHERE", f"no case has a column more:{absent[0]}; name a contrast of the table")
    files = [PairFiles.of(row) for row in rows]
    records = []
    begin(f"preparing {counted(len(rows), 'case')}", out=out, jobs=jobs)
    with progress_bar(off=no_progress) as bar:
        task = bar.add_task("preparing", total=len(rows), jobs=jobs)
        for record in prepare_cohort(files, out, settings, jobs=jobs, draw=write_picture):
            records.append(record)
            tell(f"{record['case']}: {record['saw'] if 'saw' in record else record['state']}")
            bar.advance(task)
    write_page(records, out)
    return _tell(rows, records, out)


def _tell(rows: list[Case], records: list[PreparationRecord], out: Path) -> int:
    """Writes the table of prepared cases, prints how each case ended, and returns the exit status."""
    from voxlate.jobs.states import DONE, FAILED, REFUSED, count_states
    from voxlate.preparation.run import write_prepared

    write_prepared(rows, records, out)
    for record in records:
        if record["state"] != DONE:
            complain(f"{record['state'].upper()}:{record['code']} {record['case']}: {record['message']}")
        for doubt in record.get("doubts", []):
            complain(f"doubtful {record['case']}: {doubt}; see it in {out / 'index.html'}", level=logging.WARNING)
    counts = count_states(record["state"] for record in records)
    say(f"{counts.told(DONE, REFUSED, FAILED)} of {len(rows)} cases; see {out / 'index.html'}")
    return counts.exit_status
