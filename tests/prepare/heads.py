"""A simulated head at 2 mm that the tests of registration and masks share; simulated once in a process."""

from functools import lru_cache

import numpy as np
from scipy.spatial.transform import Rotation

from voxlate.prepare.transform import Transform
from voxlate.simulate import simulate_subject
from voxlate.volume import Volume


@lru_cache(maxsize=4)
def simulated(task: str = "t1ce_t1", subject: int = 0):
    return simulate_subject(task, seed=11, subject=subject, size="small")


def rigid(seed: int, *, degrees: float, shift_mm: float) -> Transform:
    """Returns a rotation about a random axis through the origin and a shift in a random direction."""
    random = np.random.default_rng(seed)
    axis, direction = random.normal(size=(2, 3))
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(axis / np.linalg.norm(axis) * np.deg2rad(degrees)).as_matrix()
    matrix[:3, 3] = direction / np.linalg.norm(direction) * shift_mm
    return Transform(matrix)


def moved(volume: Volume, transform: Transform) -> Volume:
    """Returns the scan of a head that has moved: a point of `volume` is found where `transform` takes it."""
    return Volume(volume.data, transform.matrix @ volume.affine, volume.shows, volume.stored_dtype)


def points_mm(volume: Volume, mask: np.ndarray) -> np.ndarray:
    index = np.argwhere(mask)[::97]
    return index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
