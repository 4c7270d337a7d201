"""Reads NIfTI files strictly, and writes them so that equal volumes give equal bytes."""

from voxlate.io.nifti.read import MAX_BYTES, is_marked_synthetic, read_grid, read_mask, read_volume, read_volumes
from voxlate.io.nifti.stream import nifti_stem, nifti_suffix, sidecar_path
from voxlate.io.nifti.write import gzipped_nifti, write_volume, write_volumes

__all__ = [
    "MAX_BYTES",
    "gzipped_nifti",
    "is_marked_synthetic",
    "nifti_stem",
    "nifti_suffix",
    "read_grid",
    "read_mask",
    "read_volume",
    "read_volumes",
    "sidecar_path",
    "write_volume",
    "write_volumes",
]
