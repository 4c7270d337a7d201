"""Keeps the memory of freed arrays in the process, so that the next array of that size costs no page faults.

By default the allocator of glibc maps each array above 32 MiB anew and returns it to the system when it is freed. Each
new array then costs a page fault, and a page of zeros, for every 4 KiB. With volumes and feature maps that is 13 %
to 44 % of the processor time (`benchmarks/bench_allocator.py`).
"""

from __future__ import annotations

import ctypes
import os
import sys
from threading import Event

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4
"""Parameters of `mallopt` in glibc's `malloc.h`."""

_DEFAULTS = ((_MMAP_MAX, 65_536), (_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 64 << 20), (_TOP_PAD, 128 << 10))
"""What glibc works with after some large arrays: both thresholds have grown to their limits."""

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

FRAGMENTED = 1.5
"""Resident memory over what is in use, at most: a Trans-U-Net whose step holds 8.8 GiB took 12.5 GiB."""

_is_kept = Event()


def keep_freed_memory() -> bool:
    """Sets up the allocator of this process and returns whether it did; does nothing without glibc.

    Call it once at the start of a process of our own, not from a library function: it acts on the whole process.
    The peak of resident memory grows by a tenth to a half, because freed memory is not always reused in full.
    """
    if _set((_MMAP_MAX, 0), (_TRIM_THRESHOLD, KEPT_BYTES), (_TOP_PAD, GROWTH_BYTES)):
        _is_kept.set()
    return _is_kept.is_set()


def return_freed_memory() -> None:
    """Undoes `keep_freed_memory`, for work whose memory times `FRAGMENTED` would not fit.

    Does nothing in a process that did not call it: a program that imports voxlate keeps its own settings.
    """
    if _is_kept.is_set():
        _set(*_DEFAULTS)
        _is_kept.clear()


def _set(*parameters: tuple[int, int]) -> bool:
    if not sys.platform.startswith("linux") or any(name in os.environ for name in VARIABLES):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library, such as musl, has none
        return False
    return {mallopt(name, value) for name, value in parameters} == {1}
