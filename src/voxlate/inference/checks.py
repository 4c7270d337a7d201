"""Refuses a scan that a model cannot take, by its voxels and its header, before the brain is looked for.

The check of `voxlate.bundle.out_of_distribution` is behind these and compares the prepared scan with the training
scans; these here know what kind of image it is, and say so.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from voxlate.bundle.recipe import Recipe
from voxlate.errors import InputRefused
from voxlate.io.documents import InvalidDocument, read_json
from voxlate.io.log import warn
from voxlate.io.nifti import nifti_stem, nifti_suffix, sidecar_path
from voxlate.io.scans import Scan
from voxlate.preparation.masks.ct_mask import looks_like_ct
from voxlate.preparation.masks.labels import looks_like_labels
from voxlate.volume import Volume

Gate = Literal["refuse", "flag", "off"]
"""`refuse` the scan, `flag` it with a warning, or `off`."""

T1_WEIGHTED = frozenset({"T1", "T1w", "T1ce", "T1nce"})

LONG_ECHO_MS = 60.0
"""No T1-weighted scan has an echo time from here on: the lower limit of T2-weighted spin echoes in
`voxlate.archive.series_type`."""

_HIGHEST_MEDIAN_HU = 400.0
"""Above this median of the voxels that are not background, values without any below zero are not Hounsfield units.

Soft tissue has 20 to 80; chosen by hand.
"""

_OTHER_SUFFIXES = ("T2w", "FLAIR", "PDw", "T2starw", "dwi", "bold", "ct", "pet", "dseg", "mask")
"""BIDS suffixes of images that are not T1-weighted."""


def check_scan(source: Volume, recipe: Recipe, *, gate: Gate, name: str) -> None:
    """Refuses, or flags, a scan that is not an image of the kind that a model takes.

    Args:
        source: the scan, (i, j, k).
        recipe: recipe of the model.
        gate: what to do with a label map or a scan of another modality; a single slice is always refused.
        name: of the case, for the message.

    Raises:
        InputRefused: `TOO_FEW_SLICES`, `LABEL_MAP`, `LOOKS_LIKE_CT`, `NOT_HOUNSFIELD`.
    """
    if min(source.data.shape) == 1 and recipe.preparation.brain_mask != "all":
        shape = " x ".join(map(str, source.data.shape))
        raise InputRefused("TOO_FEW_SLICES", f"{name} has one slice ({shape}); give the whole volume")
    if gate == "off":
        return
    if looks_like_labels(source):
        _end("LABEL_MAP", f"{name} is a map of labels, not a scan; name the scan it belongs to", gate)
    _check_modality(source, recipe, gate, name)


def _check_modality(source: Volume, recipe: Recipe, gate: Gate, name: str) -> None:
    takes_ct = recipe.source == "CT" or recipe.preparation.range_hu is not None
    if not takes_ct and looks_like_ct(source):
        _end(
            "LOOKS_LIKE_CT",
            f"{name} has air at -1000 like a CT, and the model takes {recipe.source}; choose a model that takes CT",
            gate,
        )
    if takes_ct and not _may_be_hounsfield(source):
        _end(
            "NOT_HOUNSFIELD",
            f"{name} has no value below 0 and is not in Hounsfield units, and the model takes CT; choose a model that "
            "takes this contrast, or convert the CT with its intercept",
            gate,
        )


def _may_be_hounsfield(source: Volume) -> bool:
    """Returns whether values can be Hounsfield units: some are negative (fat, air, noise), or the scan is a brain."""
    data = source.data
    if data.min() < 0:
        return True
    shown = data[data != 0]
    if shown.size == 0:
        return True
    middle = shown[:: max(1, shown.size // 100_000)]
    return float(sorted(middle)[len(middle) // 2]) <= _HIGHEST_MEDIAN_HU


def check_contrast(scan: Scan, path: Path, recipe: Recipe, *, gate: Gate, name: str) -> None:
    """Refuses, or flags, a scan whose header or BIDS name says that it is not T1-weighted, for a model that takes T1.

    Args:
        scan: the scan.
        path: its file or folder.
        recipe: recipe of the model.
        gate: what to do with such a scan.
        name: of the case, for the message.

    Raises:
        InputRefused: `CONTRAST_DIFFERS`.
    """
    if gate == "off" or recipe.source not in T1_WEIGHTED:
        return
    told = f"the model takes {recipe.source}; choose a model for this contrast"
    echo_ms = echo_time_ms(scan, path)
    if echo_ms is not None and echo_ms >= LONG_ECHO_MS:
        _end("CONTRAST_DIFFERS", f"{name} has an echo time of {echo_ms:.0f} ms and is not T1-weighted; {told}", gate)
    suffix = re.search(r"^sub-.*_([A-Za-z0-9]+)$", nifti_stem(path)) if nifti_suffix(path) else None
    if suffix is not None and suffix[1] in _OTHER_SUFFIXES:
        _end("CONTRAST_DIFFERS", f"{name} is named {suffix[1]} as in BIDS; {told}", gate)


def echo_time_ms(scan: Scan, path: Path) -> float | None:
    """Returns the echo time in milliseconds from the DICOM header or the BIDS sidecar (in seconds), if it is stated.

    Args:
        scan: the scan.
        path: its file or folder.
    """
    if scan.dicom is not None:
        return _number(scan.dicom.header.get("EchoTime"))
    try:
        content = read_json(sidecar_path(path))
    except (InvalidDocument, OSError):
        return None
    seconds = _number(content.get("EchoTime")) if isinstance(content, dict) else None
    return None if seconds is None else 1000 * seconds


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _end(code: str, message: str, gate: Gate) -> None:
    if gate == "refuse":
        raise InputRefused(code, f"{message}, or pass --ood flag to translate it all the same")
    warn(code, message)
