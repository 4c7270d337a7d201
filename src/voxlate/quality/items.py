"""What there is to grade: the series of an index, or the NIfTI files of a folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxlate.errors import InputRefused, NoInput
from voxlate.io.nifti_source import nifti_suffix
from voxlate.volume import Volume

_ENTITY = {name: re.compile(rf"(?:^|[_/]){name}-([A-Za-z0-9]+)") for name in ("sub", "ses")}


@dataclass(frozen=True)
class Item:
    """One scan.

    Attributes:
        name: a pseudonym of the index, or the path below the folder.
        participant, session: pseudonyms, or what BIDS names say.
        header_kind, header_agent: what the header says; empty for NIfTI.
        fault: why it cannot be read, if the index says so already.
        stamp: changes when the scan does.
    """

    name: str
    participant: str
    session: str
    header_kind: str = ""
    header_agent: str = ""
    fault: str = ""
    stamp: str = ""

    @property
    def file_name(self) -> str:
        """Returns a name for what is written of it."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:20]

    def to_json(self) -> dict[str, Any]:
        """Returns its fields."""
        return asdict(self)


def items_of(source: Path, kinds: Sequence[str]) -> list[Item]:
    """Returns what is to be graded.

    Args:
        source: folder of an index, a NIfTI file, or a folder of them.
        kinds: of an index, those that the header says; all when empty.

    Raises:
        NoInput: `NO_INPUT` when there is nothing.
        UsageError: `INDEX` when the index is damaged.
    """
    from voxlate.cohort.index import TABLE, read_table

    if (source / TABLE).is_file():
        rows = [row for row in read_table(source) if not kinds or row["kind"] in kinds]
        found = [
            Item(
                row["series"], row["patient"], row["study"], row["kind"], row["agent"], row["fault"], f"{row['files']}"
            )
            for row in rows
        ]
    else:
        root = source if source.is_dir() else source.parent
        paths = sorted(path for path in source.rglob("*") if nifti_suffix(path)) if source.is_dir() else [source]
        found = [_of_file(path, root) for path in paths if path.is_file()]
    if not found:
        raise NoInput("NO_INPUT", f"{source.name}: no index and no NIfTI file to grade, or none of the kinds asked for")
    return found


def read_item(source: Path, item: Item) -> Volume:
    """Returns the voxels of an item.

    Raises:
        InputRefused: its fault, or what the readers refuse.
        TemporaryFailure: `ARCHIVE` and others that may pass.
    """
    if item.fault:
        raise InputRefused(item.fault, "see the index")
    with _files_of(source, item) as files:
        if files is None:
            from voxlate.io.nifti import read_volume

            return read_volume((source if source.is_dir() else source.parent) / item.name)
        from voxlate.io.dicom import find_series, read_series

        found = find_series(files)
        if not found:
            raise NoInput("NO_INPUT", f"the files of series {item.name} are gone; run voxlate index again")
        return read_series(max(found, key=lambda each: len(each.files))).volume


@contextmanager
def _files_of(source: Path, item: Item) -> Iterator[list[Path] | None]:
    from voxlate.cohort.index import TABLE, series_files

    if not (source / TABLE).is_file():
        yield None
        return
    with series_files(source, item.name) as files:
        yield files


def _of_file(path: Path, root: Path) -> Item:
    name = path.relative_to(root).as_posix()
    entities = {key: (found[1] if (found := pattern.search(name)) else "") for key, pattern in _ENTITY.items()}
    status = path.stat()
    return Item(name, entities["sub"], entities["ses"], stamp=f"{status.st_size}-{status.st_mtime_ns}")
