"""Refuses a scan whose header or name says that it shows another contrast than a model takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from voxlate.bundle import starter
from voxlate.inference.checks import Gate, end_check
from voxlate.io.documents import InvalidDocument, read_json
from voxlate.io.nifti import nifti_stem, nifti_suffix, sidecar_path
from voxlate.io.scans import Scan

T1_WEIGHTED = frozenset({"T1", "T1w", "T1ce", "T1nce"})
ENHANCED = "T1ce"

LONG_ECHO_MS = 60.0
"""No T1-weighted scan has an echo time from here on: the lower limit of T2-weighted spin echoes in
`voxlate.archive.series_type`."""

_OTHER_NAMES = (
    frozenset({"t2", "t2w", "t2s", "t2star", "t2starw", "flair", "pd", "pdw", "dwi", "adc", "swi", "bold", "perf"})
    | {"ct", "pet"}
    | {"seg", "dseg", "mask", "label", "labels"}
)
"""Words in the names of images that are not T1-weighted: suffixes of BIDS, and names such as `flair.nii.gz`."""


def check_contrast(
    scan: Scan, path: Path, contrast: str, *, gate: Gate, name: str, reason: str = "the model takes"
) -> None:
    """Refuses, or flags, a scan whose header or name says that it is not T1-weighted, where T1 is wanted.

    Args:
        scan: the scan.
        path: its file or folder.
        contrast: that the scan should show; only T1 is checked.
        gate: what to do with such a scan.
        name: of the case, for the message.
        reason: why the contrast is expected, for the message.

    Raises:
        InputRefused: `CONTRAST_DIFFERS`.
    """
    if gate == "off" or contrast not in T1_WEIGHTED:
        return
    told = f"{reason} {contrast}; choose a model for this contrast, or pass --ood flag"
    echo_ms = echo_time_ms(scan, path)
    if echo_ms is not None and echo_ms >= LONG_ECHO_MS:
        end_check("CONTRAST_DIFFERS", f"{name} has an echo time of {echo_ms:.0f} ms, too long for T1; {told}", gate)
    if nifti_suffix(path):
        word = contrast_in_name(nifti_stem(path))
        if not word and contrast != ENHANCED and starter.contrast_in_name(path) == ENHANCED:
            word = ENHANCED
        if word:
            end_check("CONTRAST_DIFFERS", f"{name} has a file name with the word {word}; {told}", gate)


def contrast_in_name(stem: str) -> str:
    """Returns the word of a file name that says another contrast than T1, or "".

    Beside a word such as `T1w`, only the last word counts.

    Args:
        stem: the name without its suffix.
    """
    words = re.split(r"[^A-Za-z0-9]", stem)
    is_t1 = any(word.lower().startswith("t1") for word in words)
    return next((word for word in reversed(words[-1:] if is_t1 else words) if word.lower() in _OTHER_NAMES), "")


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
