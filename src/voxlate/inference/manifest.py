"""The manifest of a batch: a tab-separated table with one scan per row, checked when it is read."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voxlate.cases import EMPTY, MORE, more_file_name, require_case_name
from voxlate.errors import InputRefused, NoInput
from voxlate.inference.item import Item
from voxlate.io.atomic import sha256
from voxlate.jobs.shards import shard_of

COLUMNS = ("case", "source", "mask", "series")
OUTPUT = "output"
"""Column with the path of the output below the folder of the batch; `inference.bids_app` makes it, no file has it."""

RESERVED = {"batch", "ledger", "names", "run"}
"""Names that a case must not have: its output would overwrite a file of the whole batch, such as `batch.json`."""


@dataclass(frozen=True)
class Manifest:
    """The rows of a manifest, kept as text, so that a million rows need little memory.

    Attributes:
        folder: folder that paths are relative to.
        columns: `case`, `source`, `mask`, `series` and the columns of additional sources.
        rows: one for each case; a field is empty where the case has no such file.
        sha256: hash of the table.
        faults: why a case is refused before it is read, by name; such a case is named after its line.
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
        """Yields the scans of one shard.

        Args:
            shard: number of the shard, from 1, and number of shards.
        """
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
    """Returns the rows of a tab-separated table with the columns `case` and `source`; unknown columns are ignored.

    A case whose name cannot be the name of a file does not stop the others: it is renamed after its line, for example
    `line-7`, and listed in `Manifest.faults`.

    Args:
        path: path of the table.

    Raises:
        NoInput: the table does not exist or has no row.
        InputRefused: `CONTRAST_NAME` for a column `more:` without a contrast that can be part of a file name;
            `MANIFEST` with the line: not UTF-8, a missing column, a ragged row, a line break in a field, no
            source, a case that occurs twice.
    """
    if not path.is_file():
        raise NoInput("NO_INPUT", f"{path.name}: this manifest does not exist")
    try:
        with path.open("rb") as stream:
            if stream.read(4) == b"PAR1":
                raise InputRefused("MANIFEST", f"{path.name} is a Parquet file; write it as a tab-separated table")
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter="\t", strict=True)
            heading = next(reader, [])
            columns = [*COLUMNS, *(name for name in heading if name.startswith(MORE))]
            absent = [name for name in ("case", "source") if name not in heading]
            if absent or len(set(heading)) < len(heading):
                raise InputRefused("MANIFEST", f"{path.name}: column {', '.join(absent) or 'names'} missing or twice")
            for column in columns:
                if column.startswith(MORE):
                    more_file_name(column.removeprefix(MORE))
            positions = [heading.index(name) if name in heading else None for name in columns]
            faults: dict[str, str] = {}
            rows = list(_rows(reader, path.name, len(heading), positions, faults))
    except UnicodeDecodeError as error:
        raise InputRefused("MANIFEST", f"{path.name}: not UTF-8 at byte {error.start}") from error
    except csv.Error as error:
        raise InputRefused("MANIFEST", f"{path.name}: {error}") from error
    if not rows:
        raise NoInput("NO_INPUT", f"{path.name}: the manifest has no row")
    return Manifest(path.parent, tuple(columns), rows, sha256(path), faults)


def _rows(
    reader: Iterator[list[str]], name: str, width: int, positions: Sequence[int | None], faults: dict[str, str]
) -> Iterator[tuple[str, ...]]:
    seen: set[str] = set()
    for line, fields in enumerate(reader, start=2):
        fault = ""
        if len(fields) != width:
            fault = f"{len(fields)} fields, the heading has {width}"
        elif any("\n" in text or "\r" in text for text in fields):
            fault = "a field with a line break"
        row = tuple("" if position is None or fault else fields[position] for position in positions)
        row = (row[0], *("" if text in EMPTY else text for text in row[1:]))
        if not fault and not row[1]:
            fault = "no source"
        if not fault and row[0] in seen:
            fault = "a case that occurs twice"
        if fault:
            raise InputRefused("MANIFEST", f"{name}: line {line}: {fault}")
        seen.add(row[0])
        try:
            if any("\0" in text for text in row[1:]):
                raise InputRefused("CASE_NAME", "a path contains a NUL character")
            require_output_name(row[0])
        except InputRefused as error:
            name_of_line = _free_name(f"line-{line}", seen)
            faults[name_of_line] = error.message
            row = (name_of_line, *row[1:])
            seen.add(name_of_line)
        yield row


def require_output_name(name: str) -> None:
    """Refuses a name that cannot be the name of an output in a folder of many.

    Raises:
        InputRefused: `CASE_NAME`.
    """
    require_case_name(name)
    if name.casefold() in RESERVED:
        raise InputRefused("CASE_NAME", f"{name!r} is reserved for a file of the whole run; give the case another name")


def _free_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "-"
    return name
