"""Scans in NIfTI files: a strict reader, and a writer whose bytes depend on the volume alone."""

from voxlate.io.nifti.read import MAX_BYTES, read_grid, read_mask, read_volume, says_synthetic
from voxlate.io.nifti.stream import nifti_stem, nifti_suffix, sidecar_path
from voxlate.io.nifti.write import gzipped_nifti, write_volume, write_volumes

__all__ = [
    "MAX_BYTES",
    "gzipped_nifti",
    "nifti_stem",
    "nifti_suffix",
    "read_grid",
    "read_mask",
    "read_volume",
    "says_synthetic",
    "sidecar_path",
    "write_volume",
    "write_volumes",
]
