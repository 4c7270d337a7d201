"""The models of CT to T1, CT to T2 and of added contrast agent, trained on simulated heads alone.

    python benchmarks/bench_simulated_models.py --simulate
    python benchmarks/bench_simulated_models.py

Simulates heads from the label maps of the development data (`--simulate` does this alone; 20 minutes a task on one
core), trains the recipes (25 minutes each) and measures them. Three label maps are kept for the test heads of CT, half
of which come from a scanner that training never saw; added contrast agent is measured on the nine real pairs. Each
stage is skipped when its files exist, so that the command continues after an interruption. Without the development data
it says so and ends.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from machine import ENHANCING_LABELS, ROOT, case_scores, development_data, pair_cases, write_result
from simulated_heads import EXCLUDED, QUALITY, TABLE, TEST_MAPS, label_maps, simulate

from voxlate.bundle.bundle import read_bundle
from voxlate.bundle.recipe import read_recipe
from voxlate.cases import Case, read_cases
from voxlate.evaluation.run import evaluate_cases
from voxlate.evaluation.settings import Settings
from voxlate.inference.batch import translate_many
from voxlate.inference.item import Item
from voxlate.inference.translate import Options
from voxlate.simulation.files.dataset import Plan
from voxlate.simulation.subject import Options as SubjectOptions
from voxlate.training.loop import train

FOLDER = ROOT / "runs" / "simulated_models"
TRAIN_HEADS = {"ct_to_mr": 32, "virtual_contrast": 20}  # a head with diffusion takes twice as long
TEST_HEADS, SEED = 4, 31
HELD_OUT_SCANNER = "D"
SETS = {"ct_to_mr": ("test", f"test_{HELD_OUT_SCANNER}"), "virtual_contrast": ()}
"""Test sets of each task; those of scanners that training saw and of one that it did not."""


@dataclass(frozen=True)
class Model:
    """A model to be trained.

    Attributes:
        name: of the shipped bundle, and of the folder of its run.
        recipe: stem of its recipe file.
        variants: of the recipe.
        task: of the simulator.
        start: name of the model whose weights the training begins with.
        is_measured: whether it is more than the first stage of another.
        is_shipped: whether it is made into a pretrained model.
    """

    name: str
    recipe: str
    task: str
    variants: tuple[str, ...] = ()
    start: str | None = None
    is_measured: bool = True
    is_shipped: bool = True


MODELS = (
    Model("ct-first-stage", "ct_to_mr_simulated", "ct_to_mr", is_measured=False, is_shipped=False),
    Model("ct-to-t1", "ct_to_mr_simulated", "ct_to_mr", ("scanners",), "ct-first-stage"),
    Model("ct-to-t2", "ct_to_mr_simulated", "ct_to_mr", ("scanners", "t2"), "ct-to-t1"),
    Model("t1-t2-flair-to-t1ce", "t1_to_t1ce_simulated", "virtual_contrast", is_shipped=False),
)


def heads(task: str, part: str) -> Path:
    """Returns the folder of simulated heads: `train`, `test` or `test_D` (a scanner that training never saw)."""
    return FOLDER / "heads" / f"{task}_{part}"


def simulate_all(maps: Path, task: str) -> None:
    """Simulates the heads of a task that are not there yet; test heads only of CT, which has no real pairs."""
    rest = [path.name for path in sorted(maps.glob("*.nii.gz")) if path.name not in TEST_MAPS]
    training = label_maps(maps, FOLDER / "maps_train", (EXCLUDED, *TEST_MAPS))
    testing = label_maps(maps, FOLDER / "maps_test", (EXCLUDED, *rest))
    options = SubjectOptions(is_aligned=True, quality_mix=QUALITY, anatomies=training)
    plans = {"train": Plan(task, TRAIN_HEADS[task], SEED, "full", options=options)}
    if task == "ct_to_mr":
        tested = replace(options, anatomies=testing)
        plans["test"] = Plan(task, TEST_HEADS, SEED + 1, "full", options=tested)
        plans["test_D"] = Plan(task, TEST_HEADS, SEED + 2, "full", HELD_OUT_SCANNER, options=tested)
    for part, plan in plans.items():
        if not (heads(task, part) / TABLE).is_file():
            simulate(heads(task, part), plan)


def train_model(model: Model) -> Path:
    """Trains a model, unless that is done, and returns its bundle."""
    run = FOLDER / model.name
    if not (run / "bundle" / "manifest.json").is_file():
        recipe = read_recipe(ROOT / "recipes" / f"{model.recipe}.yaml", variants=model.variants)
        start = None if model.start is None else FOLDER / model.start / "bundle"
        train(recipe, run, root=heads(model.task, "train"), resume=True, start_from=start)
    return run / "bundle"


def test_cases(model: Model, pairs: Path) -> tuple[list[Case], Settings]:
    """Returns the test cases of a model with the settings of their evaluation."""
    if model.task == "virtual_contrast":
        cases = [
            replace(
                case,
                source=case.target,
                target=case.source,
                more={"T2w": case.source.with_name("t2.nii.gz"), "FLAIR": case.source.with_name("flair.nii.gz")},
            )
            for case in pair_cases(pairs)
        ]
        return cases, Settings(data_kind="real", enhancing_labels=ENHANCING_LABELS)
    cases = []
    for part in SETS[model.task]:
        for case in read_cases(heads(model.task, part) / "cases.tsv"):
            target = case.more["T2w"] if "t2" in model.variants else case.target
            name = f"{part}_{case.patient}"
            cases.append(replace(case, case=name, patient=name, split="test", target=target, more={}, set=part))
    return cases, Settings(data_kind="simulated")


def measure(model: Model, bundle: Path, pairs: Path) -> dict[str, Any]:
    """Translates and evaluates the test cases of a model; returns the rows of the summary."""
    run = bundle.parent
    cases, settings = test_cases(model, pairs)
    if not (run / "evaluation" / "evaluation.json").is_file():
        items = [Item(case.case, case.source, case.mask, more=dict(case.more)) for case in cases]
        options = Options(gate="flag", keep_spacing=True, research=True)
        translate_many(read_bundle(bundle), items, run / "synthetic", options=options, overwrite=True)
        evaluate_cases(cases, run / "synthetic", run / "evaluation", settings=settings, bundle=bundle)
    content = json.loads((run / "evaluation" / "evaluation.json").read_text())
    keys = ("protocol", "region", "metric", "method", "n", "mean", "median", "low", "high")
    return {
        "recipe": model.recipe,
        "variants": list(model.variants),
        "cases": [case.case for case in cases],
        "steps": json.loads((run / "history.json").read_text())["training"][-1]["step"],
        "sets": {name: brain_means(run, [case for case in cases if case.set == name]) for name in SETS[model.task]},
        "rows": [{key: row.get(key) for key in keys} for row in content["summary"] if row["intensity"] == "as_written"],
    }


def brain_means(run: Path, cases: Sequence[Case]) -> dict[str, dict[str, float]]:
    """Returns the means over cases in the brain, by method and metric."""
    found: dict[str, dict[str, list[float]]] = {}
    for case in cases:
        for method, protocol, region, metric, value in case_scores(run / "evaluation", case.case):
            if (protocol, region) == ("voxlate", "mask") and metric in ("mae", "psnr", "ssim"):
                found.setdefault(method, {}).setdefault(metric, []).append(value)
    return {method: {key: sum(v) / len(v) for key, v in values.items()} for method, values in found.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulate", action="store_true", help="simulate the heads only")
    parser.add_argument("--model", action="append", choices=[model.name for model in MODELS], help="only these models")
    chosen = parser.parse_args(arguments)
    maps, pairs = development_data("anatomies"), development_data("pairs")
    if maps is None or pairs is None:
        return
    models = [model for model in MODELS if chosen.model is None or model.name in chosen.model]
    for task in dict.fromkeys(model.task for model in models):
        simulate_all(maps, task)
    if chosen.simulate:
        return
    bundles = {model.name: train_model(model) for model in models}
    measured = {model.name: measure(model, bundles[model.name], pairs) for model in models if model.is_measured}
    if chosen.model is None:
        write_result("simulated_models", {"heads": TRAIN_HEADS, "test_maps": TEST_MAPS, "models": measured})


if __name__ == "__main__":
    main()
