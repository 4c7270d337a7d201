"""A simulated image to be written as a DICOM series."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from voxlate.io.dicom.write import uid_from_digest
from voxlate.simulation.files.header_variants import HeaderVariant
from voxlate.simulation.physics.scanners import Scanner
from voxlate.volume import Volume


@dataclass(frozen=True)
class SimulatedSeries:
    """A series to be written.

    Attributes:
        subject, session, number: name of the subject, session from 0, series number.
        shows: true contrast of the image, whatever the header says.
        volume: (i, j, k), its voxels.
        header: variant of its header.
        scanner: the simulated scanner.
        body_part: `HEAD` or `LSPINE`.
        slice_mm: thickness of the slices of a 2-D sequence, which may have gaps; 0 for a 3-D one.
        seed: seed of the data set, so that subjects of two data sets are not of one study.
    """

    subject: str
    session: int
    number: int
    shows: str
    volume: Volume
    header: HeaderVariant
    scanner: Scanner
    body_part: str
    slice_mm: float = 0.0
    seed: int = 0

    def uid(self, *words: object) -> str:
        """Returns the UID of a part of this series, a hash of its name and voxels."""
        digest = hashlib.sha256(self.volume.data.tobytes())
        digest.update(repr((self.subject, self.session, self.number, words)).encode())
        return uid_from_digest(digest.digest())
