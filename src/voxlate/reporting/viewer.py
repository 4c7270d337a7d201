"""A folder beside the report that flips between source, target and synthetic in a browser.

All of it is classic scripts, as browsers refuse modules and `fetch` from `file://`: the page opens by a double
click and needs no server. The images are copies in relative units, cropped to the mask, with a new header.
"""

from __future__ import annotations

import base64
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from voxlate.errors import VoxlateError
from voxlate.io.atomic import write_text
from voxlate.io.nifti import gzipped_nifti
from voxlate.reporting import labels
from voxlate.reporting.case_selection import choose, leading_view, ranked
from voxlate.reporting.figures.panels import relative_images
from voxlate.reporting.figures.slices import PLANES, box_around, fullest_slice
from voxlate.reporting.results import Case, Evaluated
from voxlate.volume import Affine, Mask, Volume

STEP = 1e-3
"""Relative values are rounded to this, so that the copies are small."""

_PARTS = ("index.html", "viewer.css", "viewer.js", "niivue.umd.js", "niivue.LICENSES.txt")


def write_viewer(evaluated: Evaluated, folder: Path) -> list[str]:
    """Writes the viewer with all cases whose images can be read, worst first.

    Args:
        evaluated: the evaluation.
        folder: made as needed; files of the same names are replaced.

    Returns:
        One line for each case that was left out, with its code.

    Raises:
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    entries: list[dict[str, Any]] = []
    left_out = []
    for at, (case, facts) in enumerate(_ordered(evaluated), start=1):
        file = f"data/{at:04d}.js"
        try:
            entries.append(
                {"name": case.case, "file": file, "facts": facts, **_write_case(evaluated, case, folder / file)}
            )
        except VoxlateError as error:
            left_out.append(f"{case.case}: {error.code}")
    direction = evaluated.evaluation.direction
    content = {"title": f"{direction.source} to {direction.target}", "cases": entries}
    for name in _PARTS:
        part = resources.files("voxlate.reporting") / "niivue" / name
        write_text(folder / name, part.read_text(encoding="utf-8"))
    write_text(folder / "cases.js", f"globalThis.voxlate = {json.dumps(content)};\n")
    return left_out


def _ordered(evaluated: Evaluated) -> list[tuple[Case, str]]:
    """Returns the cases, worst MAE first and those without one last, each with a line of facts."""
    view = leading_view(evaluated)
    cases = {case.case: case for case in evaluated.evaluation.cases}
    titles = {chosen.case.case: f"{chosen.title.lower()} case, " for chosen in choose(evaluated, view)}
    kind = labels.DATA_KINDS[evaluated.evaluation.data_kind]
    found = []
    for rank, score in reversed(list(enumerate(ranked(evaluated, view), start=1))):
        if score.case in cases:
            label = labels.metric(view.metric).label
            place = f"{titles.get(score.case, '')}rank {rank} by {label} ({labels.number(score.value)} {score.unit})"
            found.append((cases.pop(score.case), f"{kind}, {place}"))
    return found + [(case, f"{kind}, without an MAE") for case in cases.values()]


def _write_case(evaluated: Evaluated, case: Case, path: Path) -> dict[str, Any]:
    images, mask = relative_images(evaluated.folder, case)
    box = box_around(mask, images["target"].spacing_mm)
    files = {role: base64.b64encode(compact_nifti(image, box)).decode("ascii") for role, image in images.items()}
    write_text(path, f"globalThis.voxlate.images = {json.dumps(files)};\n")
    return {"window": list(case.display_range), "at_mm": _worst_place_mm(images, mask)}


def compact_nifti(image: Volume, box: tuple[slice, ...]) -> bytes:
    """Returns the box of an image as a gzipped NIfTI-1 file of int16 with a slope of `STEP` and a bare header."""
    start = np.array([side.start or 0 for side in box], dtype=np.float64)
    affine: Affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ start
    limit = np.iinfo(np.int16).max
    stored = np.rint(np.clip(np.nan_to_num(image.data[box]) / STEP, -limit, limit)).astype(np.int16)
    return gzipped_nifti(stored, affine, slope=STEP)


def _worst_place_mm(images: dict[str, Volume], mask: Mask) -> list[float]:
    """Returns where the three slices of the report meet, in RAS+ millimetres."""
    target = images["target"]
    error = np.where(mask, np.abs(np.nan_to_num(images["synthetic"].data - target.data)), 0.0)
    index = np.zeros(3)
    for plane in PLANES:
        index[plane.normal] = fullest_slice(error, plane)
    return [float(value) for value in target.affine[:3, :3] @ index + target.affine[:3, 3]]
