"""The frame of Bottani et al.: Clinica's `t1-linear`, then 128 x 128 x 128 voxels.

N4, an affine transform to MNI space, a crop of 169 x 208 x 179 voxels of 1 mm, and a trilinear squeeze to 128³ voxels,
which then measure 1.32 x 1.625 x 1.398 mm. Their crop comes from a reference image that we may not ship; ours is
the box of that size about the centre of the template's field of view. The published code saved its 128³ result with the
header of the 1 mm grid; here each grid carries its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from voxlate.preparation.registration.templates import mni_template
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.steps.grid import OnGrid, centred, resized
from voxlate.volume import Grid, Shape, Volume

CROP: Shape = (169, 208, 179)
SIZE: Shape = (128, 128, 128)


@dataclass(frozen=True)
class T1Linear:
    """Brings scans on `stored` to the frame, and back.

    Attributes:
        stored: the grid of the scan.
        to_scan: millimetres of the template to those of the scan; see `templates.to_template`.
        size: voxels in the end.
    """

    stored: Grid
    to_scan: Transform
    size: Shape = SIZE

    @property
    def crop(self) -> Grid:
        """Returns the 1 mm grid in the space of the template."""
        return centred(mni_template().volume.grid, CROP)

    @property
    def grid(self) -> Grid:
        """Returns the grid of what `apply` gives: the field of view of `crop`, fewer voxels."""
        return resized(self.crop, self.size)

    def apply(self, volume: Volume) -> Volume:
        """Returns `volume` in the frame: linear to 1 mm, then linear to the final size, unsmoothed as published."""
        return self._squeeze.apply(self._crop.apply(volume))

    def invert(self, volume: Volume) -> Volume:
        """Returns `volume`, which lies on `grid`, on the grid of the scan; zero outside the frame."""
        return self._crop.invert(self._squeeze.invert(volume))

    @property
    def _crop(self) -> OnGrid:
        return OnGrid(self.stored, self.crop, self.to_scan, is_smoothed=False)

    @property
    def _squeeze(self) -> OnGrid:
        return OnGrid(self.crop, self.grid, Transform.identity(), is_smoothed=False)
