"""Provenance of a report: versions, hashes, and facts from the sidecar files of the synthetic images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxlate.evaluation.schema.files import SCORES
from voxlate.evaluation.schema.results import EVALUATION, Evaluated
from voxlate.io.atomic import sha256
from voxlate.io.documents import read_json
from voxlate.io.nifti import sidecar_path
from voxlate.version import __version__
from voxlate.web import labels
from voxlate.web.html import Html
from voxlate.web.tables import facts_table

_SIDECAR_KEYS = (
    "Task",
    "ModelName",
    "ModelVersion",
    "ModelSHA256",
    "ConfigSHA256",
    "SoftwareVersion",
    "Seed",
    "Device",
    "Deterministic",
)


def versions_and_hashes(evaluated: Evaluated) -> Html:
    """Returns a table of versions and hashes; if a value differs between cases, it gives the number of values."""
    rows = [
        ("Report written by", f"voxlate {__version__}"),
        ("Evaluated by", f"voxlate {evaluated.evaluation.voxlate_version}"),
        *[(f"SHA-256 of {name}", sha256(evaluated.folder / name)) for name in (EVALUATION, SCORES)],
        *_from_sidecars(evaluated),
    ]
    return facts_table(rows)


def values_of_sidecars(evaluated: Evaluated) -> dict[str, list[str]]:
    """Returns the different values of each known key in the sidecar files of the synthetic images.

    Args:
        evaluated: an evaluation folder; images without a sidecar file add nothing.
    """
    values_by_key: dict[str, dict[str, None]] = {key: {} for key in _SIDECAR_KEYS}
    for case in evaluated.evaluation.cases:
        for key, value in _sidecar(evaluated.folder / case.paths.synthetic).items():
            if key in values_by_key and value is not None:
                values_by_key[key][labels.without_paths(str(value))] = None
    return {key: list(values) for key, values in values_by_key.items()}


def mask_methods(evaluated: Evaluated) -> list[str]:
    """Returns the methods by which the brain masks of the evaluated cases were found, each once, sorted.

    Empty where no sidecar states one, and where some do not: then the masks of the others are not known.

    Args:
        evaluated: an evaluation folder.
    """
    found = [_mask_method(evaluated.folder / case.paths.synthetic) for case in evaluated.evaluation.cases]
    return sorted(set(found)) if all(found) else []


def _mask_method(image: Path) -> str:
    """Returns the method that found the brain mask of a synthetic image; empty where its sidecar states none."""
    checks = _sidecar(image).get("QC")
    brain = checks.get("BrainMask") if isinstance(checks, dict) else None
    return str(brain.get("method") or "") if isinstance(brain, dict) else ""


def _from_sidecars(evaluated: Evaluated) -> list[tuple[str, str]]:
    return [(f"Sidecar: {key}", _one(values)) for key, values in values_of_sidecars(evaluated).items() if values]


def _one(values: list[str]) -> str:
    return values[0] if len(values) == 1 else f"{len(values)} different values"


def _sidecar(image: Path) -> dict[str, Any]:
    """Returns the object `Synthetic` of an image's sidecar file; empty if there is none."""
    try:
        content = read_json(sidecar_path(image))
    except (OSError, ValueError):
        return {}
    synthetic = content.get("Synthetic") if isinstance(content, dict) else None
    return synthetic if isinstance(synthetic, dict) else {}
