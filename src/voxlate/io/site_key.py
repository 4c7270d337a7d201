"""The secret of a site, from which pseudonyms and new identifiers are made."""

from __future__ import annotations

import os

KEY_VARIABLE = "VOXLATE_UID_SALT"
"""The environment variable that holds it."""


def site_key() -> str:
    """Returns the secret, or nothing."""
    return os.environ.get(KEY_VARIABLE, "")
