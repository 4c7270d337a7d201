"""Validation during training: the EMA weights, their error on whole volumes, and which weights are kept."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from voxlate.bundle.bundle import write_weights
from voxlate.bundle.prepared_case import PreparedCase, all_sources
from voxlate.bundle.recipe import Recipe
from voxlate.bundle.settings import InferenceSettings
from voxlate.errors import InputRefused
from voxlate.io.log import counted
from voxlate.models.gain_offset_unet import with_reference
from voxlate.models.parts.single_sample import SingleSampleConvolutions
from voxlate.training.checkpoint import Progress
from voxlate.training.data.cohort import TrainingCohort
from voxlate.training.outputs.trackers import Tracker
from voxlate.training.schedule import stage_position
from voxlate.volume import Array
from voxlate.windows import translate_windows

log = logging.getLogger("voxlate")

EmaWeights = dict[str, Tensor]
"""An exponential moving average (EMA) of the weights of the generator, by name."""


def ema_of(network: nn.Module) -> EmaWeights:
    """Returns EMA weights that start as the weights of a network."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def update_ema(ema: EmaWeights, network: nn.Module, *, decay: float) -> None:
    """Moves the EMA weights towards the weights of a network: new = decay x old + (1 - decay) x weight."""
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            ema[name].lerp_(tensor.detach(), 1 - decay)
        else:
            ema[name].copy_(tensor)


def toward_start(weights: EmaWeights, start: EmaWeights, share: float) -> EmaWeights:
    """Returns (1 - share) x weights + share x start, name by name; whole numbers, such as counters, as in `weights`.

    The network between a pretrained and a fine-tuned one often has a smaller error than either on scans unlike those of
    the fine-tuning (WiSE-FT; Wortsman et al., CVPR 2022).

    Args:
        weights: after training, by name.
        start: those that the training started from, of the same names and shapes.
        share: of the start, 0 to 1.
    """
    return {
        name: torch.lerp(tensor, start[name].to(tensor), share) if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
    }


def ema_decay(largest: float, step: int) -> float:
    """Returns the decay after `step` steps, min(largest, (1 + step) / (10 + step)).

    The average follows closely at first, so that it forgets the random start. The ramp is that of TensorFlow's
    `ExponentialMovingAverage(num_updates)`.
    """
    return min(largest, (1 + step) / (10 + step))


@dataclass(frozen=True)
class ValidationResult:
    """The error of a network on some cases.

    Attributes:
        error: mean over cases of the mean absolute error in the mask, in relative units.
        sample: (rows, columns), from 0 to 1: an axial slice of source, synthetic and target of the first case.
    """

    error: float
    sample: Array


def validate(
    network: nn.Module, cases: Sequence[PreparedCase], inference: InferenceSettings, device: torch.device
) -> ValidationResult:
    """Translates whole volumes and compares them with their targets.

    A network that takes a reference gets the target as its reference, as in training.

    Args:
        network: maps (1, C, D, H, W) to (1, 1, D, H, W).
        cases: prepared pairs, at least one.
        inference: the window, as at inference.
        device: where the network is.
    """
    errors, sample = [], np.zeros((1, 1), dtype=np.float32)
    for index, case in enumerate(cases):
        asked = with_reference(network, case.contrasts)
        synthetic = whole_volume(asked, all_sources(case)[None].to(device), inference)[0, 0].float().cpu().numpy()
        errors.append(float(np.abs(synthetic - case.target)[case.mask].mean()))
        sample = sample if index else _side_by_side(case, synthetic)
    return ValidationResult(float(np.mean(errors)), sample)


@torch.no_grad()
def whole_volume(network: nn.Module, source: Tensor, inference: InferenceSettings) -> Tensor:
    """Returns the synthetic volume of a network in evaluation mode; its mode is restored afterwards.

    Args:
        network: maps (1, C, d, h, w) to (1, 1, d, h, w).
        source: (1, C, D, H, W), relative units.
        inference: the window.
    """
    was_training = network.training
    network.eval()
    try:
        with SingleSampleConvolutions():
            return translate_windows(network, source, window=inference.window, overlap=inference.overlap)
    finally:
        network.train(was_training)


class Validator:
    """Validates the EMA weights, keeps them if they are the best so far, and decides about early stopping.

    Args:
        recipe: the resolved recipe.
        run: folder of the run; the best weights of each stage are kept in `best-<stage>.safetensors`.
        cohort: its validation cases are used; without any, the first training case gives a sample and no error.
        fabric: already launched; only its first process validates.
        trackers: get the sample and the error.
        new_network: returns a network that takes the weights.
        start: the weights that the training started from, see `training.start_share`; None for new ones.
    """

    def __init__(
        self,
        recipe: Recipe,
        run: Path,
        cohort: TrainingCohort,
        fabric: Fabric,
        *,
        trackers: Sequence[Tracker],
        new_network: Callable[[], nn.Module],
        start: EmaWeights | None = None,
    ) -> None:
        self.recipe, self.run, self.cohort = recipe, run, cohort
        self.fabric, self.trackers, self.new_network, self.start = fabric, trackers, new_network, start

    def ends_stage(self, ema: EmaWeights, progress: Progress, losses: Mapping[str, float]) -> bool:
        """Validates the EMA weights and returns whether the patience of the recipe is used up.

        Args:
            ema: EMA weights. They are validated and kept, mixed with a share of the start where there is one.
            progress: gets the error, and whether the weights are the best so far.
            losses: of the last step; they choose the weights with `keep: training_loss` and `pixel_loss`.

        Raises:
            InputRefused: `DIVERGED` when the error is not finite.
        """
        settings = self.recipe.training
        kept = ema if self.start is None else toward_start(ema, self.start, settings.start_share)
        error = self.fabric.broadcast(self._error(kept, progress.step) if self.fabric.is_global_zero else None)
        if error is not None and not math.isfinite(error):
            raise InputRefused(
                "DIVERGED",
                f"the error on the validation cases is {error} after step {progress.step}; lower "
                "training.learning_rate or set training.clip; the last checkpoint is kept",
            )
        if error is not None:
            progress.validation.append({"step": progress.step, "loss": error})
        total = losses["loss"]
        value = {
            "best": error,
            "last": None,
            "training_loss": total,
            "pixel_loss": losses.get("pixel", total),  # without a discriminator they are the same
        }[settings.keep]
        is_better = value is None or progress.best is None or value < progress.best
        progress.stale = 0 if is_better else progress.stale + 1
        if is_better:
            progress.best = value
            if self.fabric.is_global_zero:
                write_weights(best_weights(self.run, stage_position(self.recipe, progress.step - 1).index), kept)
        return settings.patience is not None and progress.stale >= settings.patience

    def _error(self, ema: EmaWeights, step: int) -> float | None:
        """Returns the error on the validation cases, or None without such cases."""
        has_cases = bool(self.cohort.validation)
        cases = self.cohort.validation or self.cohort.train[:1]
        if not cases:
            return None
        network = self.new_network()
        network.load_state_dict({name: tensor.cpu() for name, tensor in ema.items()})
        device = self.fabric.device
        result = validate(network.to(device), cases, self.recipe.inference, device)
        for tracker in self.trackers:
            tracker.sample(step, result.sample)
        if not has_cases:
            return None
        log.info(
            "step %d: mean absolute error %.4f in relative units on %s",
            step,
            result.error,
            counted(len(cases), "validation case"),
        )
        for tracker in self.trackers:
            tracker.losses(step, {"validation": result.error})
        return result.error


def best_weights(run: Path, stage: int) -> Path:
    """Returns the file of the best weights of a stage."""
    return run / f"best-{stage}.safetensors"


def latest_best_weights(run: Path, before: int) -> Path:
    """Returns the file of the best weights of the last stage before stage number `before` that kept any."""
    paths = (best_weights(run, stage) for stage in range(before - 1, -1, -1))
    return next(path for path in paths if path.exists())


def _side_by_side(case: PreparedCase, synthetic: Array) -> Array:
    """Returns the middle axial slice of source, synthetic and target, (rows, columns), from 0 to 1.

    Synthetic and target are shown with the intensity window of the target, so that their brightness can be compared.
    """
    middle = int(np.median(np.flatnonzero(case.mask.any(axis=(0, 1)))))
    inside = case.mask[:, :, middle]
    source, made, target = (np.rot90(image[:, :, middle] * inside) for image in (case.source, synthetic, case.target))
    panels = [_in_window(source, source), _in_window(made, target), _in_window(target, target)]
    return np.concatenate(panels, axis=1)


def _in_window(image: Array, reference: Array) -> Array:
    """Returns an image from 0 to 1 by the intensity window of `reference`: its least value to its 99.5th percentile.

    The percentile keeps a few bright voxels, such as vessels, from making the rest dark; 99.5 was chosen by hand.
    """
    low, high = min(0.0, float(reference.min())), float(np.percentile(reference, 99.5))
    return np.asarray(np.clip((image - low) / max(high - low, 1e-6), 0, 1), dtype=np.float32)
