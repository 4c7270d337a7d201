"""Old spellings of arguments and options: each is refused with the whole command in its new spelling."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

import click

from voxlate.errors import UsageError

INPUT, OUTPUT = "INPUT", "OUTPUT"

OLD = {
    "-i": INPUT,
    "--input": INPUT,
    "--cases": INPUT,
    "-o": OUTPUT,
    "--output": OUTPUT,
    "--accelerator": "--device",
    "--any-spacing": "--keep-spacing",
    "--bundle": "--model",
    "--gate": "--ood",
    "--gib": "--memory-gib",
    "--mirror": "--tta-flip",
    "--n-procs": "--jobs",
    "--root": "--data",
    "--spread": "--uncertainty",
    "--unmarked": "--no-preamble",
    "--workers": "--jobs",
}
"""What became of each old option: the first or the last argument, or another option."""

_FLAGS = {"--any-spacing", "--mirror", "--unmarked"}
"""Old options without a value."""


@dataclass
class _Line:
    """The words of a command line by their place in the new spelling."""

    inputs: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)

    def words(self) -> list[str]:
        """Returns the new command line: inputs, output, options."""
        return [*self.inputs, *self.arguments, *self.outputs, *self.options]


def refuse_old_spellings(command: click.Command, path: str, args: Sequence[str]) -> None:
    """Refuses a command line with an old spelling.

    Args:
        command: the verb.
        path: how it is called, such as `voxlate translate`.
        args: the words behind the verb.

    Raises:
        UsageError: `RENAMED`, with the command line in its new spelling.
    """
    options = [option for option in command.params if isinstance(option, click.Option)]
    own = {name for option in options for name in (*option.opts, *option.secondary_opts)}
    flags = {name for option in options if option.is_flag for name in (*option.opts, *option.secondary_opts)}
    old = {name: new for name, new in OLD.items() if name not in own and (new in own or new in {INPUT, OUTPUT})}
    if any(old.get(new) for new in _options_of(args)):
        line = _sort(args, old, flags | _FLAGS)
        raise UsageError(
            "RENAMED", f"{shlex.join([*path.split(), *args])} is now: {shlex.join([*path.split(), *line])}"
        )


def _options_of(args: Sequence[str]) -> list[str]:
    """Returns the words that may be options, without the values behind `=` or, of -i and -o, behind the letter."""
    return [_parted(word)[0] for word in args if word.startswith("-")]


def _parted(word: str) -> tuple[str, str | None]:
    """Returns an option and the value that is part of the same word, if there is one."""
    if word[:2] in {"-i", "-o"} and len(word) > 2:
        return word[:2], word[2:]
    option, sign, value = word.partition("=")
    return option, value if sign else None


def _sort(args: Sequence[str], old: dict[str, str], flags: set[str]) -> list[str]:
    line, words = _Line(), iter(args)
    for word in words:
        if not word.startswith("-") or word == "-":
            line.arguments.append(word)
            continue
        option, value = _parted(word)
        new = old.get(option, option)
        if value is None and option not in flags:
            value = next(words, None)
        if new in {INPUT, OUTPUT}:
            (line.inputs if new == INPUT else line.outputs).extend([] if value is None else [value])
        else:
            line.options += [new] if value is None else [new, value]
    return line.words()
