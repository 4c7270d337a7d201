"""Number of threads of numerical libraries: one for each processor that this process may use."""

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
"""CPU limit of a container: quota and period in one file (cgroup v2), or in two files (cgroup v1)."""


def free_cores() -> int:
    """Returns how many processors this process may use: the smaller of its affinity and its container's limit."""
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
        except (OSError, ValueError):  # the file is missing, or the limit is `max`
            continue
        if quota > 0 and period > 0:
            return math.ceil(quota / period)
    return otherwise


_chosen: dict[str, str] = {}
"""Variables that `use_free_cores` has set in this process, with their values; all others are of the user."""


def use_free_cores() -> None:
    """Sets the environment variables that limit the threads of numerical libraries. Call it before they are imported.

    By default these libraries start one thread for each processor of the machine, and waiting threads spin. Where
    processors are shared, that costs up to five times the processor time. Variables that the user has set are kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for name, value in thread_variables(free_cores()).items():
        if os.environ.get(name) != value:
            os.environ[name] = _chosen[name] = value


def thread_variables(threads: int) -> dict[str, str]:
    """Returns the variables that give a process so many threads; those that the user has set keep their values.

    Args:
        threads: of each library.
    """
    values = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    given = {name: value for name, value in values.items() if value and _chosen.get(name) != value}
    default = given.get("OMP_NUM_THREADS", str(threads))
    return {name: given.get(name, default) for name in THREAD_VARIABLES}
