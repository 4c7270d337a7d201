"""The list of scans that a batch translates: strict to read, cheap to hold, split into shards by name."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voxlate.cases import MORE, require_case_name
from voxlate.errors import InputRefused, NoInput
from voxlate.inference.item import Item
from voxlate.io.atomic import sha256
from voxlate.jobs.shards import shard_of

COLUMNS = ("case", "source", "mask", "series")
OUTPUT = "output"
"""The place of an answer below the folder of the batch; made by `inference.bids_app`, never read from a table."""

RESERVED = {"batch", "ledger", "names", "run"}
"""A case of such a name would write over a file that tells of all of them."""


@dataclass(frozen=True)
class Manifest:
    """Rows of text, so that a million of them fit.

    Attributes:
        folder: what paths are relative to.
        columns: `case`, `source`, `mask`, `series` and those of additional sources.
        rows: one for each case, empty where a file is missing.
        sha256: of the file.
        faults: of cases that are refused before they are looked at, why; such a case is called after its line.
    """

    folder: Path
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    sha256: str
    faults: Mapping[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Returns the names of all cases."""
        return [row[0] for row in self.rows]

    def items(self, shard: tuple[int, int] = (1, 1)) -> Iterator[Item]:
        """Yields the scans of one shard; which shard a case belongs to hangs on its name alone."""
        number, count = shard
        for row in self.rows:
            if shard_of(row[0], count) == number:
                yield self._item(row)

    def _item(self, row: tuple[str, ...]) -> Item:
        texts = {column: text for column, text in zip(self.columns[1:], row[1:], strict=True) if text}
        series, output = texts.pop("series", None), texts.pop(OUTPUT, None)
        paths = {column: self.folder / text for column, text in texts.items()}
        more = {name.removeprefix(MORE): path for name, path in paths.items() if name.startswith(MORE)}
        uris = {} if output is None else {name: texts[name] for name in texts if name != "mask"}
        return Item(row[0], paths["source"], paths.get("mask"), more, series, output, uris)


def read_manifest(path: Path) -> Manifest:
    """Returns the rows of a tab-separated table with `case` and `source`; other columns are left alone.

    Raises:
        NoInput: there is no such table, or it has no row.
        InputRefused: `MANIFEST` with the line: not UTF-8, a column missing, a ragged row, a line break in a field, no
            source, a case that stands twice.

    A case whose name cannot name a file is no reason to leave the others undone: it is called `line-7` after its line
    and stands in `Manifest.faults`.
    """
    if not path.is_file():
        raise NoInput("NO_INPUT", f"{path.name}: there is no such manifest")
    try:
        with path.open("rb") as stream:
            if stream.read(4) == b"PAR1":
                raise InputRefused("MANIFEST", f"{path.name} is a Parquet file; write it as a tab-separated table")
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter="\t", strict=True)
            heading = next(reader, [])
            wanted = [*COLUMNS, *(name for name in heading if name.startswith(MORE))]
            absent = [name for name in ("case", "source") if name not in heading]
            if absent or len(set(heading)) < len(heading):
                raise InputRefused("MANIFEST", f"{path.name}: column {', '.join(absent) or 'names'} missing or twice")
            places = [heading.index(name) if name in heading else None for name in wanted]
            faults: dict[str, str] = {}
            rows = list(_rows(reader, path.name, len(heading), places, faults))
    except UnicodeDecodeError as error:
        raise InputRefused("MANIFEST", f"{path.name}: not UTF-8 at byte {error.start}") from error
    except csv.Error as error:
        raise InputRefused("MANIFEST", f"{path.name}: {error}") from error
    if not rows:
        raise NoInput("NO_INPUT", f"{path.name}: the manifest has no row")
    return Manifest(path.parent, tuple(wanted), rows, sha256(path), faults)


def _rows(
    reader: Iterator[list[str]], name: str, width: int, places: Sequence[int | None], faults: dict[str, str]
) -> Iterator[tuple[str, ...]]:
    seen: set[str] = set()
    for line, fields in enumerate(reader, start=2):
        fault = ""
        if len(fields) != width:
            fault = f"{len(fields)} fields, the heading has {width}"
        elif any("\n" in text or "\r" in text for text in fields):
            fault = "a field with a line break"
        row = tuple("" if place is None or fault else fields[place] for place in places)
        if not fault and not row[1]:
            fault = "no source"
        if not fault and row[0] in seen:
            fault = "a case that stands twice"
        if fault:
            raise InputRefused("MANIFEST", f"{name}: line {line}: {fault}")
        seen.add(row[0])
        try:
            if any("\0" in text for text in row[1:]):
                raise InputRefused("CASE_NAME", "a path with a NUL names no file")
            require_output_name(row[0])
        except InputRefused as error:
            own = _free_name(f"line-{line}", seen)
            faults[own] = error.message
            row = (own, *row[1:])
            seen.add(own)
        yield row


def require_output_name(name: str) -> None:
    """Refuses a name that cannot name an answer in a folder of many.

    Raises:
        InputRefused: `CASE_NAME`.
    """
    require_case_name(name)
    if name.casefold() in RESERVED:
        raise InputRefused("CASE_NAME", f"{name!r} is the name of a file of ours; call the case otherwise")


def _free_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "-"
    return name
