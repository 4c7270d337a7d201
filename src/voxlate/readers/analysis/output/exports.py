"""Tables of answers for other programs: long CSV, iMRMC (FDA) and MRMCaov (R)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from voxlate.io.tables import inert_cell
from voxlate.readers.analysis.records import Record, names
from voxlate.readers.analysis.scoring import Mark, confidence, marked
from voxlate.readers.study import Study

COLUMNS = (
    "reader",
    "group",
    "experience_years",
    "design",
    "case",
    "left",
    "right",
    "session",
    "position",
    "is_repeat",
    "is_second",
    "item",
    "value",
    "viewed_s",
    "revision",
    "time_utc",
    "comment",
    "protocol_sha256",
)


def cell(value: Any) -> Any:
    """Returns text that a spreadsheet does not evaluate as a formula; numbers are unchanged."""
    return inert_cell(value) if isinstance(value, str) else value


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Returns CSV in which no text is a formula; see `cell`."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cell(value) for value in row] for row in rows)
    return stream.getvalue()


def long_table(records: Sequence[Record], study: Study, protocol_hash: str) -> str:
    """Returns CSV with one line per answered item.

    Args:
        records: of all designs.
        study: for group and experience of the readers.
        protocol_hash: written in every line.
    """
    readers = {reader.id: reader for reader in study.readers}
    rows = []
    for record in records:
        reader = readers[record.reader]
        left, right = (*record.shown, "")[:2]
        for item, value in _items(record):
            rows.append(
                (
                    record.reader,
                    reader.group,
                    reader.experience_years,
                    record.design,
                    record.case,
                    left,
                    right,
                    record.session,
                    record.position,
                    int(record.is_repeat),
                    int(record.is_second),
                    item,
                    value,
                    record.viewed_s,
                    record.revision,
                    record.time_utc,
                    record.comment,
                    protocol_hash,
                )
            )
    return csv_text(COLUMNS, rows)


def imrmc(records: Sequence[Record], title: str) -> str:
    """Returns confidences in the format of iMRMC; truth 1 means synthetic.

    Args:
        records: of one design `real_or_synthetic`; repeats are left out.
        title: first line of the file.
    """
    readers, cases = names(records)
    number = _numbered(cases)
    lines = [f"{title}: real or synthetic, truth 1 = synthetic", ""]
    lines += [f"N0: {len(cases)}", f"N1: {len(cases)}", f"NR: {len(readers)}", "NM: 1", "", "BEGIN DATA:"]
    lines += [f"-1,{number[image]},0,{int(image[1] == 'synthetic')}" for image in number]
    lines += [
        f"{readers.index(r.reader) + 1},{number[r.case, r.version]},1,{confidence(r)}"
        for r in records
        if not r.is_repeat
    ]
    return "\n".join(lines) + "\n"


def mrmcaov(records: Sequence[Record]) -> str:
    """Returns confidences as CSV for MRMCaov, `mrmc(empirical_auc(truth, rating), treatment, reader, case, data)`."""
    rows = [
        (r.reader, "synthesis", f"{r.case}/{r.version}", int(r.version == "synthetic"), confidence(r))
        for r in records
        if not r.is_repeat
    ]
    return csv_text(("reader", "treatment", "case", "truth", "rating"), rows)


def codebook(records: Sequence[Record]) -> str:
    """Returns CSV with the names of the numbered readers and images of the iMRMC file."""
    readers, cases = names(records)
    rows: list[tuple[str, int, str, str]] = [("reader", at, reader, "") for at, reader in enumerate(readers, start=1)]
    rows += [("image", at, case, version) for (case, version), at in _numbered(cases).items()]
    return csv_text(("what", "number", "name", "version"), rows)


def _numbered(cases: Sequence[str]) -> dict[tuple[str, str], int]:
    """Returns the numbers of the images, (case, version), in the file of iMRMC."""
    images = ((case, version) for version in ("real", "synthetic") for case in cases)
    return {image: number for number, image in enumerate(images, start=1)}


def _items(record: Record) -> list[tuple[str, Any]]:
    """Returns name and value of each answered item."""
    answer = record.answer
    match answer["kind"]:
        case "real_or_synthetic":
            return [("confidence", answer["confidence"])]
        case "forced_choice":
            return [("synthetic_side", answer["side"])]
        case "similarity":
            return [(name, "not assessable" if score is None else score) for name, score in answer["scores"].items()]
        case "quality":
            return list(answer["grades"].items())
    marks = [(f"mark {at}", _mark(mark)) for at, mark in enumerate(marked(record), start=1)]
    return marks or [("no lesion", 1)]


def _mark(mark: Mark) -> str:
    return f"{' '.join(str(at) for at in mark['voxel'])} confidence {mark['confidence']}"
