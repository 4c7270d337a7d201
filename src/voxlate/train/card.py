"""The model card: what a bundle is for, what it saw, what was measured, and what it must not be used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from voxlate import __version__
from voxlate.prepare import PreparationSettings
from voxlate.reference_level import REFERENCE_LEVEL_DEFINITION
from voxlate.train.checkpoint import Progress
from voxlate.train.recipe import Recipe


def relative_unit(settings: PreparationSettings) -> str:
    """Returns what one relative unit is, in words."""
    if settings.range_hu is None and settings.reference == "median_in_mask":
        return REFERENCE_LEVEL_DEFINITION
    name = settings.reference if settings.range_hu is None else f"window of {settings.range_hu} HU"
    return f"source: {name}; target: {settings.target_reference or settings.reference}"


def card(
    recipe: Recipe,
    weights: Mapping[str, Tensor],
    *,
    names: Mapping[str, Sequence[str]],
    progress: Progress,
    mapping: Mapping[str, Any],
) -> str:
    """Returns the card as Markdown.

    Args:
        recipe: the resolved recipe.
        weights: state of the network.
        names: cases per split.
        progress: of the finished run.
        mapping: as in `mapping.json`.
    """
    parameters = sum(tensor.numel() for tensor in weights.values())
    validation = (
        f"{progress.best:.4f} in relative units on {len(names['validation'])} cases that chose the weights"
        if progress.best is not None
        else "none; the weights are those of the last step"
    )
    return f"""# {recipe.name}

Translates **{recipe.source}** to **{recipe.target}**. Its output is synthetic and not for diagnosis.

| | |
|---|---|
| network | `{recipe.model.name}` {recipe.model.arguments or ""}, {parameters:,} parameters |
| trained on | {len(names["train"])} cases ({recipe.data_kind}): {", ".join(names["train"])} |
| held out for testing | {", ".join(names["test"]) or "none"} |
| steps | {progress.step} of {recipe.training.batch} windows of {recipe.training.window} voxels |
| loss | {", ".join(f"{name} × {weight:g}" for name, weight in recipe.loss.items())} |
| in-mask mean absolute error at validation | {validation} |
| voxel spacing seen | {mapping["spacing_mm"][0]:g} to {mapping["spacing_mm"][1]:g} mm |
| relative unit | {relative_unit(recipe.preparation)} |
| back to units | × source level × {mapping["gain"]:.4g} (log SD {mapping["log_sd"]:.2g} over {mapping["n"]} pairs) |
| written by | voxlate {__version__} |

## Limits
- A scanner's gain is arbitrary: the absolute level of the output is a guess from {mapping["n"]} training pairs.
- Contrast that the training cases do not hold (another sequence, field strength, age, disease) is out of range.
- A lesion that is bright before contrast agent may be changed, and a faint one lost. Look at the source.

Quality on unseen cases is measured by `voxlate evaluate`, next to honest baselines.
"""
