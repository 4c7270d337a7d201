"""Reads a BIDS data set and names a valid BIDS derivative: which scans a model takes, and the names of its outputs.

Names follow BIDS 1.10. An output keeps the entities of its source and gets the entity `desc`, which raw files do not
have. The entity `ce` says that a contrast agent was given. Outputs do not have it, whether the agent was removed or
predicted: a query for images with an agent must not find them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxlate.bundle.recipe import Recipe
from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.inference.manifest import COLUMNS, OUTPUT, Manifest, require_output_name
from voxlate.io import bids
from voxlate.io.atomic import write_text
from voxlate.io.bids import DESCRIPTION_FILE, is_contrast_enhanced, raw_uri, suffix_of
from voxlate.io.documents import read_object
from voxlate.io.log import warn
from voxlate.io.nifti import nifti_stem, nifti_suffix

GROUP_FILES = ("group.tsv", "group.json")
OWN_FILES = (DESCRIPTION_FILE, "README.md", *GROUP_FILES)
_SHOWN_NAMES = 5  # names of subjects in a message, which is one line; chosen by hand
_README = """# Synthetic images

Every image here is synthetic: a network made it, and it is not for diagnosis. `ledger.tsv` tells how each scan ended;
`voxlate verify` compares the files.
"""


def manifest_of(
    root: Path,
    recipe: Recipe,
    *,
    subjects: Sequence[str] = (),
    sessions: Sequence[str] = (),
    masks: Path | None = None,
    keep_ce: bool = False,
) -> Manifest:
    """Returns a manifest of the scans of a BIDS data set that a model takes, one case for each.

    Args:
        root: root of the data set.
        recipe: recipe of the model.
        subjects: labels without `sub-`; all subjects when empty.
        sessions: labels without `ses-`; all sessions when empty.
        masks: root of a derivative with a `..._desc-brain_mask.nii.gz` for each scan.
        keep_ce: keep the entity `ce` of a source in the name of its output.

    Raises:
        NoInput: `NO_INPUT` when `root` is not a BIDS data set, a subject does not exist, or no scan fits.
        InputRefused: `NAME_TWICE` when two outputs would have one name.
        UsageError: `BIDS_CONTRAST` for a contrast without a BIDS suffix.
    """
    if not (root / DESCRIPTION_FILE).is_file():
        raise NoInput("NO_INPUT", f"{root.name}: no dataset_description.json there; name the root of a BIDS data set")
    require_subjects(root, subjects, (path.name for path in root.glob("sub-*") if path.is_dir()))
    scans = [path for path in _scans(root, recipe.source) if _is_selected(path, subjects, sessions)]
    if not scans:
        raise NoInput("NO_INPUT", f"{root.name}: no scan there shows {recipe.source}")
    columns = (*COLUMNS, OUTPUT, *(f"more:{name}" for name in recipe.more_sources))
    rows: list[tuple[str, ...]] = []
    faults: dict[str, str] = {}
    for number, path in enumerate(scans, start=1):
        relative = path.relative_to(root)
        output = derivative_path(relative, recipe, keep_ce=keep_ce).as_posix()
        mask = "" if masks is None else _mask_of(masks, relative, root)
        more = [_partner(root, path, name) for name in recipe.more_sources]
        case = Path(output).name.removesuffix(".nii.gz")
        try:
            require_output_name(case)
        except InputRefused as error:
            case = f"scan-{number}"
            faults[case] = error.message
        rows.append((case, relative.as_posix(), mask, "", output, *more))
    name, count = Counter(row[0] for row in rows).most_common(1)[0]
    if count > 1:
        raise InputRefused(
            "NAME_TWICE", f"{root.name}: {count} scans would become {name}; keep one of them, or pass --keep-ce"
        )
    text = "\n".join("\t".join(row) for row in rows)
    return Manifest(root.absolute(), columns, rows, hashlib.sha256(os.fsencode(text)).hexdigest(), faults)


def require_subjects(root: Path, subjects: Iterable[str], present: Iterable[str]) -> None:
    """Refuses the label of a subject that a data set or a derivative does not hold.

    Args:
        root: folder that the message names.
        subjects: labels that the user asks for, without `sub-`.
        present: names of the subjects that are there, with `sub-`.

    Raises:
        NoInput: `NO_INPUT` for the first label that is not there.
    """
    names = sorted(set(present))
    absent = [label for label in subjects if f"sub-{label}" not in names]
    if absent:
        shown = ", ".join([*names[:_SHOWN_NAMES], *["…"][: len(names) > _SHOWN_NAMES]]) or "none"
        raise NoInput("NO_INPUT", f"{root.name}: no sub-{absent[0]} there; choose from {shown}")


def derivative_path(relative: Path, recipe: Recipe, *, keep_ce: bool = False) -> Path:
    """Returns the path of an output below the derivative.

    Args:
        relative: path of the source below its data set.
        recipe: recipe of the model.
        keep_ce: keep the entity `ce`.

    Raises:
        UsageError: `BIDS_CONTRAST`.
    """
    stem = nifti_stem(relative)
    *entities, _ = stem.split("_")
    if not keep_ce:
        entities = [entity for entity in entities if not entity.startswith("ce-")]
    suffix = _suffix(recipe.target)
    if recipe.source == "CT":
        entities.append("space-CT")
    description = {"T1ce": "synthce", "T1nce": "synthnce"}.get(recipe.target, "synthetic")
    folder = "anat" if recipe.target != "ADC" else "dwi"
    return relative.parents[1] / folder / "_".join([*entities, f"desc-{description}", suffix + ".nii.gz"])


def sidecar_of(source: str, more: Mapping[str, str]) -> dict[str, Any]:
    """Returns the fields of the sidecar of an output that name its sources, as BIDS URIs.

    Args:
        source: path of the scan below its data set.
        more: paths of the additional sources below the data set, by contrast.
    """
    uris = [raw_uri(path) for path in (source, *more.values())]
    return {"Sources": uris, "SpatialReference": uris[0]}


def write_description(out: Path, root: Path, model: str) -> None:
    """Writes the files that make a folder a BIDS derivative.

    Args:
        out: folder of the outputs.
        root: root of the data set of the sources.
        model: name of the model.
    """
    name = read_object(root / DESCRIPTION_FILE).get("Name", "a BIDS data set")
    bids.write_description(
        out,
        Name=f"Synthetic images of {name}",
        BIDSVersion=bids.BIDS_VERSION,
        DatasetType="derivative",
        GeneratedBy=bids.generated_by("voxlate", f"Synthesis by {model}"),
        DatasetLinks={"raw": Path(os.path.relpath(root, out)).as_posix()},
    )
    write_text(out / "README.md", _README)
    bids.write_ignored(out, ("batch.json", "ledger.tsv", "names.txt", *GROUP_FILES))


def _scans(root: Path, shown: str, within: str = "sub-*/**") -> list[Path]:
    suffix = _suffix(shown)
    paths = sorted(root.glob(f"{within}/*_{suffix}.nii*"))
    if suffix == "T1w":
        paths = [path for path in paths if is_contrast_enhanced(path) == (shown == "T1ce")]
    return [path for path in paths if nifti_suffix(path)]


def _suffix(shown: str) -> str:
    suffix = suffix_of(shown)
    if suffix is None:
        raise UsageError("BIDS_CONTRAST", f"BIDS has no suffix that we know for {shown}; use voxlate batch")
    return suffix


def _is_selected(path: Path, subjects: Sequence[str], sessions: Sequence[str]) -> bool:
    parts = dict(part.split("-", 1) for part in path.name.split("_")[:-1] if "-" in part)
    return (not subjects or parts.get("sub") in subjects) and (not sessions or parts.get("ses") in sessions)


def _mask_of(masks: Path, relative: Path, root: Path) -> str:
    """Returns the path of the mask of a scan relative to the data set, or an empty text when it has none."""
    stem = nifti_stem(relative)
    entities = stem.rpartition("_")[0]
    for named in (stem, entities, re.sub(r"_ce-[A-Za-z0-9]+", "", entities)):
        path = masks / relative.parent / f"{named}_desc-brain_mask.nii.gz"
        if path.is_file():
            return Path(os.path.relpath(path, root)).as_posix()
    return ""


def _partner(root: Path, path: Path, shown: str) -> str:
    """Returns the scan of a contrast in the session of another scan; an empty text unless there is exactly one."""
    scans = _scans(path.parents[1], shown, within="*")
    if len(scans) > 1:
        warn("BIDS_SEVERAL", f"{len(scans)} scans of one session show {shown}; none is used")
    return scans[0].relative_to(root).as_posix() if len(scans) == 1 else ""
