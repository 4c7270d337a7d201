"""Windows from a `torch.utils.data.Dataset` of the user, in place of windows from prepared cases.

Which items a step sees depends on the seed and the step alone, so that a run can resume anywhere: each epoch is a
random order of all items.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxlate.bundle.recipe import Recipe
from voxlate.errors import UsageError
from voxlate.training.data.windows import Batch


@runtime_checkable
class WindowsOfUser(Protocol):
    """A dataset with a length and items, as `torch.utils.data.Dataset` of the map style."""

    def __len__(self) -> int:
        """Returns the number of windows."""

    def __getitem__(self, index: int, /) -> Any:
        """Returns (source, target) or (source, target, mask) of one window; see `WindowDataset`."""


class WindowDataset:
    """A dataset of windows, each item of which is checked.

    An item is (source, target) or (source, target, mask), arrays or tensors of one size for all items: the source
    (D, H, W) or (C, D, H, W), target and mask (D, H, W) or (1, D, H, W). The mask is the weight of each voxel in the
    loss, 0 or more; without it all voxels count.

    Args:
        dataset: of the user; item i must be the same each time, or a resumed run differs from an uninterrupted one.

    Attributes:
        window: D, H and W.
        channels: C.

    Raises:
        UsageError: `DATASET` when it has no length or no item, or when the first item cannot be used.
    """

    def __init__(self, dataset: object) -> None:
        if not isinstance(dataset, WindowsOfUser):
            raise UsageError(
                "DATASET",
                f"{type(dataset).__name__} has no length or no items; give a torch.utils.data.Dataset with __len__ and "
                "__getitem__",
            )
        self.dataset, self.count = dataset, len(dataset)
        if self.count == 0:
            raise UsageError("DATASET", "the dataset has no item")
        self.shape: tuple[int, ...] = ()
        self.shape = tuple(self.item(0)[0].shape)
        self.order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, dtype=np.int64))

    @property
    def window(self) -> tuple[int, int, int]:
        """Returns the size of a window in voxels."""
        depth, height, width = self.shape[1:]
        return depth, height, width

    @property
    def channels(self) -> int:
        """Returns the number of sources."""
        return self.shape[0]

    def item(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Returns source, (C, D, H, W), target and mask, (1, D, H, W), of one item, float32.

        Raises:
            UsageError: `DATASET`, with the index, when the dataset fails or an item has another form.
        """
        try:
            parts = tuple(torch.as_tensor(part, dtype=torch.float32) for part in self.dataset[index])
        except Exception as error:  # whatever a dataset of the user raises
            reason = f"{type(error).__name__}: {error}"
            raise UsageError("DATASET", f"item {index} of the dataset cannot be read: {reason}") from error
        if len(parts) not in (2, 3):
            raise UsageError(
                "DATASET", f"item {index} of the dataset has {len(parts)} parts, not (source, target, mask)"
            )
        source, target = (part[None] if part.ndim == 3 else part for part in parts[:2])
        mask = torch.ones_like(target) if len(parts) == 2 else parts[2]
        mask = mask[None] if mask.ndim == 3 else mask
        self._require_shapes(index, source, target, mask)
        for name, part in {"source": source, "target": target, "mask": mask}.items():
            if not bool(torch.isfinite(part).all()):
                raise UsageError("DATASET", f"the {name} of item {index} of the dataset has values that are not finite")
        if bool((mask < 0).any()):
            raise UsageError("DATASET", f"the mask of item {index} of the dataset has values below 0")
        return source, target, mask

    def _require_shapes(self, index: int, source: Tensor, target: Tensor, mask: Tensor) -> None:
        shape = self.shape or tuple(source.shape)
        one = (1, *shape[1:])
        if len(shape) != 4 or tuple(source.shape) != shape or tuple(target.shape) != one or tuple(mask.shape) != one:
            shapes = ", ".join(str(tuple(part.shape)) for part in (source, target, mask))
            wanted = f"{shape}, {one} and {one}" if len(shape) == 4 else "(C, D, H, W), (1, D, H, W) and (1, D, H, W)"
            raise UsageError(
                "DATASET", f"source, target and mask of item {index} of the dataset are {shapes}, not {wanted}"
            )

    def require_channels(self, recipe: Recipe) -> None:
        """Refuses windows with another number of sources than the recipe names, and a recipe with a reference.

        Raises:
            UsageError: `DATASET`.
        """
        if self.channels != 1 + len(recipe.more_sources):
            raise UsageError(
                "DATASET",
                f"the windows have {self.channels} sources, the recipe names {recipe.from_what}; name each further "
                "one in more_sources",
            )

        if recipe.reference is not None:
            raise UsageError(
                "DATASET",
                "windows do not show the contrast of a whole brain, which `reference` needs; give cases, or leave "
                "`reference` out",
            )

    def draw(self, recipe: Recipe, step: int, *, rank: int = 0, processes: int = 1) -> Batch:
        """Returns the windows of one step; the same arguments give the same items.

        Args:
            recipe: `training.batch` windows for each of `training.accumulate` micro-batches.
            step: optimiser steps done before.
            rank: of the process.
            processes: of the run; each sees items of its own.
        """
        settings = recipe.training
        size = settings.batch * settings.accumulate
        start = (step * processes + rank) * size
        numbers = [self._number(settings.seed, start + offset) for offset in range(size)]
        sources, targets, masks = zip(*(self.item(number) for number in numbers), strict=True)
        names = tuple(f"item {number} of the dataset" for number in numbers)
        return Batch(torch.stack(sources), torch.stack(targets), torch.stack(masks), names)

    def _number(self, seed: int, place: int) -> int:
        """Returns the item at a place of the endless sequence of epochs."""
        epoch, offset = divmod(place, self.count)
        if self.order[0] != epoch:
            self.order = (epoch, np.random.default_rng([seed, epoch]).permutation(self.count))
        return int(self.order[1][offset])
