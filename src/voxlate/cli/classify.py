"""`voxlate classify`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from voxlate.cli.console import say
from voxlate.cli.options import PATH
from voxlate.cli.verb import Verb


@click.command(cls=Verb, example="voxlate classify study series.tsv")
@click.argument("source", type=PATH)
@click.argument("output", type=PATH)
def classify(source: Path, output: Path) -> int:
    """Classify DICOM series by their headers: type and contrast agent.

    SOURCE is a folder, a file or a zip. OUTPUT becomes a table with one row per series, and the rule and the header
    words that decided.
    """
    from voxlate.archive.classify import COLUMNS
    from voxlate.archive.classify import classify as every
    from voxlate.io.atomic import write_text
    from voxlate.io.site_key import KEY_VARIABLE, site_key

    found = every(source)
    lines = ["\t".join(COLUMNS), *("\t".join(" ".join(text.split()) for text in each.row()) for each in found)]
    write_text(output, "\n".join(lines) + "\n")
    for title, counts in (
        ("kind", Counter(each.kind.kind for each in found)),
        ("agent", Counter(each.agent.state for each in found)),
    ):
        say(f"{title}: " + ", ".join(f"{count} {name}" for name, count in counts.most_common()))
    if not site_key():
        say(f"{KEY_VARIABLE} is not set: the pseudonyms are those of this call alone")
    say(f"{len(found)} series; {output}")
    return 0
