"""`voxlate cohort`."""

from __future__ import annotations

from pathlib import Path

import click

from voxlate.cli.console import begin, complain, say
from voxlate.cli.options import PATH, jobs, no_progress
from voxlate.cli.progress import progress_bar
from voxlate.cli.verb import Verb
from voxlate.errors import ITEMS_REFUSED_STATUS


@click.command(
    cls=Verb,
    example="voxlate cohort bottani2024 index cohort --grades grades",
    resumes="the same command goes on where it stopped",
)
@click.argument("rules", type=PATH)
@click.argument("index", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--grades", type=PATH, help="Folder written by voxlate grade from this index; rules that use the voxels need it."
)
@click.option(
    "--exclude",
    "lists",
    type=PATH,
    multiple=True,
    help="Table, with a column item, of cases or patients that a person excludes, such as those with very large "
    "lesions; may be given several times.",
)
@click.option("--extend", is_flag=True, help="Assign splits to patients that are not in the split file yet.")
@click.option(
    "--test",
    "share",
    type=click.FloatRange(0, 1, max_open=True),
    help="Share of patients in the test split.  [default: that of the rules]",
)
@jobs(default=None)
@no_progress
def cohort(
    rules: Path,
    index: Path,
    out: Path,
    grades: Path | None,
    lists: tuple[Path, ...],
    extend: bool,
    share: float | None,
    jobs: int,
    no_progress: bool,
) -> int:
    """Select pairs or single scans by rules, and write them as BIDS.

    RULES is a YAML file, or the name of one that comes with voxlate: bottani2024 selects pairs to train on,
    enhanced_t1 every T1 after contrast agent, to translate them. INDEX is a folder written by voxlate index. OUT
    becomes a BIDS data set with cases.tsv for voxlate prepare or voxlate batch, the reason for each exclusion, and a
    flow chart. Pairs are split by patient, and a split never changes silently.
    """
    from voxlate.archive import read_stamps, read_table
    from voxlate.cohort.build_cohort import CASES, Written, write_cohort
    from voxlate.cohort.rules import read_rules, with_exclusions, with_test_share
    from voxlate.cohort.select import select
    from voxlate.cohort.series_rows import join_grades
    from voxlate.io.log import counted
    from voxlate.quality.review.regrading import read_regrades
    from voxlate.quality.run import read_grades
    from voxlate.reporting.cohort_page import write_cohort_page
    from voxlate.reporting.figures.flow_chart import draw_flow
    from voxlate.shipped import find_shipped

    chosen = read_rules(find_shipped("cohorts", rules, what="rules of a cohort"))
    if share is not None:
        chosen = with_test_share(chosen, share)
    chosen = with_exclusions(chosen, lists)
    grades_read, persons = ([], {}) if grades is None else (read_grades(grades), read_regrades(grades))
    selection = select(join_grades(read_table(index), grades_read, persons, read_stamps(index)), chosen)
    written: Written | None = None
    noun = "pair" if selection.unit == "pair" else "scan"
    begin(f"writing {counted(len(selection.pairs), noun)}", out=out, jobs=jobs)
    with progress_bar(off=no_progress) as bar:
        task = bar.add_task("writing", total=sum(len(pair.series) for pair in selection.pairs), jobs=jobs)
        for step in write_cohort(selection, chosen, index, out, jobs=jobs, extend=extend):
            bar.advance(task)
            written = step if isinstance(step, Written) else written
    if written is None:
        return 1
    for suffix in ("svg", "png"):
        draw_flow(
            out / f"flow.{suffix}",
            written.selection.scans,
            written.selection.flow_steps,
            written.parts,
            unit=selection.unit,
        )
    kept, series = counted(len(written.selection.pairs), noun), written.selection.scans
    write_cohort_page(out, chosen.name, written.table, kept=kept, series=series)
    parts = ", ".join(f"{count} {name}" for name, count in written.parts.items())
    for flow_step in written.selection.flow_steps:
        if flow_step.dropped:
            is_series = flow_step.unit == "scan"
            dropped = counted(flow_step.dropped, *(("series", "series") if is_series else (noun,)))
            say(f"left out: {dropped}, {flow_step.reason}")
    say(f"{series} series, {kept}: {parts}; {out / CASES}; see {out / 'cohort.html'}")
    for unread, fault in written.unreadable.items():
        complain(f"series {unread}: {fault}")
    return ITEMS_REFUSED_STATUS if written.unreadable else 0
