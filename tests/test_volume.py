import numpy as np
import pytest

from voxlate.errors import InputRefused
from voxlate.volume import Grid, Volume, require_same_grid


def test_the_spacing_is_the_length_of_the_affine_s_columns():
    affine = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, 6], [0, 0, 3.0, 7], [0, 0, 0, 1]])
    grid = Grid((2, 3, 4), affine)
    assert grid.spacing_mm == (1.5, 2.0, 3.0)
    assert grid.voxel_volume_mm3 == pytest.approx(9)
    assert grid.volume_cm3(np.arange(24).reshape(2, 3, 4) < 10) == pytest.approx(0.09)
    assert grid.orientation == "ALS"


def test_the_corners_are_the_affine_s_images_of_the_corner_voxels():
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    corners = Grid((3, 4, 5), affine).corners_mm()
    assert corners.min(axis=0).tolist() == [0, 0, 0]
    assert corners.max(axis=0).tolist() == [4, 9, 16]


def test_an_index_that_becomes_millimetres_comes_back():
    affine = np.array([[0, -2.0, 0.3, 5], [1.5, 0.1, 0, 6], [0, 0, 3.0, 7], [0, 0, 0, 1]])
    grid, index = Grid((2, 3, 4), affine), np.array([[0, 0, 0], [1, 2, 3], [0.5, -4, 9.25]])
    assert np.allclose(grid.to_index(grid.to_mm(index)), index)
    assert np.allclose(grid.to_index(affine[:3, 3]), 0)


@pytest.mark.parametrize("affine", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.eye(3)])
def test_an_affine_that_gives_a_voxel_no_place_is_refused(affine):
    with pytest.raises(InputRefused, match="AFFINE"):
        Volume(np.ones((2, 2, 2)), affine)


@pytest.mark.parametrize("shape", [(2, 2), (2, 0, 2), (2, 2, 2, 1)])
def test_a_volume_has_three_dimensions(shape):
    with pytest.raises(InputRefused, match="DIMENSIONS"):
        Volume(np.ones(shape), np.eye(4))


def test_a_volume_cannot_be_changed(scan):
    with pytest.raises(ValueError, match="read-only"):
        scan.data[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        scan.affine[0, 0] = 1


def test_grids_that_are_half_a_millimetre_apart_do_not_match(scan):
    moved = scan.affine.copy()
    moved[0, 3] += 0.5
    with pytest.raises(InputRefused, match=r"GRID_MISMATCH .*up to 0\.5 mm apart"):
        require_same_grid(scan, Volume(scan.data, moved), names=("source", "target"))


def test_grids_that_differ_by_rounding_match(scan):
    moved = scan.affine.copy()
    moved[:3, 3] += 1e-5
    require_same_grid(scan, Volume(scan.data, moved), names=("source", "target"))


def test_grids_of_other_shapes_do_not_match(scan):
    with pytest.raises(InputRefused, match=r"shapes \(21, 26, 23\) and \(20, 26, 23\)"):
        require_same_grid(scan, Volume(scan.data[1:], scan.affine), names=("source", "target"))


def test_data_of_another_shape_do_not_fit(scan):
    with pytest.raises(ValueError, match="does not fit"):
        scan.with_data(np.zeros((2, 2, 2)))
