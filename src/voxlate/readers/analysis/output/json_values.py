"""Turns results into plain JSON values.

JSON has no NaN and no infinity; both become null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

INLINE = {"json": "inline"}
"""Marks a field whose own fields stand directly in the JSON object of the parent; `None` adds no key."""

OMITTED = {"json": "omitted"}
"""Marks a field that has no key in the JSON object when it is `None`."""


def to_json(content: Any) -> Any:
    """Returns results as plain JSON values: objects for dataclasses, null for a number that is not finite."""
    if is_dataclass(content):
        return _object(content)
    if isinstance(content, Mapping):
        return {key: to_json(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [to_json(value) for value in content]
    if isinstance(content, np.generic):
        content = content.item()
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def _object(content: Any) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for entry in fields(content):
        value = getattr(content, entry.name)
        if value is None and entry.metadata:
            continue
        if entry.metadata == INLINE:
            members |= _object(value)
        else:
            members[entry.name] = to_json(value)
    return members
