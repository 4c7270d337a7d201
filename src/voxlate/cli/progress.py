"""The progress bar of the command line."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from voxlate.cli.console import is_quiet

if TYPE_CHECKING:
    from voxlate.jobs.progress import Heartbeat


def progress_bar(*, off: bool) -> Heartbeat:
    """Returns a progress bar on standard error, or only the log lines if it is off or there is no terminal."""
    from voxlate.jobs.progress import Heartbeat

    hidden = off or is_quiet() or not sys.stderr.isatty() or "SLURM_JOB_ID" in os.environ
    return Heartbeat(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=hidden,
    )
