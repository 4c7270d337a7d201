"""What a verb prints: its notes, its faults, its warnings; and the copy of all of it in the log file."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from voxlate.errors import VoxlateError, for_records, os_failure, printable

log = logging.getLogger("voxlate")

_QUIET = "voxlate.quiet"
_SECRET = ("database",)
"""Parameters whose values may hold a password."""

_FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^/\s]+/)+")
"""The folders of an absolute path, without those of an address such as http://host/path."""


class ConsoleHandler(logging.Handler):
    """Prints log records on standard error, as it is at that moment: a progress bar puts its own stream there."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints a record, unless the verb has printed it already."""
        if getattr(record, "is_shown", False):
            return
        try:
            click.echo(self.format(record), err=True)
        except Exception:
            self.handleError(record)


class _LogFile(logging.FileHandler):
    """Appends records to a file; when it cannot be written any more, says so once, and the work goes on without it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is that of logging
        """Prints why, in one line, and takes no more records."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self.setLevel(logging.CRITICAL + 1)
        name = printable(Path(self.baseFilename).name)
        click.echo(
            f"voxlate: {name} cannot be written ({error.strerror}); the work goes on without a log file", err=True
        )

    def close(self) -> None:
        """Closes the file; what could not be written was told."""
        with suppress(OSError):
            super().close()


class LogFormatter(logging.Formatter):
    """Lines with time and level, without folders, DICOM UIDs and the names of the scans that the verb reads.

    Args:
        private: text to replace, such as the path of a scan, and what stands in its place.
    """

    def __init__(self, private: Mapping[str, str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        ordered = sorted(private, key=len, reverse=True)
        self._private = private
        self._names = re.compile("|".join(rf"(?<![\w-]){re.escape(text)}(?![\w-])" for text in ordered) or "(?!)")

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line of a record."""
        text = self._names.sub(lambda found: self._private[found.group()], super().format(record))
        return _FOLDERS.sub("", for_records(text))


def say(text: str, *, fg: str | None = None) -> None:
    """Prints a line about what a verb did on standard output, unless the user wants errors alone (`--quiet`)."""
    log.info("%s", text, extra={"is_shown": True})
    if not is_quiet():
        click.secho(text, fg=fg)


def complain(text: str, *, level: int = logging.ERROR) -> None:
    """Prints a line on standard error about a case that was refused or left out; `--quiet` hides warnings alone."""
    log.log(level, "%s", text, extra={"is_shown": True})
    if level >= logging.ERROR or not is_quiet():
        click.echo(text, err=True)


def begin(
    what: str,
    *,
    out: Path | None = None,
    jobs: int | None = None,
    device: str | None = None,
    takes: str | None = None,
) -> None:
    """Logs the line with which a long job begins.

    Args:
        what: what is done to how many, such as `preparing 12 cases`.
        out: where the results go.
        jobs: number of processes.
        device: device of the network.
        takes: expected time, where it is known.
    """
    parts = [what if out is None else f"{what} into {out}"]
    if jobs is not None:
        parts.append("1 process" if jobs == 1 else f"{jobs} processes" if jobs else "in this process")
    parts += [text for text in (device, takes) if text]
    log.info("%s", ", ".join(parts))


def is_quiet() -> bool:
    """Returns whether the verb that runs was called with `--quiet`."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


def set_level(ctx: click.Context, level: int) -> None:
    """Sets the least level of the records that are printed, to the end of a verb.

    Args:
        ctx: context of the verb.
        level: of `logging`; `ERROR` also hides what `say` prints.
    """
    ctx.meta[_QUIET] = level >= logging.ERROR
    for handler in logging.getLogger().handlers:
        if isinstance(handler, ConsoleHandler):
            ctx.call_on_close(lambda handler=handler, before=handler.level: handler.setLevel(before))
            handler.setLevel(level)
    _record_from(ctx, min(level, logging.INFO))


def open_log_file(ctx: click.Context, path: Path, private: Mapping[str, str]) -> None:
    """Appends all records to a file, to the end of a verb.

    Args:
        ctx: context of the verb.
        path: the file; its folder is made if it is missing.
        private: see `LogFormatter`.

    Raises:
        CannotWrite, TemporaryFailure: the file cannot be opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(path, encoding="utf-8")
    except OSError as error:
        raise os_failure(error, path.name) from error
    handler.setFormatter(LogFormatter(private))
    log.addHandler(handler)

    def close() -> None:
        log.removeHandler(handler)
        handler.close()

    ctx.call_on_close(close)
    _record_from(ctx, logging.DEBUG)


def _record_from(ctx: click.Context, level: int) -> None:
    """Lets the logger pass records from a level on; a lower one that was set before stays."""
    before = log.level
    if before == logging.NOTSET or level < before:
        ctx.call_on_close(lambda: log.setLevel(before))
        log.setLevel(level)


def log_call(ctx: click.Context, version: str) -> None:
    """Logs the versions and each option that was given, for `--verbose` and the log file."""
    log.debug("voxlate %s, Python %s on %s: %s", version, sys.version.split()[0], sys.platform, ctx.info_name)
    for name, value in ctx.params.items():
        source = ctx.get_parameter_source(name)
        if source is not None and source is not ParameterSource.DEFAULT:
            shown = "(not shown)" if name in _SECRET else _shown(value)
            log.debug("%s = %s (%s)", name, shown, source.name.lower())


def log_failure(error: Exception) -> None:
    """Logs the error that ends a verb, for the log file; the command line prints it."""
    match error:
        case VoxlateError():
            text = str(error)
        case click.ClickException():
            text = error.format_message()
        case OSError():
            text = str(os_failure(error))
        case _:
            text = type(error).__name__
    log.error("%s", text, extra={"is_shown": True})


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
