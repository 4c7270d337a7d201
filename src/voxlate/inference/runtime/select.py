"""The quickest runtime that a bundle may use on this machine, found by a short trial and remembered."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from contextlib import suppress
from pathlib import Path

import torch

from voxlate import __version__
from voxlate.bundle.bundle import Bundle
from voxlate.errors import VoxlateError
from voxlate.inference.runtime.runners import RUNTIMES, TORCH, runner_of
from voxlate.io.atomic import write_json
from voxlate.io.documents import read_json

TRIAL_SIZE = 64
TRIALS = 3
CACHE_VARIABLE = "VOXLATE_CACHE"


def choose_runtime(bundle: Bundle, device: torch.device) -> str:
    """Returns the quickest of torch and what `voxlate accelerate` has put into the bundle.

    The trial takes a few seconds, once for each bundle, processor and number of threads; the times are kept below
    `VOXLATE_CACHE`, or else in the user's cache folder. With a graphics processor it is always torch.
    """
    parts = bundle.parts or (bundle,)
    allowed = [name for name in RUNTIMES[1:] if all(name in part.runtimes for part in parts)]
    if device.type != "cpu" or not allowed:
        return TORCH
    path = cache_folder() / f"{_key(bundle, allowed)}.json"
    try:
        known = str(read_json(path)["chosen"])
    except (OSError, ValueError, KeyError):
        known = ""
    if known in (TORCH, *allowed):
        return known
    seconds = {name: trial(parts[0], name) for name in (TORCH, *allowed)}
    chosen = min(seconds, key=lambda name: seconds[name])
    record = {"chosen": chosen, "seconds": {k: v for k, v in seconds.items() if v < float("inf")}, "size": TRIAL_SIZE}
    with suppress(VoxlateError):  # a home that cannot be written costs a trial each time, and nothing else
        write_json(path, record)
    return chosen


def trial(bundle: Bundle, runtime: str) -> float:
    """Returns the seconds for one window of noise, the best of a few, or infinity when the runtime does not work."""
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
    """Returns where trials are remembered."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
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
