"""Keeps the memory of freed arrays in the process, so that the next array of that size costs no page faults.

By default the allocator of glibc maps each array above 32 MiB anew and returns it to the system when it is freed. Each
new array then costs a page fault, and a page of zeros, for every 4 KiB. With volumes and feature maps that is 5 % to
40 % of the processor time (`benchmarks/bench_allocator.py`).
"""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
"""Parameters of `mallopt` in glibc's `malloc.h`."""

KEPT_BYTES = 1 << 30
"""Free memory at the end of the heap above which it is returned to the system: some arrays of a head of 1 mm with
float32 feature maps. Without a limit a process that is once large stays so."""

GROWTH_BYTES = 64 << 20
"""The heap grows by this more than is asked for, so that it grows seldom. The system backs it when it is written."""

VARIABLES = (
    "MALLOC_MMAP_MAX_",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "GLIBC_TUNABLES",
)
"""Environment variables by which a user sets the same; any of them is left in charge."""


def keep_freed_memory() -> bool:
    """Sets up the allocator of this process and returns whether it did; does nothing without glibc.

    Call it once at the start of a process of our own, not from a library function: it acts on the whole process.
    The peak of resident memory grows by about a tenth, because freed memory is not always reused in full.
    """
    if not sys.platform.startswith("linux") or any(name in os.environ for name in VARIABLES):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library, such as musl, has none
        return False
    done = [mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, KEPT_BYTES), mallopt(_TOP_PAD, GROWTH_BYTES)]
    return done == [1, 1, 1]
