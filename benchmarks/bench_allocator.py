"""Processor seconds and peak memory of five verbs, with and without `voxlate.allocator`.

    python benchmarks/bench_allocator.py

Each verb runs as a program of its own on one thread, alternately with glibc's defaults (one of its variables is set, to
its default, which leaves it in charge) and with voxlate's settings. The data are a simulated head of 1 mm and, for
training, simulated heads of 2 mm. Ten minutes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

from command_cost import command_cost
from machine import write_result

from voxlate.bundle.recipe import parse_recipe, recipe_text
from voxlate.demo.patients import write_patients
from voxlate.errors import ITEMS_REFUSED_STATUS

ROUNDS = 2
DEFAULTS = {"MALLOC_TOP_PAD_": "131072"}
"""The default of glibc in bytes."""

STEPS = 30


def run(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Runs a verb and returns what it cost, see `command_cost`."""
    words = [sys.executable, "-m", "voxlate", *command]
    return command_cost(words, may_be=(0, ITEMS_REFUSED_STATUS), environment=environment).row()


def verbs(folder: Path) -> dict[str, list[str]]:
    """Returns the command of each verb; `OUT` stands for a new path in each run. Their inputs are made in `folder`."""
    heads, prepared, synthetic = folder / "heads", folder / "prepared", folder / "synthetic"
    run(["simulate", str(heads), "--subjects", "1", "--size", "full", "--aligned", "--no-progress"], {})
    run(["prepare", str(heads / "cases.tsv"), str(prepared), "--no-template", "--no-progress"], {})
    table = str(prepared / "cases.tsv")
    run(["translate", table, str(synthetic), "-m", "t1ce-to-t1", "--ood", "flag"], {})
    list(write_patients(folder / "training", splits=("train",) * 3 + ("validation",)))
    text = resources.files("voxlate.demo").joinpath("recipe.yaml").read_text(encoding="utf-8")
    change = {"training.steps": STEPS, "training.window": [64, 64, 64]}
    (folder / "recipe.yaml").write_text(recipe_text(parse_recipe(text, name="recipe.yaml", overrides=change)))
    return {
        "simulate": ["simulate", "OUT", "--subjects", "1", "--size", "full", "--aligned", "--no-progress"],
        "prepare": ["prepare", str(heads / "cases.tsv"), "OUT", "--no-template", "--no-progress"],
        "train": ["train", str(folder / "recipe.yaml"), "OUT", "--data", str(folder / "training"), "--no-progress"],
        "translate": ["translate", table, "OUT", "-m", "t1ce-to-t1", "--ood", "flag"],
        "evaluate": ["evaluate", table, "OUT", "--synthetic", str(synthetic), "--no-progress"],
    }


def main() -> None:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for verb, command in verbs(folder).items():
            rows: dict[str, list[dict[str, float]]] = {"default": [], "voxlate": []}
            for number in range(ROUNDS):
                for kind, environment in {"default": DEFAULTS, "voxlate": {}}.items():
                    out = str(folder / f"{verb}-{kind}-{number}")
                    rows[kind].append(run([word.replace("OUT", out) for word in command], environment))
            best = {kind: min(own, key=lambda row: row["processor_s"]) for kind, own in rows.items()}
            ratio = best["default"]["processor_s"] / best["voxlate"]["processor_s"]
            found[verb] = best | {"times_as_fast": round(ratio, 2)}
    write_result(
        "allocator",
        {"rounds": ROUNDS, "training_steps": STEPS, "load_at_start": round(os.getloadavg()[0], 1), "verbs": found},
    )


if __name__ == "__main__":
    main()
