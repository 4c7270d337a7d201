"""The command line `voxlate`: one file per verb. A verb is imported only when it is called, so that help is fast."""

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

from voxlate.cli.console import ConsoleHandler
from voxlate.errors import DEBUG_VARIABLE, VoxlateError, nearest, os_failure, silence_warnings
from voxlate.version import __version__

VERBS = {
    "init": "Start a project: a table of cases, and a recipe.",
    "simulate": "Simulate patients and write them as BIDS, with ground truth.",
    "index": "Index the DICOM series of an archive by their headers.",
    "classify": "Classify DICOM series by their headers: type and contrast agent.",
    "grade": "Grade the quality of scans, and classify their voxels.",
    "regrade": "Open a local web page to review and correct quality grades.",
    "cohort": "Select pairs or single scans by rules, and write them as BIDS.",
    "prepare": "Register the scans of each case, and extract the brain.",
    "spine": "Register CT and T2w of spines, and write a pair for each disc.",
    "adc": "Compute an ADC map from diffusion-weighted images.",
    "train": "Train a network from a recipe.",
    "recipes": "List the recipes that come with voxlate; print or copy one.",
    "models": "List the pretrained models, or print the card of one.",
    "translate": "Translate scans with a pretrained or trained model.",
    "batch": "Translate all scans of a manifest; resumes after interruptions.",
    "bids": "Translate a BIDS data set into a BIDS derivative (BIDS-App).",
    "status": "Count the done, refused, failed and pending cases of a batch.",
    "verify": "Verify the output files of a batch against their hashes.",
    "accelerate": "Add faster runtimes to a model, if they keep its quality.",
    "calibrate": "Calibrate the uncertainty of a model on known targets.",
    "export": "Export the network of a model to ONNX.",
    "evaluate": "Evaluate synthetic images against real ones; compare systems.",
    "report": "Write an HTML report from the folder of an evaluation.",
    "downstream": "Compare conclusions drawn from real and synthetic images.",
    "readers": "Run blinded reader studies and analyse them.",
    "reproduce": "Repeat a published study: its systems, tables and figures.",
    "compare": "Train, apply and compare the systems of an experiment file.",
}
"""Each verb and its help line. They are listed here so that `voxlate --help` imports no verb."""

SECTIONS = {
    "Data": ("init", "simulate", "index", "classify", "grade", "regrade", "cohort"),
    "Prepare": ("prepare", "spine", "adc"),
    "Train": ("train", "recipes"),
    "Translate": ("models", "translate", "batch", "bids", "status", "verify", "accelerate", "calibrate", "export"),
    "Evaluate": ("evaluate", "report", "downstream"),
    "Readers": ("readers",),
    "Papers": ("reproduce", "compare"),
}
"""The verbs of the help by stage of the work."""

START = """Start here: voxlate translate T1ce.nii.gz T1.nii.gz -m t1ce-to-t1
Each verb: voxlate VERB INPUT OUTPUT; `voxlate VERB --help` ends with an example."""


class LazyGroup(click.Group):
    """A command group that imports a command only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the verbs in the order of a typical workflow."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a verb and returns its command."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = getattr(importlib.import_module(f"voxlate.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Accepts the argument order of a BIDS-App, `DATA OUT participant`, as the verb `bids`."""
        is_app = len(args) >= 3 and args[0] not in VERBS and args[2] in ("participant", "group")
        if not is_app and args and args[0] not in VERBS and not args[0].startswith("-"):
            raise click.UsageError(f"unknown verb {args[0]!r}{nearest(args[0], VERBS)}", ctx)
        return super().resolve_command(ctx, ["bids", *args] if is_app else args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the verbs by stage, without importing them."""
        width = max(map(len, VERBS))  # one column for all sections
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{verb:{width}}", VERBS[verb]) for verb in verbs])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the first command to try."""
        formatter.write(f"\n{START}\n")


@click.group(
    cls=LazyGroup,
    subcommand_metavar="VERB INPUT… OUTPUT [OPTIONS]",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="voxlate")
def voxlate() -> None:
    """Medical image-to-image translation, with evaluation.

    Synthetic images are not for diagnosis. No connection is made, except to an archive that you name.
    """


def main() -> None:
    """Runs the command line and exits. An error is printed as one line, without a traceback."""
    # The name is given, so that completion also works for `python -m voxlate`.
    sys.exit(run_with_status(lambda: voxlate.main(prog_name="voxlate", standalone_mode=False)))


def run_with_status(command: Callable[[], Any]) -> int:
    """Runs a command and returns its exit status; the reason of a failure is printed on standard error in one line."""
    from voxlate.allocator import keep_freed_memory
    from voxlate.threads import use_free_cores

    use_free_cores()  # before libraries that read these variables are imported
    keep_freed_memory()
    _log_to_the_console()
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


def _log_to_the_console() -> None:
    handler = ConsoleHandler(logging.INFO)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
