"""What is left of a contrast agent's enhancement: real pairs, baselines that know nothing or everything, and a model.

    python benchmarks/bench_enhancement.py

1. Every pair of the development data: how much enhances, how much the same rule finds on the dark side, and what the
   best intensity curve and a blurred source leave. Needs no model.
2. The bundle of `recipes/t1ce_to_t1.yaml` on its three test subjects; trained if it is not there (half an hour).

Without the development data it says so and ends well.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from machine import ROOT, development_data, write_result

from voxlate.bundle.bundle import read_bundle
from voxlate.bundle.recipe import read_recipe
from voxlate.cases import read_cases
from voxlate.evaluation.baselines import blur
from voxlate.evaluation.enhancement import PROTOCOL, AgentDirection, EnhancementMeasure, best_curve
from voxlate.evaluation.run import evaluate_cases
from voxlate.evaluation.settings import Settings
from voxlate.inference.batch import translate_many
from voxlate.inference.item import Item
from voxlate.io.nifti import read_volume
from voxlate.preparation.masks.skull_stripped import nonzero_mask
from voxlate.training.loop import train

BLURRED_MM = 2.0
ENHANCING_LABELS = (3, 4)  # the two numberings of BraTS


def pair(folder: Path) -> dict[str, Any]:
    """Returns the figures of one pair."""
    source, target = (read_volume(folder / f"{name}.nii.gz") for name in ("t1ce", "t1"))
    mask = nonzero_mask(source.data) & nonzero_mask(target.data)
    measure = EnhancementMeasure(
        source.data, target.data, mask, spacing_mm=source.spacing_mm, direction=AgentDirection(1)
    )
    voxel_ml = float(np.prod(source.spacing_mm)) / 1000
    images = {
        "curve": best_curve(source.data, target.data, mask),
        "blurred": blur(source.data, mask, BLURRED_MM, source.spacing_mm),
    }
    return {
        "enhanced_ml": round(float(measure.enhancement.voxels.sum()) * voxel_ml, 2),
        "share_of_mask_percent": round(100 * float(measure.enhancement.voxels.sum() / mask.sum()), 3),
        "reverse_share_percent": round(measure.enhancement.reverse_share, 1),
        "left": {
            name: {score.metric: round(score.value, 1) for score in measure.scores(image) if not score.left_out}
            for name, image in images.items()
        },
    }


def model() -> dict[str, Any]:
    """Returns the summary rows of the measure for the model of `recipes/t1ce_to_t1.yaml`."""
    folder = ROOT / "runs" / "t1ce_to_t1"
    if not (folder / "bundle" / "manifest.json").is_file():
        train(read_recipe(ROOT / "recipes" / "t1ce_to_t1.yaml"), folder, resume=True)
    tested = [case for case in read_cases(folder / "cases.tsv") if case.split == "test"]
    items = [Item(case.case, case.source, case.mask, case.more) for case in tested]
    translate_many(read_bundle(folder / "bundle"), items, folder / "synthetic", overwrite=True)
    settings = Settings(data_kind="real", enhancing_labels=ENHANCING_LABELS)
    evaluate_cases(tested, folder / "synthetic", folder / "evaluation", settings=settings, bundle=folder / "bundle")
    content = json.loads((folder / "evaluation" / "evaluation.json").read_text())
    keys = ("region", "metric", "method", "n", "mean", "median", "low", "high")
    return {
        "cases": [case.case for case in tested],
        "rows": [{key: row[key] for key in keys} for row in content["summary"] if row["protocol"] == PROTOCOL],
        "brain": [
            {key: row[key] for key in keys}
            for row in content["summary"]
            if (row["protocol"], row["intensity"], row["region"]) == ("voxlate", "as_written", "mask")
            and row["metric"] in ("mae", "psnr", "ssim")
        ],
    }


def main() -> None:
    pairs = development_data("pairs")
    if pairs is None:
        return
    found = {folder.name: pair(folder) for folder in sorted(pairs.iterdir()) if folder.is_dir()}
    write_result("enhancement", {"pairs": found, "model": model()})


if __name__ == "__main__":
    main()
