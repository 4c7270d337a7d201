"""Writes the model card: intended use, training data, what was measured, and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from voxlate.bundle.custom_code import is_custom, is_object
from voxlate.bundle.recipe import Recipe
from voxlate.evaluation.card import UNMEASURED
from voxlate.evaluation.training_cases import Start
from voxlate.io.log import counted
from voxlate.preparation import PreparationSettings
from voxlate.reference_level import REFERENCE_LEVEL_DEFINITION
from voxlate.training.checkpoint import Progress
from voxlate.version import __version__


def relative_unit(settings: PreparationSettings) -> str:
    """Returns the definition of one relative unit in words."""
    if settings.range_hu is None and settings.reference == "median_in_mask":
        return REFERENCE_LEVEL_DEFINITION
    name = settings.reference if settings.range_hu is None else f"window of {settings.range_hu} HU"
    levels = "" if settings.grey_levels is None else f"; {settings.grey_levels} grey levels"
    return f"source: {name}; target: {settings.target_reference or settings.reference}{levels}"


def card(
    recipe: Recipe,
    weights: Mapping[str, Tensor],
    *,
    names: Mapping[str, Sequence[str]],
    progress: Progress,
    mapping: Mapping[str, Any],
    windows: int = 0,
    drawn: str = "",
) -> str:
    """Returns the model card of a bundle as Markdown.

    Args:
        recipe: the resolved recipe.
        weights: of the network, by name.
        names: of the cases, by split.
        progress: of the finished run.
        mapping: the content of `mapping.json`.
        windows: number of windows of a dataset that was trained on; 0 for windows of the cases.
        drawn: the share of the windows that came from simulated heads, in words; empty for none.
    """
    parameters = sum(tensor.numel() for tensor in weights.values())
    return f"""# {recipe.name}

{UNMEASURED}

Translates **{recipe.from_what}** to **{recipe.target}**. Its output is synthetic and not for diagnosis.

| | |
|---|---|
| network | `{recipe.model.name}` {recipe.model.arguments or ""}, {parameters:,} parameters |
| trained on | {_trained_on(recipe, names["train"], windows)}{f"; {drawn}" if drawn else ""} |
| held out for testing | {", ".join(names["test"]) or "none"} |
| steps | {_steps(recipe, progress)} |
| loss | {_loss(recipe)} |
| chosen weights | {_chosen(recipe, progress, len(names["validation"]))} |
| voxel spacing seen | {_spacing(mapping)} |
| relative unit | {relative_unit(recipe.preparation)} |
| back to units | × source level × {mapping["gain"]:.4g} (log SD {mapping["log_sd"]:.2g} over {mapping["n"]} pairs) |
| written by | voxlate {__version__} |

## Limits
{_level_limit(mapping)}
- Contrast that the training cases do not hold (another sequence, field strength, age, disease) is out of range.
- A lesion that is bright before contrast agent may be changed, and a faint one lost. Look at the source.
{_custom_network(recipe, windows)}
Quality on unseen cases is measured by `voxlate evaluate`, next to honest baselines.
"""


def with_starts(text: str, starts: Sequence[Start]) -> str:
    """Returns a card with a line on the models that the training began with; unchanged for new weights.

    Args:
        text: the card.
        starts: the nearest first.
    """
    if not starts:
        return text
    parts = [f"{each.told}{_cases_of(each)}" for each in starts]
    row = f"| began with the weights of | {'; which began with those of '.join(parts)} |\n"
    return text.replace("| held out for testing |", f"{row}| held out for testing |", 1)


def _cases_of(start: Start) -> str:
    """Returns on what a start was trained, as far as it is known; only real cases are named."""
    if start.is_simulated:
        return ", trained on simulated cases"
    return f", trained on {counted(len(start.cases), 'case')}: {', '.join(start.cases)}" if start.cases else ""


def _trained_on(recipe: Recipe, names: Sequence[str], windows: int) -> str:
    """Returns what the network was trained on."""
    if windows:
        return f"{windows:,} windows of a dataset in Python ({recipe.data_kind})"
    return f"{len(names)} cases ({recipe.data_kind}): {', '.join(names)}"


def _spacing(mapping: Mapping[str, Any]) -> str:
    """Returns the range of voxel sizes, or the only one."""
    if mapping["spacing_mm"] is None:
        return "not known; scans of any voxel size are translated"
    low, high = mapping["spacing_mm"]
    return f"{low:g} mm" if f"{low:g}" == f"{high:g}" else f"{low:g} to {high:g} mm"


def _level_limit(mapping: Mapping[str, Any]) -> str:
    """Returns what is known of the absolute level of the output."""
    if mapping["n"] == 0:
        return "- No whole training pair was at hand: the output has the level of its source."
    pairs = f"{mapping['n']} training pairs"
    return f"- A scanner's gain is arbitrary: the absolute level of the output is a guess from {pairs}."


def _custom_network(recipe: Recipe, windows: int) -> str:
    """Returns lines about a network outside voxlate and about windows of a dataset, or nothing."""
    name, lines = recipe.model.name, ""
    if is_custom(name):
        lines += f"- The network `{name}` is code outside voxlate, not part of this bundle (`--trust-code`).\n"
    if is_object(name):
        lines += (
            f"- The network `{name}` was passed to `voxlate.train` as a Python object and is not part of this bundle. "
            "To load the bundle, pass the network again: `voxlate.load_bundle(folder, network=...)`.\n"
        )
    if windows:
        lines += "- The windows were made outside voxlate; the recipe does not describe them.\n"
    return lines


def _steps(recipe: Recipe, progress: Progress) -> str:
    early = "".join(f"; stage {stop['stage'] + 1} ended early at step {stop['step']}" for stop in progress.stopped)
    return f"{recipe.steps} of {_windows(recipe, progress)} of {recipe.training.window} voxels{early}"


def _windows(recipe: Recipe, progress: Progress) -> str:
    """Returns the windows of one step, of all processes together; each number of them, where it changed."""
    each = recipe.training.batch * recipe.training.accumulate
    if not progress.processes:
        return f"{each} windows in each process"
    texts = [] if progress.processes[0]["step"] == 0 else [f"{each} windows in each process"]
    for change in progress.processes:
        count, step = change["processes"], change["step"]
        since = f"from step {step} on " if step else ""
        among = f" ({each} in each of {count} processes)" if count > 1 else ""
        texts.append(f"{since}{counted(each * count, 'window')}{among}")
    return ", ".join(texts)


def _loss(recipe: Recipe) -> str:
    stages = [recipe.loss if stage.loss is None else stage.loss for stage in recipe.plan]
    texts = [", ".join(f"{_shown(name)} × {weight:g}" for name, weight in loss.items()) for loss in stages]
    parts = ["; then ".join(dict.fromkeys(text for text in texts if text))] if any(texts) else []
    if recipe.cycle is not None:
        parts.append(f"cycle × {recipe.cycle.weight:g}, identity × {recipe.cycle.identity:g}")
    if recipe.adversarial is not None:
        parts.append(f"{recipe.adversarial.loss} × {recipe.adversarial.weight:g}")
    return ", ".join(parts)


def _shown(name: str) -> str:
    """Returns the name of a loss for Markdown, which would take `<NAME>` for a mark of HTML."""
    return f"`{name}`" if is_object(name) else name


def _chosen(recipe: Recipe, progress: Progress, cases: int) -> str:
    """Returns which weights were kept, and their error."""
    if recipe.training.keep in ("training_loss", "pixel_loss") and progress.best is not None:
        name = "loss" if recipe.training.keep == "training_loss" else "pixel loss"
        return f"those of the least {name} of a training batch, {progress.best:.4f}; this says nothing of unseen cases"
    if not progress.validation:
        return "those of the last step; there was no validation"
    if recipe.training.keep == "last" or progress.best is None:
        error = progress.validation[-1]["loss"]
        return f"those of the last step; mean absolute error {error:.4f} in relative units on {cases} validation cases"
    return f"mean absolute error {progress.best:.4f} in relative units on the {cases} validation cases that chose them"
