"""The spatial preprocessing of Bottani et al.: Clinica's `t1-linear`, then 128 x 128 x 128 voxels.

N4, an affine transform to MNI space, a crop of 169 x 208 x 179 voxels of 1 mm, and trilinear resampling to 128³ voxels
of 1.32 x 1.625 x 1.398 mm. The published crop comes from a reference image whose licence forbids shipping it; here the
crop is the box of that size around the centre of the template's field of view. The published code saved the 128³
result with the header of the 1 mm grid; here each grid has its own affine.
"""

from __future__ import annotations

from dataclasses import dataclass

from voxlate.preparation.registration.templates import mni_template
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.steps.grid import centred, resized
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Grid, Shape, Volume

CROP: Shape = (169, 208, 179)
SIZE: Shape = (128, 128, 128)


@dataclass(frozen=True)
class T1Linear:
    """Resamples scans from the grid `stored` to the `t1_linear` frame, and back.

    Attributes:
        stored: grid of the scan.
        to_scan: millimetres of the template to those of the scan; see `templates.to_template`.
    """

    stored: Grid
    to_scan: Transform

    @property
    def crop(self) -> Grid:
        """Returns the 1 mm grid in template space."""
        return centred(mni_template().volume.grid, CROP)

    @property
    def grid(self) -> Grid:
        """Returns the grid of the result of `apply`: the field of view of `crop` with fewer voxels."""
        return resized(self.crop, SIZE)

    def apply(self, volume: Volume) -> Volume:
        """Returns `volume` in the frame: linear to 1 mm, then linear to the final size; no smoothing, as published."""
        cropped = resample(volume, self.crop, self.to_scan, is_smoothed=False)
        return resample(cropped, self.grid, is_smoothed=False)

    def invert(self, volume: Volume) -> Volume:
        """Returns a volume on `grid` resampled to the grid of the scan; zero outside the frame."""
        return resample(resample(volume, self.crop), self.stored, self.to_scan.inverse)
