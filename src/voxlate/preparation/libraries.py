"""Imports optional libraries, such as those of the extra `prepare`, when they are first needed."""

from __future__ import annotations

import importlib
from types import ModuleType

from voxlate.errors import MissingLibrary


def library(module: str, *, extra: str = "prepare") -> ModuleType:
    """Imports and returns a module of an optional dependency.

    Args:
        module: dotted name.
        extra: the extra of voxlate that installs it.

    Raises:
        MissingLibrary: `MISSING_LIBRARY` when it is not installed; the message gives the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingLibrary(
            "MISSING_LIBRARY", f"{module.partition('.')[0]} is not installed; run: pip install 'voxlate[{extra}]'"
        ) from error
