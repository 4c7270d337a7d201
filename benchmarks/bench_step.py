"""What one training step of the default translator costs a processor, by part, beside the same step in plain torch.

    python benchmarks/bench_step.py

One thread, in processor seconds (`time.process_time`), which other processes disturb less than those of a clock. Both
steps draw the same windows of real pairs, or of simulated heads where there are none, and take turns; the figures are
medians. The plain step is written below: `torch.nn` modules in their usual memory format, a loss that autograd
differentiates, an AdamW that is not fused, and an augmentation in whole-volume numpy expressions.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import numpy as np
import torch
from lightning_fabric import Fabric
from machine import ROOT, development_data, write_result
from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.bundle.networks import generator_of
from voxlate.bundle.prepared_case import PreparedCase, prepare_case
from voxlate.bundle.recipe import Recipe, read_recipe
from voxlate.bundle.settings import AugmentationSettings
from voxlate.demo.patients import write_patients
from voxlate.losses.gradient import gradient
from voxlate.losses.l1 import l1
from voxlate.models.parts.blocks import ScaledResidual
from voxlate.training.data import augment as augmentation
from voxlate.training.data import windows
from voxlate.training.state import SupervisedState, new_state
from voxlate.training.steps import Step
from voxlate.training.validation import ema_of, update_ema

ROUNDS, WARM_UP = 8, 2
"""Steps of each kind, and how many at the start are not counted; chosen by hand."""

PARTS = ("draw", "forward", "loss", "backward", "update", "average")
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def plain_augment(pair: augmentation.Pair, settings: AugmentationSettings, random: np.random.Generator) -> Any:
    """The augmentation as a person would write it first; the same random numbers give the same windows."""

    def power(image: Any, exponent: Any) -> Any:
        return np.sign(image) * np.abs(image) ** np.float32(exponent)

    source, target, kind = pair.source, pair.target, random.random()
    if kind < settings.unenhanced:
        source = target
    elif kind < settings.unenhanced + settings.graft:
        source = target + random.uniform(0.5, 1.5) * augmentation.enhancement(pair)
    is_mirrored = random.random() < settings.flip
    source, target, weight = (x[::-1].copy() if is_mirrored else x for x in (source, target, pair.weight))
    exponent = np.exp(random.uniform(-1, 1) * np.log1p(settings.contrast))
    source, target = power(source, exponent), power(target, exponent)
    source = power(source, np.exp(random.uniform(-1, 1) * np.log1p(settings.source_contrast)))
    plane = np.zeros(source.shape, dtype=np.float32)
    for axis, size in enumerate(source.shape):
        ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32)
        ramp *= np.float32(random.uniform(-settings.bias, settings.bias))
        plane += ramp.reshape([-1 if other == axis else 1 for other in range(3)])
    bias = np.exp(plane) * np.exp(random.normal(0, settings.gain))
    noise = random.uniform(0, settings.noise) * random.standard_normal(source.shape, dtype=np.float32)
    gained = source * bias * np.exp(random.normal(0, settings.gain))
    source = np.where(source != 0, gained + noise, 0).astype(np.float32)
    return replace(pair, source=source, target=(target * bias).astype(np.float32), weight=weight)


def plain_gradient(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The gradient difference loss, differentiated by autograd."""
    total, count = synthetic.new_zeros(()), synthetic.new_zeros(())
    for axis in (2, 3, 4):
        size = mask.shape[axis] - 1
        weight = torch.minimum(mask.narrow(axis, 1, size), mask.narrow(axis, 0, size))
        difference = (torch.diff(synthetic, dim=axis) - torch.diff(target, dim=axis)).abs()
        total, count = total + (difference * weight).sum(), count + weight.sum()
    return total / count.clamp(min=1)


def plain_residual(block: ScaledResidual, x: Tensor) -> Tensor:
    inner = F.leaky_relu(block.first(F.leaky_relu(x, 0.1)), 0.1)
    result: Tensor = x + block.scale * block.second(inner)
    return result


def plain(network: nn.Module, *, is_whole: bool = True) -> nn.Module:
    """Returns a translator with residual blocks of plain torch; with `is_whole` all of it is plain.

    In evaluation mode the translator computes its maps by `torch.nn` modules alone, and it has no dropout.
    """
    for block in network.modules():
        if isinstance(block, ScaledResidual):
            block.forward = partial(plain_residual, block)
    return network.eval() if is_whole else network


class Kind:
    """A network with its optimiser and its EMA weights, and how it takes a step."""

    def __init__(self, recipe: Recipe, cases: list[PreparedCase], fabric: Fabric, *, is_plain: bool) -> None:
        torch.manual_seed(0)
        network = generator_of(recipe)
        for weight in network.parameters():  # scales and head are zero at first, where rounding would not show
            weight.data += 0.01 * torch.randn_like(weight)
        self.recipe, self.cases, self.fabric, self.is_plain = recipe, cases, fabric, is_plain
        self.state = new_state(recipe, plain(network) if is_plain else network, fabric)
        if is_plain:
            settings, weights = recipe.training, self.state.generator.parameters()
            bare = torch.optim.AdamW(
                weights, lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay
            )
            self.state = SupervisedState(self.state.generator, fabric.setup_optimizers(bare))
        self.ema, self.edges = ema_of(self.state.generator), plain_gradient if is_plain else gradient

    def step(self, number: int) -> tuple[list[float], float]:
        """Takes one step; returns the processor seconds of each part, and the loss."""
        times = [time.process_time()]
        patched = plain_augment if self.is_plain else augmentation.augment
        with mock.patch.object(windows, "augment", patched):
            batch = windows.draw_batch(self.cases, self.recipe, number)
        times.append(time.process_time())
        step = Step(self.fabric, self.recipe, number)
        step.begin(self.state)
        synthetic = self.state.generator(batch.source)
        times.append(time.process_time())
        weights = self.recipe.loss
        loss = weights["l1"] * l1(synthetic, batch.target, batch.weight)
        loss = loss + weights["gradient"] * self.edges(synthetic, batch.target, batch.weight)
        times.append(time.process_time())
        value = step.backward(loss, 1.0, batch)
        times.append(time.process_time())
        step.update(self.state.optimiser, self.state.generator)
        times.append(time.process_time())
        update_ema(self.ema, self.state.generator, decay=0.99)
        times.append(time.process_time())
        return [end - start for start, end in pairwise(times)], value


def in_turns(work: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Returns the median processor seconds of each piece of work; the pieces take turns."""
    spent: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, piece in work.items():
            start = time.process_time()
            piece()
            spent[name].append(time.process_time() - start)
    return {name: round(median(values[WARM_UP:]), 4) for name, values in spent.items()}


def changes(recipe: Recipe, cases: list[PreparedCase]) -> dict[str, dict[str, float]]:
    """Returns the seconds of each changed part before and after the change, the others being as they are now."""
    batch = windows.draw_batch(cases, recipe, 0)

    def learn(network: nn.Module, loss: Loss = l1) -> None:
        network.zero_grad(set_to_none=True)
        loss(network(batch.source), batch.target, batch.weight).backward()

    def differentiate(loss: Loss) -> None:
        image = batch.source.clone().requires_grad_()
        loss(image, batch.target, batch.weight).backward()

    def draw(augment: Any) -> None:
        with mock.patch.object(windows, "augment", augment):
            windows.draw_batch(cases, recipe, 0)

    usual, kept = plain(generator_of(recipe)), generator_of(recipe)
    last = plain(generator_of(recipe)).to(memory_format=torch.channels_last_3d)
    unfolded = plain(generator_of(recipe), is_whole=False)
    learn(kept)
    optimisers = {}
    for name, is_fused in (("before", False), ("after", True)):
        weights = [weight.detach().clone().requires_grad_() for weight in kept.parameters()]
        for copy, weight in zip(weights, kept.parameters(), strict=True):
            copy.grad = weight.grad
        optimisers[name] = torch.optim.AdamW(weights, fused=is_fused)
    networks = in_turns(
        {
            "plain": partial(learn, usual),
            "last": partial(learn, last),
            "pairs": partial(learn, unfolded),
            "kept": partial(learn, kept),
        }
    )
    return {
        "channels last in memory": {"before": networks["plain"], "after": networks["last"]},
        "pairs of voxels at full resolution": {"before": networks["last"], "after": networks["pairs"]},
        "scales of residual blocks folded into weights": {"before": networks["pairs"], "after": networks["kept"]},
        "gradient loss with its own derivative": in_turns(
            {"before": partial(differentiate, plain_gradient), "after": partial(differentiate, gradient)}
        ),
        "fused AdamW": in_turns({name: each.step for name, each in optimisers.items()}),
        "augmentation in single precision": in_turns(
            {"before": partial(draw, plain_augment), "after": partial(draw, augmentation.augment)}
        ),
    }


def prepared(recipe: Recipe, folder: Path) -> tuple[list[PreparedCase], str]:
    """Returns some prepared training cases, and what they are."""
    pairs = development_data("pairs")
    if pairs is not None:
        cases, name = [case for case in recipe.cases(pairs) if case.split == "train"][:3], "real pairs"
    else:
        cases, name = list(write_patients(folder / "data", ("train",) * 3)), "simulated heads"
    return [prepare_case(case, folder / "prepared", recipe.preparation, []) for case in cases], name


def measured(recipe: Recipe, folder: Path) -> dict[str, Any]:
    cases, data = prepared(recipe, folder)
    fabric = Fabric(accelerator="cpu", devices=1)
    kinds = {name: Kind(recipe, cases, fabric, is_plain=name == "plain") for name in ("plain", "voxlate")}
    spent: dict[str, list[list[float]]] = {name: [] for name in kinds}
    losses: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(ROUNDS):
        for name, kind in kinds.items():
            times, loss = kind.step(number)
            spent[name].append(times)
            losses[name].append(loss)
    seconds = {
        name: {
            part: round(median(column), 4)
            for part, column in zip(PARTS, zip(*rows[WARM_UP:], strict=True), strict=True)
        }
        | {"step": round(median(sum(row) for row in rows[WARM_UP:]), 4)}
        for name, rows in spent.items()
    }
    apart = max(abs(a - b) / a for a, b in zip(losses["plain"], losses["voxlate"], strict=True))
    return {
        "recipe": recipe.name,
        "data": data,
        "width": recipe.model.arguments["width"],
        "window": recipe.training.window,
        "batch": recipe.training.batch,
        "rounds": ROUNDS - WARM_UP,
        "seconds": seconds,
        "largest_relative_difference_of_loss": float(f"{apart:.1e}"),
        "changes": changes(recipe, cases),
    }


def peak_gib(recipe: Recipe, folder: Path, *, is_plain: bool) -> float:
    cases, _ = prepared(recipe, folder)
    kind = Kind(recipe, cases, Fabric(accelerator="cpu", devices=1), is_plain=is_plain)
    for number in range(3):
        kind.step(number)
    return round(getrusage(RUSAGE_SELF).ru_maxrss / 2**20, 2)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peak", choices=("plain", "voxlate"))
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    recipe = read_recipe(ROOT / "recipes" / "t1ce_to_t1.yaml")
    if chosen.peak:
        print(json.dumps(peak_gib(recipe, chosen.folder, is_plain=chosen.peak == "plain")))
        return
    load = round(os.getloadavg()[0], 1)
    with TemporaryDirectory() as made:
        content = measured(recipe, Path(made))
        peaks = {}
        for name in ("plain", "voxlate"):  # in processes of their own, so that each peak is its own
            command = [sys.executable, __file__, "--peak", name, "--folder", made]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            peaks[name] = json.loads(done.stdout.splitlines()[-1])
    write_result("step", {"load_at_start": load} | content | {"peak_gib": peaks})


if __name__ == "__main__":
    main()
