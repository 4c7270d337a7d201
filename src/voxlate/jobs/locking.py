"""File locks that the system releases however the process that holds them ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def lock(path: Path, *, wait: bool = False, mode: int = 0o666) -> int:
    """Returns a file descriptor that holds the lock of a file until it is closed.

    Args:
        path: the file; it is created when it does not exist.
        wait: wait until another process releases the lock.
        mode: permissions of a new file.

    Raises:
        BlockingIOError: another process holds the lock, and `wait` is false.
        OSError: the file cannot be created.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, mode)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BaseException:
        os.close(handle)
        raise
    return handle
