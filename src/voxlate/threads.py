"""How many threads numerical libraries may start: as many as there are processors free to this process."""

from __future__ import annotations

import math
import os
from pathlib import Path

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)

_CPU_LIMITS = ("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
"""Where a container's share of the processors stands: two numbers in the first file, or one in each of two files."""


def free_cores() -> int:
    """Returns how many processors this process may use: of its affinity and of the limit of its container, the less."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(count, _container_cores(count)))


def _container_cores(otherwise: int) -> int:
    for name in _CPU_LIMITS:
        path = Path(name)
        try:
            words = path.read_text(encoding="ascii").split()
            if path.name == "cpu.cfs_quota_us":
                words += path.with_name("cpu.cfs_period_us").read_text(encoding="ascii").split()
            quota, period = (float(word) for word in words[:2])
        except (OSError, ValueError):  # not there, or `max`
            continue
        if quota > 0 and period > 0:
            return math.ceil(quota / period)
    return otherwise


def use_free_cores() -> None:
    """Tells the numerical libraries, which must not be loaded yet, to use the free processors and to wait passively.

    Without it they start a thread for each processor of the machine, and threads that spin while they wait take five
    times the work where processors are shared. What the user has set stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, os.environ.get("OMP_NUM_THREADS") or str(free_cores()))
