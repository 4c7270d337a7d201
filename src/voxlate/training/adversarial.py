"""The losses of a discriminator and of a generator against it, and the patches and labels they are computed on.

Images are (B, 1, D, H, W) and sources (B, C, D, H, W), in relative units.
"""

from __future__ import annotations

from itertools import product

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from voxlate.bundle.settings import AdversarialSettings, Patches
from voxlate.errors import UsageError
from voxlate.losses import ADVERSARIAL
from voxlate.losses.adversarial import Labels, discriminator_objective, generator_objective
from voxlate.training.state import frozen, unwrapped
from voxlate.windows import window_starts

Seed = tuple[int, ...]


def discriminator_loss(
    discriminator: nn.Module,
    synthetic: Tensor,
    real: Tensor,
    source: Tensor,
    settings: AdversarialSettings,
    seed: Seed,
) -> Tensor:
    """Returns the loss that trains a discriminator; no gradient reaches the generator.

    Real and synthetic images go through the discriminator in one forward pass.

    Args:
        discriminator: maps (B x P, C, d, h, w) to logits.
        synthetic: images of the generator, (B, 1, D, H, W).
        real: images, the same shape.
        source: of both, (B, C, D, H, W).
        settings: of the recipe.
        seed: of soft labels.
    """
    of_synthetic, patch_count = discriminator_input(synthetic.detach(), source, settings)
    of_real, _ = discriminator_input(real, source, settings)
    real_logits, synthetic_logits = discriminator(torch.cat([of_real, of_synthetic])).chunk(2)
    labels = draw_labels(settings, len(real), seed).for_patches(patch_count)
    return discriminator_objective(ADVERSARIAL[settings.loss], real_logits, synthetic_logits, labels)


def generator_loss(
    discriminator: nn.Module,
    synthetic: Tensor,
    source: Tensor,
    settings: AdversarialSettings,
    seed: Seed,
    *,
    fabric: Fabric,
) -> Tensor:
    """Returns the adversarial loss of a generator; no gradient reaches the weights of the discriminator.

    Args:
        discriminator: as set up by `fabric`.
        synthetic: images, (B, 1, D, H, W).
        source: what they were made from, (B, C, D, H, W).
        settings: of the recipe.
        seed: of soft labels; that of `discriminator_loss` for the same micro-batch gives the same labels.
        fabric: for its precision, which the unwrapped discriminator would not follow.
    """
    patches, patch_count = discriminator_input(synthetic, source, settings)
    # The wrapper for several processes expects gradients of its weights after each forward pass; here they are frozen.
    network = unwrapped(discriminator)
    with frozen(network), fabric.autocast():
        logits = network(patches)
    labels = draw_labels(settings, len(synthetic), seed).for_patches(patch_count)
    return generator_objective(ADVERSARIAL[settings.loss], logits, labels)


def feature_matching(
    discriminator: nn.Module,
    synthetic: Tensor,
    real: Tensor,
    source: Tensor,
    settings: AdversarialSettings,
    *,
    fabric: Fabric,
) -> Tensor:
    """Returns the mean over the activations of a discriminator of the mean |a(synthetic) − a(real)|, from 0.

    The activations are the outputs of its (leaky) ReLU layers. No gradient reaches the weights of the discriminator.

    Args:
        discriminator: as set up by `fabric`.
        synthetic: images of the generator, (B, 1, D, H, W).
        real: images, the same shape.
        source: of both, (B, C, D, H, W).
        settings: of the recipe.
        fabric: as in `generator_loss`.

    Raises:
        UsageError: `NO_ACTIVATION` for a discriminator without such a layer.
    """
    network = unwrapped(discriminator)
    layers = [module for module in network.modules() if isinstance(module, nn.LeakyReLU | nn.ReLU)]
    if not layers:
        raise UsageError("NO_ACTIVATION", "`adversarial.features` needs a discriminator with ReLU layers; set it to 0")
    found: list[Tensor] = []
    hooks = [layer.register_forward_hook(lambda _layer, _inputs, output: found.append(output)) for layer in layers]
    try:
        with frozen(network), fabric.autocast():
            network(discriminator_input(synthetic, source, settings)[0])
            with torch.no_grad():
                network(discriminator_input(real, source, settings)[0])
    finally:
        for hook in hooks:
            hook.remove()
    half = len(found) // 2  # a layer that is applied several times has as many activations
    pairs = zip(found[:half], found[half:], strict=True)
    return torch.stack([(a.float() - b.float()).abs().mean() for a, b in pairs]).mean()


def discriminator_input(image: Tensor, source: Tensor, settings: AdversarialSettings) -> tuple[Tensor, int]:
    """Returns what a discriminator sees of a batch, and the number of patches P of each item.

    Args:
        image: (B, 1, D, H, W).
        source: (B, C, D, H, W); joined to the image if `settings.conditional`.
        settings: of the recipe.

    Returns:
        (B x P, channels, d, h, w), the patches of an item together, and P; P is 1 without `settings.patches`.

    Raises:
        UsageError: `PATCHES`.
    """
    whole = torch.cat([image, source], dim=1) if settings.conditional else image
    if settings.patches is None:
        return whole, 1
    d, h, w = settings.patches.size
    starts = patch_corners(tuple(whole.shape[2:]), settings.patches)
    parts = [whole[:, :, i : i + d, j : j + h, k : k + w] for i, j, k in starts]
    return torch.stack(parts, dim=1).flatten(0, 1), len(parts)


def patch_corners(size: tuple[int, ...], patches: Patches) -> list[tuple[int, ...]]:
    """Returns the first voxel of each patch of a window.

    Without a stride the patches cover the window, as few as possible and evenly spread. With a stride they start at
    voxel 0, as Bottani et al. 2024 published, and the end of the window may stay uncovered.

    Args:
        size: of the window, voxels along each axis.
        patches: size and stride in voxels.

    Raises:
        UsageError: `PATCHES` when the window is smaller than a patch.
    """
    if any(n < p for n, p in zip(size, patches.size, strict=True)):
        raise UsageError(
            "PATCHES",
            f"a window of {size} voxels is smaller than a patch of {patches.size}; enlarge `training.window` or "
            "reduce `adversarial.patches.size`",
        )
    if patches.stride is None:
        axes = [window_starts(n, p, 0.0) for n, p in zip(size, patches.size, strict=True)]
    else:
        axes = [list(range(0, n - p + 1, s)) for n, p, s in zip(size, patches.size, patches.stride, strict=True)]
    return list(product(*axes))


def combined_seed(seed: Seed) -> int:
    """Returns one number made of several, for random generators that take one.

    The multiplier is a prime above a million, so that (seed, step, rank) gives different numbers for different steps
    and ranks as long as both stay below it.
    """
    number = 0
    for part in seed:
        number = (number * 1_000_003 + part + 1) % 2**62
    return number


def draw_labels(settings: AdversarialSettings, count: int, seed: Seed) -> Labels:
    """Returns the labels of `count` items; the same seed gives the same labels."""
    if settings.labels == "standard":
        return Labels.standard(count)
    generator = torch.Generator().manual_seed(combined_seed(seed))
    draw = Labels.inverted if settings.labels == "inverted" else Labels.one_sided
    return draw(count, generator=generator)
