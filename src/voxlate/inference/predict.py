"""Predictions of a bundle for one preprocessed scan, with ensembling and test-time augmentation (left-right flip).

The mean and the standard deviation over all predictions are computed in one pass (Welford's algorithm), so that memory
does not grow with the number of ensemble members.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from voxlate.bundle.bundle import Bundle
from voxlate.bundle.faults import is_out_of_memory
from voxlate.errors import TemporaryFailure
from voxlate.inference.memory import LADDER, WindowPlan, plan_windows
from voxlate.inference.runtime import runner_of
from voxlate.inference.runtime.runners import Runner
from voxlate.io.log import warn
from voxlate.volume import Array, Shape
from voxlate.windows import translate_windows


@dataclass(frozen=True)
class Prediction:
    """The mean and the spread of all predictions.

    Attributes:
        mean: (D, H, W), relative units.
        spread: (D, H, W), relative units; standard deviation with n − 1 in the denominator, 0 for one prediction.
        count: number of predictions n.
        window: size in voxels of the smallest window that a network saw at once; None for the whole box of the brain.
    """

    mean: Array
    spread: Array
    count: int
    window: Shape | None


def predict(bundle: Bundle, x: Tensor, *, runtime: str, mirror: bool, memory_bytes: int) -> Prediction:
    """Returns the mean and spread of one prediction per ensemble member; with `mirror`, also of the flipped scan.

    Args:
        bundle: a trained model, or an ensemble from `join_bundles`.
        x: (1, C, D, H, W), relative units, on the device of the network.
        runtime: one of `voxlate.inference.runtime.RUNTIMES`.
        mirror: test-time augmentation: also predict the scan flipped left to right, and flip the prediction back.
        memory_bytes: memory for the activations.

    Raises:
        TemporaryFailure: `MEMORY` when not even the smallest window fits.
    """
    mean: Array = np.zeros(x.shape[2:], np.float32)
    squares: Array = np.zeros(x.shape[2:], np.float32)
    count, windows = 0, []
    inference = bundle.recipe.inference
    for part in bundle.parts or (bundle,):
        run = runner_of(part, runtime, x.device)
        box = (x.shape[2], x.shape[3], x.shape[4])
        planned = plan_windows(part.network, x.shape[1], box, window=inference.window, memory_bytes=memory_bytes)
        for is_mirrored in (False, True) if mirror else (False,):
            output, window = _forward(run, x.flip(2) if is_mirrored else x, planned, inference.overlap)
            synthetic = (output.flip(2) if is_mirrored else output)[0, 0].float().cpu().numpy()
            windows.append(window)
            count += 1
            deviation = synthetic - mean
            mean = np.asarray(mean + deviation / count, dtype=np.float32)
            squares = np.asarray(squares + deviation * (synthetic - mean), dtype=np.float32)
    used = [window for window in windows if window is not None]
    smallest = min(used, key=np.prod) if used else None
    return Prediction(mean, np.sqrt(squares / np.float32(max(1, count - 1))), count, smallest)


def _forward(run: Runner, x: Tensor, planned: WindowPlan, overlap: float) -> tuple[Tensor, Shape | None]:
    """Returns the network's output for one scan and the window used.

    When the memory of the device is full, smaller windows are tried; a window that the recipe fixes is kept.
    """
    window = planned.window
    if planned.is_cut and window is not None:
        warn("WINDOWED", f"the brain does not fit into memory; it is translated in windows of {window[0]}³ voxels")
    may_shrink = window is None or planned.is_cut
    while True:
        try:
            return translate_windows(run, x, window=window, overlap=overlap), window
        except RuntimeError as error:
            if not _is_full(error, x.device):
                raise
            smaller = [side for side in LADDER if side < (max(x.shape[2:]) if window is None else window[0])]
            if not may_shrink or not smaller:
                raise TemporaryFailure(
                    "MEMORY", f"the memory of {x.device} is full; free memory, or choose another --device"
                ) from error
        window = (smaller[0],) * 3
        warn("WINDOWED", f"the memory of {x.device} is full; trying windows of {window[0]}³ voxels")
        if x.device.type == "cuda":
            torch.cuda.empty_cache()


def _is_full(error: RuntimeError, device: torch.device) -> bool:
    """Returns whether smaller windows may help; on a CPU they would make the bytes depend on what else runs."""
    return isinstance(error, torch.OutOfMemoryError) or (device.type != "cpu" and is_out_of_memory(error))
