"""Training windows in relative units, computed from tissue maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxlate.bundle.contrast import contrast_line
from voxlate.bundle.contrast_descriptor import SHARES
from voxlate.bundle.recipe import Recipe
from voxlate.errors import UsageError
from voxlate.io.log import counted
from voxlate.preparation.steps.intensity import SCALES, LinearNormalisation, by_median, by_range_hu
from voxlate.preparation.steps.respace import SPACING_TOLERANCE
from voxlate.simulation.files.tissue_maps import read_tissue_maps
from voxlate.simulation.tissue_map import TissueMap
from voxlate.training.data.augment import Pair
from voxlate.training.simulated.draw import DrawnWindow, WindowPlan, draw_window, random_centre
from voxlate.volume import Array, Mask

Floats = NDArray[np.float64]


class SimulatedWindows:
    """Windows of simulated heads for a recipe.

    Args:
        heads: tissue maps.
        recipe: with `simulated`.

    Attributes:
        settings: of the recipe.
    """

    def __init__(self, heads: Sequence[TissueMap], recipe: Recipe) -> None:
        if recipe.simulated is None:
            raise ValueError("the recipe has no simulated windows")
        self.heads, self.recipe, self.settings = heads, recipe, recipe.simulated
        more = [self.settings.more.get(name, name) for name in recipe.more_sources]
        self.names = [self.settings.source, *more, self.settings.target]
        self.plan = WindowPlan(
            tuple(dict.fromkeys(self.names)),
            recipe.training.window,
            self.settings.same_acquisition,
            self.settings.other_scanner,
            {str(tier): share for tier, share in self.settings.quality_mix.items()},
            recipe.training.changed_share,
            recipe.reference is not None,
        )

    @classmethod
    def of(cls, recipe: Recipe, folder: Path) -> SimulatedWindows | None:
        """Returns the windows that a recipe asks for, or None.

        Args:
            recipe: the resolved recipe.
            folder: the data folder.

        Raises:
            NoInput: `NO_TISSUE_MAPS`.
            InputRefused: `TISSUE_MAP`.
        """
        if recipe.simulated is None:
            return None
        return cls(read_tissue_maps(folder / recipe.simulated.heads), recipe)

    @property
    def told(self) -> str:
        """Returns the share of the windows and the number of heads in words."""
        share, paint = self.settings.share, (1 - self.settings.share) * self.settings.paint
        heads = counted(len(self.heads), "simulated head")
        if not share:
            return f"{100 * paint:.0f} % of the windows with enhancement of {heads}"
        painted = f", {100 * paint:.0f} % with their enhancement" if paint else ""
        return f"{100 * share:.0f} % of the windows from {heads}{painted}"

    def require_spacing(self, spacing_mm: Sequence[float]) -> None:
        """Refuses training cases of other voxels than those of the heads.

        Args:
            spacing_mm: voxel size of a training case along each axis.

        Raises:
            UsageError: `SIMULATED_SPACING` beyond the factor `SPACING_TOLERANCE`, as of scans at inference.
        """
        of_heads = self.heads[0].spacing_mm
        if any(max(size / of_heads, of_heads / size) > SPACING_TOLERANCE for size in spacing_mm):
            sizes = " x ".join(f"{size:g}" for size in spacing_mm)
            raise UsageError(
                "SIMULATED_SPACING",
                f"the tissue maps have voxels of {of_heads:g} mm, the training cases of {sizes} mm; set "
                f"preparation.spacing_mm to {of_heads:g}, or simulate maps of other voxels with --size",
            )

    def draw(self, random: np.random.Generator) -> tuple[str, Pair, Mask]:
        """Returns the name of a head, a window of it, and the window's lesions; weights are 1 in the brain.

        Args:
            random: decides everything.
        """
        number = int(random.integers(len(self.heads)))
        drawn = draw_window(self.heads[number], self.plan, random)
        source, *more, target = (self._relative(drawn, place) for place in range(len(self.names)))
        line = contrast_line(source[1], target[1], np.ones(source[1].shape, dtype=bool))
        contrasts = np.stack([_contrast(source[1]), _contrast(target[1])])
        pair = Pair(source[0], target[0], drawn.inside.astype(np.float32), line, contrasts=contrasts)
        if more:
            pair = replace(pair, more=np.stack([image for image, _ in more]))
        return f"simulated head {number + 1}", pair, drawn.lesions

    def place(self, random: np.random.Generator) -> tuple[int, Floats]:
        """Returns the number of a head and a position in it, (3,), as parts of its extent along each axis.

        Args:
            random: decides both; the position is that of a window, see `WindowPlan.enhancing_share`.
        """
        number = int(random.integers(len(self.heads)))
        head = self.heads[number]
        return number, random_centre(head, self.plan, random) / np.array(head.shape)

    def enhancement(self, number: int, position: Floats, random: np.random.Generator) -> Array:
        """Returns by how much contrast agent brightens a T1w window of a head, (i, j, k), in relative units.

        Args:
            number: of the head.
            position: of the centre of the window, (3,), as parts of the extent of the head along each axis.
            random: patient, sequence and deformation.
        """
        head = self.heads[number]
        plan = replace(self.plan, images=("T1ce", "T1w"), is_same_acquisition=True, other_scanner=0.0)
        drawn = draw_window(head, plan, random, (position * head.shape).astype(np.int64))
        level = by_median(drawn.sample["T1w"], np.ones(drawn.sample["T1w"].shape, dtype=bool)).scale
        brighter = np.maximum(drawn.images["T1ce"] - drawn.images["T1w"], 0) / np.float32(level)
        return np.asarray(brighter * drawn.inside, dtype=np.float32)

    def _relative(self, drawn: DrawnWindow, place: int) -> tuple[Array, Array]:
        """Returns an image and its sample in relative units; the image is zero outside the brain.

        Args:
            drawn: a window.
            place: of the image in `names`.
        """
        name = self.names[place]
        scale = self._scale(drawn.sample[name], place)
        return scale.apply(drawn.images[name]) * drawn.inside, scale.apply(drawn.sample[name])

    def _scale(self, sample: Array, place: int) -> LinearNormalisation:
        preparation = self.recipe.preparation
        is_target = place == len(self.names) - 1
        if place == 0 and preparation.range_hu is not None:
            return by_range_hu(*preparation.range_hu)
        own = preparation.target_reference if is_target else None
        return SCALES[own or preparation.reference](sample, np.ones(sample.shape, dtype=bool))


def _contrast(sample: Array) -> Array:
    """Returns the quantiles of a sample of the brain at `SHARES` over its median, (n,), float32."""
    found = np.quantile(sample, SHARES)
    median = float(np.median(sample))
    return np.asarray(found / (median if median > 0 else 1.0), dtype=np.float32)
