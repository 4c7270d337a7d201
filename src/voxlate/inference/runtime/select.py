"""Selects the fastest runtime of a bundle on this machine by a short trial, and remembers it."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from contextlib import suppress
from pathlib import Path

import torch

from voxlate.bundle.bundle import Bundle
from voxlate.errors import VoxlateError
from voxlate.inference.runtime.runners import RUNTIMES, TORCH, runner_of
from voxlate.io.atomic import write_json
from voxlate.io.documents import read_object
from voxlate.models.gain_offset_unet import takes_reference
from voxlate.version import __version__

TRIAL_SIZE = 64
"""Side in voxels of the window of the trial. Chosen by hand; not tuned."""
TRIALS = 3
"""Runs per runtime; the fastest counts, as others are slowed by what else the machine does. Chosen by hand."""
CACHE_VARIABLE = "VOXLATE_CACHE"


def choose_runtime(bundle: Bundle, device: torch.device, *, has_reference: bool = False) -> str:
    """Returns the fastest of torch and the runtimes that `voxlate accelerate` added to the bundle.

    The trial takes a few seconds, once for each bundle, CPU and number of threads; the result is kept in the folder
    `VOXLATE_CACHE`, or else in the user's cache folder. On a GPU the result is always torch.

    Args:
        bundle: a trained model, or an ensemble, whose first member is tried.
        device: device of torch.
        has_reference: the result gets the contrast of a reference. A network with layers for that is run by torch: its
            conversion is good for one scan, and takes longer than it saves.
    """
    parts = bundle.parts or (bundle,)
    if has_reference and takes_reference(parts[0].network):
        return TORCH
    allowed = [name for name in RUNTIMES[1:] if all(name in part.runtimes for part in parts)]
    if device.type != "cpu" or not allowed:
        return TORCH
    path = cache_folder() / f"{_key(bundle, allowed)}.json"
    remembered = str(read_object(path).get("chosen"))
    if remembered in (TORCH, *allowed):
        return remembered
    seconds = {name: trial(parts[0], name) for name in (TORCH, *allowed)}
    chosen = min(seconds, key=lambda name: seconds[name])
    record = {"chosen": chosen, "seconds": {k: v for k, v in seconds.items() if v < float("inf")}, "size": TRIAL_SIZE}
    with suppress(VoxlateError):  # without a writable cache the trial is repeated each time
        write_json(path, record)
    return chosen


def trial(bundle: Bundle, runtime: str) -> float:
    """Returns the seconds for one window of noise, the minimum of a few runs; infinity if the runtime fails.

    Args:
        bundle: a trained model that is not an ensemble.
        runtime: one of `RUNTIMES`.
    """
    x = torch.rand(1, 1 + len(bundle.recipe.more_sources), *(TRIAL_SIZE,) * 3)
    try:
        run = runner_of(bundle, runtime, torch.device("cpu"))
        run(x)
        times = []
        for _ in range(TRIALS):
            start = time.perf_counter()
            run(x)
            times.append(time.perf_counter() - start)
    except (VoxlateError, RuntimeError):
        return float("inf")
    return min(times)


def cache_folder() -> Path:
    """Returns the folder where the results of trials are kept."""
    folder = os.environ.get(CACHE_VARIABLE)
    if folder:
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voxlate" / "runtimes"


def _key(bundle: Bundle, allowed: list[str]) -> str:
    facts = [
        __version__,
        torch.__version__,
        _processor(),
        str(torch.get_num_threads()),
        bundle.weights_sha256,
        *allowed,
    ]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
