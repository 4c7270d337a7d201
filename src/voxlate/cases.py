"""The table of cases (`cases.tsv`): one row per pair of source and target, with its patient and split.

A table without targets lists single scans, which can be translated.
"""

from __future__ import annotations

import csv
import difflib
import io
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.io.atomic import write_text
from voxlate.io.bids import is_simulated
from voxlate.io.documents import MAX_TABLE_BYTES, InvalidDocument, read_text

COLUMNS = ("case", "patient", "split", "source", "target", "mask", "labels")
TARGET_MASK = "target_mask"
"""Optional column of a prepared cohort: brain mask of the target on the grid of the source, beside `mask`."""

MORE = "more:"
"""Prefix of a column with an additional source, followed by its contrast: `more:T2`. Empty fields mean missing."""

EMPTY = frozenset({"", "n/a"})
"""Fields without a value; `n/a` is how BIDS writes it."""

SET = "set"
"""Optional column with the name of the test set (`Test_good`, `Test_low`); written only where a case has one."""

DATA_KIND, DATA_KINDS = "data_kind", ("real", "simulated", "unknown")
"""Optional column that says whether the scans are of people; written only where a case is not `unknown`."""

ABSENT = Path()
"""Stands for the target of a single scan, and for what a training row without pairs lacks; see `read_cases`."""

SINGLE_SCANS = (
    "scans without a target can be translated (voxlate translate, voxlate batch); to prepare, train or evaluate, "
    "write the real scan of each case into the column target, or run voxlate cohort with rules that have a target"
)
"""Remedy for a table of single scans where pairs are needed."""

SPLITS = ("train", "validation", "test")
_FORBIDDEN_IN_NAMES = set('/\\"<>|:*?')
_LONGEST_NAME_BYTES = 200
"""File systems allow 255 bytes; the rest is needed for suffixes such as `.nii.gz` and for temporary names."""

_NEARLY = 0.8
"""Likeness of `difflib` from which a column is a misspelt one: two letters of five that are swapped (`spilt`, `lable`)
have 0.8; `task` and `mask` have 0.75, `site` and `split` 0.67, `sex` and `set` 0.67."""

_LONGEST_SET = 64
"""Letters of the name of a set; it heads a block of a table. Chosen by hand."""


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        case: pseudonym, unique in the table and safe as a file name.
        patient: the unit of splits and statistics.
        split: `train`, `validation` or `test`.
        source: the scan to translate; `ABSENT` in an unpaired row that holds a target alone.
        target: the real scan of the other contrast; `ABSENT` for a single scan, and in an unpaired row that holds a
            source alone.
        mask: brain mask on the source's grid, or None for skull-stripped scans; that of the target in a row without a
            source.
        labels: lesion labels on the target's grid, or None.
        more: additional sources on the source's grid, by contrast; missing ones are left out.
        set: name of the test set whose table the case belongs to, such as `Test_good`; empty when there is only one.
        target_mask: brain mask of the target on the source's grid, as `voxlate prepare` writes it, or None. Evaluation
            and unpaired training alone may read it: there is no target at inference.
        data_kind: `real`, `simulated` or `unknown`.
    """

    case: str
    patient: str
    split: str
    source: Path
    target: Path
    mask: Path | None = None
    labels: Path | None = None
    more: Mapping[str, Path] = field(default_factory=dict, hash=False)
    set: str = ""
    target_mask: Path | None = None
    data_kind: str = "unknown"

    def __post_init__(self) -> None:
        require_case_name(self.case)
        if self.split not in SPLITS:
            raise InputRefused("SPLIT", f"{self.case}: split is {self.split!r}, not one of {', '.join(SPLITS)}")
        if not self.set.isprintable() or len(self.set) > _LONGEST_SET:
            raise InputRefused(
                "SET", f"{self.case}: the name of its set is not a name; use at most {_LONGEST_SET} letters and digits"
            )

        if self.data_kind not in DATA_KINDS:
            raise InputRefused(
                "DATA_KIND",
                f"{self.case}: the kind of data is {self.data_kind!r}; write {', '.join(DATA_KINDS[:-1])} or unknown",
            )

    @property
    def is_pair(self) -> bool:
        """Returns whether the row holds both a source and a target."""
        return ABSENT not in {self.source, self.target}


def require_case_name(name: str) -> None:
    """Raises an error unless a case name is safe as a file name and in a table.

    Names must not be empty, hidden, longer than 200 bytes, or contain path separators or characters that cannot be
    printed (control characters, line separators, bytes that are not UTF-8).

    Raises:
        InputRefused: `CASE_NAME`.
    """
    is_long = len(name.encode("utf-8", "surrogateescape")) > _LONGEST_NAME_BYTES
    if not name or name.startswith(".") or set(name) & _FORBIDDEN_IN_NAMES or not name.isprintable() or is_long:
        shown = f"{name[:40]}… of {len(name)} characters" if is_long else name
        raise InputRefused("CASE_NAME", f"{shown!r} is not a valid case name; use letters, digits, '-' and '_'")


def read_cases(path: str | Path, *, paired: bool = True, single: bool = False) -> list[Case]:
    """Reads a table of cases.

    Cases of a table in a data set of `voxlate simulate` are simulated, unless the column `data_kind` says otherwise.

    Args:
        path: tab-separated, UTF-8; paths in it are relative to its folder.
        paired: every row needs a source and a target. Otherwise a training row may hold only one of them, so that the
            lists of sources and of targets may differ in length.
        single: rows of all splits may hold a source alone, and there need be no column of targets, as to translate
            them.

    Raises:
        NoInput: the table is missing or has no row.
        InputRefused: `CASES` for a missing column or image, a column that occurs twice or whose name is nearly that of
            an optional one, a ragged row or text that is not UTF-8; `CASE_NAME`; `CONTRAST_NAME` for a column `more:`
            without a contrast that can be part of a file name; see `check_cases`.
    """
    path = Path(path)
    if not path.is_file():
        raise NoInput("NO_INPUT", f"{path.name}: this table of cases does not exist")
    try:
        text = read_text(path, max_bytes=MAX_TABLE_BYTES)
    except (InvalidDocument, OSError) as error:
        raise InputRefused("CASES", f"{path.name}: {error}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    try:
        needed = ("case", "source") if single else ("case", "source", "target")
        absent = [name for name in needed if name not in (reader.fieldnames or [])]
        if absent:
            header = "\t".join(reader.fieldnames or [])
            if "\t" not in header and len(re.split(r"[,;\s]+", header.strip())) > 1:
                with_blanks = f"; for blanks: tr -s ' ' '\\t' < {path.name} > cases.tsv"
                raise InputRefused(
                    "CASES",
                    f"{path.name}: columns must be separated by tabs; save the table as TSV"
                    f"{'' if re.search('[,;]', header) else with_blanks}",
                )
            remedy = f"; {SINGLE_SCANS}" if absent == ["target"] else ""
            raise InputRefused(
                "CASES", f"{path.name}: column {', '.join(absent)} is missing; it has: {_shown(header)}{remedy}"
            )
        _require_known(list(reader.fieldnames or []), path.name)
        kind = "simulated" if is_simulated(path.parent) else "unknown"
        cases = [
            _case_of(
                row, f"{path.name}: line {reader.line_num}", path.parent, paired=paired, single=single, data_kind=kind
            )
            for row in reader
        ]
    except csv.Error as error:
        raise InputRefused("CASES", f"{path.name}: line {reader.line_num}: {error}") from error
    return check_cases(cases)


def _require_known(columns: Sequence[str], table: str) -> None:
    """Refuses a column that occurs twice, and one such as `Label` or `patiant`, which would be ignored without a word.

    Other unknown columns, such as the age of the patients, are left alone.
    """
    known = {_bare(name): name for name in (*COLUMNS, SET, TARGET_MASK, DATA_KIND)}
    for column in columns:
        if columns.count(column) > 1:
            raise InputRefused("CASES", f"{table}: column {column} occurs twice; remove one, or give it its own name")
        absent = [bare for bare, name in known.items() if name not in columns]
        meant = [] if column in known.values() else difflib.get_close_matches(_bare(column), absent, 1, _NEARLY)
        if meant:
            raise InputRefused(
                "CASES", f"{table}: column {column!r} is not known; call it {known[meant[0]]}, or rename or remove it"
            )
        if column.startswith(MORE):
            more_file_name(column.removeprefix(MORE))


def _bare(column: str) -> str:
    """Returns the name of a column without what people add to it: capitals, blanks, a plural."""
    return column.strip().lower().removesuffix("s")


def check_cases(cases: Sequence[Case]) -> list[Case]:
    """Checks that case names are unique and that each patient is in one split; returns the cases.

    Raises:
        NoInput: no case.
        InputRefused: `CASE_DUPLICATE`, or `PATIENT_IN_TWO_SPLITS`.
    """
    if not cases:
        raise NoInput("NO_INPUT", "the table of cases has no row")
    split_of: dict[str, str] = {}
    seen: set[str] = set()
    for case in cases:
        if case.case in seen:
            raise InputRefused("CASE_DUPLICATE", f"{case.case} occurs twice in the table; give each pair its own name")
        seen.add(case.case)
        if split_of.setdefault(case.patient, case.split) != case.split:
            raise InputRefused(
                "PATIENT_IN_TWO_SPLITS",
                f"the patient of {case.case} is in {split_of[case.patient]} and in {case.split}; split by patient",
            )
    return list(cases)


def rows_of_split(rows: Sequence[Case], split: str) -> list[Case]:
    """Returns the rows of one split.

    Raises:
        NoInput: `NO_INPUT` when there is none.
    """
    found = [row for row in rows if row.split == split]
    if not found:
        splits = ", ".join(sorted({row.split for row in rows})) or "none"
        raise NoInput("NO_INPUT", f"no row of the table has the split {split!r}; its splits are: {splits}")
    return found


def write_cases(path: str | Path, cases: Iterable[Case], *, without: Collection[str] = ()) -> None:
    """Writes a table that `read_cases` reads back; optional columns only when they are used.

    Args:
        path: of the table, replaced as a whole; paths of images in it are relative to its folder.
        cases: the rows.
        without: columns that are left out: `target` in a table of single scans; `split`, where all cases are read as
            `test`.

    Raises:
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    path, cases = Path(path), list(cases)
    contrasts = sorted({contrast for case in cases for contrast in case.more})
    used = {SET: any(case.set for case in cases), TARGET_MASK: any(case.target_mask for case in cases)}
    used[DATA_KIND] = any(case.data_kind != "unknown" for case in cases)
    names = (*COLUMNS, *(MORE + contrast for contrast in contrasts), SET, TARGET_MASK, DATA_KIND)
    columns = [name for name in names if name not in without and used.get(name, True)]
    lines = ["\t".join(columns)]
    for case in cases:
        texts = {"case": case.case, "patient": case.patient, "split": case.split, SET: case.set}
        texts[DATA_KIND] = case.data_kind
        files = {name: getattr(case, name) for name in ("source", "target", "mask", "labels", TARGET_MASK)}
        files |= {MORE + name: case.more.get(name) for name in contrasts}
        texts |= {name: _relative(file, path.parent) for name, file in files.items()}
        lines.append("\t".join(texts[column] for column in columns))
    write_text(path, "\n".join(lines) + "\n")


def _shown(header: str) -> str:
    """Returns the columns of a header for a message, the first 200 letters."""
    return ", ".join(header.split("\t"))[:200] or "none"


def _relative(file: Path | None, folder: Path) -> str:
    """Returns the path as a field of the table; empty for a file that is not there."""
    if file is None or file == ABSENT:
        return ""
    return Path(os.path.relpath(file, folder)).as_posix()


def prepared_in(folder: Path, case: Case) -> Case:
    """Returns a case with the paths that `voxlate prepare` wrote to `folder`: all images on the grid of the source.

    An additional source that could not be registered has no file there and is left out: it is missing.
    """
    prepared = folder / case.case
    source, target, mask, target_mask = (
        prepared / f"{role}.nii.gz" for role in ("source", "target", "mask", TARGET_MASK)
    )
    labels = None if case.labels is None else prepared / "labels.nii.gz"
    registered = {contrast: prepared / more_file_name(contrast) for contrast in case.more}
    more = {contrast: path for contrast, path in registered.items() if path.is_file()}
    return replace(
        case,
        source=source,
        target=target,
        mask=mask,
        labels=labels,
        more=more,
        target_mask=target_mask if target_mask.is_file() else None,
    )


def more_file_name(contrast: str) -> str:
    """Returns the file name of an additional source in the folder of a prepared case.

    Raises:
        InputRefused: `CONTRAST_NAME` when the contrast cannot be part of a file name.

    Example:
        >>> more_file_name("T2w")
        'more_T2w.nii.gz'
    """
    if not contrast or set(contrast) & _FORBIDDEN_IN_NAMES or not contrast.isprintable():
        raise InputRefused(
            "CONTRAST_NAME", f"{MORE}{contrast} is not a valid column; name the contrast with letters and digits"
        )
    return f"more_{contrast}.nii.gz"


def cases_from_pattern(
    root: Path,
    pattern: Mapping[str, str | None],
    splits: Mapping[str, Sequence[str]],
    *,
    more: Mapping[str, str] | None = None,
) -> list[Case]:
    """Returns cases whose file names follow a pattern that contains `{case}`.

    Args:
        root: folder that the patterns are relative to.
        pattern: patterns of `source` and `target`, and of optional `mask` and `labels`; an absent mask or label file is
            None.
        splits: case names per split; each case counts as one patient.
        more: patterns of additional sources, by contrast; absent files are missing contrasts.

    Raises:
        UsageError: `PATTERN` when the pattern of the source, the target or an additional source lacks `{case}`.
    """
    required = {role: pattern.get(role) or "" for role in ("source", "target")} | dict(more or {})
    for role, text in required.items():
        if "{case}" not in text:
            raise UsageError("PATTERN", f"the pattern of the {role} is {text!r}; it must contain {{case}}")

    def file(role: str, name: str) -> Path | None:
        text = pattern.get(role)
        path = root / text.replace("{case}", name) if text else None
        return path if path and (role in ("source", "target") or path.is_file()) else None

    cases = []
    for split, names in splits.items():
        for name in names:
            source, target = file("source", name), file("target", name)
            if source and target:
                named = {contrast: root / text.replace("{case}", name) for contrast, text in (more or {}).items()}
                there = {contrast: path for contrast, path in named.items() if path.is_file()}
                cases.append(Case(name, name, split, source, target, file("mask", name), file("labels", name), there))
    return check_cases(cases)


def _case_of(
    row: Mapping[str, str | None], line: str, folder: Path, *, paired: bool, single: bool, data_kind: str
) -> Case:
    name = row.get("case") or ""
    if re.search(r"\s", name):
        raise InputRefused("CASE_NAME", f"{line}: the name of the case {name!r} has a blank; write '-' or '_' for it")
    if None in row or any(row[column] is None for column in ("source", "target") if column in row):
        raise InputRefused(
            "CASES",
            f"{line} does not have as many fields as the header; separate them by tabs, also where one is empty",
        )
    if any("\0" in (text or "") for text in row.values()):
        raise InputRefused("CASES", f"{line} contains a NUL character, which file names cannot contain; remove it")
    row = {column: "" if text in EMPTY else text for column, text in row.items()}

    def file(column: str) -> Path | None:
        text = row.get(column)
        return folder / text if text else None

    source, target = file("source"), file("target")
    split = row.get("split") or "test"
    has_all = source is not None and target is not None
    is_listed = not paired and split == "train" and (source or target)
    if not (has_all or is_listed or (single and source)):
        advice = "; only training rows of a recipe with `data: {paired: false}` may hold one of the two"
        if source is not None:
            advice += f"; {SINGLE_SCANS}"
        raise InputRefused("CASES", f"{line}: {name!r} lacks a source or a target{advice}")
    if not single and has_all and source == target:
        raise InputRefused("CASES", f"{line}: source and target of {name!r} are one file; name the scan of the target")
    columns = [column for column in row if column.startswith(MORE)]
    more = {column.removeprefix(MORE): path for column in columns if (path := file(column)) is not None}
    patient, name_of_set = row.get("patient") or name, (row.get(SET) or "").strip()
    case = Case(name, patient, split, source or ABSENT, target or ABSENT, file("mask"), file("labels"), more)
    kind = row.get(DATA_KIND) or data_kind
    return replace(case, set=name_of_set, target_mask=file(TARGET_MASK), data_kind=kind)
