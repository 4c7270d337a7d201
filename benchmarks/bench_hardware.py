"""Counts what the shipped recipes need: operations and memory of a step and of a volume, without running either.

    python benchmarks/bench_hardware.py

Networks are built on torch's meta device, where tensors have sizes and no content. Multiply-adds are those of
convolutions and matrix products, forward and backward, counted by torch. `benchmarks/tables.py` turns them into times
on GPUs by the rates that their maker states; nothing of that is measured.
"""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any

import torch
from machine import ROOT, write_result
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from voxlate.bundle.memory import PROGRAM_BYTES, PeakCounter
from voxlate.bundle.networks import discriminator_of, generator_of
from voxlate.bundle.recipe import Recipe, read_recipe
from voxlate.training.memory import estimate_training
from voxlate.windows import window_starts

RECIPES: dict[str, tuple[str, ...]] = {
    "t1ce_to_t1.yaml": ("",),
    "bottani2024/default.yaml": ("", "res_unet", "trans_unet", "translator", "cgan_att_unet"),
    "chen2022/default.yaml": ("", "translator"),
    "lee2020/default.yaml": ("", "translator"),
    "li2022/default.yaml": ("", "translator"),
    "bottani2024/faithful.yaml": ("", "res_unet"),
    "chen2022/faithful.yaml": ("",),
    "lee2020/faithful.yaml": ("",),
    "li2022/faithful.yaml": ("",),
}
"""Recipes and their variants; an empty name is the recipe itself."""

BOX = (136, 181, 139)
"""Voxels of the bounding box of a brain of 1 mm, that of `bench_runtime.py`."""

JUDGED_TIMES = 3
"""Passes of a discriminator in a step: real and synthetic image, and once more for the loss of the generator."""


def main() -> None:
    rows = [counted(file, variant) for file, variants in RECIPES.items() for variant in variants]
    for row in rows:
        print(row, flush=True)
    write_result(
        "hardware", {"box": BOX, "program_gib": PROGRAM_BYTES / 2**30, "recipes": rows, "measured": networks()}
    )


def counted(file: str, variant: str) -> dict[str, Any]:
    recipe = read_recipe(ROOT / "recipes" / Path(file), variants=[variant] if variant else [])
    need = estimate_training(recipe)
    with torch.device("meta"):
        generator = generator_of(recipe)
        judge = discriminator_of(recipe) if recipe.adversarial is not None else None
    channels, setting = 1 + len(recipe.more_sources), recipe.training
    size = (setting.batch, channels, *setting.window)
    step = setting.accumulate * gmac(generator, size, backward=True)
    if judge is not None and recipe.adversarial is not None:
        seen = (setting.batch, (channels if recipe.adversarial.conditional else 0) + 1, *setting.window)
        step += JUDGED_TIMES * setting.accumulate * gmac(judge, seen, backward=True)
    volume, memory = of_a_volume(recipe, generator, channels)
    assert need.step_bytes is not None
    return {
        "recipe": file,
        "variant": variant,
        "network": recipe.model.name,
        "window": list(setting.window),
        "batch": setting.batch,
        "precision": setting.precision,
        "steps": recipe.steps,
        "parameters": need.parameters["generator"],
        "training_gib": (need.state_bytes + need.step_bytes) / 2**30,
        "gmac_of_a_step": step,
        "gmac_of_a_volume": volume,
        "volume_gib": memory / 2**30,
    }


def of_a_volume(recipe: Recipe, generator: nn.Module, channels: int) -> tuple[float, int]:
    """Returns the multiply-adds (1e9) of one brain and the bytes of the largest pass: whole, or in windows."""
    window = recipe.inference.window
    size = BOX if window is None else tuple(window)
    passes = 1
    if window is not None:
        for voxels, side in zip(BOX, window, strict=True):
            passes *= len(window_starts(max(voxels, side), side, recipe.inference.overlap))
    padded = (1, channels, *(multiple(side, recipe) for side in size))
    with torch.no_grad(), PeakCounter() as counter:
        generator(torch.empty(padded, device="meta"))
    weights = 4 * sum(parameter.numel() for parameter in generator.parameters())
    return passes * gmac(generator, padded, backward=False), int(counter.peak) + weights


def multiple(side: int, recipe: Recipe) -> int:
    """Returns the size to which `voxlate translate` pads, for networks without windows of their own."""
    return side if recipe.inference.window is not None else 32 * ceil(side / 32)


def gmac(network: nn.Module, size: tuple[int, ...], *, backward: bool) -> float:
    """Returns 1e9 multiply-adds of a pass; with `backward` also those of the gradients."""
    image = torch.empty(size, device="meta", requires_grad=False)
    counter = FlopCounterMode(display=False)
    with counter, torch.set_grad_enabled(backward):
        answer = network(image)
        if backward:
            answer.sum().backward()
    return counter.get_total_flops() / 2 / 1e9


def networks() -> dict[str, float]:
    """Returns 1e9 multiply-adds of the step that `bench_networks.py` timed, by its name there."""
    from bench_networks import CASES

    from voxlate.models import DISCRIMINATORS, build
    from voxlate.models.slicewise import Slicewise

    found = {}
    for name, (model, arguments, window, batch) in CASES.items():
        with torch.device("meta"):
            network = build(model, **arguments)
        channels = arguments.get("in_channels", 2 if model in DISCRIMINATORS else 1)
        network = Slicewise(network) if window[2] == 1 else network
        found[name] = gmac(network, (batch, channels, *window), backward=True)
    return found


if __name__ == "__main__":
    main()
