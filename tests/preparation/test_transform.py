import numpy as np
import pytest

from preparation.heads import rigid
from voxlate.errors import InputRefused
from voxlate.preparation.registration.transform import Transform

POINTS = np.random.default_rng(0).normal(size=(20, 3)) * 50


def test_a_transform_and_its_inverse_move_nothing():
    there = rigid(1, degrees=25, shift_mm=30)
    assert np.allclose(there.then(there.inverse).apply(POINTS), POINTS)
    assert there.distance_mm(there, POINTS).max() == 0


def test_transforms_are_chained_in_reading_order():
    first, second = rigid(1, degrees=25, shift_mm=30), rigid(2, degrees=40, shift_mm=5)
    assert np.allclose(first.then(second).apply(POINTS), second.apply(first.apply(POINTS)))


def test_a_shift_moves_every_point_by_its_length():
    shift = np.eye(4)
    shift[:3, 3] = 3, 4, 12
    assert Transform(shift).distance_mm(Transform.identity(), POINTS) == pytest.approx(np.full(20, 13.0))


@pytest.mark.parametrize(
    "matrix", [np.zeros((4, 4)), np.eye(3), np.full((4, 4), np.nan), np.diag([1.0, 1, 1, 2]), np.diag([1.0, 1, 0, 1])]
)
def test_what_is_no_transform_is_refused(matrix):
    with pytest.raises(InputRefused, match="TRANSFORM"):
        Transform(matrix)
