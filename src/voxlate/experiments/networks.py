"""Stages of the networks of an experiment, found on torch's meta device, which computes sizes and no values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from voxlate.bundle.networks import discriminator_of, generator_of
from voxlate.bundle.recipe import Recipe
from voxlate.reporting.figures.network_diagram import Stage


def stages_of(recipe: Recipe) -> tuple[list[Stage], int]:
    """Returns the stages of a recipe's generator and its number of parameters.

    The first stage is the input, one training window; of a network that works in slices, one slice.

    Args:
        recipe: of a network of voxlate.

    Raises:
        UsageError, ModelInvalid: as `generator_of`.
    """
    return _stages(network_of(recipe), input_of(recipe), is_flat=recipe.model.slice_axis is not None)


def discriminator_stages_of(recipe: Recipe) -> tuple[list[Stage], int]:
    """Returns the stages of a recipe's discriminator and its number of parameters.

    The first stage is the input: an image with its sources, if the discriminator sees them, of one training window or
    one patch of it.

    Args:
        recipe: with `adversarial`, of a discriminator of voxlate.

    Raises:
        UsageError, ModelInvalid: as `generator_of`.
    """
    settings = recipe.adversarial
    if settings is None:
        raise ValueError("the recipe has no discriminator")
    with torch.device("meta"):
        network = discriminator_of(recipe).eval()
    channels = 2 + len(recipe.more_sources) if settings.conditional else 1
    size = recipe.training.window if settings.patches is None else settings.patches.size
    is_flat = settings.discriminator.slice_axis is not None
    return _stages(network, torch.empty((1, channels, *size), device="meta"), is_flat=is_flat)


def _stages(network: nn.Module, x: Tensor, *, is_flat: bool) -> tuple[list[Stage], int]:
    channels, window = x.shape[1], tuple(x.shape[2:])
    stages = [Stage("input", channels, tuple(size for size in window if size > 1) if is_flat else window)]

    def note(name: str, output: Any) -> None:
        outputs = output if isinstance(output, list | tuple) else [output]
        for number, each in enumerate(outputs):
            if isinstance(each, Tensor):
                stages.append(_stage(f"{name}[{number}]" if len(outputs) > 1 else name, each))

    for name, part in _parts(network):
        part.register_forward_hook(lambda _, __, output, name=name: note(name, output))
    with torch.no_grad():
        network(x)
    return stages, sum(parameter.numel() for parameter in network.parameters())


def network_of(recipe: Recipe) -> nn.Module:
    """Returns the generator of a recipe on the meta device, for inference.

    Raises:
        UsageError, ModelInvalid: as `generator_of`.
    """
    with torch.device("meta"):
        return generator_of(recipe).eval()


def input_of(recipe: Recipe) -> Tensor:
    """Returns one training window of a recipe without values, (1, sources, D, H, W)."""
    return torch.empty((1, 1 + len(recipe.more_sources), *recipe.training.window), device="meta")


def _stage(name: str, output: Tensor) -> Stage:
    if output.ndim == 3:  # tokens: (1, number, length)
        return Stage(name, output.shape[2], (output.shape[1],))
    return Stage(name, output.shape[1], tuple(output.shape[2:]))


def _parts(network: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yields the parts of a network: its children, and the entries of lists among them.

    A module with a single child, such as the one that applies a 2-D network slice by slice, is passed through.
    """
    children = list(network.named_children())
    if len(children) == 1 and not prefix and list(children[0][1].children()):
        yield from _parts(children[0][1])
        return
    for name, child in children:
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from _parts(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child
