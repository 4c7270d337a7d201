"""Where the figures come from: versions, hashes and what the sidecars of the synthetic images say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import voxlate
from voxlate.io.atomic import sha256
from voxlate.io.documents import read_json
from voxlate.io.nifti import sidecar_path
from voxlate.reporting import labels
from voxlate.reporting.results import EVALUATION, SCORES, Evaluated
from voxlate.web.html import Html, tag

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


def table(evaluated: Evaluated) -> Html:
    """Returns versions and hashes; values that differ between cases are counted, not listed."""
    rows = [
        ("Report written by", f"voxlate {voxlate.__version__}"),
        ("Evaluated by", f"voxlate {evaluated.evaluation.voxlate_version}"),
        *[(f"SHA-256 of {name}", sha256(evaluated.folder / name)) for name in (EVALUATION, SCORES)],
        *_from_sidecars(evaluated),
    ]
    lines = [tag("tr", tag("th", key, scope="row"), tag("td", value, class_="hash")) for key, value in rows]
    return tag("table", tag("tbody", lines), class_="provenance stack")


def _from_sidecars(evaluated: Evaluated) -> list[tuple[str, str]]:
    found: dict[str, dict[str, None]] = {key: {} for key in _SIDECAR_KEYS}
    for case in evaluated.evaluation.cases:
        for key, value in _sidecar(evaluated.folder / case.paths.synthetic).items():
            if key in found and value is not None:
                found[key][labels.without_paths(str(value))] = None
    return [(f"Sidecar: {key}", _one(list(values))) for key, values in found.items() if values]


def _one(values: list[str]) -> str:
    return values[0] if len(values) == 1 else f"{len(values)} different values"


def _sidecar(image: Path) -> dict[str, Any]:
    """Returns the `Synthetic` object of the file beside an image; empty without one."""
    try:
        content = read_json(sidecar_path(image))
    except (OSError, ValueError):
        return {}
    synthetic = content.get("Synthetic") if isinstance(content, dict) else None
    return synthetic if isinstance(synthetic, dict) else {}
