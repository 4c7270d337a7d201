"""What a training run measures on its own cases: validation error, the mapping, the quantile functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from voxlate.evaluate.baselines import fit_histogram_match, histogram_match_to_json
from voxlate.train.data import PreparedCase
from voxlate.train.recipe import InferenceSettings
from voxlate.windows import translate_windows


def mean_error(
    network: nn.Module, cases: Sequence[PreparedCase], inference: InferenceSettings, device: torch.device
) -> float:
    """Returns the mean over cases of the mean absolute error in the brain, in relative units."""
    errors = []
    for case in cases:
        source = torch.from_numpy(np.array(case.source))[None, None].to(device)
        synthetic = whole_volume(network, source, inference)[0, 0].cpu().numpy()
        errors.append(float(np.abs(synthetic - case.target)[case.mask].mean()))
    return float(np.mean(errors))


@torch.no_grad()
def whole_volume(network: nn.Module, source: Tensor, inference: InferenceSettings) -> Tensor:
    """Returns the network's answer in evaluation mode for (1, C, D, H, W), its mode restored afterwards."""
    was_training = network.training
    network.eval()
    try:
        return translate_windows(network, source, window=inference.window, overlap=inference.overlap)
    finally:
        network.train(was_training)


def level_mapping(cases: Sequence[PreparedCase]) -> dict[str, Any]:
    """Returns how reference levels of targets relate to those of their sources, and the spacings seen."""
    ratios = np.log([case.target_level / case.source_level for case in cases])
    spacings = [spacing for case in cases for spacing in case.spacing_mm]
    return {
        "gain": float(np.exp(ratios.mean())),
        "log_sd": float(ratios.std(ddof=1)) if len(ratios) > 1 else 0.0,
        "offset": float(np.mean([case.target_offset for case in cases])),
        "median": float(np.mean([case.target_median for case in cases])),
        "n": len(cases),
        "spacing_mm": [min(spacings), max(spacings)],
    }


def quantile_functions(cases: Sequence[PreparedCase]) -> dict[str, Any]:
    """Returns what the histogram-matched baseline needs of the training pairs, in relative units."""
    return histogram_match_to_json(fit_histogram_match((case.source, case.target, case.mask) for case in cases))
