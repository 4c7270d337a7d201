"""An affine map between the millimetres of two scans."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

from voxlate.errors import InputRefused
from voxlate.volume import Affine, Volume


@dataclass(frozen=True)
class Transform:
    """Takes a point of the fixed scan to the point of the moving scan that shows the same tissue.

    This is the direction in which images are resampled. All points are RAS+ millimetres.

    Attributes:
        matrix: (4, 4), float64, read-only; its last row is 0, 0, 0, 1.
    """

    matrix: Affine = field(repr=False)

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.allclose(matrix[3], [0, 0, 0, 1]):
            raise InputRefused("TRANSFORM", "a transform must be 4 x 4, finite, and end with the row 0 0 0 1")
        if abs(np.linalg.det(matrix[:3, :3])) < 1e-6:
            raise InputRefused("TRANSFORM", "the transform is singular: it cannot be inverted")
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    @classmethod
    def identity(cls) -> Transform:
        """Returns the map that moves nothing."""
        return cls(np.eye(4))

    @classmethod
    def rigid(cls, axis: ArrayLike, degrees: float, shift_mm: ArrayLike) -> Transform:
        """Returns a turn by `degrees` about an axis through the origin, followed by a shift."""
        direction = np.asarray(axis, dtype=np.float64)
        matrix = np.eye(4)
        turn = np.deg2rad(degrees) * direction / np.linalg.norm(direction)
        matrix[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
        matrix[:3, 3] = shift_mm
        return cls(matrix)

    @property
    def inverse(self) -> Transform:
        """Returns the map from the moving to the fixed scan."""
        return Transform(np.asarray(np.linalg.inv(self.matrix), dtype=np.float64))

    @property
    def is_identity(self) -> bool:
        """Tells whether nothing moves, not by a nanometre."""
        return bool(np.array_equal(self.matrix, np.eye(4)))

    def then(self, following: Transform) -> Transform:
        """Returns the map that does this one first and `following` after it."""
        return Transform(following.matrix @ self.matrix)

    def apply(self, points_mm: ArrayLike) -> Affine:
        """Returns the (n, 3) points moved."""
        points = np.asarray(points_mm, dtype=np.float64)
        return np.asarray(points @ self.matrix[:3, :3].T + self.matrix[:3, 3])

    def carry(self, volume: Volume) -> Volume:
        """Returns the scan of a head that has moved: what was at a point is where the map sends it."""
        return Volume(volume.data, self.matrix @ volume.affine, volume.shows, volume.stored_dtype)

    def distance_mm(self, other: Transform, points_mm: ArrayLike) -> Affine:
        """Returns how far apart the two maps send each of the (n, 3) points."""
        return np.asarray(np.linalg.norm(self.apply(points_mm) - other.apply(points_mm), axis=1))
