"""Libraries that only preparation needs; they come with the extra `prepare`."""

from __future__ import annotations

import importlib
from types import ModuleType

from voxlate.errors import UsageError


def library(module: str, *, extra: str = "prepare") -> ModuleType:
    """Returns an imported module that comes with an extra.

    Raises:
        UsageError: `MISSING_LIBRARY` when it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            "MISSING_LIBRARY", f"{module.partition('.')[0]} is not installed; run: pip install 'voxlate[{extra}]'"
        ) from error
