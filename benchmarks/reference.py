"""Writes the reference pages from the code: verbs, keys of YAML files, error codes, the Python API.

    python benchmarks/reference.py [--check]

With --check nothing is written, and the exit status is 1 if a page of `docs/reference/` differs from the code.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml
from error_codes import EXCEPTIONS, Site, find_sites
from pydantic import BaseModel
from reference_settings import NOTE, cell, experiment, first_paragraph, recipe, rules, study

import voxlate
from voxlate import errors
from voxlate.cli import VERBS
from voxlate.cli import voxlate as command_line
from voxlate.quality.rules import RULES

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "reference"
REMEDIES = ROOT / "benchmarks" / "error_remedies.yaml"


def main() -> int:
    stale = []
    for name, lines in PAGES_MADE.items():
        text, page = "\n".join(lines()) + "\n", PAGES / f"{name}.md"
        if page.is_file() and page.read_text(encoding="utf-8") == text:
            continue
        stale.append(page.name)
        if "--check" not in sys.argv[1:]:
            page.write_text(text, encoding="utf-8")
    print(f"{'differ from the code' if '--check' in sys.argv else 'rewritten'}: {', '.join(stale) or 'none'}")
    return int(bool(stale) and "--check" in sys.argv)


# --- verbs ---------------------------------------------------------------------------------------------------------


def commands() -> Iterator[str]:
    yield "# Verbs and options"
    yield ""
    yield NOTE
    yield ""
    yield "`voxlate VERB --help` prints the same. Exit statuses and codes: [errors](errors.md)."
    yield ""
    for verb in VERBS:
        yield f"- [`{verb}`](#voxlate-{verb}): {VERBS[verb]}"
    for verb in VERBS:
        command = command_line.get_command(click.Context(command_line), verb)
        assert command is not None
        yield from command_lines(command, f"voxlate {verb}")
    yield from ("", "## Options of every verb", "", "| option | meaning |", "|---|---|")
    command = command_line.get_command(click.Context(command_line), "simulate")
    assert command is not None
    common = [parameter for parameter in command.params if parameter.name in COMMON]
    yield from (option_row(parameter, click.Context(command)) or "" for parameter in common)
    yield from ("", "## Environment variables", "", "| variable | meaning |", "|---|---|")
    yield from (f"| `{name}` | {meaning} |" for name, meaning in ENVIRONMENT.items())


ENVIRONMENT = {
    "VOXLATE_ARCHIVE_TOKEN": "bearer token for a DICOMweb archive; passwords come from `~/.netrc`",
    "VOXLATE_CACHE": "folder that remembers which runtime is the fastest on this machine",
    "VOXLATE_DEBUG": "set: unexpected errors show a traceback, and warnings of libraries are shown",
    "VOXLATE_MODELS": "folder of bundles, one subfolder each, beside the models of the package",
    "VOXLATE_SPM": "command that starts SPM, for `voxlate evaluate --segmenter spm`",
    "VOXLATE_TRUST_CODE": "1: the code of networks outside voxlate is trusted, as with `--trust-code`",
    "VOXLATE_UID_SALT": "secret of the site, for pseudonyms, shifted dates and new identifiers",
}
"""Environment variables and their meaning; a test compares the names with the source."""


COMMON = ("verbose", "quiet", "log_file", "config")
"""Options that every verb has; they are listed once."""


def command_lines(command: click.Command, name: str) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    yield ""
    yield f"{'#' * len(name.split())} {name}"
    yield ""
    yield f"    {' '.join([name, *command.collect_usage_pieces(context)])}"
    yield ""
    yield from inspect.cleandoc(command.help or command.short_help or "").replace("\b\n", "").splitlines()
    example = getattr(command, "example", "")
    if example:
        yield from ("", "Example:", "", *(f"    {line}" for line in example.splitlines()))
    own = [parameter for parameter in command.params if parameter.name not in COMMON]
    rows = [row for parameter in own if (row := option_row(parameter, context))]
    if rows:
        yield ""
        yield "| option | meaning |"
        yield "|---|---|"
        yield from rows
    for inner in getattr(command, "commands", {}).values():
        yield from command_lines(inner, f"{name} {inner.name}")


def option_row(parameter: click.Parameter, context: click.Context) -> str | None:
    record = parameter.get_help_record(context)
    if record is None or isinstance(parameter, click.Argument):  # arguments are in the usage line
        return None
    return f"| `{cell(record[0])}` | {cell(record[1])} |"


# --- errors --------------------------------------------------------------------------------------------------------


def error_lines() -> Iterator[str]:
    yield "# Error codes and exit statuses"
    yield ""
    yield NOTE
    yield ""
    yield "An error is one line, `voxlate: STATE:CODE message`. Codes are stable: scripts may rely on them. `…` stands"
    yield "for a value: a name, a number or a list. In a run of many cases a refused case has its code in the table of"
    yield "the run, and the exit status is that of the run. The commonest ones are in the [FAQ](../faq.md)."
    yield ""
    yield "## Exit statuses"
    yield ""
    yield "| status | exception | meaning |"
    yield "|---|---|---|"
    yield "| 0 | | everything was done |"
    yield "| 1 | | unexpected error; `VOXLATE_DEBUG=1` shows the traceback |"
    for status, names in statuses().items():
        meaning = first_paragraph(getattr(errors, names[0])) if names else "some items were refused or failed"
        yield f"| {status} | {', '.join(f'`{name}`' for name in names)} | {cell(meaning)} |"
    yield "| 130, 143 | | stopped by Ctrl-C, or by SIGTERM from a scheduler |"
    yield ""
    yield "## Codes"
    yield ""
    yield "| code | status | what is wrong | what to do | in |"
    yield "|---|---|---|---|---|"
    by_code: dict[str, list[Site]] = {}
    for site in find_sites():
        by_code.setdefault(site.code, []).append(site)
    written = yaml.safe_load(REMEDIES.read_text(encoding="utf-8"))
    for code, sites in by_code.items():
        yield from code_rows(code, sites, written.get(code, {}))
    yield ""
    yield "## Codes of the quality rules"
    yield ""
    yield "`voxlate grade` writes them into `grades.tsv`; their limits are in [the guide](../how-to/cohort.md)."
    yield ""
    yield "| code | value |"
    yield "|---|---|"
    yield from (f"| `{rule.code}` | {cell(rule.words)} |" for rule in RULES)


def statuses() -> dict[int, list[str]]:
    """Returns the exceptions by exit status."""
    found: dict[int, list[str]] = {errors.ITEMS_REFUSED_STATUS: []}
    for name in EXCEPTIONS:
        found.setdefault(getattr(errors, name).exit_status, []).append(name)
    return dict(sorted(found.items()))


IN_MESSAGE = "The message states it."
"""The cause of a message that is made of values alone."""


Written = dict[str, str | dict[str, str]]
"""An entry of `error_remedies.yaml`: `cause`, and `remedy` as one text or one for each package."""


def code_rows(code: str, sites: list[Site], written: Written) -> Iterator[str]:
    """Yields a row for each remedy of a code, with the messages that it belongs to.

    A message that holds no remedy has the written one, else the one remedy that all other messages of its package have:
    a code can mean different things in two packages. A row without a remedy fails a test.
    """
    split = [(site, *remedy_of(site.message)) for site in sites]
    grouped: dict[str, list[tuple[Site, str]]] = {}
    for site, cause, remedy in split:
        package = package_of(site)
        beside = dict.fromkeys(listed([told]) for other, _, told in split if package_of(other) == package)
        beside.pop("", None)
        only = next(iter(beside)) if len(beside) == 1 else ""
        text = listed([remedy]) or listed([written_remedy(written, package)]) or only
        grouped.setdefault(text, []).append((site, cause))
    for remedy, found in grouped.items():
        causes = [str(written["cause"])] if "cause" in written else [cause for _, cause in found]
        cells = (
            ", ".join(dict.fromkeys(status_of(site) for site, _ in found)),
            listed(causes) or IN_MESSAGE,
            remedy,
            ", ".join(f"`{name}`" for name in dict.fromkeys(package_of(site) for site, _ in found)),
        )
        yield f"| `{code}` | {' | '.join(cells)} |"


def package_of(site: Site) -> str:
    return site.file.split("/")[0].removesuffix(".py")


def written_remedy(written: Written, package: str) -> str:
    remedy = written.get("remedy", "")
    return remedy.get(package, "") if isinstance(remedy, dict) else remedy


def remedy_of(message: str) -> tuple[str, str]:
    """Returns what is wrong and what to do: the words after the last semicolon."""
    cause, semicolon, remedy = message.rpartition("; ")
    return (cause, remedy) if semicolon else (message, "")


def listed(texts: list[str]) -> str:
    """Returns different texts as lines of a cell; texts of values alone tell nothing and are left out."""
    told = [cell(text[:1].upper() + text[1:].removesuffix(".")) for text in texts if re.search("[a-z]{2}", text)]
    return "<br>".join(dict.fromkeys(told))


def status_of(site: Site) -> str:
    if site.carrier == "warn":
        return "warning"
    if site.carrier == "HttpRefusal":
        return f"HTTP {site.status}" if site.status else "HTTP"
    if site.carrier == "CaseOutcome":
        return "8"
    return str(getattr(errors, site.carrier).exit_status)


# --- Python --------------------------------------------------------------------------------------------------------


def python() -> Iterator[str]:
    yield "# Python API"
    yield ""
    yield NOTE
    yield ""
    yield "The public names of `voxlate`, in alphabetical order. Images are float32 arrays in RAS+ order with an affine"
    yield "to millimetres. Errors are `voxlate.VoxlateError` with a stable `code` ([list](errors.md))."
    for name in sorted(set(voxlate.__all__) - {"__version__"}, key=str.lower):
        thing = getattr(voxlate, name)
        yield ""
        yield f"## voxlate.{name}"
        yield ""
        yield "```python"
        yield f"{name}{signature(thing)}"
        yield "```"
        yield ""
        yield from doc_lines(thing)
        if inspect.isclass(thing) and not issubclass(thing, BaseModel):
            yield from method_lines(thing)


def signature(thing: Any) -> str:
    is_settings = inspect.isclass(thing) and issubclass(thing, BaseModel)
    text = "(**keys)" if is_settings else str(inspect.signature(thing))
    text = re.sub(r"\b(?:typing|pathlib|collections\.abc|numpy(?:\.typing)?|voxlate)\.(?:[a-z_]+\.)*", "", text)
    text = re.sub(r"(: |-> )'([^']+)'", r"\1\2", text)
    text = re.sub(r"<([\w.]+) object at [^>]*>|<factory>", "…", text)
    return re.sub(r"(\w+)\(['\"]?\.['\"]?\)", r"\1()", text) if len(text) < 100 else split_arguments(text)


def split_arguments(text: str) -> str:
    """Returns a long signature with one argument a line."""
    inside, end = text[1:].rsplit(")", 1) if ") ->" not in text else text[1:].rsplit(") ->", 1)
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(inside):
        depth += (letter in "[({") - (letter in "])}")
        if letter == "," and not depth:
            parts.append(inside[start:place].strip())
            start = place + 1
    parts.append(inside[start:].strip())
    tail = f") ->{end}" if ") ->" in text else f"){end}"
    return "(\n" + "".join(f"    {part},\n" for part in parts if part) + tail


def doc_lines(thing: Any) -> Iterator[str]:
    """Yields a docstring in Markdown: sections in bold, each argument as an entry of a list."""
    section = ""
    for line in inspect.cleandoc(thing.__doc__ or "").splitlines():
        if re.fullmatch(r"(Args|Attributes|Returns|Raises|Example|Examples):", line):
            section = line.removesuffix(":")
            yield f"**{section}**"
            yield ""
        elif section in ("Returns", "Example", "Examples"):
            yield line.removeprefix("    ")
        elif found := re.fullmatch(r"    (\w[\w, *]*): (.*)", line):
            yield f"- `{found[1]}`: {found[2]}"
        else:
            yield re.sub(r"^ {8}", "  ", line)


def method_lines(thing: type) -> Iterator[str]:
    methods = [(name, value) for name, value in vars(thing).items() if not name.startswith("_") and value.__doc__]
    methods = [(name, value) for name, value in methods if callable(value) or isinstance(value, property)]
    if methods:
        yield ""
        yield "| | |"
        yield "|---|---|"
        for name, value in methods:
            call = "" if isinstance(value, property) else "()"
            yield f"| `.{name}{call}` | {cell(inspect.cleandoc(value.__doc__).split(chr(10) * 2)[0])} |"


PAGES_MADE = {
    "commands": commands,
    "recipe": recipe,
    "cohort-rules": rules,
    "experiment": experiment,
    "study": study,
    "errors": error_lines,
    "python": python,
}

if __name__ == "__main__":
    sys.exit(main())
