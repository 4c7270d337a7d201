"""Good NIfTI files by nibabel, and single fields of their headers overwritten as bytes."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel import nifti1, nifti2
from numpy.typing import NDArray

OBLIQUE = nib.affines.from_matvec(
    nib.eulerangles.euler2mat(0.3, -0.2, 0.4) @ np.diag([0.9, 1.1, 3.0]), [-40.0, 25.5, 12.25]
)


@dataclass(frozen=True)
class Scans:
    """A folder of small scans."""

    folder: Path

    @property
    def affine(self) -> NDArray[np.float64]:
        return OBLIQUE.copy()

    def values(self, dtype: str = "int16", shape: tuple[int, ...] = (5, 6, 20)) -> NDArray:
        numbers = np.random.default_rng(0).integers(0, 100, shape)
        return numbers.astype(dtype)

    def save(self, name: str = "scan.nii.gz", data: NDArray | None = None, affine: NDArray | None = None) -> Path:
        """Saves with nibabel, both codes 1."""
        image = nib.Nifti1Image(self.values() if data is None else data, self.affine if affine is None else affine)
        image.header.set_xyzt_units("mm")
        image.set_sform(image.affine, code=1)
        image.set_qform(image.affine, code=1)
        nib.save(image, self.folder / name)
        return self.folder / name

    def stream(self, path: Path) -> bytes:
        stored = path.read_bytes()
        return gzip.decompress(stored) if stored.startswith(b"\x1f\x8b") else stored

    def edit(self, path: Path, **fields: object) -> Path:
        """Overwrites fields of the stored header, in its own byte order."""
        content = bytearray(self.stream(path))
        order = "<" if content[1] in (1, 2) else ">"
        dtype = nifti1.header_dtype if {content[0], content[3]} & {92} else nifti2.header_dtype
        header = np.frombuffer(content, dtype.newbyteorder(order), count=1)
        for field, value in fields.items():
            header[field] = value
        path.write_bytes(gzip.compress(content, 1) if path.name.endswith("gz") else content)
        return path


@pytest.fixture
def scans(tmp_path: Path) -> Scans:
    return Scans(tmp_path)
