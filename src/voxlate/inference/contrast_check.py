"""Refuses a scan whose header or name says that it shows another contrast than a model takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voxlate.bundle.recipe import Recipe
from voxlate.bundle.starter import contrast_in_name
from voxlate.inference.checks import Gate, end_check
from voxlate.io.documents import read_object
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

_OTHER_IMAGE_TYPES = (
    frozenset({"DIFFUSION", "ADC", "FA", "TRACEW"})
    | {"PERFUSION", "ASL", "CBF", "CBV", "MTT", "TTP"}
    | {"P", "PHASE", "PHASE MAP"}
)
"""Values of ImageType (DICOM) of images that are not T1-weighted, each known to `voxlate.archive.series_type`. The
voxels of some of them, such as perfusion, look enough like T1 to be flagged only."""

_T1_WORDS = ("t1", "mprage", "mp2rage", "spgr", "fspgr", "bravo", "tfl")
"""Beginnings of words of T1-weighted images: the contrast, and sequences that are used for T1 alone."""

_MR_WORDS = ("space", *_T1_WORDS)
"""Beginnings of words of MR images. SPACE makes T1, T2 and FLAIR alike, so it only says that `CT` is a pseudonym."""


def check_contrast(scan: Scan, path: Path, recipe: Recipe, *, gate: Gate, name: str) -> None:
    """Refuses, or flags, a scan whose header or name says that it is not T1-weighted, for a model that takes T1.

    Args:
        scan: the scan.
        path: its file or folder.
        recipe: recipe of the model.
        gate: what to do with such a scan.
        name: of the case, for the message.

    Raises:
        InputRefused: `CONTRAST_DIFFERS`.
    """
    for fault in () if gate == "off" else contrast_faults(scan, path, recipe.source):
        told = f"the model takes {recipe.source}; choose a model for this contrast, or pass --ood flag"
        end_check("CONTRAST_DIFFERS", f"{name} has {fault}; {told}", gate)


def contrast_faults(scan: Scan, path: Path, contrast: str) -> Iterator[str]:
    """Yields what in the header and in the name of a scan says that it shows another contrast.

    Args:
        scan: the scan.
        path: its file or folder.
        contrast: that the scan should show; only T1 is checked.
    """
    if contrast not in T1_WEIGHTED:
        return
    echo_ms = echo_time_ms(scan, path)
    if echo_ms is not None and echo_ms >= LONG_ECHO_MS:
        yield f"an echo time of {echo_ms:.0f} ms, too long for T1"
    if scan.dicom is not None:
        types = [str(word).upper() for word in scan.dicom.header.get("ImageType") or ()]
        yield from (f"{word} in its ImageType" for word in types if word in _OTHER_IMAGE_TYPES)
    if nifti_suffix(path):
        word = other_contrast_in_name(nifti_stem(path))
        if not word and contrast != ENHANCED and contrast_in_name(path) == ENHANCED:
            word = ENHANCED
        if word:
            yield f"a file name with the word {word}"


def other_contrast_in_name(stem: str) -> str:
    """Returns the word of a file name that says another contrast than T1, or "".

    Beside a word that says T1, such as `T1w` or the sequence `mprage`, only the last word counts.

    Args:
        stem: the name without its suffix.
    """
    words = re.split(r"[^A-Za-z0-9]", stem)
    is_t1, is_mr = (any(word.lower().startswith(known) for word in words) for known in (_T1_WORDS, _MR_WORDS))
    others = _OTHER_NAMES - {"ct", "pet"} if is_mr else _OTHER_NAMES
    return next((word for word in reversed(words[-1:] if is_t1 else words) if word.lower() in others), "")


def echo_time_ms(scan: Scan, path: Path) -> float | None:
    """Returns the echo time in milliseconds from the DICOM header or the BIDS sidecar (in seconds), if it is stated.

    Args:
        scan: the scan.
        path: its file or folder.
    """
    if scan.dicom is not None:
        facts = scan.dicom.planes[0].facts  # of the first frame: an enhanced image has no EchoTime of the file
        return _number(facts["EchoTime"] or facts["EffectiveEchoTime"])
    seconds = _number(read_object(sidecar_path(path)).get("EchoTime"))
    return None if seconds is None else 1000 * seconds


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
