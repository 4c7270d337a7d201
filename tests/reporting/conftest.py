"""A small evaluation folder, as `voxlate evaluate` writes it, with images of an odd and unequal size."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

METHODS = ["source", "histogram_match", "blurred_target", "synthetic"]
UNITS = {"mae": "%", "psnr": "dB", "ssim": ""}
COLUMNS = ["case", "patient", "method", "region", "metric", "value", "unit", "protocol", "intensity"]


def scores(name: str, at: int) -> list[list[Any]]:
    """Returns the rows of one case; its synthetic MAE grows with `at`, and its source is worse by 5."""
    offset = {"source": 5.0, "histogram_match": 3.0, "blurred_target": -1.0, "synthetic": 0.0}
    rows = []
    for intensity in ("as_written", "linear_fit"):
        for method in METHODS:
            mae = 4 + at + offset[method]
            values = {"mae": mae, "psnr": 40 - mae, "ssim": 1 - mae / 50}
            rows += [[name, f"P{at}", method, "mask", m, v, UNITS[m], "voxlate", intensity] for m, v in values.items()]
    return rows


@dataclass
class Folder:
    """An evaluation folder that a test may change before it is written."""

    path: Path
    content: dict[str, Any]
    rows: list[list[Any]] = field(default_factory=list)

    def write(self) -> Path:
        (self.path / "evaluation.json").write_text(json.dumps(self.content))
        with (self.path / "scores.tsv").open("w", newline="") as stream:
            csv.writer(stream, delimiter="\t", lineterminator="\n").writerows([COLUMNS, *self.rows])
        return self.path

    def compare(self, **changes: Any) -> None:
        """Adds one test of the synthetic image against the source."""
        test = {
            "protocol": "voxlate",
            "intensity": "as_written",
            "region": "mask",
            "metric": "mae",
            "first": "synthetic",
            "second": "source",
            "n": len(self.content["cases"]),
            "mean_difference": -5.0,
            "ci_low": -6.0,
            "ci_high": -4.0,
            "p_t": 0.001,
            "p_wilcoxon": 0.002,
            "p_permutation": 0.003,
            "p_adjusted": 0.018,
            "comparisons": 6,
            "effect_size": -2.5,
            "note": "",
        }
        self.content["comparisons"].append({**test, **changes})


def _images(folder: Path, at: int) -> None:
    random = np.random.default_rng(at)
    shape = (13, 17, 11)
    mask = np.zeros(shape, dtype=np.uint8)
    mask[3:10, 4:14, 2:9] = 1
    target = mask * random.uniform(80, 120, shape)
    images = {"source": target * 1.3, "target": target, "synthetic": target + mask * random.normal(0, 5, shape)}
    affine = np.diag([-1.0, 1.0, 2.5, 1.0])
    folder.mkdir()
    nibabel.save(nibabel.Nifti1Image(mask, affine), folder / "mask.nii.gz")
    for role, data in images.items():
        nibabel.save(nibabel.Nifti1Image(data.astype(np.float32), affine), folder / f"{role}.nii.gz")
    sidecar = {"Synthetic": {"ModelName": "small", "ModelSHA256": "ab" * 32, "InputPath": "/data/warehouse/x.nii.gz"}}
    (folder / "synthetic.json").write_text(json.dumps(sidecar))


def _case(at: int, name: str) -> dict[str, Any]:
    return {
        "case": name,
        "patient": f"P{at}",
        "paths": {r: f"images{at}/{r}.nii.gz" for r in ("source", "target", "synthetic", "mask")} | {"labels": None},
        "reference_level": {"source": 130.0, "target": 100.0, "synthetic": 100.0},
        "display_range": [0.0, 1.4],
    }


def _summary(rows: list[list[Any]]) -> list[dict[str, Any]]:
    found: dict[tuple[str, ...], list[float]] = {}
    for _, _, method, region, metric, value, unit, protocol, intensity in rows:
        found.setdefault((protocol, intensity, region, method, metric, unit), []).append(value)
    keys = ("protocol", "intensity", "region", "method", "metric", "unit")
    return [
        dict(zip(keys, key, strict=True))
        | {"n": len(v), "mean": float(np.mean(v)), "sd": float(np.std(v)), "median": float(np.median(v))}
        | {"low": None, "high": None}
        for key, v in found.items()
    ]


def make_folder(path: Path, names: tuple[str, ...], *, images: bool = True) -> Folder:
    """Returns a folder, not yet written, whose cases have one patient each."""
    rows = [row for at, name in enumerate(names) for row in scores(name, at)]
    if images:
        for at in range(len(names)):
            _images(path / f"images{at}", at)
    content = {
        "voxlate_version": "0.1.0",
        "protocols": [{"name": "voxlate", "definition": "MAE in % of L inside the mask."}],
        "data_kind": "simulated",
        "direction": {"source": "T1ce", "target": "T1"},
        "methods": METHODS,
        "cases": [_case(at, name) for at, name in enumerate(names)],
        "summary": _summary(rows),
        "comparisons": [],
        "lesions": [],
        "volumes": [],
        "missing": [],
        "refused": [],
        "history": None,
    }
    return Folder(path, content, rows)


@pytest.fixture(scope="session")
def folder_maker() -> Callable[..., Folder]:
    return make_folder


@pytest.fixture
def evaluation(tmp_path: Path) -> Callable[..., Folder]:
    """Returns a maker of folders with the cases named."""

    def make(*names: str, images: bool = True) -> Folder:
        return make_folder(tmp_path, names, images=images)

    return make
