"""What there is to grade: the series of an index, or the NIfTI files of a folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxlate.archive.pseudonyms import session_name, subject_name
from voxlate.errors import InputRefused, NoInput, printable
from voxlate.io.nifti import nifti_suffix
from voxlate.volume import Volume

_NO_SCAN = re.compile(
    r"(?:^|[_.-])(?:(?:brain|lesion|head|tissue)?mask|dseg|aseg|wmseg|probseg|seg|segmentation|labels?|aparc|roi)(?=[_.-])"
)
"""Names of masks and label maps, as BIDS, FreeSurfer and common tools write them."""

_ENTITY = {name: re.compile(rf"(?:^|[_/]){name}-([A-Za-z0-9]+)") for name in ("sub", "ses")}


@dataclass(frozen=True)
class Item:
    """One scan.

    Attributes:
        name: a pseudonym of the index, or the path below the folder.
        participant, session: `sub-` and `ses-` with pseudonyms, or what BIDS names say.
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
    from voxlate.archive import TABLE, read_stamps, read_table

    if (source / TABLE).is_file():
        rows = [row for row in read_table(source) if not kinds or row["kind"] in kinds]
        stamps = read_stamps(source)
        found = [_of_row(row, stamps.get(row["series"], "")) for row in rows]
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
        raise InputRefused(item.fault, "see the index, or the name of the file")
    from voxlate.archive import TABLE, indexed_series

    if not (source / TABLE).is_file():
        from voxlate.io.nifti import read_volume

        return read_volume((source if source.is_dir() else source.parent) / item.name)
    from voxlate.io.dicom import read_series

    with indexed_series(source, item.name) as found:
        return read_series(found).volume


def _of_row(row: dict[str, Any], files: str) -> Item:
    stamp = f"{files} {row['kind']} {row['agent']} {row['fault']}"
    person, visit = subject_name(row["patient"]), session_name(row["study"])
    return Item(row["series"], person, visit, row["kind"], row["agent"], row["fault"], stamp)


def _of_file(path: Path, root: Path) -> Item:
    place = path.relative_to(root).as_posix()
    name = printable(place)
    fault = "" if name == place else "NAME"  # what cannot be written in a table or a JSON is refused, not the run
    if _NO_SCAN.search(path.name.lower()):
        fault = "NO_SCAN"
    found = {key: pattern.search(name) for key, pattern in _ENTITY.items()}
    entities = {key: match[0].strip("_/") if match else "" for key, match in found.items()}
    status = path.stat()
    return Item(name, entities["sub"], entities["ses"], fault=fault, stamp=f"{status.st_size}-{status.st_mtime_ns}")
