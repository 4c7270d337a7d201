"""Several cases, one after the other; each ends done, refused or failed, and none is lost."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxlate.bundle.bundle import Bundle
from voxlate.bundle.recipe import Recipe
from voxlate.errors import ITEMS_REFUSED_STATUS, InputRefused, NoInput, VoxlateError, printable
from voxlate.inference.bids_app import manifest_of
from voxlate.inference.files import translate_file
from voxlate.inference.item import Item
from voxlate.inference.manifest import require_output_name
from voxlate.inference.translate import Options
from voxlate.io.atomic import write_json
from voxlate.io.documents import InvalidDocument, read_text
from voxlate.io.nifti import nifti_stem

log = logging.getLogger("voxlate")


@dataclass(frozen=True)
class Outcome:
    """How one item ended: `done`, `refused` or `failed`, with code and message unless done."""

    name: str
    state: str
    code: str = ""
    message: str = ""


def holds_nifti(path: Path) -> bool:
    """Tells whether `path` is a folder with NIfTI files in it, or an empty one."""
    if not path.is_dir():
        return False
    names = [entry.name for entry in path.iterdir()]
    return not names or any(name.endswith((".nii", ".nii.gz")) for name in names)


def items_in_folder(folder: Path) -> list[Item]:
    """Returns the NIfTI files directly in `folder`, by name.

    Raises:
        NoInput: there is none.
        InputRefused: `NAME_TWICE` when two files would give one output.
    """
    items = [
        Item(nifti_stem(path), path)
        for path in sorted(folder.iterdir())
        if path.name.endswith((".nii", ".nii.gz")) and not path.name.startswith(".")
    ]
    if not items:
        raise NoInput("NO_INPUT", f"{folder.name}: no .nii or .nii.gz file there")
    return _named_once(items, folder, "keep one of .nii and .nii.gz")


def items_in_list(path: Path) -> list[Item]:
    """Returns the scans of a text file with one path in each line, relative to its folder.

    Raises:
        NoInput: the file is not there or names nothing.
        InputRefused: `LIST` when it is not UTF-8, no regular file or too large; `NAME_TWICE`.
    """
    try:
        lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    except FileNotFoundError as error:
        raise NoInput("NO_INPUT", f"{path.name}: there is no such list") from error
    except (InvalidDocument, OSError) as error:
        raise InputRefused("LIST", f"{path.name}: {error}") from error
    places = [path.parent / line for line in lines]
    items = [Item(nifti_stem(place).removesuffix(".zip"), place) for place in places]
    if not items:
        raise NoInput("NO_INPUT", f"{path.name} names no scan")
    return _named_once(items, path, "name cases in a manifest, for voxlate batch")


def _named_once(items: list[Item], place: Path, advice: str) -> list[Item]:
    name, count = Counter(item.name for item in items).most_common(1)[0]
    if count > 1:
        raise InputRefused("NAME_TWICE", f"{place.name}: {count} scans called {name} would give one output; {advice}")
    return items


def items_of_subject(folder: Path, recipe: Recipe) -> list[Item] | None:
    """Returns the scans of a BIDS subject that a model takes, or None when the folder is none.

    Raises:
        NoInput: no scan of it fits.
    """
    if not folder.name.startswith("sub-") or not (folder.parent / "dataset_description.json").is_file():
        return None
    manifest = manifest_of(folder.parent, recipe, subjects=[folder.name.removeprefix("sub-")])
    return [
        replace(item, name=nifti_stem(item.source)) if item.name in manifest.faults else item
        for item in manifest.items()
    ]


def translate_many(
    bundle: Bundle,
    items: Iterable[Item],
    folder: Path,
    *,
    options: Options | None = None,
    watch: Callable[[Outcome], None] | None = None,
    overwrite: bool = False,
) -> list[Outcome]:
    """Translates items into `folder/<name>.nii.gz` and writes `folder/run.json` with how each ended.

    An answer that is there already is replaced with `overwrite`; without, its case is refused (`OUTPUT_EXISTS`).
    """
    outcomes = []
    for item in items:
        name = printable(item.name)
        try:
            require_output_name(item.name)
            output = folder / f"{item.name}.nii.gz"
            one = item.with_sources(bundle.recipe.more_sources)
            translate_file(bundle, one, output, options=options, overwrite=overwrite)
            outcome = Outcome(name, "done")
        except VoxlateError as error:
            state = "failed" if error.state == "FAILED" else "refused"
            outcome = Outcome(name, state, error.code, printable(item.without_names(error.message)))
            log.error("%s: %s:%s %s", name, error.state, outcome.code, outcome.message)
        except Exception as error:
            outcome = Outcome(name, "failed", "UNEXPECTED", type(error).__name__)
            log.error("%s: FAILED:UNEXPECTED %s", name, type(error).__name__)
        outcomes.append(outcome)
        if watch is not None:
            watch(outcome)
    write_json(folder / "run.json", summary(outcomes))
    return outcomes


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """Returns the counts, which add up to the items, and every item that is not done."""
    counts = {state: sum(outcome.state == state for outcome in outcomes) for state in ("done", "refused", "failed")}
    others = [
        {"name": outcome.name, "state": outcome.state, "code": outcome.code, "message": outcome.message}
        for outcome in outcomes
        if outcome.state != "done"
    ]
    return {"items": len(outcomes)} | counts | {"not_done": others}


def exit_status(outcomes: list[Outcome]) -> int:
    """Returns 0 when all are done, 65 when all were refused, 8 otherwise."""
    states = {outcome.state for outcome in outcomes}
    if states <= {"done"}:
        return 0
    return InputRefused.exit_status if states == {"refused"} else ITEMS_REFUSED_STATUS
