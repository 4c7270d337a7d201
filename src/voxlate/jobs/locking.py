"""A lock that the system lets go of however the process that holds it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def lock(path: Path, *, wait: bool = False, mode: int = 0o666) -> int:
    """Returns a handle that holds the lock of a file until it is closed.

    Args:
        path: of the file, made when it is not there.
        wait: until whoever holds it lets go.
        mode: of a file that is made.

    Raises:
        BlockingIOError: another process holds it, and there is no waiting.
        OSError: the file cannot be made.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, mode)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BaseException:
        os.close(handle)
        raise
    return handle
