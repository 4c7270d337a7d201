"""The two recipes of real pairs: train if there is no bundle yet, translate the test subjects, evaluate, report.

    python benchmarks/bench_real_pairs.py

Needs the development data that the recipes name; without them it says so and ends well.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from machine import write_result

from voxlate.bundle.bundle import read_bundle
from voxlate.bundle.recipe import read_recipe
from voxlate.cases import read_cases
from voxlate.evaluation.run import evaluate_cases
from voxlate.evaluation.settings import Settings
from voxlate.inference.batch import translate_many
from voxlate.inference.item import Item
from voxlate.reporting.page import write_report
from voxlate.training.loop import train

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("t1ce_to_t1", "t1_to_t1ce")
ENHANCING_LABELS = (3, 4)  # the two numberings of BraTS
METRICS = ("mae", "psnr", "ssim")


def run(name: str) -> dict[str, Any]:
    recipe = read_recipe(ROOT / "recipes" / f"{name}.yaml")
    folder = ROOT / "runs" / name
    bundle = folder / "bundle"
    if not (bundle / "manifest.json").exists():
        start = time.perf_counter()
        train(recipe, folder, resume=True)
        (folder / "seconds.txt").write_text(f"{time.perf_counter() - start:.0f}")
    tested = [case for case in read_cases(folder / "cases.tsv") if case.split == "test"]
    items = [Item(case.case, case.source, case.mask, case.more) for case in tested]
    translate_many(read_bundle(bundle), items, folder / "synthetic", overwrite=True)
    settings = Settings(data_kind="real", enhancing_labels=ENHANCING_LABELS)
    evaluate_cases(tested, folder / "synthetic", folder / "evaluation", settings=settings, bundle=bundle)
    write_report(folder / "evaluation", folder / "report.html")
    content = json.loads((folder / "evaluation" / "evaluation.json").read_text())
    seconds = folder / "seconds.txt"
    return {
        "training_seconds": int(seconds.read_text()) if seconds.exists() else None,
        "training_cases": [case.case for case in read_cases(folder / "cases.tsv") if case.split == "train"],
        "definition": content["protocols"][0]["definition"],
        "mean": means(content),
        "cases": per_case(folder / "evaluation" / "scores.tsv"),
        "lesions": content["lesions"],
        "missing": content["missing"],
        "refused": content["refused"],
    }


def means(content: dict[str, Any]) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for row in content["summary"]:
        if row["region"] == "mask" and row["metric"] in METRICS:
            place = chosen.setdefault(row["intensity"], {}).setdefault(row["method"], {})
            place[row["metric"]] = round(row["mean"], 4)
    return chosen


def per_case(scores: Path) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    heading, *lines = (line.split("\t") for line in scores.read_text().splitlines())
    for line in lines:
        row = dict(zip(heading, line, strict=True))
        if row["region"] in ("mask", "enhancing") and row["metric"] in (*METRICS, "bias"):
            case = chosen.setdefault(row["case"], {}).setdefault(row["intensity"], {}).setdefault(row["region"], {})
            case.setdefault(row["method"], {})[row["metric"]] = round(float(row["value"]), 4)
    return chosen


def main() -> None:
    recipe = read_recipe(ROOT / "recipes" / f"{NAMES[0]}.yaml")
    if not Path(recipe.data.root).exists():
        print(f"the development data are not at {recipe.data.root}; nothing was measured")
        return
    write_result("real_pairs", {name: run(name) for name in NAMES})


if __name__ == "__main__":
    main()
