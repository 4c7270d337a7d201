"""The class of all verbs: options that every verb has, an example at the end of its help, and what Ctrl-C answers."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from voxlate.cli.console import complain, log_call, log_failure, open_log_file, set_level
from voxlate.cli.spelling import refuse_old_spellings
from voxlate.errors import InputRefused, NoInput, UsageError, nearest, printable
from voxlate.version import __version__

INTERRUPTED_STATUS, TERMINATED_STATUS = 130, 143
"""Exit statuses of a shell for SIGINT and SIGTERM: 128 and the number of the signal."""

PRIVATE = ("source", "images", "mask", "like", "more")
"""Parameters that name scans, whose file names may hold a patient's name; the log file has INPUT in their place."""

_COMMON = ("verbose", "quiet", "log_file", "config")

Resumes = str | Callable[[click.Context], str]


class Verb(click.Command):
    """A verb, or a command of a group.

    Args:
        example: a command line that the help shows and a test parses.
        resumes: what to do after an interruption, where a run can go on.
    """

    def __init__(self, *args: Any, example: str = "", resumes: Resumes = "", **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.example, self.resumes = example, resumes
        self.params += common_options()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuses old spellings, then parses as click does, and opens the log file."""
        refuse_old_spellings(self, ctx.command_path, args)
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            _open_log(ctx)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the verb; after Ctrl-C or SIGTERM it says how the run can go on."""
        log_call(ctx, __version__)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            complain(self._told(ctx, "interrupted"))
            raise click.exceptions.Exit(INTERRUPTED_STATUS) from None
        except click.exceptions.Exit:
            raise
        except Exception as error:
            log_failure(error)
            raise
        except SystemExit as stop:
            if stop.code == TERMINATED_STATUS:
                complain(self._told(ctx, "terminated"))
            raise

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Returns the arguments, then that options may follow."""
        options, *arguments = super().collect_usage_pieces(ctx)
        return [*arguments, options]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options of the verb, then those that every verb has."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        records = [(option.name, option.get_help_record(ctx)) for option in options]
        own = [record for name, record in records if record is not None and name not in _COMMON]
        common = [record for name, record in records if record is not None and name in _COMMON]
        for title, rows in (("Options", own), ("Options of every verb", common)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the example."""
        super().format_epilog(ctx, formatter)
        if self.example:
            with formatter.section("Example"):
                formatter.write(f"{'':{formatter.current_indent}}{self.example}\n")  # not wrapped: it is to be copied

    def _told(self, ctx: click.Context, what: str) -> str:
        how = self.resumes(ctx) if callable(self.resumes) else self.resumes
        return f"voxlate: {what}" + (f"; {how}" if how else "")


class VerbGroup(Verb, click.Group):
    """A verb with commands of its own, such as `voxlate readers create`."""

    command_class = Verb

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Returns the command that the arguments begin with; an unknown one is answered with those that there are."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if args[0].startswith("-"):  # an option of no command
                raise
            commands = self.list_commands(ctx)
            advice = nearest(args[0], commands) or f"; choose from {', '.join(commands)}"
            raise click.UsageError(f"there is no command {args[0]!r}{advice}", ctx) from error


def common_options() -> list[click.Parameter]:
    """Returns the options of every verb."""
    return [
        click.Option(
            ["-v", "--verbose"], is_flag=True, expose_value=False, callback=_be_verbose, help="Print details too."
        ),
        click.Option(
            ["-q", "--quiet"], is_flag=True, expose_value=False, callback=_be_quiet, help="Print errors alone."
        ),
        click.Option(
            ["--log-file"],
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            expose_value=False,
            callback=_remember_log,
            help="Append everything to FILE, with times, without paths and names of scans.",
        ),
        click.Option(
            ["--config"],
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            is_eager=True,
            expose_value=False,
            callback=_take_config,
            help="YAML file with options, such as `jobs: 4`; the command line comes first.",
        ),
    ]


def _be_verbose(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        _set_verbosity(ctx, logging.DEBUG)


def _be_quiet(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        _set_verbosity(ctx, logging.ERROR)


def _set_verbosity(ctx: click.Context, level: int) -> None:
    if ctx.meta.setdefault("voxlate.level", level) != level:
        raise UsageError("VERBOSITY", "--verbose and --quiet exclude each other; give one of them")
    set_level(ctx, level)


def _remember_log(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.meta["voxlate.log_file"] = value


def _open_log(ctx: click.Context) -> None:
    """Opens the log file when all parameters are known, as some of them must not appear in it."""
    path = ctx.meta.pop("voxlate.log_file", None)
    if path is None:
        return
    private: dict[str, str] = {}
    for name, value in ctx.params.items():
        for given in value if isinstance(value, tuple) else (value,):
            if name in PRIVATE and given is not None:
                private |= _hidden(os.fspath(given).partition("=")[2] if name == "more" else os.fspath(given))
            elif isinstance(given, Path) and given.name:
                private[os.fspath(given)] = given.name
    open_log_file(ctx, path, private)


def _hidden(scan: str) -> dict[str, str]:
    """Returns the replacements in a log: for the path of a scan, its file name, and the case named after it."""
    name = Path(scan).name
    stem = re.sub(r"\.nii(\.gz)?$", "", name, flags=re.IGNORECASE)  # as `nifti_stem`, half a second to import
    return {scan: "INPUT", name: "INPUT", f"{stem}:": "INPUT:"} if name else {}


def _take_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    """Makes the options in a file the defaults of a verb.

    Raises:
        NoInput: `NO_INPUT` when the file does not exist.
        InputRefused: `CONFIG` when it is no YAML table.
        UsageError: `CONFIG` for an unknown option, or several values of an option that takes one.
    """
    if value is None:
        return
    from voxlate.io.documents import InvalidDocument, parse_yaml, read_text

    try:
        content = parse_yaml(read_text(value), as_text=True)  # as on the command line
    except FileNotFoundError as error:
        raise NoInput("NO_INPUT", f"{value.name} does not exist; --config takes a YAML file with options") from error
    except (InvalidDocument, OSError) as error:
        raise InputRefused("CONFIG", f"{value.name}: {error}") from error
    if content is not None and not isinstance(content, dict):
        raise InputRefused("CONFIG", f"{value.name} is no table of options; write lines such as `jobs: 4`")
    ctx.default_map = {**(ctx.default_map or {}), **_defaults(ctx.command, content or {}, value.name)}


def _defaults(command: click.Command, content: Mapping[Any, Any], file: str) -> dict[str, Any]:
    """Returns the values of a file by the parameters that take them."""
    options = [option for option in command.params if isinstance(option, click.Option) and option.name != "config"]
    known = {name.removeprefix("--"): option for option in options for name in option.opts if name.startswith("--")}
    found = {}
    for key, value in content.items():
        name = str(key).replace("_", "-")
        option = known.get(name)
        if option is None or option.name is None:
            hint = nearest(name, known)
            raise UsageError("CONFIG", f"{file}: {command.name} has no option {printable(str(key))!r}{hint}")
        values = value if isinstance(value, list) else [value]
        if any(isinstance(one, dict | list | type(None)) for one in values) or (
            len(values) != 1 and not option.multiple
        ):
            takes = "a value or a list of them" if option.multiple else "one value"
            raise UsageError("CONFIG", f"{file}: {name} takes {takes}; see voxlate {command.name} --help")
        found[option.name] = values if option.multiple else values[0]
    return found
