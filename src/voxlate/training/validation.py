"""What a training run measures on its own cases: validation error, the mapping, the quantile functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from voxlate.bundle.prepared_case import PreparedCase, all_sources
from voxlate.bundle.settings import InferenceSettings
from voxlate.evaluation.baselines import HistogramMatch, histogram_match_to_json
from voxlate.volume import Array
from voxlate.windows import translate_windows


@dataclass(frozen=True)
class Judgement:
    """How a network does on some cases.

    Attributes:
        error: mean over cases of the mean absolute error in the brain, in relative units.
        sample: (rows, columns), from 0 to 1, an axial slice of the first case: source, synthetic and target.
    """

    error: float
    sample: Array


def judge(
    network: nn.Module, cases: Sequence[PreparedCase], inference: InferenceSettings, device: torch.device
) -> Judgement:
    """Returns the judgement of a network on whole volumes."""
    errors, sample = [], np.zeros((1, 1), dtype=np.float32)
    for index, case in enumerate(cases):
        synthetic = whole_volume(network, all_sources(case)[None].to(device), inference)[0, 0].float().cpu().numpy()
        errors.append(float(np.abs(synthetic - case.target)[case.mask].mean()))
        sample = sample if index else _side_by_side(case, synthetic)
    return Judgement(float(np.mean(errors)), sample)


def _side_by_side(case: PreparedCase, synthetic: Array) -> Array:
    """Returns a picture from 0 to 1; synthetic and target share their window, which is the target's."""
    middle = int(np.median(np.flatnonzero(case.mask.any(axis=(0, 1)))))
    inside = case.mask[:, :, middle]
    source, made, target = (np.rot90(image[:, :, middle] * inside) for image in (case.source, synthetic, case.target))
    panels = [_in_window(source, source), _in_window(made, target), _in_window(target, target)]
    return np.concatenate(panels, axis=1)


def _in_window(image: Array, of: Array) -> Array:
    low, high = min(0.0, float(of.min())), float(np.percentile(of, 99.5))
    return np.asarray(np.clip((image - low) / max(high - low, 1e-6), 0, 1), dtype=np.float32)


@torch.no_grad()
def whole_volume(network: nn.Module, source: Tensor, inference: InferenceSettings) -> Tensor:
    """Returns the network's answer in evaluation mode for (1, C, D, H, W), its mode restored afterwards."""
    was_training = network.training
    network.eval()
    try:
        return translate_windows(network, source, window=inference.window, overlap=inference.overlap)
    finally:
        network.train(was_training)


def level_mapping(cases: Sequence[PreparedCase], targets: Sequence[PreparedCase] | None = None) -> dict[str, Any]:
    """Returns how reference levels of targets relate to those of their sources, and the spacings seen.

    Args:
        cases: of the training; pairs, or sources alone when there are `targets`.
        targets: targets that are no partners of theirs; each is then compared with the mean source.
    """
    others = cases if targets is None else targets
    sources = np.log([case.source_level for case in cases])
    levels = np.log([case.target_level for case in others])
    ratios = levels - (sources if targets is None else sources.mean())
    spacings = [spacing for case in cases for spacing in case.spacing_mm]
    return {
        "gain": float(np.exp(ratios.mean())),
        "log_sd": float(ratios.std(ddof=1)) if len(ratios) > 1 else 0.0,
        "offset": float(np.mean([case.target_offset for case in others])),
        "median": float(np.mean([case.target_median for case in others])),
        "n": len(others),
        "spacing_mm": [min(spacings), max(spacings)],
    }


def quantile_functions(cases: Sequence[PreparedCase], targets: Sequence[PreparedCase] | None = None) -> dict[str, Any]:
    """Returns what the histogram-matched baseline needs of the training cases, in the units of evaluation."""
    sources = np.mean([case.quantiles[0] for case in cases], axis=0)
    found = np.mean([case.quantiles[1] for case in (cases if targets is None else targets)], axis=0)
    return histogram_match_to_json(HistogramMatch(sources, found, len(cases)))
