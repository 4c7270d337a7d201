"""Options shared by several verbs."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

_LONGEST_PATH, _LONGEST_NAME = 4095, 255
"""Limits of Linux and its file systems, in bytes: of a path, and of one name in it."""


class _Path(click.Path):
    """A path with valid syntax. Whether the file exists is checked by the verb."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Returns the path, or fails with the reason why it is not valid."""
        raw = os.fsencode(value)
        if b"://" in raw:
            self.fail("URLs such as s3:// and https:// are not supported; copy the files to a disk first", param, ctx)
        if b"\0" in raw:
            self.fail("a path cannot contain a NUL character", param, ctx)
        if len(raw) > _LONGEST_PATH or any(len(part) > _LONGEST_NAME for part in raw.split(os.fsencode(os.sep))):
            self.fail(f"the path of {len(raw)} bytes, or a name in it, is too long", param, ctx)
        return super().convert(value, param, ctx)


class _Amount(click.FloatRange):
    """A finite number above 0."""

    def __init__(self) -> None:
        super().__init__(0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Returns the number, or fails."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not finite", param, ctx)
        return number


PATH = _Path(path_type=Path)


def _trust_code(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Trusts the code of bundles in this process and its workers, to the end of the command."""
    if value:
        from voxlate.bundle.custom_code import TRUST_VARIABLE

        os.environ[TRUST_VARIABLE] = "1"
        ctx.call_on_close(lambda: os.environ.pop(TRUST_VARIABLE, None))


device = click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 … or auto (the first GPU if there is one)."
)
runtime = click.option(
    "--runtime",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "torch", "openvino", "int8"]),
    help="Inference runtime; auto is the fastest one in the bundle (see voxlate accelerate).",
)
ood = click.option(
    "--ood",
    "gate",
    default="refuse",
    show_default=True,
    type=click.Choice(["refuse", "flag", "off"]),
    help="A scan unlike those of the training: refuse it, translate it with a flag, or do not check (off).",
)
brain_mask = click.option(
    "--brain-mask",
    default="auto",
    show_default=True,
    metavar="METHOD",
    help="Brain mask where none is given: auto (that of a skull-stripped scan, else deepbet, or ct for CT), robex …",
)
no_synthetic_tag = click.option(
    "--no-synthetic-tag",
    is_flag=True,
    help="Omit SyntheticData (0008,001C) from DICOM, for archives that reject it.",
)
trust_code = click.option(
    "--trust-code",
    is_flag=True,
    expose_value=False,
    callback=_trust_code,
    help="Import the Python module of a custom network that a bundle names; only for modules that you trust.",
)


def _open_cache(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """Makes the folder, and fails before any work where it cannot be written."""
    if value is not None:
        from voxlate.preparation.store import open_store

        open_store(value)
    return value


cache = click.option(
    "--cache",
    type=PATH,
    callback=_open_cache,
    help="Folder that keeps brain masks, bias fields and registrations for other runs on the same scans.",
)


ON_GPUS = "Processes, which take the GPUs in turn unless --device names one"
"""Help of the number of processes of a command that translates in each of them."""


def jobs(default: int | None = 1, *, least: int = 1, what: str = "Processes") -> Callable[..., Any]:
    """Returns the option of the number of processes.

    Args:
        default: without the option; None for one process for each processor.
        least: smallest value; 0 means that the work is done in this process.
        what: what runs at the same time.
    """
    here = "; 0 works in this process alone" if least == 0 else ""
    every = "  [default: one for each processor]" if default is None else ""
    return click.option(
        "-j",
        "--jobs",
        type=click.IntRange(min=least),
        default=default,
        show_default=default is not None,
        callback=_every_processor,
        help=f"{what}{here}.{every}",
    )


def _every_processor(ctx: click.Context, param: click.Parameter, value: int | None) -> int:
    """Returns the number of processes, where none is given one for each processor."""
    from voxlate.threads import free_cores

    return free_cores() if value is None else value


def models(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the bundles that translate, and whether their code is trusted."""
    return _models(command, is_required=True)


def optional_models(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the same options as `models`, for a verb that does not always need a model."""
    return _models(command, is_required=False)


def _models(command: Callable[..., Any], *, is_required: bool) -> Callable[..., Any]:
    option = click.option(
        "-m",
        "--model",
        "models",
        type=PATH,
        metavar="MODEL",
        required=is_required,
        multiple=True,
        shell_complete=_complete_model,
        help="Name of a pretrained model (see voxlate models) or folder of a bundle; of several the mean is taken.",
    )
    return option(trust_code(command))


def _complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Returns the pretrained models, or lets the shell complete a path where none begins like that."""
    from voxlate.bundle.pretrained import pretrained_models

    names = [name for name in pretrained_models() if name.startswith(incomplete)]
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="file")]


zero_fill = click.option(
    "--zero-fill", is_flag=True, help="Replace a missing source by zeros, also if no source was missing in training."
)
blank = click.option(
    "--blank",
    multiple=True,
    metavar="CONTRAST",
    help="Show the network zeros in place of this source; may be repeated.",
)
research = click.option(
    "--research", is_flag=True, help="Use a model that is for research alone; without this option it is refused."
)
keep_spacing = click.option(
    "--keep-spacing", is_flag=True, help="Do not resample scans to the voxel size of the training."
)
shard = click.option("--shard", default="1/1", show_default=True, metavar="K/N", help="Part K of N, for job arrays.")
threads = click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="Threads per process.")
seconds = click.option("--seconds", type=_Amount(), help="Time limit per case, in seconds.")
retry = click.option(
    "--retry", is_flag=True, help="Retry failed cases, and those refused for a missing file, library or permission."
)
memory_gib = click.option(
    "--memory-gib", "gib", type=_Amount(), help="Memory limit per process, in GiB.  [default: the memory of the device]"
)
overwrite = click.option("--overwrite", is_flag=True, help="Replace existing outputs.")
data = click.option(
    "--data",
    "root",
    type=PATH,
    help="Folder with cases.tsv, such as that of voxlate prepare, in place of the recipe's.",
)
no_preamble = click.option(
    "--no-preamble", "unmarked", is_flag=True, help="Also read DICOM files without preamble and DICM prefix."
)
no_progress = click.option(
    "--no-progress",
    is_flag=True,
    help="No progress bar (the default without a terminal); one line per minute is still logged.",
)


def together(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Returns several options as one decorator; the help lists them in this order."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def first_given(options: Mapping[str, str]) -> str | None:
    """Returns the first of some options of the running verb that the command line or the file of --config sets.

    Args:
        options: how an option is written, by its parameter.
    """
    context = click.get_current_context()
    given = {ParameterSource.COMMANDLINE, ParameterSource.DEFAULT_MAP}
    return next((option for name, option in options.items() if context.get_parameter_source(name) in given), None)
