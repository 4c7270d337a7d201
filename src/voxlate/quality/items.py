"""Lists the scans to grade, the series of an index or the NIfTI files of a folder, and reads them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from voxlate.archive.pseudonyms import session_name, subject_name
from voxlate.archive.rows import GradeItem, IndexRow
from voxlate.errors import InputRefused, NoInput, printable
from voxlate.io.nifti import nifti_suffix
from voxlate.volume import Volume

_NO_SCAN = re.compile(
    r"(?:^|[_.-])(?:(?:brain|lesion|head|tissue)?mask|dseg|aseg|wmseg|probseg|seg|segmentation|labels?|aparc|roi)(?=[_.-])"
)
"""File names of masks and label maps, as BIDS, FreeSurfer and common tools write them."""

_ENTITY = {name: re.compile(rf"(?:^|[_/]){name}-([A-Za-z0-9]+)") for name in ("sub", "ses")}


@dataclass(frozen=True)
class Item:
    """One scan to grade.

    Attributes:
        name: pseudonym of the series in the index, or path of the file below the folder.
        participant, session: BIDS subject and session, from pseudonyms or from the file name; may be empty.
        header_kind, header_agent: series type and contrast-agent status from the header; empty for NIfTI.
        fault: error code, when the scan is refused before it is read.
        stamp: fingerprint of the scan.
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
        """Returns the stem of the files that hold its grading: a hash, since `name` may contain slashes."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:20]

    def to_json(self) -> GradeItem:
        """Returns the fields, as `GradeRecord` holds them."""
        return cast("GradeItem", asdict(self))


def items_of(source: Path, kinds: Sequence[str]) -> list[Item]:
    """Returns the scans to grade.

    Args:
        source: folder of an index, a NIfTI file, or a folder of NIfTI files.
        kinds: series types by header, for an index; all when empty.

    Raises:
        NoInput: `NO_INPUT` when there are no scans.
        UsageError: `INDEX` when the index is damaged.
    """
    from voxlate.archive import TABLE, read_stamps, read_table

    if (source / TABLE).is_file():
        every = read_table(source)
        rows = [row for row in every if not kinds or row["kind"] in kinds]
        if every and not rows:
            held = ", ".join(f"{kind} {n}" for kind, n in Counter(str(row["kind"]) for row in every).most_common())
            raise NoInput(
                "NO_INPUT",
                f"none of the {len(every)} series of {source.name} is {' or '.join(kinds)}; "
                f"pass a --kind that it holds: {held}",
            )
        stamps = read_stamps(source)
        items = [_of_row(row, stamps.get(row["series"], "")) for row in rows]
    else:
        root = source if source.is_dir() else source.parent
        paths = sorted(path for path in source.rglob("*") if nifti_suffix(path)) if source.is_dir() else [source]
        items = [_of_file(path, root) for path in paths if path.is_file()]
    if not items:
        raise NoInput(
            "NO_INPUT",
            f"{source.name} has no scan to grade: neither an index with series nor a NIfTI file",
        )
    return items


def groups_of(source: Path) -> dict[str, dict[str, str]]:
    """Returns the site and the scanner of each series of an index, by its pseudonym; empty for NIfTI files.

    Args:
        source: as for `items_of`.

    Raises:
        UsageError: `INDEX` when the index is damaged.
    """
    from voxlate.archive import TABLE, read_table

    if not (source / TABLE).is_file():
        return {}
    known = {row["series"]: {"site": row["site"], "scanner": row["scanner"]} for row in read_table(source)}
    return {series: {factor: name for factor, name in groups.items() if name} for series, groups in known.items()}


def read_item(source: Path, item: Item) -> Volume:
    """Returns the volume of an item.

    Args:
        source: as for `items_of`.
        item: the scan.

    Raises:
        InputRefused: the fault of the item, or an error of the reader.
        NoInput, TemporaryFailure: see `indexed_series`.
    """
    if item.fault:
        raise InputRefused(item.fault, "the index or the name of the file excludes this scan")
    from voxlate.archive import TABLE, indexed_series

    if not (source / TABLE).is_file():
        from voxlate.io.nifti import read_volume

        return read_volume((source if source.is_dir() else source.parent) / item.name)
    from voxlate.io.dicom import read_series

    with indexed_series(source, item.name) as series:
        return read_series(series).volume


def _of_row(row: IndexRow, files: str) -> Item:
    stamp = f"{files} {row['kind']} {row['agent']} {row['fault']}"
    person, visit = subject_name(row["patient"]), session_name(row["study"])
    return Item(row["series"], person, visit, row["kind"], row["agent"], row["fault"], stamp)


def _of_file(path: Path, root: Path) -> Item:
    relative = path.relative_to(root).as_posix()
    name = printable(relative)
    fault = "" if name == relative else "NAME"  # cannot be written to a table; refuses this file only
    if _NO_SCAN.search(path.name.lower()):
        fault = "NO_SCAN"
    matches = {key: pattern.search(name) for key, pattern in _ENTITY.items()}
    entities = {key: match[0].strip("_/") if match else "" for key, match in matches.items()}
    status = path.stat()
    return Item(name, entities["sub"], entities["ses"], fault=fault, stamp=f"{status.st_size}-{status.st_mtime_ns}")
