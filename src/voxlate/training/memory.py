"""Estimates the memory of a training before its first step, so that one that cannot fit is refused at once.

Networks are built on torch's meta device, where tensors have sizes and no content, and one step is taken there: the
largest number of bytes that are alive at a time is counted (`voxlate.bundle.memory.PeakCounter`). On a CPU, the
estimates of three networks were 7 to 20 % below a measured peak of 2 to 3 GiB; `PROGRAM_BYTES` covers that difference.
Frozen networks of feature losses and the translation of validation cases are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voxlate.bundle.memory import PROGRAM_BYTES, PeakCounter, budget_bytes
from voxlate.bundle.networks import NetworkObject, discriminator_of, generator_of
from voxlate.bundle.recipe import Recipe
from voxlate.errors import TemporaryFailure, UsageError
from voxlate.training.adversarial import discriminator_input

LESS_MEMORY = (
    "train it on a device with more memory, or with --set training.batch=1, a smaller training.window or "
    "model.arguments.width"
)
"""What to do about a training that does not fit."""

HALF_PEAK = 1.4
"""Peak of a step in 32 bits over that of the same step with activations of 16 bits. Not 2, because the input, the loss,
the gradients of the weights and what a normalisation computes keep 32 bits: in five recipes on a GPU the peak with
`bf16-mixed` was 0.61 to 0.70 of that with `32-true`, and 1 / 1.4 is just above the largest."""

_STATE_COPIES = 3
"""Copies of the weights that live through all steps: the weights and the two moments of Adam."""

READS_VALUES = (NotImplementedError, RuntimeError, TypeError)
"""What torch raises for a network that reads values, which the meta device does not have."""


@dataclass(frozen=True)
class TrainingEstimate:
    """What a training needs.

    Attributes:
        steps: optimiser steps of all stages.
        parameters: of each network, by its name in a checkpoint.
        state_bytes: weights, moments of the optimiser and EMA weights.
        step_bytes: activations and gradients at the peak of one step; None for a network that cannot be built without
            memory, such as one outside voxlate that reads values of its input.
    """

    steps: int
    parameters: dict[str, int]
    state_bytes: int
    step_bytes: int | None

    @property
    def need_bytes(self) -> int | None:
        """Returns the memory of one process on a CPU; None when it is not known."""
        return None if self.step_bytes is None else self.state_bytes + self.step_bytes + PROGRAM_BYTES


def estimate_training(recipe: Recipe, *, network: NetworkObject | None = None) -> TrainingEstimate:
    """Returns what the training of a recipe needs; nothing is read or trained.

    Args:
        recipe: the resolved recipe. The module of a network outside voxlate is imported.
        network: the generator that the user gave, or its class, in place of that of the recipe.

    Raises:
        UsageError: a network does not exist, or does not take the window.
    """
    networks, is_meta = _networks(recipe, network)
    parameters = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    averaged = parameters["generator"]
    state_bytes = 4 * (_STATE_COPIES * sum(parameters.values()) + averaged)
    return TrainingEstimate(recipe.steps, parameters, state_bytes, _step_bytes(recipe, networks) if is_meta else None)


def has_unreached_weights(recipe: Recipe, *, network: NetworkObject | None = None) -> bool:
    """Returns whether a generator has weights that its output does not depend on; also where that cannot be known.

    Several processes wait for the gradient of each weight, unless they are told to look for such weights.

    Args:
        recipe: the resolved recipe.
        network: as in `estimate_training`.

    Raises:
        UsageError: see `estimate_training`.
    """
    networks, is_meta = _networks(recipe, network)
    if not is_meta or _step_bytes(recipe, networks) is None:
        return True
    generators = [each for name, each in networks.items() if name in ("generator", "back")]
    return any(w.requires_grad and w.grad is None for each in generators for w in each.parameters())


def _networks(recipe: Recipe, network: NetworkObject | None) -> tuple[dict[str, nn.Module], bool]:
    """Returns the networks of a recipe, and whether they are on the meta device.

    A network outside voxlate may read values while it is built, which the meta device does not have; it is then built
    in memory, without a change of the random numbers that the training will draw.
    """

    def build() -> dict[str, nn.Module]:
        networks = {"generator": generator_of(recipe, trust_code=True, network=network)}
        if recipe.adversarial is not None:
            networks["discriminator"] = discriminator_of(recipe, trust_code=True)
        if recipe.cycle is not None:
            networks["back"] = generator_of(recipe, trust_code=True, network=network)
            networks["back_discriminator"] = discriminator_of(recipe, trust_code=True)
        return networks

    try:
        with torch.device("meta"):
            return {name: each.to("meta") for name, each in build().items()}, True  # a copy of an object has memory
    except (*READS_VALUES, UsageError):
        with torch.random.fork_rng(devices=[]):
            return build(), False  # an argument that is really wrong is refused here


def memory_limit(device: torch.device, *, processes: int = 1, gib: float | None = None) -> int:
    """Returns the memory in bytes that each process of a training may use.

    Args:
        device: where it is trained.
        processes: that share the memory of a CPU.
        gib: memory that may be used, in GiB; None for all of the device.
    """
    return budget_bytes(device, gib) // (processes if device.type == "cpu" else 1)


def require_training_memory(recipe: Recipe, limit: int, *, network: NetworkObject | None = None) -> TrainingEstimate:
    """Refuses a training that does not fit into the memory of its device; returns the estimate.

    Args:
        recipe: the resolved recipe.
        limit: memory in bytes that each process may use, see `memory_limit`.
        network: as in `estimate_training`.

    Raises:
        TemporaryFailure: `MEMORY`, with need, limit and remedy.
        UsageError: see `estimate_training`.
    """
    estimate = estimate_training(recipe, network=network)
    if estimate.need_bytes is not None and estimate.need_bytes > limit:
        window = " x ".join(str(n) for n in recipe.training.window)
        raise TemporaryFailure(
            "MEMORY",
            f"{recipe.name} needs about {estimate.need_bytes / 2**30:.1f} GiB for {recipe.training.batch} windows of "
            f"{window} voxels, {limit / 2**30:.1f} GiB may be used; {LESS_MEMORY}",
        )
    return estimate


def _step_bytes(recipe: Recipe, networks: dict[str, nn.Module]) -> int | None:
    """Returns the peak of one step in bytes; less of it for activations of 16 bits, see `HALF_PEAK`."""
    size = (recipe.training.batch, 1 + len(recipe.more_sources), *recipe.training.window)
    source = torch.empty(size, device="meta")
    target = torch.empty((size[0], 1, *size[2:]), device="meta")
    try:
        with PeakCounter() as counted:
            _loss(recipe, networks, source, target).backward()  # type: ignore[no-untyped-call]
    except READS_VALUES:
        return None
    return int(counted.peak if recipe.training.precision == "32-true" else counted.peak / HALF_PEAK)


def _loss(recipe: Recipe, networks: dict[str, nn.Module], source: Tensor, target: Tensor) -> Tensor:
    """Returns a loss that keeps the activations that a step of the recipe keeps."""
    generator, adversarial = networks["generator"], recipe.adversarial
    synthetic = generator(source)
    loss: Tensor = (synthetic - target).abs().mean()
    if adversarial is not None:
        loss = loss + networks["discriminator"](discriminator_input(synthetic, source, adversarial)[0]).mean()
    if adversarial is None or recipe.cycle is None:
        return loss
    back = networks["back"]
    restored = back(target)
    seen = discriminator_input(restored, target, adversarial)[0]
    loss = loss + networks["back_discriminator"](seen).mean() + back(synthetic).mean() + generator(restored).mean()
    return loss + generator(target).mean() + back(source).mean() if recipe.cycle.identity else loss
