"""Pseudonyms of patients, studies and series, and dates shifted by a number of days for each patient.

Both depend on the secret key of the site; without the key, the pseudonym of a known identifier cannot be computed.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import date, timedelta

# Shifts of 1 to 11 years, in days; chosen by hand.
_LEAST_SHIFT, _SHIFTS = 365, 3650


def pseudonym(key: str, kind: str, value: str, *, length: int = 16) -> str:
    """Returns a pseudonym of hexadecimal digits (HMAC with SHA-256), the same for the same key, kind and value.

    Args:
        key: secret of the site.
        kind: `patient`, `study`, `series`; the same value of another kind has another pseudonym.
        value: the identifier.
        length: digits; with 16 (64 bits) the probability that any two of a million pseudonyms are equal is about one in
            37 million.
    """
    return hmac.new(key.encode(), f"{kind}\n{value}".encode("utf-8", "backslashreplace"), hashlib.sha256).hexdigest()[
        :length
    ]


def shift_days(key: str, patient: str) -> int:
    """Returns by how many days the dates of a patient are moved into the past: 365 to 4014, the same for all dates."""
    digest = hmac.new(key.encode(), f"days\n{patient}".encode(), hashlib.sha256).digest()
    return _LEAST_SHIFT + int.from_bytes(digest[:4], "big") % _SHIFTS


def date_of(text: str) -> date:
    """Returns the date that a DICOM element such as `20190817` or `2019.08.17` holds.

    Raises:
        ValueError: it holds none.
    """
    digits = text.strip().replace(".", "")
    return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))


def shifted_date(key: str, patient: str, dicom_date: str) -> str:
    """Returns a date as ISO 8601 after the patient's shift, which keeps intervals; an empty string for an invalid date.

    Args:
        key: secret of the site.
        patient: pseudonym of the patient.
        dicom_date: such as `20190817` or `2019.08.17`.
    """
    try:
        return (date_of(dicom_date) - timedelta(days=shift_days(key, patient))).isoformat()
    except (ValueError, OverflowError):
        return ""


def subject_name(patient: str) -> str:
    """Returns the BIDS subject of a patient: `sub-` and the first 12 digits of the pseudonym.

    Example:
        >>> subject_name("0123456789abcdef")
        'sub-0123456789ab'
    """
    return f"sub-{patient[:12]}"


def session_name(study: str) -> str:
    """Returns the BIDS session of a study: `ses-` and the first 8 digits of the pseudonym."""
    return f"ses-{study[:8]}"
