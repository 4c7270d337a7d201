"""The scans to translate in a table of cases, in a folder, in a list of paths, or of a BIDS subject."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from voxlate.bundle.recipe import Recipe
from voxlate.cases import ABSENT, Case, rows_of_split
from voxlate.errors import InputRefused, NoInput
from voxlate.inference.bids_app import manifest_of
from voxlate.inference.item import Item
from voxlate.io.documents import InvalidDocument, read_text
from voxlate.io.nifti import nifti_stem, nifti_suffix


def holds_nifti(path: Path) -> bool:
    """Returns whether `path` is a folder that is empty or has NIfTI files in it."""
    if not path.is_dir():
        return False
    entries = list(path.iterdir())
    return not entries or any(map(nifti_suffix, entries))


def items_of_cases(cases: Sequence[Case], split: str) -> list[Item]:
    """Returns the sources of the cases of one split; a case without a source is left out.

    Raises:
        NoInput: the split has no case with a source.
    """
    rows = rows_of_split([row for row in cases if row.source != ABSENT], split)
    return [Item(row.case, row.source, row.mask, row.more) for row in rows]


def items_in_folder(folder: Path) -> list[Item]:
    """Returns the NIfTI files directly in `folder`, by name.

    Raises:
        NoInput: the folder has no such file.
        InputRefused: `NAME_TWICE` when two files would give one output.
    """
    items = [
        Item(nifti_stem(path), path)
        for path in sorted(folder.iterdir())
        if nifti_suffix(path) and not path.name.startswith(".")
    ]
    if not items:
        raise NoInput(
            "NO_INPUT", f"{folder.name}: no .nii or .nii.gz file there, nor DICOM; name the folder of the scans"
        )
    return _require_distinct(items, folder, "keep one of .nii and .nii.gz")


def items_in_list(path: Path) -> list[Item]:
    """Returns the scans of a text file with one path in each line, relative to its folder.

    Raises:
        NoInput: the file is missing or empty.
        InputRefused: `LIST` when it is not UTF-8, not a regular file or too large; `NAME_TWICE`.
    """
    try:
        lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    except FileNotFoundError as error:
        raise NoInput("NO_INPUT", f"{path.name}: this list does not exist") from error
    except (InvalidDocument, OSError) as error:
        raise InputRefused("LIST", f"{path.name}: {error}") from error
    paths = [path.parent / line for line in lines]
    items = [Item(nifti_stem(scan).removesuffix(".zip"), scan) for scan in paths]
    if not items:
        raise NoInput("NO_INPUT", f"{path.name}: the list is empty")
    return _require_distinct(items, path, "name cases in a manifest, for voxlate batch")


def is_subject(path: Path) -> bool:
    """Returns whether `path` is named as the folder of a subject in a BIDS data set."""
    return path.name.startswith("sub-") and (path.parent / "dataset_description.json").is_file()


def items_of_subject(folder: Path, recipe: Recipe) -> list[Item]:
    """Returns the scans of a BIDS subject that a model takes.

    Args:
        folder: folder `sub-*` of a BIDS data set.
        recipe: recipe of the model.

    Raises:
        NoInput: the subject has no scan of the contrast that the model takes.
    """
    manifest = manifest_of(folder.parent, recipe, subjects=[folder.name.removeprefix("sub-")])
    return [
        replace(item, name=nifti_stem(item.source)) if item.name in manifest.faults else item
        for item in manifest.items()
    ]


def _require_distinct(items: list[Item], origin: Path, advice: str) -> list[Item]:
    name, count = Counter(item.name for item in items).most_common(1)[0]
    if count > 1:
        raise InputRefused("NAME_TWICE", f"{origin.name}: {count} scans called {name} would give one output; {advice}")
    return items
