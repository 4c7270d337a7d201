"""Networks and losses outside voxlate, which a recipe names as `MODULE:NAME`, such as `mypackage.networks:MyNet`.

A network or a loss may also be passed to `voxlate.train` as a Python object. If it is a class or a function of a
module, the recipe of the bundle names it as `MODULE:NAME`. Otherwise (an instance, a lambda, a class of a notebook) the
recipe names it as `<NAME>`, and whoever loads the bundle passes the object again.

Importing a module runs its code. Training does so for the recipe that the user names. A bundle is data: the network
that it names is imported only if the user trusts its code (`--trust-code`, `read_bundle(folder, trust_code=True)`).
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voxlate.errors import UsageError

TRUST_VARIABLE = "VOXLATE_TRUST_CODE"
"""With the value 1 the code of bundles is trusted; `--trust-code` sets it for the worker processes of its command."""

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_custom(name: str) -> bool:
    """Returns whether a name of a recipe stands for code outside voxlate."""
    return ":" in name


def is_object(name: str) -> bool:
    """Returns whether a name of a recipe stands for a Python object that cannot be imported, such as `<lambda>`."""
    return name.startswith("<") and name.endswith(">")


def name_of(value: Any) -> str:
    """Returns the name of a network or a loss for a recipe.

    `MODULE:NAME` if an import of the module gives the same class or function again; otherwise `<NAME>`. Importing
    `__main__` would give another program, so that what a script or a notebook defines has no module.

    Args:
        value: a class, a function, or an instance of a class; a network of `torch.compile` has the name of its class.

    Example:
        >>> from torch import nn
        >>> name_of(nn.L1Loss), name_of(nn.L1Loss()), name_of(lambda synthetic, target, mask: None)
        ('torch.nn.modules.loss:L1Loss', '<L1Loss>', '<lambda>')
    """
    value = uncompiled(value)
    named = value if hasattr(value, "__qualname__") else type(value)
    module, name = str(getattr(named, "__module__", "")), str(named.__qualname__)
    full = f"{module}:{name}"
    is_importable = module != "__main__" and getattr(sys.modules.get(module), name, None) is value
    return full if is_importable and _NAME.fullmatch(full) else f"<{name.rpartition('.')[2].strip('<>')}>"


def uncompiled(network: Any) -> Any:
    """Returns the network that `torch.compile` wraps, whose weights have their own names; anything else unchanged."""
    return getattr(network, "_orig_mod", network)


def is_trusted(trust_code: bool) -> bool:
    """Returns whether the code that a bundle names may be imported, by argument or by `TRUST_VARIABLE`."""
    return trust_code or os.environ.get(TRUST_VARIABLE) == "1"


def import_custom(name: str) -> Callable[..., Any]:
    """Imports a module and returns a class or function of it.

    The working directory is searched too, after all other folders of `sys.path`, so that no file there takes the place
    of an installed package.

    Args:
        name: `MODULE:NAME`, the module with dots.

    Raises:
        UsageError: `CUSTOM_CODE` when the name is malformed, the module cannot be imported, or the attribute is missing
            or cannot be called.
    """
    if not _NAME.fullmatch(name):
        raise UsageError("CUSTOM_CODE", f"{name!r} is not MODULE:NAME, such as mypackage.networks:MyNet")
    module_name, _, attribute = name.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path and "" not in sys.path:
        sys.path.append(folder)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the module raises is the fault of the recipe or of the module
        raise UsageError(
            "CUSTOM_CODE",
            f"the module {module_name} cannot be imported: {type(error).__name__}: {error}; run the command in the "
            "folder that holds it, or install it",
        ) from error
    value = getattr(module, attribute, None)
    if value is None:
        raise UsageError("CUSTOM_CODE", f"the module {module_name} has no {attribute}; correct the name in the recipe")
    if not callable(value):
        raise UsageError("CUSTOM_CODE", f"{name} is of type {type(value).__name__}, not a class or a function")
    result: Callable[..., Any] = value
    return result
