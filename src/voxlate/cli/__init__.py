"""The command `voxlate`: one file per verb, each imported only when it is called."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import click

from voxlate import __version__
from voxlate.errors import DEBUG_VARIABLE, VoxlateError, nearest, os_failure, silence_warnings

VERBS = {
    "simulate": "Write simulated patients to OUT as BIDS, with the truth about each.",
    "index": "List every DICOM series of an archive by its headers, and keep the list up to date.",
    "classify": "Tell of each DICOM series what it shows and whether an agent was given, by its header.",
    "grade": "Grade the quality of scans, and tell by their pixels what they show and whether an agent was given.",
    "regrade": "Open a page on this computer on which a person grades the scans of GRADES again.",
    "cohort": "Choose pairs from an index by written rules, split them by patient, and write them as BIDS.",
    "prepare": "Bring the target of each pair onto its source, and find the brain.",
    "train": "Train a network by a recipe.",
    "translate": "Translate scans with a trained bundle.",
    "batch": "Translate every scan of a manifest; a run that was interrupted can be continued.",
    "bids": "Translate every scan of a BIDS data set that the model takes, into a BIDS derivative.",
    "accelerate": "Put quicker forms of its network into BUNDLE, as far as they keep its quality.",
    "calibrate": "Measure what the spread of several answers is worth, on cases whose target is known.",
    "export": "Write the network of BUNDLE for other software.",
    "status": "Count the cases of a batch that are done, refused, failed and pending.",
    "verify": "Hash the files of a batch again and list the differences.",
    "evaluate": "Measure synthetic images against real ones.",
    "report": "Write one self-contained HTML page from EVALUATION, a folder made by `voxlate evaluate`.",
    "readers": "Blinded reader studies: can experts tell, and does it matter?",
}
"""Every verb and its first line of help, here so that `voxlate --help` imports none of them."""


class LazyGroup(click.Group):
    """A group that knows the names of its commands and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the verbs in the order in which one needs them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns a verb, imported now."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = getattr(importlib.import_module(f"voxlate.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Takes `BIDS OUT participant`, the order of a BIDS app, for the verb `bids`."""
        is_app = len(args) >= 3 and args[0] not in VERBS and args[2] in ("participant", "group")
        if not is_app and args and args[0] not in VERBS and not args[0].startswith("-"):
            raise click.UsageError(f"no such verb {args[0]!r}{nearest(args[0], VERBS)}", ctx)
        return super().resolve_command(ctx, ["bids", *args] if is_app else args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="voxlate")
def voxlate() -> None:
    """Translate one contrast of a medical image into another, and prove what the result is worth.

    Synthetic images are not for diagnosis. Nothing goes over a network but to an archive that you name.
    """


def main() -> None:
    """Runs the command line and exits; an error of ours is one line and its status, never a traceback."""
    sys.exit(run_with_status(lambda: voxlate.main(standalone_mode=False)))


def run_with_status(command: Callable[[], Any]) -> int:
    """Returns the exit status of `command`, after saying in one line on standard error why it failed."""
    from voxlate.threads import use_free_cores

    use_free_cores()  # before anything loads the libraries that read it
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, _terminate)
    silence_warnings()
    try:
        result = command()
    except VoxlateError as error:
        click.echo(f"voxlate: {error}", err=True)
        return error.exit_status
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except OSError as error:
        failure = os_failure(error)
        click.echo(f"voxlate: {failure}", err=True)
        return failure.exit_status
    except (KeyboardInterrupt, click.Abort):
        click.echo("voxlate: interrupted", err=True)
        return 130
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        click.echo(f"voxlate: unexpected {type(error).__name__}; set {DEBUG_VARIABLE}=1 to see where", err=True)
        return 1
    return result if isinstance(result, int) else 0


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
