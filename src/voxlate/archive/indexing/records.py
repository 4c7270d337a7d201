"""Records of files and series that the index stores while it reads an archive."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

READ = "read"
NOT_DICOM = "stranger"
"""States of a file beside error codes. `stranger` is what existing index files hold, so that the word must stay."""

UNREAD_FOLDER = "UNREADABLE_FOLDER"
"""State of a folder that cannot be read, stored like a file of the folder that it lies in."""

READ_AGAIN = -1
"""Modification time that no file has, stored so that the next run takes the file for changed."""


@dataclass(frozen=True)
class FileRecord:
    """One file of a folder.

    Attributes:
        name: without the folder.
        size: in bytes.
        changed: modification time in ns.
        uid: SeriesInstanceUID, empty when the file belongs to no series.
        state: `READ`, `NOT_DICOM` or an error code.
        instance: number of its image, the same for copies of a file; see `instance_number`.
        frames: number of its frames.
    """

    name: str
    size: int
    changed: int
    uid: str
    state: str
    instance: int = 0
    frames: int = 0


def instance_number(identifier: str) -> int:
    """Returns a number of 63 bits for a SOPInstanceUID, which takes less room in the index.

    Two images of a series of 10,000 have the same number with a probability of 5e-12.
    """
    return int.from_bytes(hashlib.blake2b(identifier.encode("utf-8", "replace"), digest_size=8).digest()) >> 1


@dataclass(frozen=True)
class SeriesRecord:
    """One series as some of its files describe it.

    Attributes:
        uid, study, patient: identifiers in clear; `patient` is PatientID with its issuer.
        number: PatientID in clear; empty if there is none.
        first: least path of these files; the header comes from this file.
        header: elements as text by keyword.
        identities: pairs of a kind (`patient`, `birth`, `frame`, `study`, `synthetic`) and a value; two values of
            `patient`, `frame` or `study` are a fault.
    """

    uid: str
    study: str
    patient: str
    number: str
    first: str
    header: Mapping[str, str]
    identities: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class StoredSeries:
    """One series of the index.

    Attributes:
        uid: SeriesInstanceUID.
        study, patient, name: pseudonyms of the study, the patient and the series.
        header: elements as text by keyword, of the first file.
        files, frames: how many; copies of a file count once.
        has_unclear_issuer: whether another hospital may have given the number of the patient; a fault.
        birth_dates: how many different birth dates the series of this patient have; more than one is a fault.
        identities: how many different values each kind of identity has; see `SeriesRecord`.
    """

    uid: str
    study: str
    patient: str
    name: str
    header: Mapping[str, str]
    files: int
    frames: int
    has_unclear_issuer: bool
    birth_dates: int
    identities: Mapping[str, int]
