"""Names that tell nothing to whoever lacks the key of the site, and dates moved by a number of days of each patient."""

from __future__ import annotations

import hashlib
import hmac
from datetime import date, timedelta

_LEAST_SHIFT, _SHIFTS = 365, 3650


def pseudonym(key: str, kind: str, value: str, *, length: int = 16) -> str:
    """Returns a name of hexadecimal digits (HMAC with SHA-256), the same for the same key, kind and value.

    Args:
        key: secret of the site.
        kind: `patient`, `study`, `series`: the same value of another kind gets another name.
        value: what is named.
        length: digits; 16 make an accident among a million names a matter of one in some thirty million.
    """
    return hmac.new(key.encode(), f"{kind}\n{value}".encode("utf-8", "backslashreplace"), hashlib.sha256).hexdigest()[
        :length
    ]


def shift_days(key: str, patient: str) -> int:
    """Returns by how many days a patient's dates are moved into the past: 365 to 4014, one number a patient."""
    digest = hmac.new(key.encode(), f"days\n{patient}".encode(), hashlib.sha256).digest()
    return _LEAST_SHIFT + int.from_bytes(digest[:4], "big") % _SHIFTS


def shifted_date(key: str, patient: str, dicom_date: str) -> str:
    """Returns a date as ISO 8601 after the shift, so that a patient's intervals stay; nothing for no valid date."""
    text = dicom_date.strip().replace(".", "")
    try:
        moved = date(int(text[:4]), int(text[4:6]), int(text[6:8])) - timedelta(days=shift_days(key, patient))
    except (ValueError, OverflowError):
        return ""
    return moved.isoformat()


def subject_name(patient: str) -> str:
    """Returns `sub-` and the beginning of a patient's pseudonym, as BIDS names people."""
    return f"sub-{patient[:12]}"


def session_name(study: str) -> str:
    """Returns `ses-` and the beginning of a study's pseudonym, as BIDS names visits."""
    return f"ses-{study[:8]}"
