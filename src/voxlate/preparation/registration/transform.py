"""Affine transforms between the coordinates of two scans, in RAS+ millimetres."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

from voxlate.errors import InputRefused
from voxlate.volume import Affine, Volume


@dataclass(frozen=True)
class Transform:
    """Maps a point of the fixed scan to the point of the moving scan that shows the same tissue.

    This is the direction that resampling needs. All points are RAS+ millimetres.

    Attributes:
        matrix: (4, 4), float64, read-only; its last row is 0, 0, 0, 1.
    """

    matrix: Affine = field(repr=False)

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.allclose(matrix[3], [0, 0, 0, 1]):
            raise InputRefused("TRANSFORM", "a transform must be a finite 4 x 4 matrix with the last row 0 0 0 1")
        if abs(np.linalg.det(matrix[:3, :3])) < 1e-6:
            raise InputRefused("TRANSFORM", "the transform is singular and cannot be inverted")
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    @classmethod
    def identity(cls) -> Transform:
        """Returns the identity transform."""
        return cls(np.eye(4))

    @classmethod
    def rigid(cls, axis: ArrayLike, degrees: float, shift_mm: ArrayLike) -> Transform:
        """Returns a rotation about an axis through the origin, followed by a translation.

        Args:
            axis: (3,), direction of the axis, of any length.
            degrees: angle of the rotation.
            shift_mm: (3,), translation.
        """
        direction = np.asarray(axis, dtype=np.float64)
        matrix = np.eye(4)
        turn = np.deg2rad(degrees) * direction / np.linalg.norm(direction)
        matrix[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
        matrix[:3, 3] = shift_mm
        return cls(matrix)

    @property
    def inverse(self) -> Transform:
        """Returns the transform from the moving to the fixed scan."""
        return Transform(np.asarray(np.linalg.inv(self.matrix), dtype=np.float64))

    @property
    def is_identity(self) -> bool:
        """Returns whether the matrix equals the identity exactly."""
        return bool(np.array_equal(self.matrix, np.eye(4)))

    def then(self, following: Transform) -> Transform:
        """Returns the composition: this transform first, then `following`."""
        return Transform(following.matrix @ self.matrix)

    def apply(self, points_mm: ArrayLike) -> Affine:
        """Returns the transformed points, (n, 3)."""
        points = np.asarray(points_mm, dtype=np.float64)
        return np.asarray(points @ self.matrix[:3, :3].T + self.matrix[:3, 3])

    def carry(self, volume: Volume) -> Volume:
        """Returns the volume with a moved affine: the voxel at point p is now at the transform of p; no resampling."""
        return Volume(volume.data, self.matrix @ volume.affine, volume.shows, volume.stored_dtype)

    def distance_mm(self, other: Transform, points_mm: ArrayLike) -> Affine:
        """Returns the distance in millimetres, (n,), between the images of each point under two transforms.

        Args:
            other: the other transform.
            points_mm: (n, 3), points of the fixed scan.
        """
        return np.asarray(np.linalg.norm(self.apply(points_mm) - other.apply(points_mm), axis=1))
