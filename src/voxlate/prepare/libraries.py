"""Libraries that only preparation needs; they come with the extra `prepare`."""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from voxlate.errors import UsageError


def library(module: str) -> ModuleType:
    """Returns an imported module of the extra `prepare`.

    Raises:
        UsageError: `MISSING_LIBRARY` when it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            "MISSING_LIBRARY", f"{module} is not installed; run: pip install 'voxlate[prepare]' ({error})"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps compiled code from writing to the standard output, which belongs to the command."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
