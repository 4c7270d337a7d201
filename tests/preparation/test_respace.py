"""Laws of the resampling to the voxel size of training, and back."""

import numpy as np
import pytest

from voxlate.preparation import PreparationSettings, fit_preparation
from voxlate.preparation.steps.respace import Respace, respaced
from voxlate.volume import Grid, Volume


def textured(shape, spacing):
    rng = np.random.default_rng(3)
    return Volume(rng.uniform(50, 150, shape), np.diag([*spacing, 1.0]))


def ball(shape, spacing, *, radius_mm):
    axes = np.ogrid[: shape[0], : shape[1], : shape[2]]
    square = sum(((x - (n - 1) / 2) * mm) ** 2 for x, n, mm in zip(axes, shape, spacing, strict=True))
    return square <= radius_mm**2


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 5.0), (0.9, 4.4, 1.1), (6.5, 1.2, 1.0), (2.0, 2.0, 2.0)])
def test_thick_slices_come_back_exactly(spacing):
    scan = textured((14, 12, 10), spacing)
    step = Respace(scan.grid, respaced(scan.grid, 1.0, 1.0))
    assert max(step.grid.spacing_mm) <= 1.25
    assert np.allclose(step.invert(step.apply(scan)).data, scan.data, atol=2e-3)


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 5.0), (0.4, 1.0, 0.7), (0.47, 0.47, 6.0)])
def test_a_linear_ramp_keeps_its_place_on_finer_and_coarser_voxels(spacing):
    grid = Grid((40, 36, 20), np.diag([*spacing, 1.0]))
    where = grid.to_mm(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))
    ramp = Volume(where @ np.array([1.0, 2.0, 3.0]), grid.affine)
    step = Respace(grid, respaced(grid, 1.0, 1.0))
    there = step.apply(ramp)
    middle = tuple(slice(n // 3, n - n // 3) for n in there.data.shape)
    places = there.grid.to_mm(np.stack(np.meshgrid(*map(np.arange, there.data.shape), indexing="ij"), axis=-1))
    assert np.allclose(there.data[middle], (places @ np.array([1.0, 2.0, 3.0]))[middle], atol=1e-2)
    inner = tuple(slice(n // 3, n - n // 3) for n in grid.shape)
    assert np.allclose(step.invert(there).data[inner], ramp.data[inner], atol=1e-2)


@pytest.mark.parametrize("spacing", [(1.0, 1.2, 0.85), (0.8, 1.25, 1.0)])
def test_voxels_near_those_of_training_are_kept(spacing):
    grid = Grid((20, 20, 20), np.diag([*spacing, 1.0]))
    assert respaced(grid, 1.0, 1.0) is grid


def test_a_single_slice_keeps_its_thickness():
    grid = Grid((64, 64, 1), np.diag([1.0, 1.0, 8.0, 1.0]))
    assert respaced(grid, 1.0, 1.0) is grid


def test_voxels_of_unknown_training_are_kept():
    grid = Grid((64, 64, 10), np.diag([0.2, 1.0, 8.0, 1.0]))
    assert respaced(grid, 0.0, np.inf) is grid


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 5.0), (0.6, 0.7, 0.7)])
def test_the_edge_of_the_brain_is_as_bright_as_its_middle(spacing):
    shape = tuple(round(60 / mm) for mm in spacing)
    inside = ball(shape, spacing, radius_mm=24)
    scan = Volume(np.where(inside, 100.0, 0.0), np.diag([*spacing, 1.0]))
    preparation = fit_preparation(scan, scan.with_data(inside), PreparationSettings(), spacing_range_mm=(1.0, 1.0))
    back = preparation.invert(np.ones_like(preparation.mask, dtype=np.float32), scan, level=80.0)
    assert np.isclose(back.data[inside], 80.0, rtol=1e-4).mean() > 0.999  # a corner voxel may have no neighbour
    assert not back.data[~inside].any()


def test_a_recipe_resamples_all_scans_to_its_own_voxel_size():
    scan = textured((20, 20, 12), (1.0, 1.0, 3.0))
    whole = scan.with_data(np.ones(scan.data.shape))
    preparation = fit_preparation(scan, whole, PreparationSettings(spacing_mm=2.0), spacing_range_mm=(1.0, 1.0))
    assert preparation.is_respaced
    assert preparation.spacing_mm == pytest.approx((2.0, 2.0, 3.0 / round(3.0 / 2.0)))


def test_the_template_frame_has_voxels_of_its_own():
    with pytest.raises(ValueError, match="t1_linear"):
        PreparationSettings(spacing_mm=1.0, frame="t1_linear")
