"""Reading and writing of the files of an evaluation or a comparison: a JSON document and a table of scores."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from voxlate.errors import InputRefused, NoInput
from voxlate.io.atomic import replacing
from voxlate.io.documents import MAX_TABLE_BYTES, read_json
from voxlate.io.tables import inert_cell

SCORES = "scores.tsv"
VALUE = "value"
"""The column of `scores.tsv` that holds a number; all others hold text."""

_AGAIN = "run voxlate evaluate again"

Document = TypeVar("Document", bound=BaseModel)
Row = TypeVar("Row", bound=tuple[Any, ...])


class Kind(NamedTuple):
    """A kind of folder.

    Attributes:
        document: name of its JSON file.
        code: prefix of its error codes, such as `EVALUATION`.
        command: that makes it, for messages.
    """

    document: str
    code: str
    command: str


def read_folder(
    folder: Path, kind: Kind, model: type[Document], row: Callable[..., Row], columns: Sequence[str]
) -> tuple[Document, tuple[Row, ...]]:
    """Reads and checks both files of a folder.

    Args:
        folder: that holds them.
        kind: of the folder.
        model: of the JSON document.
        row: makes a row of the table from its columns, given by name.
        columns: of the table; it may have more.

    Raises:
        NoInput: `<code>_MISSING` when one of the files does not exist.
        InputRefused: `<code>_INVALID` when a key is missing or a value has the wrong type; the message names it.
    """
    if folder.is_file():
        raise NoInput(f"{kind.code}_MISSING", f"{folder.name} is a file; name the folder that {kind.command} wrote")
    for name in (kind.document, SCORES):
        _require_file(folder / name, kind)
    return read_document(folder, kind, model), read_rows(folder / SCORES, kind, row, columns)


def read_document(folder: Path, kind: Kind, model: type[Document]) -> Document:
    """Reads and checks the JSON document of a folder alone, which is quick where the table of scores is long.

    Args:
        folder: that holds it.
        kind: of the folder.
        model: of the document.

    Raises:
        NoInput: `<code>_MISSING`.
        InputRefused: `<code>_INVALID`.
    """
    path = folder / kind.document
    _require_file(path, kind)
    try:
        return model.model_validate(read_json(path, max_bytes=MAX_TABLE_BYTES))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the top"
        detail = f"{first['msg']} at {key} ({error.error_count()} in all)"
    except ValueError as error:
        detail = f"not JSON: {error}"
    raise InputRefused(f"{kind.code}_INVALID", f"{path.name}: {detail}; {_AGAIN}")


def read_rows(path: Path, kind: Kind, row: Callable[..., Row], columns: Sequence[str]) -> tuple[Row, ...]:
    """Reads the rows of `scores.tsv`, in order; an empty value and `n/a` become NaN.

    Args:
        path: of the file.
        kind: of its folder.
        row: makes a row from its columns, given by name.
        columns: of the table; it may have more.

    Raises:
        InputRefused: `<code>_INVALID`, with the line of a damaged row.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        lines = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\")
        try:
            absent = [column for column in columns if column not in (lines.fieldnames or ())]
            if absent:
                raise InputRefused(f"{kind.code}_INVALID", f"{path.name} lacks {', '.join(absent)}; {_AGAIN}")
            return tuple(row(**_fields(line, columns)) for line in lines)
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputRefused(f"{kind.code}_INVALID", f"{path.name}: {error}; {_AGAIN}") from error
        except (TypeError, ValueError) as error:
            detail = f"{path.name}, line {lines.line_num}: the value is not a number or a column is missing"
            raise InputRefused(f"{kind.code}_INVALID", f"{detail}; {_AGAIN}") from error


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes `scores.tsv` row by row; texts that a spreadsheet would execute are made inert.

    Args:
        path: of the file.
        columns: in order.
        rows: with as many fields.

    Raises:
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    value = columns.index(VALUE)
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, escapechar="\\")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([repr(cell) if at == value else inert_cell(cell) for at, cell in enumerate(row)])


def _require_file(path: Path, kind: Kind) -> None:
    if not path.is_file():
        raise NoInput(
            f"{kind.code}_MISSING",
            f"no {path.name} in {path.parent.name or 'this folder'}; run {kind.command} first",
        )


def _fields(line: dict[str, str], columns: Sequence[str]) -> dict[str, Any]:
    texts = {column: line[column] for column in columns if column != VALUE}
    return texts | {VALUE: float(line[VALUE]) if line[VALUE] not in {"", "n/a"} else math.nan}
