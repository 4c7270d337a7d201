"""Reads the scan whose contrast a synthetic scan gets (`--like`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxlate.bundle.recipe import Recipe
from voxlate.errors import InputRefused
from voxlate.inference.contrast_check import contrast_faults
from voxlate.inference.like import SHARES, ContrastDescriptor
from voxlate.io.documents import InvalidDocument, read_json
from voxlate.io.scans import read_scan
from voxlate.preparation import fit_preparation
from voxlate.preparation.masks.brain_mask import AUTO
from voxlate.preparation.masks.ct_mask import looks_like_ct
from voxlate.preparation.masks.labels import looks_like_labels


def read_reference(path: Path, recipe: Recipe) -> ContrastDescriptor:
    """Returns the contrast of a reference: a scan, or the JSON sidecar of a scan translated with one.

    Args:
        path: NIfTI, DICOM, or JSON.
        recipe: of the model, whose target the reference must show.

    Raises:
        NoInput: there is no such file.
        InputRefused: `LIKE` for a JSON without a contrast; `CONTRAST_DIFFERS`, `LABEL_MAP`, `LOOKS_LIKE_CT`; what the
            reader and `fit_preparation` refuse.
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
    return ContrastDescriptor.of(preparation.apply(scan.volume).data, preparation.mask, sha256=scan.sha256)


def _read_descriptor(path: Path) -> ContrastDescriptor:
    refused = InputRefused(
        "LIKE", f"{path.name} holds no contrast; name a scan, or the JSON beside a scan translated with --like"
    )
    try:
        content = read_json(path)
        found = content["Synthetic"]["Like"] if "Synthetic" in content else content
        quantiles = tuple(float(value) for value in found["Quantiles"])
        is_known = [float(share) for share in found["Shares"]] == list(SHARES)
    except (InvalidDocument, KeyError, TypeError, ValueError) as error:
        raise refused from error
    if not is_known or len(quantiles) != len(SHARES) or not (np.diff((0.0, *quantiles)) >= 0).all():
        raise refused
    return ContrastDescriptor(quantiles, str(found.get("ReferenceSHA256", "")))
