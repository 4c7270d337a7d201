"""A simulated head at 2 mm that the tests of registration and masks share; simulated once in a process."""

from functools import lru_cache

import numpy as np

from voxlate.preparation.registration.transform import Transform
from voxlate.simulation import Options, simulate_subject
from voxlate.simulation.anatomy.anatomies import FormulaHeads
from voxlate.volume import Volume


@lru_cache(maxsize=4)
def simulated(task: str = "t1ce_t1", subject: int = 0):
    return simulate_subject(task, seed=11, subject=subject, size="small", options=Options(anatomies=FormulaHeads()))


def rigid(seed: int, *, degrees: float, shift_mm: float) -> Transform:
    """Returns a rotation about a random axis through the origin and a shift in a random direction."""
    axis, direction = np.random.default_rng(seed).normal(size=(2, 3))
    return Transform.rigid(axis, degrees, direction / np.linalg.norm(direction) * shift_mm)


def moved(volume: Volume, transform: Transform) -> Volume:
    """Returns the scan of a head that has moved: a point of `volume` is found where `transform` takes it."""
    return transform.carry(volume)


def points_mm(volume: Volume, mask: np.ndarray) -> np.ndarray:
    return volume.grid.to_mm(np.argwhere(mask)[::97])
