"""`voxlate verify`."""

from __future__ import annotations

from pathlib import Path

import click

from voxlate.cli.options import PATH
from voxlate.cli.verb import Verb


@click.command(cls=Verb, example="voxlate verify out")
@click.argument("out", type=PATH)
def verify(out: Path) -> int:
    """Verify the output files of a batch against their hashes.

    The exit status is 0 when every file has the hash in the ledger, 8 otherwise.
    """
    from voxlate.errors import ITEMS_REFUSED_STATUS
    from voxlate.inference.verify import differences, status_of
    from voxlate.io.log import counted

    lines = list(differences(out))
    for line in lines:
        click.echo(line)
    done = status_of(out).done
    click.echo(f"{counted(done, 'case')} done; {counted(len(lines), 'difference') if lines else 'no differences'}")
    return ITEMS_REFUSED_STATUS if lines else 0
