"""The networks that a recipe trains, and their optimisers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim import Optimizer

from voxlate.bundle.networks import discriminator_of, generator_of
from voxlate.bundle.recipe import Recipe


@dataclass
class Players:
    """Networks on their devices, wrapped by Lightning Fabric, and one optimiser for each side.

    Attributes:
        generator: from source to target; what is shipped.
        optimiser: of the generator, and of the one that leads back.
        discriminator: of targets, or None.
        judge_optimiser: of the discriminators, or None.
        back: the generator from target to source of a cycle, or None.
        back_discriminator: of sources, or None.
    """

    generator: nn.Module
    optimiser: Optimizer
    discriminator: nn.Module | None = None
    judge_optimiser: Optimizer | None = None
    back: nn.Module | None = None
    back_discriminator: nn.Module | None = None

    def networks(self) -> dict[str, nn.Module]:
        """Returns the networks there are, by name."""
        found = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "back": self.back,
            "back_discriminator": self.back_discriminator,
        }
        return {name: network for name, network in found.items() if network is not None}

    def optimisers(self) -> dict[str, Optimizer]:
        """Returns the optimisers there are, by name."""
        found = {"generator": self.optimiser, "discriminator": self.judge_optimiser}
        return {name: optimiser for name, optimiser in found.items() if optimiser is not None}


def new_players(recipe: Recipe, generator: nn.Module, fabric: Fabric) -> Players:
    """Returns the players of a recipe.

    Args:
        recipe: the resolved recipe.
        generator: new, or with the weights of another run.
        fabric: already launched.
    """
    has_judge, has_cycle = recipe.adversarial is not None, recipe.cycle is not None
    judge = discriminator_of(recipe) if has_judge else None
    back = generator_of(recipe) if has_cycle else None
    back_judge = discriminator_of(recipe) if has_cycle else None
    forth = fabric.setup_module(generator)
    judge, back, back_judge = (None if x is None else fabric.setup_module(x) for x in (judge, back, back_judge))
    optimiser: Any = fabric.setup_optimizers(_optimiser(recipe, forth, back))
    judges: Any = fabric.setup_optimizers(_optimiser(recipe, judge, back_judge)) if has_judge else None
    return Players(forth, optimiser, judge, judges, back, back_judge)


def unwrapped(network: nn.Module) -> nn.Module:
    """Returns a network without what Fabric put around it."""
    inner: nn.Module = getattr(network, "module", network)
    return inner


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Keeps gradients away from the weights of networks that are only asked."""
    for network in networks:
        network.requires_grad_(False)
    try:
        yield
    finally:
        for network in networks:
            network.requires_grad_(True)


def _optimiser(recipe: Recipe, *networks: nn.Module | None) -> Optimizer:
    settings = recipe.training
    weights = chain.from_iterable(network.parameters() for network in networks if network is not None)
    if settings.optimiser == "adam":
        return torch.optim.Adam(weights, lr=settings.learning_rate, betas=settings.betas)
    return torch.optim.AdamW(
        weights, lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay
    )
