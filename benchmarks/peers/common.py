"""What every peer's script shares: its job, the clock, and the units of its answer.

It needs NumPy, nibabel and torch only, because it runs in the environment of each peer.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

WINDOW = 64
"""Edge of the training windows of volumes, in voxels; voxlate's default has the same."""
BATCH = 2
SEED = 0


@dataclass(frozen=True)
class Job:
    """One training on one clock.

    Attributes:
        train, test: cases, each with `name`, `sources`, `target` and `mask` (paths); test cases have no target.
        seconds: processor seconds of all threads that training may take, from the first step on.
        out: folder of the answers.
        has_skull: the images show whole heads, so that a peer has to be given the mask.
    """

    train: list[dict[str, Any]]
    test: list[dict[str, Any]]
    seconds: float
    out: Path
    has_skull: bool


def read_job() -> Job:
    """Returns the job whose file is the first argument of the script."""
    content = json.loads(Path(sys.argv[1]).read_text())
    return Job(content["train"], content["test"], content["seconds"], Path(content["out"]), content["has_skull"])


class Clock:
    """Counts the processor seconds of all threads of this process since it was made."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._start = time.process_time()

    @property
    def used(self) -> float:
        return time.process_time() - self._start

    @property
    def share(self) -> float:
        """Returns the used share of the budget, 0 to 1."""
        return min(self.used / self.seconds, 1.0)


def cosine(share: float) -> float:
    """Returns the factor of the learning rate after a share of the budget: a cosine from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * share))


def poly(share: float) -> float:
    """Returns the schedule of nnU-Net."""
    return (1 - share) ** 0.9


def train(
    clock: Clock,
    optimiser: Any,
    step: Callable[[], Any],
    schedule: Callable[[float], float],
    clip: float | None = None,
) -> int:
    """Takes steps until the budget is used, and returns their number.

    Args:
        clock: of the budget.
        optimiser: whose learning rate follows the schedule.
        step: draws a batch and returns its loss.
        schedule: factor of the learning rate by the used share of the budget.
        clip: largest norm of the gradient; None leaves it.
    """
    import torch

    base, steps = optimiser.param_groups[0]["lr"], 0
    while clock.share < 1:
        optimiser.param_groups[0]["lr"] = base * schedule(clock.share)
        optimiser.zero_grad(set_to_none=True)
        step().backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], clip)
        optimiser.step()
        steps += 1
    return steps


def read_image(path: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Returns the voxels of an image, (i, j, k), float32."""
    return np.asarray(nibabel.load(path).dataobj, dtype=np.float32)


def read_mask(case: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Returns the brain mask of a case, (i, j, k)."""
    inside: np.ndarray[Any, np.dtype[np.bool_]] = read_image(case["mask"]) > 0.5
    return inside


def z_score(image: Any, mask: Any) -> Any:
    """Returns an image with mean 0 and standard deviation 1 in the mask, and 0 outside."""
    inside = image[mask]
    return np.where(mask, (image - inside.mean()) / inside.std(), 0).astype(np.float32)


def target_units(cases: list[dict[str, Any]], *, is_of_mask: bool = True) -> tuple[float, float]:
    """Returns mean and standard deviation of the training targets in units of their medians, averaged over cases.

    An answer in z-scores becomes an image by them: a user has no target at hand when a network is applied.

    Args:
        cases: training cases.
        is_of_mask: whether the z-scores are of the mask; else of all voxels that are not zero, of which the target has
            some outside the mask. The median is that of the mask in both.
    """
    values = []
    for case in cases:
        image, mask = read_image(case["target"]), read_mask(case)
        scored, median = image[mask if is_of_mask else image != 0], np.median(image[mask])
        values.append((scored.mean() / median, scored.std() / median))
    mean, deviation = np.mean(values, axis=0)
    return float(mean), float(deviation)


def write_answer(job: Job, case: dict[str, Any], image: Any) -> None:
    """Writes a synthetic image, (i, j, k), in units of the target's median, zero outside the mask."""
    job.out.mkdir(parents=True, exist_ok=True)
    affine = nibabel.load(case["sources"][0]).affine
    data = np.where(read_mask(case), image, 0).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(data, affine), job.out / f"{case['name']}.nii.gz")


def write_record(job: Job, clock_used: float, steps: int, parameters: int, **more: Any) -> None:
    """Writes `record.json`, last: seconds, steps, parameters, versions."""
    import torch

    record = {"seconds": clock_used, "steps": steps, "parameters": parameters, "torch": torch.__version__} | more
    (job.out / "record.json").write_text(json.dumps(record, indent=1) + "\n")
