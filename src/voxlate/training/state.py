"""The state of each kind of training: its networks and their optimisers.

A cycle holds all that an adversarial training does, and that all that a supervised training does, so each state
extends the one before it. The names in `networks` and `optimisers` are those of the checkpoint file and do not change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from voxlate.bundle.bundle import WEIGHTS, read_weights, verify_bundle
from voxlate.bundle.networks import NetworkObject, discriminator_of, generator_of, load_encoder
from voxlate.bundle.recipe import Recipe, read_recipe
from voxlate.bundle.settings import AdversarialSettings, CycleSettings
from voxlate.errors import ModelInvalid, UsageError
from voxlate.models import GENERATORS

REFERENCE_LAYERS = "reference."
"""Beginning of the names of the weights that `Recipe.reference` adds to a network."""


@dataclass
class SupervisedState:
    """A generator that is trained against real targets.

    Networks are set up by Lightning Fabric and lie on its device.

    Attributes:
        generator: maps sources, (B, C, D, H, W), to targets, (B, 1, D, H, W); the network that the bundle gets.
        optimiser: updates the generator; in a cycle, both generators.
    """

    generator: nn.Module
    optimiser: Optimizer

    def networks(self) -> dict[str, nn.Module]:
        """Returns the networks by their names in a checkpoint."""
        return {"generator": self.generator}

    def optimisers(self) -> dict[str, Optimizer]:
        """Returns the optimisers by their names in a checkpoint."""
        return {"generator": self.optimiser}


@dataclass
class AdversarialState(SupervisedState):
    """A generator that is also trained against a discriminator.

    Attributes:
        settings: of the recipe.
        discriminator: maps an image, or an image joined with its source, to logits.
        discriminator_optimiser: updates the discriminator; in a cycle, both discriminators.
    """

    settings: AdversarialSettings
    discriminator: nn.Module
    discriminator_optimiser: Optimizer

    def networks(self) -> dict[str, nn.Module]:
        """Returns the networks by their names in a checkpoint."""
        return super().networks() | {"discriminator": self.discriminator}

    def optimisers(self) -> dict[str, Optimizer]:
        """Returns the optimisers by their names in a checkpoint."""
        return super().optimisers() | {"discriminator": self.discriminator_optimiser}


@dataclass
class CycleState(AdversarialState):
    """Two generators and two discriminators that are trained without pairs (Zhu et al., ICCV 2017).

    Attributes:
        cycle: of the recipe.
        inverse_generator: maps targets, (B, 1, D, H, W), to sources, the same shape.
        inverse_discriminator: maps a source, real or synthetic, to logits.
    """

    cycle: CycleSettings
    inverse_generator: nn.Module
    inverse_discriminator: nn.Module

    def networks(self) -> dict[str, nn.Module]:
        """Returns the networks by their names in a checkpoint."""
        inverse = {"back": self.inverse_generator, "back_discriminator": self.inverse_discriminator}
        return super().networks() | inverse


def new_state(
    recipe: Recipe, generator: nn.Module, fabric: Fabric, *, network: NetworkObject | None = None
) -> SupervisedState:
    """Returns the state that a recipe asks for, on the device of `fabric`.

    Args:
        recipe: the resolved recipe.
        generator: new, or with the weights of another run.
        fabric: already launched.
        network: the generator that the user gave; a cycle needs two.
    """
    if recipe.adversarial is None:
        generator = fabric.setup_module(generator)
        return SupervisedState(generator, _new_optimiser(fabric, recipe, generator))
    # A seed gives the same weights only while the networks are built in this order.
    discriminator = discriminator_of(recipe, trust_code=True)
    if recipe.cycle is None:
        generator, discriminator = fabric.setup_module(generator), fabric.setup_module(discriminator)
        optimisers = _new_optimiser(fabric, recipe, generator), _new_optimiser(fabric, recipe, discriminator)
        return AdversarialState(generator, optimisers[0], recipe.adversarial, discriminator, optimisers[1])
    inverse = generator_of(recipe, trust_code=True, network=network)
    inverse_discriminator = discriminator_of(recipe, trust_code=True)
    generator, discriminator = fabric.setup_module(generator), fabric.setup_module(discriminator)
    inverse, inverse_discriminator = fabric.setup_module(inverse), fabric.setup_module(inverse_discriminator)
    return CycleState(
        generator,
        _new_optimiser(fabric, recipe, generator, inverse),
        recipe.adversarial,
        discriminator,
        _new_optimiser(fabric, recipe, discriminator, inverse_discriminator),
        recipe.cycle,
        inverse,
        inverse_discriminator,
    )


def new_generator(
    recipe: Recipe, folder: Path, start_from: Path | None = None, *, given: NetworkObject | None = None
) -> nn.Module:
    """Returns the generator that training starts with, on the CPU.

    Args:
        recipe: the resolved recipe.
        folder: the data folder, which `model.encoder` is relative to.
        start_from: a bundle whose weights are taken; None for new weights.
        given: a network of the user, or its class, in place of that of the recipe.

    Raises:
        ModelInvalid: `MODEL_WEIGHTS` when the bundle holds another network; what `verify_bundle` raises.
        NoInput: the file of the encoder is missing.
        UsageError: `MODEL_UNKNOWN`, `MODEL_ARGUMENT`, `CUSTOM_CODE`.
    """
    network = generator_of(recipe, trust_code=True, network=given)  # the user names the recipe
    if recipe.model.name not in GENERATORS:
        _require_output(network, recipe)
    if recipe.model.encoder is not None:
        load_encoder(network, folder / recipe.model.encoder, recipe.model.encoder_sha256 or "")
    if start_from is not None:
        verify_bundle(start_from)
        try:
            network.load_state_dict(_weights_to_start_from(network, start_from))
        except RuntimeError as error:
            raise ModelInvalid("MODEL_WEIGHTS", _other_network(recipe, start_from)) from error
    if recipe.reference is not None and recipe.reference.alone:
        for name, weight in network.named_parameters():
            weight.requires_grad_(name.startswith(REFERENCE_LAYERS))
    return network


def _weights_to_start_from(network: nn.Module, bundle: Path) -> dict[str, Tensor]:
    """Returns the weights of a bundle for a network that may have layers for a reference or not.

    Layers that the bundle lacks are those of the new network; layers that the network lacks are left out.
    """
    weights = read_weights(bundle / WEIGHTS)
    new = {name: tensor for name, tensor in network.state_dict().items() if name.startswith(REFERENCE_LAYERS)}
    kept = {name: tensor for name, tensor in weights.items() if new or not name.startswith(REFERENCE_LAYERS)}
    return new | kept


def _other_network(recipe: Recipe, start_from: Path) -> str:
    """Returns how the network of a bundle differs from that of a recipe, and the line of the recipe that fits it."""
    text = f"{start_from.name} is a bundle of another network"
    theirs = read_recipe(start_from / "recipe.yaml")
    if theirs.model.name.startswith("<"):  # an object of Python, which no recipe can name
        return text
    if len(theirs.more_sources) != len(recipe.more_sources):
        return f"{text}: it takes {theirs.from_what}, and the recipe gives {recipe.from_what}"
    return f"{text}; write `model: {_model_line(theirs)}` into the recipe in place of {_model_line(recipe)}"


def _model_line(recipe: Recipe) -> str:
    """Returns the network of a recipe as it is written in YAML on one line."""
    arguments = ", ".join(f"{name}: {json.dumps(value)}" for name, value in recipe.model.arguments.items())
    return f"{{name: {recipe.model.name}, arguments: {{{arguments}}}}}"


def _require_output(network: nn.Module, recipe: Recipe) -> None:
    """Refuses a network outside voxlate without weights, or that does not map a window to one channel of its size."""
    if not any(weight.requires_grad for weight in network.parameters()):
        raise UsageError("CUSTOM_CODE", f"{recipe.model.name} has no weight that can be trained")
    window = recipe.training.window
    shape = (1, 1 + len(recipe.more_sources), *window)
    network.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            output = network(torch.zeros(shape))
    except Exception as error:  # whatever a network of the user raises
        reason = f"{type(error).__name__}: {error}"
        raise UsageError("CUSTOM_CODE", f"{recipe.model.name} fails on zeros of shape {shape}: {reason}") from error
    network.train()
    expected = (1, 1, *window)
    actual = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    if actual != expected:
        raise UsageError("CUSTOM_CODE", f"{recipe.model.name} maps {shape} to {actual}, not to {expected}")


def unwrapped(network: nn.Module) -> nn.Module:
    """Returns the network inside the wrapper that Fabric puts around it."""
    inner: nn.Module = getattr(network, "module", network)
    return inner


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Computes no gradients for the weights of a network while the block runs."""
    learned = [weight for weight in network.parameters() if weight.requires_grad]
    network.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learned:
            weight.requires_grad_(True)


def _new_optimiser(fabric: Fabric, recipe: Recipe, *networks: nn.Module) -> Optimizer:
    """Returns one optimiser for the weights of all `networks`, set up by Fabric.

    It updates all weights in one call (`fused`), in a third of the time. Not with `16-mixed`, where such an optimiser
    divides by the loss scale itself, after the gradients were clipped, and Fabric refuses to clip; nor for what torch
    does not fuse: weights that are complex, or on another device than a processor or a CUDA device.
    """
    settings = recipe.training
    every = chain.from_iterable(network.parameters() for network in networks)
    weights = [weight for weight in every if weight.requires_grad]
    is_fused = settings.precision != "16-mixed" and all(
        weight.is_floating_point() and weight.device.type in ("cpu", "cuda") for weight in weights
    )
    if settings.optimiser == "adam":
        optimiser: Optimizer = torch.optim.Adam(
            weights, lr=settings.learning_rate, betas=settings.betas, fused=is_fused or None
        )
    else:
        optimiser = torch.optim.AdamW(
            weights,
            lr=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=is_fused or None,
        )
    wrapped: Any = fabric.setup_optimizers(optimiser)
    result: Optimizer = wrapped
    return result
