"""Shapes, random fields and partial-volume maps."""

import numpy as np
import pytest

from voxlate.errors import UsageError
from voxlate.simulation.anatomy.partial_volume import Frame, PartialVolumeMap
from voxlate.simulation.anatomy.shapes import coverage, ellipsoid, smooth_cut, smooth_union, tube
from voxlate.simulation.random_fields import PeriodicNoise, smooth_field, spline_field

BOX = (slice(1, 4), slice(0, 3), slice(2, 5))


def points(shape, spacing=1.0):
    index = np.indices(shape, dtype=np.float32) - (np.array(shape, dtype=np.float32)[:, None, None, None] - 1) / 2
    return tuple(axis * np.float32(spacing) for axis in index)


@pytest.mark.parametrize(("spacing", "shape"), [(1.0, (31, 29, 27)), (2.0, (16, 15, 14))])
def test_a_painted_ball_has_the_volume_of_a_ball(spacing, shape):
    inside = coverage(ellipsoid(points(shape, spacing), (0, 0, 0), (10, 10, 10)), spacing)
    assert inside.sum() * spacing**3 == pytest.approx(4 / 3 * np.pi * 1000, rel=0.01)


def test_a_straight_tube_has_the_volume_of_a_cylinder_with_round_ends():
    inside = coverage(tube(points((25, 25, 45)), [(0, 0, -15), (0, 0, 15)], [4, 4]), 1.0)
    assert inside.sum() == pytest.approx(np.pi * 16 * 30 + 4 / 3 * np.pi * 64, rel=0.02)


def test_a_smooth_union_is_never_smaller_than_the_plain_one_and_equal_far_away():
    first, second = np.array([-1.0, 5.0, 2.0]), np.array([4.0, 5.0, 2.5])
    union = smooth_union(first, second, 2.0)
    assert (union <= np.minimum(first, second)).all()
    assert union[0] == first[0]
    assert smooth_cut(first, second, 2.0)[0] == second[0]


def test_half_a_voxel_is_covered_where_the_surface_cuts_it():
    assert coverage(np.float32([-3, 0, 3]), 2.0) == pytest.approx([1, 0.5, 0])


def test_a_smooth_field_has_unit_variance_and_the_same_numbers_for_a_seed():
    field = smooth_field((40, 41, 42), 1.0, 6.0, np.random.default_rng(1))
    assert abs(field.mean()) < 0.1
    assert field.std() == pytest.approx(1, abs=0.06)
    assert np.array_equal(field, smooth_field((40, 41, 42), 1.0, 6.0, np.random.default_rng(1)))


def test_a_stretched_constant_is_that_constant():
    assert spline_field(np.full((5, 6, 7), 2.5, np.float32), (11, 9, 4)) == pytest.approx(2.5, rel=1e-6)


def test_a_lattice_repeats_after_its_period():
    lattice = PeriodicNoise(6.0, np.random.default_rng(0), period=5)
    x = np.linspace(0, 9, 20, dtype=np.float32)
    assert lattice.at(x, x, x) == pytest.approx(lattice.at(x + 10, x, x - 10), abs=1e-4)


def test_parts_of_every_voxel_sum_to_one_whatever_is_painted():
    tissue_map, random = PartialVolumeMap((5, 4, 6)), np.random.default_rng(0)
    tissue_map.paint("a", random.random((3, 3, 3)).astype(np.float32), BOX)
    tissue_map.mix({"b": 0.25, "c": 0.75}, random.random((5, 4, 6)).astype(np.float32))
    tissue_map.paint("d", 1.0)
    tissue_map.overlay("e", random.random((3, 3, 3)).astype(np.float32), BOX)
    tissue_map.convert("d", "f", random.random((3, 3, 3)).astype(np.float32), BOX)
    assert tissue_map.total(*"abcdef") == pytest.approx(np.ones((5, 4, 6)), abs=1e-6)
    assert all((part.fraction >= 0).all() for part in tissue_map.parts)


def test_what_is_painted_first_hides_what_comes_later():
    tissue_map = PartialVolumeMap((2, 2, 2))
    tissue_map.paint("front", 0.75)
    tissue_map.paint("back", 1.0)
    assert tissue_map.total("front") == pytest.approx(0.75)
    assert tissue_map.total("back") == pytest.approx(0.25)


def test_converting_touches_no_other_tissue():
    tissue_map = PartialVolumeMap((5, 4, 6))
    tissue_map.mix({"a": 0.5, "b": 0.5}, np.ones((5, 4, 6), np.float32))
    tissue_map.convert("a", "c", np.ones((3, 3, 3), np.float32), BOX)
    assert tissue_map.total("b") == pytest.approx(0.5)
    assert tissue_map.total("c")[BOX] == pytest.approx(0.5)
    assert tissue_map.total("c").sum() == pytest.approx(0.5 * 27)


def test_a_structure_outside_the_grid_is_refused():
    frame = Frame(1.0, np.eye(4), points((5, 4, 6)), np.eye(4))
    with pytest.raises(UsageError, match="GRID_TOO_SMALL"):
        frame.box((100, 100, 100), (110, 110, 110))
