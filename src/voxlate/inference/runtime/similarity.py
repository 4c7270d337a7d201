"""PSNR and SSIM of a network in some runtime against real targets; only `voxlate accelerate` loads this module."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from voxlate.bundle.prepared_case import PreparedCase, all_sources
from voxlate.bundle.settings import InferenceSettings
from voxlate.evaluation.similarity import psnr, ssim
from voxlate.windows import translate_windows


def similarities(
    network: Callable[[Tensor], Tensor], cases: Sequence[PreparedCase], inference: InferenceSettings
) -> NDArray[np.float64]:
    """Returns PSNR in dB and SSIM of each case in its mask, (n, 2).

    The data range is the 99.5th percentile of the target in the mask.

    Args:
        network: maps (1, C, d, h, w) to (1, 1, d, h, w), in any runtime.
        cases: prepared pairs.
        inference: size and overlap of windows.
    """
    values = []
    for case in cases:
        sources = all_sources(case)[None]
        synthetic = translate_windows(network, sources, window=inference.window, overlap=inference.overlap)
        made, target = synthetic[0, 0].numpy() * case.mask, np.asarray(case.target) * case.mask
        high = float(np.percentile(target[case.mask], 99.5))
        values.append([measure(made, target, data_range=high, mask=case.mask) for measure in (psnr, ssim)])
    return np.array(values)
