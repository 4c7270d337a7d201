"""The interactive viewer: a folder beside the report that shows the images of each case in a browser.

The page opens by a double click and needs no server. All its parts are classic scripts, because browsers refuse modules
and `fetch` from `file://`. The images are copies in relative units, cropped to the mask, without the original header.
"""

from __future__ import annotations

import base64
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from voxlate.errors import VoxlateError
from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.schema.results import Evaluated, EvaluatedCase
from voxlate.io.atomic import write_text
from voxlate.io.nifti import gzipped_nifti, nifti_suffix
from voxlate.reporting.case_selection import choose, leading_view, ranked
from voxlate.reporting.figures.images import on_grid
from voxlate.reporting.figures.panels import relative_images
from voxlate.reporting.figures.slices import PLANES, box_around, fullest_slice
from voxlate.volume import Affine, Array, Mask, Volume
from voxlate.web import colours, labels

STEP = 1e-3
"""Relative values are rounded to this step. In a window of width 1, a grey level is 0.004."""

_ROLES = ("source", "target", "synthetic", "difference")
UNCERTAINTY = "uncertainty"
"""Role of the expected error or the spread of predictions, and the suffix of its file beside the synthetic image."""

_PAGE_FILES = ("index.html", "viewer.css", "viewer.js")
_NIIVUE_FILES = ("niivue.umd.js", "niivue.LICENSES.txt")


def write_viewer(evaluated: Evaluated, folder: Path) -> list[str]:
    """Writes the viewer with all cases whose images can be read, worst first.

    Args:
        evaluated: an evaluation folder.
        folder: created if needed; files of the same names are replaced.

    Returns:
        One line for each case that was left out, with its error code.

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
    has_uncertainty = any("largest_uncertainty" in entry for entry in entries)
    roles = [*_ROLES, *([UNCERTAINTY] if has_uncertainty else [])]
    content = {"title": f"{direction.source} to {direction.target}", "roles": roles, "cases": entries}
    files = [resources.files("voxlate.reporting") / "viewer_page" / name for name in _PAGE_FILES]
    files += [resources.files("voxlate.web") / "niivue" / name for name in _NIIVUE_FILES]
    for resource in files:
        write_text(folder / resource.name, resource.read_text(encoding="utf-8"))
    write_text(folder / "cases.js", f"globalThis.voxlate = {json.dumps(content)};\n")
    return left_out


def _ordered(evaluated: Evaluated) -> list[tuple[EvaluatedCase, str]]:
    """Returns the cases with a line of facts each: the worst score first, cases without a score last."""
    view = leading_view(evaluated)
    cases = {case.case: case for case in evaluated.evaluation.cases}
    titles = {chosen.case.case: f"{chosen.title.lower()} case, " for chosen in choose(evaluated, view)}
    kind = labels.DATA_KINDS[evaluated.evaluation.data_kind]
    ordered = []
    for rank, score in reversed(list(enumerate(ranked(evaluated, view), start=1))):
        if score.case in cases:
            label = metric_of(view.metric).label
            facts = f"{titles.get(score.case, '')}rank {rank} by {label} ({labels.number(score.value)} {score.unit})"
            ordered.append((cases.pop(score.case), f"{kind}, {facts}"))
    return ordered + [(case, f"{kind}, without a score") for case in cases.values()]


def _write_case(evaluated: Evaluated, case: EvaluatedCase, path: Path) -> dict[str, Any]:
    images, mask = relative_images(evaluated.folder, case)
    error = np.where(mask, np.nan_to_num(images["synthetic"].data - images["target"].data), 0.0).astype(np.float32)
    images["difference"] = images["target"].with_data(error)
    facts: dict[str, Any] = {
        "window": list(case.display_range),
        "at_mm": _worst_position_mm(images["difference"]),
        "limit": _end_of_scale(error, mask),
    }
    uncertainty = _uncertainty(evaluated.folder, case, images["target"])
    if uncertainty is not None:
        images[UNCERTAINTY] = uncertainty
        facts["largest_uncertainty"] = _end_of_scale(uncertainty.data, mask)
    box = box_around(mask, images["target"].spacing_mm)
    files = {role: base64.b64encode(compact_nifti(image, box)).decode("ascii") for role, image in images.items()}
    write_text(path, f"globalThis.voxlate.images = {json.dumps(files)};\n")
    return facts


def _end_of_scale(values: Array, mask: Mask) -> float:
    """Returns the 99th percentile of absolute values in the mask, rounded up, as in the report."""
    inside = np.abs(np.nan_to_num(values[mask]))
    return colours.round_up(float(np.percentile(inside, 99)) if inside.size else 0.0)


def _uncertainty(folder: Path, case: EvaluatedCase, like: Volume) -> Volume | None:
    """Returns the uncertainty of a synthetic image in relative units; None without its file.

    The file lies beside the synthetic image: `CASE_uncertainty.nii.gz` beside `CASE.nii.gz`, as
    `voxlate translate --uncertainty` writes it.
    """
    synthetic = folder / case.paths.synthetic
    suffix = nifti_suffix(synthetic)
    path = synthetic.with_name(f"{synthetic.name.removesuffix(suffix)}_{UNCERTAINTY}{suffix}")
    if not suffix or not path.is_file():
        return None
    volume = on_grid(path, like)
    return volume.with_data(volume.data / np.float32(case.reference_level.synthetic))


def compact_nifti(image: Volume, box: tuple[slice, ...]) -> bytes:
    """Returns part of an image as a gzipped NIfTI-1 file of int16 with the slope `STEP` and a minimal header.

    Args:
        image: in relative units.
        box: one slice per axis.
    """
    start = np.array([side.start or 0 for side in box], dtype=np.float64)
    affine: Affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ start
    limit = np.iinfo(np.int16).max
    stored = np.rint(np.clip(np.nan_to_num(image.data[box]) / STEP, -limit, limit)).astype(np.int16)
    return gzipped_nifti(stored, affine, slope=STEP)


def _worst_position_mm(difference: Volume) -> list[float]:
    """Returns the point in which the three slices of the report meet, in RAS+ mm."""
    error = np.abs(difference.data)
    index = np.zeros(3)
    for plane in PLANES:
        index[plane.normal] = fullest_slice(error, plane)
    return [float(value) for value in difference.affine[:3, :3] @ index + difference.affine[:3, 3]]
