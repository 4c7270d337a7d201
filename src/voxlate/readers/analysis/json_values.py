"""JSON knows no NaN and no infinity; both become null, and numbers of numpy become plain."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def finite(content: Any) -> Any:
    """Returns the same content with plain numbers, None for what is not finite, lists for tuples."""
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    if isinstance(content, np.generic):
        content = content.item()
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
