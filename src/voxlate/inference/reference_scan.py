"""Reads the scan whose contrast a synthetic scan gets (`--like`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxlate.bundle.contrast_descriptor import SHARES, ContrastDescriptor
from voxlate.bundle.recipe import Recipe
from voxlate.errors import InputRefused, NoInput
from voxlate.inference.contrast_check import ENHANCED, T1_WEIGHTED, contrast_faults
from voxlate.io.documents import read_object
from voxlate.io.log import warn
from voxlate.io.scans import read_scan
from voxlate.preparation import fit_preparation
from voxlate.preparation.masks.brain_mask import AUTO
from voxlate.preparation.masks.ct_mask import looks_like_ct
from voxlate.preparation.masks.labels import looks_like_labels

BRIGHTEST_OVER_MEDIAN = 2.0
"""The quantile 0.98 of a brain over its median that separates T2-weighted scans from T1-weighted ones without agent.

The brightest 2 % are fluid in T2w: 2.1 to 3.6 in nine real heads, 3.2 in a simulated one; in T1 they are white matter
or fat: 1.2 to 1.4, and 1.9. FLAIR (1.3 to 2.6) and T1 with agent (1.3 to 2.4) lie on both sides and are not told apart.
"""

_WITHOUT_AGENT = T1_WEIGHTED - {ENHANCED}


def read_reference(path: Path, recipe: Recipe) -> ContrastDescriptor:
    """Returns the contrast of a reference: a scan, or the JSON sidecar of a scan translated with one.

    Args:
        path: NIfTI, DICOM, or JSON.
        recipe: of the model, whose target the reference must show.

    Raises:
        NoInput: there is no such file.
        InputRefused: `LIKE` for a JSON without a contrast; `CONTRAST_DIFFERS`, `LABEL_MAP`, `LOOKS_LIKE_CT`; what the
            reader and `fit_preparation` refuse. A reference whose intensities are unlike those of the target is read
            with the warning `REFERENCE_UNUSUAL`.
    """
    if path.suffix == ".json":
        return _read_descriptor(path)
    name = "the reference"
    scan = read_scan(path, shows=recipe.target)
    for fault in contrast_faults(scan, path, recipe.target):
        raise InputRefused("CONTRAST_DIFFERS", f"{name} has {fault}; name a scan of {recipe.target}")
    if looks_like_labels(scan.volume):
        raise InputRefused("LABEL_MAP", f"{name} is a map of labels; name the scan that it belongs to")
    if looks_like_ct(scan.volume):
        raise InputRefused("LOOKS_LIKE_CT", f"{name} has air at -1000 like a CT; name a scan of {recipe.target}")
    settings = recipe.preparation.model_copy(
        update={
            "brain_mask": AUTO,
            "frame": "native",
            "range_hu": None,
            "reference": "median_in_mask",
            "grey_levels": None,
        }
    )
    preparation = fit_preparation(scan.volume, None, settings)
    found = ContrastDescriptor.of(preparation.apply(scan.volume).data, preparation.mask, sha256=scan.sha256)
    _flag_other_contrast(found, recipe.target)
    return found


def _flag_other_contrast(found: ContrastDescriptor, target: str) -> None:
    """Warns with `REFERENCE_UNUSUAL` where the intensities of a reference are not those of the target."""
    brightest = found.quantiles[-1]
    is_bright = brightest >= BRIGHTEST_OVER_MEDIAN
    if (target in _WITHOUT_AGENT and is_bright) or (target == "T2w" and not is_bright):
        warn(
            "REFERENCE_UNUSUAL",
            f"the brightest 2 % of the brain of the reference are from {brightest:.1f} times its median on, "
            f"{'above' if is_bright else 'below'} the {BRIGHTEST_OVER_MEDIAN:g} of {target}; check that it is a scan "
            f"of {target}, and look at the result",
        )


def _read_descriptor(path: Path) -> ContrastDescriptor:
    if not path.is_file():
        raise NoInput("NO_INPUT", f"{path.name}: this reference does not exist")
    content = read_object(path)
    try:
        found = content["Synthetic"]["Like"] if "Synthetic" in content else content
        quantiles = np.array(found["Quantiles"], dtype=np.float64)
        is_contrast = list(found["Shares"]) == list(SHARES) and _are_quantiles(quantiles)
    except (KeyError, TypeError, ValueError):
        is_contrast = False
    if not is_contrast:
        raise InputRefused(
            "LIKE", f"{path.name} holds no contrast; name a scan, or the JSON beside a scan translated with --like"
        )
    return ContrastDescriptor(tuple(quantiles.tolist()), str(found.get("ReferenceSHA256", "")))


def _are_quantiles(values: NDArray[np.float64]) -> bool:
    """Returns whether numbers can be the quantiles of a brain at `SHARES`: finite, not falling, not all zero."""
    is_rising = values.shape == (len(SHARES),) and bool((np.diff(values, prepend=0.0) >= 0).all())
    return is_rising and 0 < float(values[-1]) < np.inf
