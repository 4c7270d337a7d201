"""`voxlate status`."""

from __future__ import annotations

from pathlib import Path

import click

from voxlate.cli.options import PATH
from voxlate.cli.verb import Verb


@click.command(cls=Verb, example="voxlate status out")
@click.argument("out", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Write the counts as JSON.")
def status(out: Path, as_json: bool) -> int:
    """Count the done, refused, failed and pending cases of a batch.

    The exit status is 0 when all cases are done, 75 while cases are pending, 65 when all were refused, 8 otherwise.
    """
    import json
    from dataclasses import asdict

    from voxlate.inference.verify import status_of

    counts = status_of(out)
    if as_json:
        click.echo(json.dumps(asdict(counts)))
        return counts.exit_status
    for name in ("cases", "done", "refused", "failed", "pending"):
        click.echo(f"{name:8} {getattr(counts, name):>10,}")
    for code, count in counts.codes.items():
        click.echo(f"  {code:20} {count:>10,}")
    for code, count in counts.flags.items():
        click.echo(f"  {code:20} {count:>10,} of the done: look at them before use (column flag of ledger.tsv)")
    return counts.exit_status
