"""Options that several verbs share."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_LONGEST_PATH, _LONGEST_NAME = 4095, 255
"""Bytes, of a path and of one name in it, that Linux and its file systems take."""


class _Path(click.Path):
    """A path that can be one; whether anything is there is for the verb to see."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Returns the path, or ends the command with what is wrong with it."""
        raw = os.fsencode(value)
        if b"://" in raw:
            self.fail("addresses such as s3:// and https:// are not read; copy the files to a disk first", param, ctx)
        if b"\0" in raw:
            self.fail("a path holds no NUL", param, ctx)
        if len(raw) > _LONGEST_PATH or any(len(part) > _LONGEST_NAME for part in raw.split(os.fsencode(os.sep))):
            self.fail(f"a path of {len(raw)} bytes, or a name in it, is too long for a file", param, ctx)
        return super().convert(value, param, ctx)


class _Amount(click.FloatRange):
    """A number above 0 that is one."""

    def __init__(self) -> None:
        super().__init__(0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Returns the number, or ends the command."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number", param, ctx)
        return number


PATH = _Path(path_type=Path)


def _trust_code(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Trusts the code of bundles in this process and its workers, to the end of the command."""
    if value:
        from voxlate.bundle.custom_code import TRUST_VARIABLE

        os.environ[TRUST_VARIABLE] = "1"
        ctx.call_on_close(lambda: os.environ.pop(TRUST_VARIABLE, None))


device = click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 … or auto: the first graphics processor."
)
runtime = click.option(
    "--runtime",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "torch", "openvino", "int8"]),
    help="What runs the network; auto: the quickest that the bundle has been accelerated for.",
)
gate = click.option(
    "--gate",
    default="refuse",
    show_default=True,
    type=click.Choice(["refuse", "flag", "off"]),
    help="What happens to a scan that is far from those of the training.",
)
brain_mask = click.option(
    "--brain-mask", metavar="METHOD", help="How the brain is found where no mask is given: deepbet, robex, ct …"
)
no_synthetic_tag = click.option(
    "--no-synthetic-tag",
    is_flag=True,
    help="Leave SyntheticData (0008,001C) out of DICOM, for archives that refuse it.",
)
trust_code = click.option(
    "--trust-code",
    is_flag=True,
    expose_value=False,
    callback=_trust_code,
    help="Import the Python module of a network outside voxlate that a bundle names; only if you trust that module.",
)
_models = click.option(
    "-m", "--model", "models", type=PATH, required=True, multiple=True, help="A trained bundle; of several, the mean."
)


def models(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the bundles that translate, and whether their code is trusted."""
    return _models(trust_code(command))


zero_fill = click.option("--zero-fill", is_flag=True, help="Do without a missing source even if training never did.")
any_spacing = click.option(
    "--any-spacing", is_flag=True, help="Translate also voxels of a size never seen in training."
)
shard = click.option(
    "--shard", default="1/1", show_default=True, metavar="K/N", help="Which part, as in an array of jobs."
)
threads = click.option(
    "--threads", default=1, show_default=True, type=click.IntRange(1), help="Threads of each process."
)
seconds = click.option("--seconds", type=_Amount(), help="Longest time for one case.")
retry = click.option("--retry", is_flag=True, help="Try again what failed.")
gib = click.option("--gib", type=_Amount(), help="Most memory for one process; else all.")
unmarked = click.option("--unmarked", is_flag=True, help="Read DICOM files that lack their preamble and mark, too.")
no_progress = click.option(
    "--no-progress", is_flag=True, help="No progress bar (off by itself without a terminal); a line a minute stays."
)
