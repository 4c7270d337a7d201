"""Windows drawn from tissue maps beside windows cut from simulated heads: what they cost, and what they bring.

    python benchmarks/bench_simulated_training.py
    python benchmarks/bench_simulated_models.py
    python benchmarks/bench_drawn_windows.py

The first two commands train the models that this one compares with. It builds 64 tissue maps (10 minutes on one core)
and trains the second stage of `t1ce-to-t1-simulated` and the last of `ct-to-t1` anew, from the same weights with as
many steps (25 and 20 minutes), with the variant `drawn` of their recipes: half of the windows for T1 after contrast
agent, all of them for CT, whose drawn windows also vary more in contrast, noise and offset. T1 after contrast agent is
measured on the nine real pairs, CT on simulated heads of label maps that no training saw. Each stage is skipped when
its files exist. Without the development data it says so and ends.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import bench_simulated_models as models
import bench_simulated_training as contrast
import torch
from machine import ROOT, development_data, write_result
from simulated_heads import N_TISSUE_MAPS, write_maps

from voxlate.bundle.recipe import Recipe, read_recipe
from voxlate.training.data.cohort import prepare_training
from voxlate.training.data.windows import draw_batch
from voxlate.training.loop import train, train_cases
from voxlate.training.simulated.windows import SimulatedWindows

FOLDER = ROOT / "runs" / "drawn_windows"
DRAWS, STEPS = 40, 12
"""Batches that are drawn to time one, and steps of the timed trainings; chosen by hand."""


def drawn_contrast() -> Path:
    """Trains the second stage of `t1ce-to-t1-simulated` on drawn windows and returns its run."""
    run = FOLDER / "t1ce-to-t1"
    if not (run / "bundle" / "manifest.json").is_file():
        start = contrast.STAGES[0].run / "bundle"
        recipe = read_recipe(ROOT / "recipes" / "t1ce_to_t1_slices.yaml", variants=["drawn"])
        train(recipe, run, root=contrast.HEADS_FOLDER, resume=True, start_from=start)
    return run


def drawn_ct() -> models.Model:
    """Trains the last stage of `ct-to-t1` on drawn windows and returns it."""
    fixed = next(model for model in models.MODELS if model.name == "ct-to-t1")
    model = replace(fixed, variants=(*fixed.variants, "drawn"))
    run = FOLDER / model.name
    if not (run / "bundle" / "manifest.json").is_file():
        recipe = read_recipe(ROOT / "recipes" / f"{model.recipe}.yaml", variants=model.variants)
        start = models.FOLDER / str(model.start) / "bundle"
        train(recipe, run, root=models.heads(model.task, "train"), resume=True, start_from=start)
    return model


class Marks:
    """Processor seconds at the end of each step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, *_: object) -> None:
        self.times.append(time.process_time())

    @property
    def seconds(self) -> float:
        """Returns the seconds of a step: those of the middle ones, since the last one validates."""
        return (self.times[-2] - self.times[1]) / (len(self.times) - 3)


def cost(recipe: Recipe, root: Path) -> dict[str, float]:
    """Returns processor seconds of one batch of windows and of one step, with windows of both origins in turn.

    Args:
        recipe: with `simulated`.
        root: the data folder.
    """
    torch.set_num_threads(1)
    plain = recipe.model_copy(update={"simulated": None})
    few = [case for case in recipe.cases(root) if case.split == "train"][:4]
    seconds: dict[str, list[float]] = {"cut": [], "drawn": []}
    steps: dict[str, float] = {}
    with TemporaryDirectory() as name:
        windows = SimulatedWindows.of(recipe, root)
        cohort = prepare_training(few, Path(name) / "prepared", plain)
        for number in range(DRAWS):
            for kind, simulated in (("cut", None), ("drawn", windows)):
                begin = time.process_time()
                draw_batch(cohort.train, recipe, number, simulated=simulated)
                seconds[kind].append(time.process_time() - begin)
        for kind, each in (("cut", plain), ("drawn", recipe)):
            short = each.model_copy(
                update={"training": each.training.model_copy(update={"steps": STEPS, "validate_every": STEPS})}
            )
            marks = Marks()
            train_cases(short, few, Path(name) / kind, root=root, watch=marks)
            steps[kind] = marks.seconds
    return {f"draw_{kind}": median(each[2:]) for kind, each in seconds.items()} | {
        f"step_{kind}": each for kind, each in steps.items()
    }


def main() -> None:
    maps, pairs = development_data("anatomies"), development_data("pairs")
    if maps is None or pairs is None:
        return
    write_maps(maps)
    recipe = read_recipe(ROOT / "recipes" / "t1ce_to_t1_slices.yaml", variants=["drawn"])
    content: dict[str, Any] = {"heads": N_TISSUE_MAPS, "cost": cost(recipe, contrast.HEADS_FOLDER)}
    runs = {"cut": contrast.STAGES[1].run, "drawn": drawn_contrast()}
    content["t1ce_to_t1"] = {kind: contrast.measure(run, pairs) for kind, run in runs.items()}
    fixed = next(model for model in models.MODELS if model.name == "ct-to-t1")
    content["ct_to_t1"] = {
        "cut": models.measure(fixed, models.FOLDER / fixed.name / "bundle", pairs)["sets"],
        "drawn": models.measure(drawn_ct(), FOLDER / fixed.name / "bundle", pairs)["sets"],
    }
    steps = {kind: json.loads((run / "history.json").read_text())["training"][-1]["step"] for kind, run in runs.items()}
    write_result("drawn_windows", content | {"steps": steps})


if __name__ == "__main__":
    main()
