"""`voxlate classify`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from voxlate.cli.options import PATH


@click.command()
@click.argument("source", type=PATH)
@click.argument("out", type=PATH)
def classify(source: Path, out: Path) -> int:
    """Classify DICOM series by their headers: series type and contrast agent.

    SOURCE is a folder, a file or a zip. OUT becomes a table with one row per series, and the rule and the header words
    that decided.
    """
    from voxlate.archive.classify import COLUMNS
    from voxlate.archive.classify import classify as every
    from voxlate.io.atomic import write_text

    found = every(source)
    lines = ["\t".join(COLUMNS), *("\t".join(" ".join(text.split()) for text in each.row()) for each in found)]
    write_text(out, "\n".join(lines) + "\n")
    for title, counts in (
        ("kind", Counter(each.kind.kind for each in found)),
        ("agent", Counter(each.agent.state for each in found)),
    ):
        click.echo(f"{title}: " + ", ".join(f"{count} {name}" for name, count in counts.most_common()))
    click.echo(f"{len(found)} series; {out}")
    return 0
