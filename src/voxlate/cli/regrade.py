"""`voxlate regrade`."""

from __future__ import annotations

from pathlib import Path

import click

from voxlate.cli.console import say
from voxlate.cli.options import PATH
from voxlate.cli.verb import Verb
from voxlate.errors import UsageError


@click.command(cls=Verb, example="voxlate regrade grades --by reader1")
@click.argument("grades", type=PATH)
@click.option(
    "--by", "reader", default="grader", show_default=True, help="Pseudonym of the grader: letters and digits."
)
@click.option(
    "--port",
    default=8766,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Port on this computer.",
)
@click.option("--source", type=PATH, help="The index or scans that were graded.  [default: noted in GRADES]")
def regrade(grades: Path, reader: str, port: int, source: Path | None) -> None:
    """Open a local web page to review and correct quality grades.

    GRADES is a folder made by voxlate grade. The scans whose grades are least certain come first; the predicted grade
    is not shown. Where the scans still lie where voxlate grade read them, the page scrolls and zooms them; elsewhere it
    shows the pictures that voxlate grade made. Every grade is kept; voxlate cohort --grades takes the last one of each
    scan.
    """
    from voxlate.web.server.serve import Address, server_not_installed

    try:
        from voxlate.quality.review.regrade_server import serve_regrading
    except ImportError as error:
        raise server_not_installed() from error

    if not reader.isalnum():
        raise UsageError("READER", "name the grader by letters and digits")
    serve_regrading(grades, reader, Address(port=port), announce=_announce, source=source)


def _announce(link: str) -> None:
    click.echo(link)
    say("Open this link once to grade; Ctrl-C stops the server, all grades are kept, and the same command goes on.")
