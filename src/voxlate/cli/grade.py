"""`voxlate grade`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from voxlate.cli.console import begin, say
from voxlate.cli.options import PATH, jobs, no_progress
from voxlate.cli.progress import progress_bar
from voxlate.cli.verb import Verb
from voxlate.errors import ITEMS_REFUSED_STATUS


@click.command(
    cls=Verb,
    example="voxlate grade index grades --kind T1w -j 4",
    resumes="the same command goes on where it stopped",
)
@click.argument("source", type=PATH)
@click.argument("out", type=PATH)
@click.option("--kind", "kinds", multiple=True, help="With an index: only series of this type, such as T1w.")
@jobs(default=None)
@no_progress
def grade(source: Path, out: Path, kinds: tuple[str, ...], jobs: int, no_progress: bool) -> int:
    """Grade the quality of scans, and classify their voxels.

    SOURCE is the folder of an index, a NIfTI file or a folder of NIfTI files. OUT becomes a folder with grades.tsv:
    quality, contrast and contrast agent by the voxels; index.html, which compares sites and scanners and shows the
    worst scans first; and for each scan a JSON file with its measurements and a picture.
    """
    from voxlate.quality.items import items_of
    from voxlate.quality.run import PAGE, TABLE, grade_all

    states: Counter[str] = Counter()
    count = len(items_of(source, kinds))
    begin(f"grading {count} scans", out=out, jobs=jobs)
    with progress_bar(off=no_progress) as bar:
        task = bar.add_task("grading", total=count, jobs=jobs)
        for state in grade_all(source, out, kinds=kinds, jobs=jobs):
            states[state] += 1
            bar.advance(task)
    say(f"{states.total()} scans: " + ", ".join(f"{n} {state}" for state, n in sorted(states.items())))
    say(f"{out / TABLE}; see {out / PAGE}")
    return ITEMS_REFUSED_STATUS if set(states) - {"OK"} else 0
