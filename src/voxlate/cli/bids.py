"""`voxlate bids`, also called as `voxlate DATA OUT participant`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from voxlate.cli.console import complain, say
from voxlate.cli.options import ON_GPUS, PATH, optional_models
from voxlate.cli.running import RunOptions, run_options, run_table
from voxlate.cli.verb import Verb
from voxlate.errors import ITEMS_REFUSED_STATUS, UsageError

_LISTS = {"--participant-label", "--participant_label", "--session-label", "--session_label"}
"""Options that take several values, as BIDS-Apps write them: `--participant_label 01 02`."""

_LEVELS = ["participant", "group"]


class BidsApp(Verb):
    """A verb that takes options as BIDS-Apps spell them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeats an option before each of its values, as click expects it."""
        return super().parse_args(ctx, repeat_options(args))


def repeat_options(args: Sequence[str]) -> list[str]:
    """Returns the words of a command line with `--participant_label` before each label.

    An option that stands before the level takes one label alone: further words may be DATA and OUT.

    Example:
        >>> repeat_options(["data", "out", "participant", "--participant_label", "01", "02"])[3:]
        ['--participant_label', '01', '--participant_label', '02']
    """
    found: list[str] = []
    option = ""
    for word in args:
        if word.startswith("-"):
            option = word if word in _LISTS and any(level in found for level in _LEVELS) else ""
        found += [option, word] if option and word != option else [] if option else [word]
    return found


def _use_work_folder(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    """Lets this process and its workers write temporary files there, to the end of the command."""
    if value is None:
        return
    import os
    import tempfile

    from voxlate.errors import writing

    with writing(value.name):
        value.mkdir(parents=True, exist_ok=True)
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"], tempfile.tempdir = str(value.absolute()), None

    def restore() -> None:
        tempfile.tempdir = None
        if before is None:
            os.environ.pop("TMPDIR", None)
        else:
            os.environ["TMPDIR"] = before

    ctx.call_on_close(restore)


@click.command(
    cls=BidsApp,
    example="voxlate bids data out participant -m t1ce-to-t1 --participant_label 01 02",
    resumes="the same command goes on where it stopped",
)
@click.argument("bids", metavar="DATA", type=PATH)
@click.argument("out", type=PATH)
@click.argument("level", type=click.Choice(_LEVELS))
@optional_models
@click.option(
    "--participant-label",
    "--participant_label",
    "subjects",
    multiple=True,
    metavar="LABEL…",
    help="Only these, with or without sub-.",
)
@click.option(
    "--session-label",
    "--session_label",
    "sessions",
    multiple=True,
    metavar="LABEL…",
    help="Only these, with or without ses-.",
)
@click.option("--masks", type=PATH, help="Root of a derivative with ..._desc-brain_mask.nii.gz.")
@click.option("--keep-ce", is_flag=True, help="Keep the entity ce of a source in the name of its output.")
@click.option(
    "-j", "--jobs", "--n_procs", "jobs", default=1, show_default=True, type=click.IntRange(0), help=f"{ON_GPUS}."
)
@click.option(
    "-w",
    "--work-dir",
    "--work_dir",
    type=PATH,
    expose_value=False,
    callback=_use_work_folder,
    help="Folder for temporary files.",
)
@click.option(
    "--skip-bids-validator",
    "--skip_bids_validator",
    is_flag=True,
    expose_value=False,
    help="Accepted for BIDS-App runners: voxlate checks the scans that it reads, and runs no validator.",
)
@run_options
def bids(
    bids: Path,
    out: Path,
    level: str,
    models: tuple[Path, ...],
    subjects: tuple[str, ...],
    sessions: tuple[str, ...],
    masks: Path | None,
    keep_ce: bool,
    **options: Any,
) -> int:
    """Translate a BIDS data set into a BIDS derivative (BIDS-App).

    The same as `voxlate DATA OUT participant`. OUT is also the folder of a batch: after an interruption, run the same
    command again; `voxlate status` and `voxlate verify` read it.

    The level `group` needs no model: it writes OUT/group.tsv, one row per participant with the counts of scans and the
    quality figures of their sidecars, and OUT/group.json over all of them.
    """
    labels = [label.removeprefix("sub-") for label in subjects]
    if level == "group":
        return _summarise(out, labels)
    if not models:
        raise UsageError("NO_MODEL", "the level participant needs a model; pass -m, such as -m t1ce-to-t1")
    from voxlate.inference.batch import read_models
    from voxlate.inference.bids_app import manifest_of, write_description

    bundle = read_models(models)
    table = manifest_of(
        bids,
        bundle.recipe,
        subjects=labels,
        sessions=[label.removeprefix("ses-") for label in sessions],
        masks=masks,
        keep_ce=keep_ce,
    )
    status = run_table(table, out, models, RunOptions(**options))
    write_description(out, bids, bundle.name)
    return status


def _summarise(out: Path, subjects: Sequence[str]) -> int:
    """Writes the group level and returns the exit status."""
    from voxlate.inference.bids_group import TABLE, summarise_group

    rows = summarise_group(out, subjects)
    for row in rows:
        if row.done < row.scans:
            left = f"{row.refused} refused, {row.failed} failed, {row.pending} pending"
            complain(f"{row.participant_id}: {row.done} of {row.scans} scans done; {left}")
    done, flagged = sum(row.done for row in rows), sum(row.flagged for row in rows)
    say(f"{len(rows)} participants, {done} scans done, {flagged} to look at before use; {out / TABLE}")
    return 0 if all(row.done == row.scans for row in rows) else ITEMS_REFUSED_STATUS
