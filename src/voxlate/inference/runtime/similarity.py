"""How near the answers of a network in some runtime are to real targets; loaded by `voxlate accelerate` alone."""

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
    """Returns PSNR and SSIM of each case in its mask, (n, 2); the range is the target's 99.5th percentile there.

    Args:
        network: maps (1, C, d, h, w) to (1, 1, d, h, w), in whatever it runs.
        cases: prepared pairs.
        inference: windows.
    """
    found = []
    for case in cases:
        sources = all_sources(case)[None]
        answer = translate_windows(network, sources, window=inference.window, overlap=inference.overlap)
        made, target = answer[0, 0].numpy() * case.mask, np.asarray(case.target) * case.mask
        high = float(np.percentile(target[case.mask], 99.5))
        found.append([measure(made, target, data_range=high, mask=case.mask) for measure in (psnr, ssim)])
    return np.array(found)
