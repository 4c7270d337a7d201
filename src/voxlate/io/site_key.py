"""The secret key of a site. Pseudonyms and new DICOM identifiers are derived from it."""

from __future__ import annotations

import os

KEY_VARIABLE = "VOXLATE_UID_SALT"
"""The environment variable that holds the key."""


def site_key() -> str:
    """Returns the key, or an empty string when none is set."""
    return os.environ.get(KEY_VARIABLE, "")
