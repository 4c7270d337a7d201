"""Every system of the papers and voxlate's own on the same budget of processor time, beside honest baselines.

    python benchmarks/bench_systems.py [--minutes 6] [--only NAME ...]

Three tasks: T1ce to T1 and T1 + T2 to T1ce on the real pairs of the development data (patients split as in
recipes/t1ce_to_t1.yaml), CT to T1 on simulated heads. A system is its shipped recipe; what is changed so that it fits
two cores (the width, a smaller batch, the place of the data) is written down. Each may spend so many minutes of one
core on its steps; how many steps that is, is measured beforehand, so that every schedule runs to its end. Nothing is
chosen on the test cases: the weights are those of the last step, or as the recipe chooses by its training loss.

Results of systems are kept below runs/systems and put together at the end, so that two calls can share the work.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from bench_real_pairs import means
from machine import write_result

from voxlate.bundle.bundle import read_bundle
from voxlate.bundle.recipe import Recipe, read_recipe
from voxlate.cases import read_cases
from voxlate.evaluation.run import evaluate_cases
from voxlate.evaluation.settings import Settings
from voxlate.inference.batch import translate_many
from voxlate.inference.item import Item
from voxlate.io.atomic import write_json
from voxlate.simulation.files.dataset import Plan, write_dataset
from voxlate.training.loop import train, train_cases

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "runs" / "systems"
PAIRS = read_recipe(ROOT / "recipes" / "t1ce_to_t1.yaml").data
HEADS = 15
TRIAL_STEPS = 3
SLICE = {"window": (96, 128, 8), "overlap": 0.0}


@dataclass(frozen=True)
class System:
    """One row: a shipped recipe, and what is changed in it."""

    task: str
    name: str
    recipe: str
    variant: str | None = None
    change: dict[str, Any] = field(default_factory=dict)


def t1ce_to_t1() -> list[System]:
    task, published = "T1ce to T1, real", "bottani2024/faithful.yaml"
    stripped = {"preparation": {"brain_mask": "nonzero"}, "training": {"batch": 1}}

    def narrow(name: str, width: int, **more: Any) -> dict[str, Any]:
        return stripped | {"model": {"name": name, "arguments": {"width": width, **more}}}

    default = {"preparation": {"brain_mask": "nonzero"}, "training": {"warmup": 20, "average": 0.99}}
    window = {"window": (64, 64, 64)}
    att = {"model": {"arguments": {"width": 8}}, "inference": window}
    return [
        System(task, "Res-U-Net, faithful", published, "res_unet", narrow("res_unet", 8)),
        System(task, "Att-U-Net, faithful", published, None, narrow("att_unet", 4)),
        System(
            task,
            "Trans-U-Net, faithful",
            published,
            "trans_unet",
            narrow("trans_unet", 8, position="fixed", unreached_parts=True),
        ),
        System(task, "GAN of Att-U-Net, faithful", published, "cgan_att_unet", narrow("att_unet", 4)),
        System(
            task, "Att-U-Net, repaired", "bottani2024/default.yaml", None, merge(default, {**att, "training": window})
        ),
        System(task, "voxlate", "t1ce_to_t1.yaml", None, {"training": {"warmup": 20, "average": 0.99}}),
    ]


def t1_t2_to_t1ce() -> list[System]:
    task = "T1 + T2 to T1ce, real"
    common = {"preparation": {"brain_mask": "nonzero"}, "more_sources": ["T2w"]}
    short = {"training": {"warmup": 20, "average": 0.99}}
    coded = {"last_fusion": "as_coded", "final_norm": True, "final_activation": "relu", "width": 8}
    slabs = {"inference": {"window": (160, 192, 9)}, "model": {"arguments": {"normalisation": "instance", "width": 8}}}
    unet = {
        "model": {
            "arguments": {"dimensions": 2, "convolutions": 4, "normalisation": "none", "dropout": 0.5, "width": 16}
        }
    }
    own = {"model": {"arguments": {"width": 24}}, "training": {"window": (64, 64, 64), "batch": 2}}
    own |= {"augmentation": {"contrast": 0.5, "source_contrast": 0.1, "drop_source": 0.1}}
    chen = "chen2022"
    return [
        System(
            task,
            "HR-FCN, faithful",
            f"{chen}/faithful.yaml",
            None,
            merge(common, {"model": {"arguments": coded}, "training": {"batch": 1}}),
        ),
        System(task, "U-Net in slices, faithful", f"{chen}/faithful.yaml", "unet_slices", merge(common, unet)),
        System(task, "HR-FCN, repaired", f"{chen}/default.yaml", None, merge(merge(common, short), slabs)),
        System(task, "voxlate", f"{chen}/default.yaml", "translator", merge(merge(common, short), own)),
    ]


def ct_to_t1() -> list[System]:
    task = "CT to T1, simulated"
    small = {"training": {"batch": 4, "window": (96, 128, 1)}, "inference": SLICE}
    short = {"training": {"warmup": 20, "average": 0.99}}
    narrow = {"model": {"arguments": {"depth": 50, "width": 16}}}
    published = {"model": {"arguments": {"depth": 101, "imagenet_input": True, "width": 16}}}
    square = {"training": {"batch": 4, "window": (128, 128, 1)}, "inference": {"window": (128, 128, 8)}}
    judge = {"adversarial": {"discriminator": {"arguments": {"form": "patchgan_70", "width": 16, "dimensions": 2}}}}
    gan = merge(small, {**judge, "target": "T1w", "preparation": {"range_hu": (-20, 100)}})
    published_gan = {"model": {"arguments": {"width": 16}}, "training": {"batch": 1, "window": (96, 128, 1)}}
    seven = {"form": "seven_layers", "width": 16, "dimensions": 2}
    published_gan |= {"adversarial": {"discriminator": {"arguments": seven}}, "inference": SLICE, "target": "T1w"}
    published_gan |= {"preparation": {"range_hu": (-20, 100)}}
    resnet = {"model": {"arguments": {"upsampling": "nearest", "final_activation": "none", "width": 16}}}
    own = {"model": {"arguments": {"width": 24}}, "training": {"window": (48, 48, 48), **short["training"]}}
    return [
        System(task, "DRUNet-101, contextual loss, faithful", "li2022/faithful.yaml", None, merge(published, square)),
        System(task, "DRUNet-101, MSE, faithful", "li2022/faithful.yaml", "mse", merge(published, square)),
        System(task, "pix2pix, faithful", "lee2020/faithful.yaml", None, published_gan),
        System(task, "DRUNet-50, repaired", "li2022/default.yaml", None, merge(merge(small, short), narrow)),
        System(task, "pix2pix, repaired", "lee2020/default.yaml", None, merge(merge(gan, short), resnet)),
        System(task, "voxlate", "li2022/default.yaml", "translator", own),
    ]


def merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        is_part = isinstance(value, dict) and isinstance(merged.get(key), dict) and key not in ("loss", "arguments")
        merged[key] = merge(merged[key], value) if is_part else value
    return merged


def resolved(system: System) -> Recipe:
    """Returns the recipe with its changes and its data."""
    recipe = read_recipe(ROOT / "recipes" / system.recipe, variants=(system.variant,) if system.variant else ())
    content = merge(recipe.model_dump(), system.change)
    if "real" in system.task:
        source, target = ("t1ce", "t1") if system.task.startswith("T1ce") else ("t1", "t1ce")
        content["data"] = PAIRS.model_dump() | {
            "source": f"{{case}}/{source}.nii.gz",
            "target": f"{{case}}/{target}.nii.gz",
            "more": {"T2w": "{case}/t2.nii.gz"} if content["more_sources"] else {},
        }
    else:
        content["data"] = {"root": str(simulated_heads()), "cases": "cases.tsv"}
    content["training"] |= {"patience": None}
    if content["training"]["keep"] == "best":
        content["training"]["keep"] = "last"
    return Recipe.model_validate(content)


def simulated_heads() -> Path:
    folder = RUNS / "heads"
    if not (folder / "cases.tsv").exists():
        for _ in write_dataset(folder, Plan("ct_to_mr", HEADS, seed=7)):
            pass
    return folder


def with_steps(recipe: Recipe, steps: list[int]) -> Recipe:
    stages = [stage.model_copy(update={"steps": n}) for stage, n in zip(recipe.plan, steps, strict=True)]
    training = recipe.training.model_copy(update={"steps": None, "validate_every": 10**9, "warmup": min(20, *steps)})
    if recipe.training.keep == "training_loss":
        training = training.model_copy(update={"validate_every": max(1, sum(steps) // 20)})
    return recipe.model_copy(update={"stages": tuple(stages), "training": training})


def seconds_per_step(recipe: Recipe, folder: Path) -> list[float]:
    """Returns the processor time of one step of each stage, the least of a few."""
    trial = with_steps(recipe, [TRIAL_STEPS] * len(recipe.plan))
    trial = trial.model_copy(update={"training": trial.training.model_copy(update={"validate_every": 10**9})})
    marks: list[float] = []
    case = next(case for case in recipe.cases() if case.split == "train")
    train_cases(trial, [case], folder, watch=lambda *_: marks.append(time.process_time()))
    apart = [after - before for before, after in pairwise(marks)]
    return [min(apart[n * TRIAL_STEPS : n * TRIAL_STEPS + TRIAL_STEPS - 1]) for n in range(len(recipe.plan))]


def kept_result(system: System) -> Path:
    name = "".join(c if c.isalnum() else "_" for c in f"{system.task}_{system.name}").lower()
    return RUNS / f"{name}.json"


def measured(system: System, minutes: float) -> dict[str, Any]:
    kept = kept_result(system)
    name = kept.stem
    folder = RUNS / name
    if kept.exists():
        return json.loads(kept.read_text())
    recipe = resolved(system)
    each = seconds_per_step(recipe, RUNS / "trials" / name)
    shares = [stage.steps / recipe.steps for stage in recipe.plan]
    total = 60 * minutes / sum(share * seconds for share, seconds in zip(shares, each, strict=True))
    steps = [max(1, round(share * total)) for share in shares]
    spent = [time.process_time()]
    planned = with_steps(recipe, steps)
    bundle = train(planned, folder, watch=lambda *_: spent.append(time.process_time()))
    tested = [case for case in read_cases(folder / "cases.tsv") if case.split == "test"]
    items = [Item(case.case, case.source, case.mask, case.more) for case in tested]
    translate_many(read_bundle(bundle), items, folder / "synthetic")
    kind = "real" if "real" in system.task else "simulated"
    settings = Settings(data_kind=kind)
    evaluate_cases(tested, folder / "synthetic", folder / "evaluation", settings=settings, bundle=bundle)
    content = json.loads((folder / "evaluation" / "evaluation.json").read_text())
    result = {
        "task": system.task,
        "system": system.name,
        "recipe": system.recipe,
        "variant": system.variant,
        "changed": system.change,
        "parameters": sum(x.numel() for x in read_bundle(bundle).network.parameters()),
        "steps": steps,
        "core_minutes": round((spent[-1] - spent[1]) / 60, 1),
        "definition": content["protocols"][0]["definition"],
        "test_cases": len(tested),
        "mean": means(content),
        "not_measured": content["missing"] + content["refused"],
    }
    write_json(kept, result)
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=6.0, help="of one core, for each system")
    parser.add_argument("--only", nargs="*", help="tasks, by how they begin")
    parser.add_argument("--kept", action="store_true", help="train nothing, put together what is there")
    parser.add_argument("--no-result", action="store_true", help="leave the putting together to another call")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    systems = [*ct_to_t1(), *t1ce_to_t1(), *t1_t2_to_t1ce()]
    if not Path(PAIRS.root).exists():
        print(f"the development data are not at {PAIRS.root}; only simulated heads are measured")
        systems = ct_to_t1()
    if chosen.only:
        systems = [system for system in systems if system.task.startswith(tuple(chosen.only))]
    rows = []
    for system in systems:
        if chosen.kept and not kept_result(system).exists():
            print(f"{system.task}, {system.name}: not there")
            continue
        rows.append(measured(system, chosen.minutes))
        print(system.task, system.name, rows[-1]["steps"], rows[-1]["mean"]["as_written"]["synthetic"], flush=True)
    if not chosen.no_result:
        write_result("systems", {"minutes_of_one_core": chosen.minutes, "systems": rows})


if __name__ == "__main__":
    main()
