"""A model that saw simulated heads alone, measured on nine real pairs ("zero-shot").

    python benchmarks/bench_simulated_training.py

Simulates 44 heads from the label maps of the development data (20 minutes on one core), trains
`recipes/t1ce_to_t1_simulated.yaml` on them (40 minutes), then `recipes/t1ce_to_t1_slices.yaml` (25 minutes), and this
again with its variant `drawn` for 6,000 steps (30 to 60 minutes, and 10 for the tissue maps), translates all real pairs
with the result and evaluates them. Each stage is skipped when its files exist, so that the command continues after an
interruption. Without the development data it says so and ends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machine import ENHANCING_LABELS, ROOT, development_data, pair_cases, write_result
from simulated_heads import N_TISSUE_MAPS, QUALITY, TABLE, label_maps, simulate, write_maps

from voxlate.bundle.bundle import read_bundle
from voxlate.bundle.recipe import read_recipe
from voxlate.evaluation.enhancement import PROTOCOL
from voxlate.evaluation.run import evaluate_cases
from voxlate.evaluation.settings import Settings
from voxlate.inference.batch import translate_many
from voxlate.inference.item import Item
from voxlate.inference.translate import Options
from voxlate.simulation.files.dataset import Plan
from voxlate.simulation.subject import Options as SubjectOptions
from voxlate.training.loop import train

HEADS, SEED = 44, 21
HEADS_FOLDER = ROOT / "runs" / "heads"


@dataclass(frozen=True)
class Stage:
    """A stage of the training; it begins with the weights of the one before it.

    Attributes:
        recipe: stem of its recipe file.
        run: folder of the training.
        variants, changes: of the recipe.
    """

    recipe: str
    run: Path
    variants: tuple[str, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)


STAGES = (
    Stage("t1ce_to_t1_simulated", ROOT / "runs" / "simulated_training"),
    Stage("t1ce_to_t1_slices", ROOT / "runs" / "slices"),
    Stage(
        "t1ce_to_t1_slices",
        ROOT / "runs" / "drawn_stage",
        ("drawn",),
        {"training.steps": 6000, "training.validate_every": 1500},
    ),
)
RUN = STAGES[-1].run


def measure(run: Path, pairs: Path) -> dict[str, Any]:
    """Translates and evaluates all real pairs; returns the rows of the enhancement measure and of the brain.

    Args:
        run: folder of the training.
        pairs: folder of the real pairs.
    """
    cases = pair_cases(pairs)
    items = [Item(case.case, case.source) for case in cases]
    options = Options(gate="flag", keep_spacing=True)
    outcomes = translate_many(read_bundle(run / "bundle"), items, run / "synthetic", options=options, overwrite=True)
    settings = Settings(data_kind="real", enhancing_labels=ENHANCING_LABELS)
    evaluate_cases(cases, run / "synthetic", run / "evaluation", settings=settings, bundle=run / "bundle")
    content = json.loads((run / "evaluation" / "evaluation.json").read_text())
    keys = ("region", "metric", "method", "n", "mean", "median", "low", "high")
    brain = ("voxlate", "as_written", "mask")
    return {
        "cases": [case.case for case in cases],
        "states": {outcome.case: outcome.text + (f" {outcome.flag}" if outcome.flag else "") for outcome in outcomes},
        "enhancement": [{key: row[key] for key in keys} for row in content["summary"] if row["protocol"] == PROTOCOL],
        "brain": [
            {key: row[key] for key in keys}
            for row in content["summary"]
            if (row["protocol"], row["intensity"], row["region"]) == brain and row["metric"] in ("mae", "psnr", "ssim")
        ],
    }


def main() -> None:
    maps, pairs = development_data("anatomies"), development_data("pairs")
    if maps is None or pairs is None:
        return
    start, steps, validation = None, 0, []
    for stage in STAGES:
        run = stage.run
        if not (run / "bundle" / "manifest.json").is_file():
            if not (HEADS_FOLDER / TABLE).is_file():
                options = SubjectOptions(
                    is_same_acquisition=True,
                    quality_mix=QUALITY,
                    anatomies=label_maps(maps, HEADS_FOLDER.with_name("maps")),
                )
                simulate(HEADS_FOLDER, Plan("t1ce_t1", HEADS, SEED, "full", options=options))
            if stage.variants:
                write_maps(maps)
            recipe = read_recipe(
                ROOT / "recipes" / f"{stage.recipe}.yaml", variants=stage.variants, overrides=stage.changes
            )
            train(recipe, run, root=HEADS_FOLDER, resume=True, start_from=start)
        start = run / "bundle"
        history = json.loads((run / "history.json").read_text())
        steps += history["training"][-1]["step"]
        validation.append(history["validation"])
    result = {"heads": HEADS, "tissue_maps": N_TISSUE_MAPS, "maps": 19, "steps": steps, "validation": validation}
    write_result("simulated_training", result | measure(RUN, pairs))


if __name__ == "__main__":
    main()
