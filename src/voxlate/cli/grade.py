"""`voxlate grade`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from voxlate.cli.options import PATH, no_progress
from voxlate.cli.progress import progress_bar
from voxlate.errors import ITEMS_REFUSED_STATUS


@click.command()
@click.argument("source", type=PATH)
@click.argument("out", type=PATH)
@click.option("--kind", "kinds", multiple=True, help="With an index: only series of this type, as T1w.")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Processes; as many as processors by default.")
@no_progress
def grade(source: Path, out: Path, kinds: tuple[str, ...], jobs: int | None, no_progress: bool) -> int:
    """Grade the quality of scans, and classify them by their voxels: contrast and contrast agent.

    SOURCE is the folder of an index, a NIfTI file or a folder of NIfTI files. OUT becomes a folder with grades.tsv, and
    for each scan a JSON file with its measurements and a picture.
    """
    from voxlate.quality.items import items_of
    from voxlate.quality.run import TABLE, grade_all
    from voxlate.threads import free_cores

    states: Counter[str] = Counter()
    with progress_bar(off=no_progress) as bar:
        task = bar.add_task("grading", total=len(items_of(source, kinds)))
        for state in grade_all(source, out, kinds=kinds, jobs=jobs or free_cores()):
            states[state] += 1
            bar.advance(task)
    click.echo(f"{states.total()} scans: " + ", ".join(f"{n} {state}" for state, n in sorted(states.items())))
    click.echo(str(out / TABLE))
    return ITEMS_REFUSED_STATUS if set(states) - {"OK"} else 0
