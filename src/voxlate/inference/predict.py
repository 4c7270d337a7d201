"""All answers of a bundle to one prepared scan: of its members, and of the mirrored scan; their mean and spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from voxlate.bundle.bundle import Bundle
from voxlate.errors import TemporaryFailure
from voxlate.inference.memory import LADDER, Planned, plan
from voxlate.inference.runtime import runner_of
from voxlate.inference.runtime.runners import Runner
from voxlate.io.log import warn
from voxlate.volume import Array, Shape
from voxlate.windows import translate_windows


@dataclass(frozen=True)
class Answers:
    """What the networks say.

    Attributes:
        mean, spread: (D, H, W), relative units; the spread is the standard deviation over n - 1, 0 for one answer.
        count: how many answers there were.
        window: what a network saw at once, the smallest; None for the whole box.
    """

    mean: Array
    spread: Array
    count: int
    window: Shape | None


def answers_of(bundle: Bundle, x: Tensor, *, runtime: str, mirror: bool, room: int) -> Answers:
    """Returns the answers to (1, C, D, H, W).

    Args:
        bundle: one, or several that were joined.
        x: on the device that is to work.
        runtime: see `voxlate.inference.runtime.RUNTIMES`.
        mirror: answer the scan mirrored left and right as well.
        room: bytes for the activations.

    Raises:
        TemporaryFailure: `MEMORY`.
    """
    mean: Array = np.zeros(x.shape[2:], np.float32)
    squares: Array = np.zeros(x.shape[2:], np.float32)
    count, windows = 0, []
    inference = bundle.recipe.inference
    for part in bundle.parts or (bundle,):
        run = runner_of(part, runtime, x.device)
        box = (x.shape[2], x.shape[3], x.shape[4])
        planned = plan(part.network, x.shape[1], box, window=inference.window, room=room)
        for is_mirrored in (False, True) if mirror else (False,):
            answer, window = _answer(run, x.flip(2) if is_mirrored else x, planned, inference.overlap)
            found = (answer.flip(2) if is_mirrored else answer)[0, 0].float().cpu().numpy()
            windows.append(window)
            count += 1
            apart = found - mean
            mean = np.asarray(mean + apart / count, dtype=np.float32)
            squares = np.asarray(squares + apart * (found - mean), dtype=np.float32)
    cut = [window for window in windows if window is not None]
    smallest = min(cut, key=np.prod) if cut else None
    return Answers(mean, np.sqrt(squares / np.float32(max(1, count - 1))), count, smallest)


def _answer(run: Runner, x: Tensor, planned: Planned, overlap: float) -> tuple[Tensor, Shape | None]:
    """Returns the answer to one scan and the window; where a graphics processor is full, smaller ones are tried."""
    window = planned.window
    if planned.is_cut and window is not None:
        warn("WINDOWED", f"the box does not fit into the memory; it is translated in windows of {window[0]}³ voxels")
    is_free = window is None or planned.is_cut
    while True:
        try:
            return translate_windows(run, x, window=window, overlap=overlap), window
        except torch.OutOfMemoryError as error:
            smaller = [side for side in LADDER if side < (max(x.shape[2:]) if window is None else window[0])]
            if not is_free or not smaller:
                raise TemporaryFailure(
                    "MEMORY", f"the memory of {x.device} is full; free some, or choose another --device"
                ) from error
        window = (smaller[0],) * 3
        warn("WINDOWED", f"the memory of {x.device} is full; windows of {window[0]}³ voxels are tried")
        if x.device.type == "cuda":
            torch.cuda.empty_cache()
