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

from voxlate.errors import DEBUG_VARIABLE, VoxlateError, nearest, os_failure, silence_warnings
from voxlate.version import __version__

VERBS = {
    "init": "Start a project: a table of cases to fill in, and a recipe with comments.",
    "simulate": "Simulate patients and write them as BIDS, with ground truth.",
    "index": "Index the DICOM series of an archive by their headers, or update the index.",
    "classify": "Classify DICOM series by their headers: series type and contrast agent.",
    "grade": "Grade the quality of scans, and classify them by their voxels: contrast and contrast agent.",
    "regrade": "Open a local web page to review and correct quality grades.",
    "cohort": "Select pairs from an index by rules, split them by patient, and write them as BIDS.",
    "prepare": "Register the target and the further sources of each pair to its source, and extract the brain.",
    "spine": "Register CT and T2w of lumbar spines, and write one pair of slices for each disc.",
    "adc": "Compute an ADC map from diffusion-weighted images.",
    "train": "Train a network from a recipe.",
    "recipes": "List the recipes that come with voxlate; print one, or copy one to change it.",
    "models": "List the pretrained models, or print the card of one.",
    "translate": "Translate scans with a pretrained or trained model.",
    "batch": "Translate all scans of a manifest; resumes after interruptions.",
    "bids": "Translate a BIDS data set into a BIDS derivative (BIDS-App).",
    "accelerate": "Add faster runtimes (OpenVINO, 8 bits) to a bundle, if they keep its quality.",
    "calibrate": "Calibrate the uncertainty of a model on cases with known targets.",
    "export": "Export the network of a bundle to ONNX.",
    "status": "Count the done, refused, failed and pending cases of a batch.",
    "verify": "Verify the output files of a batch against their hashes.",
    "evaluate": "Evaluate synthetic images against real ones, or compare several systems.",
    "report": "Write an HTML report from the folder of an evaluation, or of a comparison of systems.",
    "downstream": "Compare conclusions that are drawn from real and from synthetic images: volumes, atrophy, change.",
    "compare": "Train, apply and evaluate the systems of an experiment file, and compare them.",
    "reproduce": "Repeat a published study: its systems, tables and figures.",
    "readers": "Run blinded reader studies and analyse them.",
}
"""Each verb and its help line. They are listed here so that `voxlate --help` imports no verb."""

RENAMED = {
    "--gate": "--ood",
    "--gib": "--memory-gib",
    "--mirror": "--tta-flip",
    "--spread": "--uncertainty",
    "--unmarked": "--no-preamble",
}
"""Old spellings of options. They still work in this release, with a note that names the new spelling."""


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
        """Accepts the argument order of a BIDS-App, `BIDS OUT participant`, as the verb `bids`, and renamed options."""
        args = [_renamed(arg) for arg in args]
        is_app = len(args) >= 3 and args[0] not in VERBS and args[2] in ("participant", "group")
        if not is_app and args and args[0] not in VERBS and not args[0].startswith("-"):
            raise click.UsageError(f"unknown verb {args[0]!r}{nearest(args[0], VERBS)}", ctx)
        return super().resolve_command(ctx, ["bids", *args] if is_app else args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="voxlate")
def voxlate() -> None:
    """Medical image-to-image translation, with evaluation.

    Synthetic images are not for diagnosis. The network is used only to query an archive that you name.
    """


def main() -> None:
    """Runs the command line and exits. An error is printed as one line, without a traceback."""
    sys.exit(run_with_status(lambda: voxlate.main(standalone_mode=False)))


def run_with_status(command: Callable[[], Any]) -> int:
    """Runs a command and returns its exit status; the reason of a failure is printed on standard error in one line."""
    from voxlate.threads import use_free_cores

    use_free_cores()  # before libraries that read these variables are imported
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


def _renamed(argument: str) -> str:
    """Returns an argument with the current spelling of its option."""
    option, sign, value = argument.partition("=")
    if option not in RENAMED:
        return argument
    click.echo(f"voxlate: {option} is now {RENAMED[option]}", err=True)
    return RENAMED[option] + sign + value


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
