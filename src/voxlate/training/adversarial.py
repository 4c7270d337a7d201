"""What a discriminator is shown, what it is to answer, and what a generator makes of its answer."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Judging:
    """The adversarial part of a recipe at work; images are (B, 1, D, H, W), sources (B, C, D, H, W).

    Attributes:
        fabric: for its precision.
        settings: of the recipe.
    """

    fabric: Fabric
    settings: AdversarialSettings

    def teach(self, judge: nn.Module, synthetic: Tensor, real: Tensor, source: Tensor, seed: Seed) -> Tensor:
        """Returns what a discriminator is to make small; no gradient reaches the generator."""
        made, patches = shown(synthetic.detach(), source, self.settings)
        true, _ = shown(real, source, self.settings)
        of_true, of_made = judge(torch.cat([true, made])).chunk(2)
        labels = labels_of(self.settings, len(real), seed).for_patches(patches)
        return discriminator_objective(ADVERSARIAL[self.settings.loss], of_true, of_made, labels)

    def opinion(self, judge: nn.Module, synthetic: Tensor, source: Tensor, seed: Seed) -> Tensor:
        """Returns how far a discriminator is from taking synthetic images for real ones; it learns nothing by it."""
        made, patches = shown(synthetic, source, self.settings)
        asked = unwrapped(judge)
        with frozen(asked), self.fabric.autocast():
            logits = asked(made)
        labels = labels_of(self.settings, len(synthetic), seed).for_patches(patches)
        return generator_objective(ADVERSARIAL[self.settings.loss], logits, labels)


def shown(image: Tensor, source: Tensor, settings: AdversarialSettings) -> tuple[Tensor, int]:
    """Returns what a discriminator sees, (B x P, C, d, h, w) with the P patches of an item together, and P."""
    whole = torch.cat([image, source], dim=1) if settings.conditional else image
    if settings.patches is None:
        return whole, 1
    d, h, w = settings.patches.size
    starts = corners(tuple(whole.shape[2:]), settings.patches)
    parts = [whole[:, :, i : i + d, j : j + h, k : k + w] for i, j, k in starts]
    return torch.stack(parts, dim=1).flatten(0, 1), len(parts)


def corners(size: tuple[int, ...], patches: Patches) -> list[tuple[int, ...]]:
    """Returns where the patches of a window begin.

    Without a stride they cover the window, as few as can and evenly spread. With one they begin at 0, as published.

    Raises:
        UsageError: `PATCHES` when the window is smaller than a patch.
    """
    if any(n < p for n, p in zip(size, patches.size, strict=True)):
        raise UsageError("PATCHES", f"a window of {size} voxels holds no patch of {patches.size}")
    if patches.stride is None:
        axes = [window_starts(n, p, 0.0) for n, p in zip(size, patches.size, strict=True)]
    else:
        axes = [list(range(0, n - p + 1, s)) for n, p, s in zip(size, patches.size, patches.stride, strict=True)]
    return list(product(*axes))


def mixed(seed: Seed) -> int:
    """Returns one number out of several, for generators that take one."""
    number = 0
    for part in seed:
        number = (number * 1_000_003 + part + 1) % 2**62
    return number


def labels_of(settings: AdversarialSettings, count: int, seed: Seed) -> Labels:
    """Returns the labels of `count` items; the same seed gives the same."""
    if settings.labels == "standard":
        return Labels.standard(count)
    generator = torch.Generator().manual_seed(mixed(seed))
    draw = Labels.inverted if settings.labels == "inverted" else Labels.one_sided
    return draw(count, generator=generator)
