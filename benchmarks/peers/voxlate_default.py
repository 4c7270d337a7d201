"""voxlate's default for the task: a shipped recipe with as many steps as the budget allows.

The number of steps is fixed before training, because the learning rate follows it. A short training therefore measures
the time of a step first; its seconds count.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import nibabel
from common import Job, read_job, write_answer, write_record

from voxlate.bundle.bundle import Bundle, read_bundle
from voxlate.bundle.pretrained import find_bundle
from voxlate.bundle.recipe import Recipe, read_recipe
from voxlate.cases import Case, write_cases
from voxlate.inference.files import translate_file
from voxlate.inference.item import Item
from voxlate.inference.translate import Options
from voxlate.shipped import find_shipped
from voxlate.training.loop import Machine, train

TRIAL, SLOW = 24, 4
"""Steps of the trial, and those at its start that are left out of the time of a step."""


def with_steps(recipe: Recipe, steps: int) -> Recipe:
    """Returns the recipe with another number of steps and no validation before the last, as the peers have none."""
    training = recipe.training.model_copy(update={"steps": steps, "validate_every": steps})
    return recipe.model_copy(update={"training": training})


def changed(recipe: Recipe, change: dict) -> Recipe:
    """Returns the recipe with other values for some keys; only tables of training and inference are joined."""
    merged = recipe.model_dump(mode="json")
    for key, value in change.items():
        merged[key] = merged[key] | value if key in ("training", "inference") else value
    return Recipe.model_validate(merged)


def more_sources(case: dict, names: list[str]) -> dict[str, Path]:
    return dict(zip(names, map(Path, case["sources"][1:]), strict=True))


def write_table(job: Job, folder: Path, names: list[str]) -> None:
    """Writes the table of the training cases."""
    rows = []
    for case in job.train:
        name, source, target = case["name"], Path(case["sources"][0]), Path(case["target"])
        rows.append(Case(name, name, "train", source, target, mask=Path(case["mask"]), more=more_sources(case, names)))
    write_cases(folder / "cases.tsv", rows)


def timed_training(recipe: Recipe, folder: Path, run: str, start_from: Path | None) -> list[float]:
    """Trains and returns the processor time after each step, in seconds."""
    ends: list[float] = []
    machine = Machine(prepared=folder / "arrays")
    train(
        recipe,
        folder / run,
        root=folder,
        start_from=start_from,
        machine=machine,
        watch=lambda *_: ends.append(time.process_time()),
    )
    return ends


def answer(job: Job, bundle: Bundle, folder: Path, names: list[str]) -> None:
    """Translates the test cases and writes the answers."""
    options = Options(gate="off", keep_spacing=True)
    for case in job.test:
        item = Item(case["name"], Path(case["sources"][0]), Path(case["mask"]), more_sources(case, names))
        path = folder / "synthetic" / f"{case['name']}.nii.gz"
        path.parent.mkdir(exist_ok=True, parents=True)
        synthesis = translate_file(bundle, item, path, options=options, overwrite=True)
        write_answer(job, case, nibabel.load(path).get_fdata() / synthesis.reference_level)


def main() -> None:
    job, content = read_job(), json.loads(Path(sys.argv[1]).read_text())
    folder, names = job.out / "work", content["more"]
    start_from = None if content["start_from"] is None else find_bundle(content["start_from"])
    write_table(job, folder, names)
    path, variants = find_shipped("recipes", Path(content["recipe"]), what="recipe"), content["variants"]
    overrides = {"simulated.heads": content["heads"]} if variants else None
    recipe = changed(read_recipe(path, variants=variants, overrides=overrides), content["change"])
    ends = timed_training(with_steps(recipe, TRIAL), folder, "trial", start_from)
    of_step = (ends[-1] - ends[SLOW - 1]) / (TRIAL - SLOW)
    of_trial = ends[-1] - ends[0] + of_step
    steps = max(int((job.seconds - of_trial) / of_step), 1)
    ends = timed_training(with_steps(recipe, steps), folder, "run", start_from)
    used = of_trial + ends[-1] - ends[0] + of_step
    bundle = read_bundle(folder / "run" / "bundle")
    answer(job, bundle, folder, names)
    parameters = sum(parameter.numel() for parameter in bundle.network.parameters())
    about = {name: content[name] for name in ("recipe", "variants", "start_from")}
    write_record(job, used, steps, parameters, **about)


if __name__ == "__main__":
    main()
