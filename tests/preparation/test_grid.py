import numpy as np
import torch

from preparation.heads import rigid
from voxlate.preparation.steps.grid import centred, coarser, resized
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Grid, Volume


def linear_ramp(grid: Grid) -> Volume:
    """Returns an image whose value is a straight function of the place in millimetres."""
    index = np.indices(grid.shape).reshape(3, -1)
    place = grid.affine[:3, :3] @ index + grid.affine[:3, 3:]
    return Volume((1.5 * place[0] - 2 * place[1] + 0.5 * place[2] + 7).reshape(grid.shape), grid.affine)


def outer_faces(grid: Grid) -> np.ndarray:
    ends = np.array([[-0.5, n - 0.5] for n in grid.shape])
    return np.stack([grid.affine[:3, :3] @ ends[:, side] + grid.affine[:3, 3] for side in (0, 1)])


def test_a_linear_image_is_interpolated_exactly(oblique):
    ramp = linear_ramp(oblique.grid)
    move = rigid(3, degrees=4, shift_mm=2)
    inner = centred(oblique.grid, (9, 9, 9))
    found = resample(ramp, inner, move)
    index = np.indices(inner.shape).reshape(3, -1)
    place = move.apply((inner.affine[:3, :3] @ index + inner.affine[:3, 3:]).T).T
    expected = 1.5 * place[0] - 2 * place[1] + 0.5 * place[2] + 7
    assert np.allclose(found.data.ravel(), expected, atol=2e-4)


def test_labels_survive_the_way_to_a_finer_grid_and_back(oblique):
    labels = oblique.with_data(np.random.default_rng(0).integers(0, 5, oblique.data.shape))
    shape = oblique.grid.shape
    grid = resized(oblique.grid, (3 * shape[0], 3 * shape[1], 3 * shape[2]))
    fine = resample(labels, grid, interpolation="nearest")
    assert np.array_equal(resample(fine, oblique.grid, interpolation="nearest").data, labels.data)


def test_a_coarser_grid_keeps_the_mean_and_does_not_alias():
    checks = np.indices((39, 39, 39)).sum(axis=0) % 2
    fine = Volume(checks, np.eye(4))
    small = resample(fine, coarser(fine.grid, 4.0)).data[1:-1, 1:-1, 1:-1]
    assert np.abs(small - 0.5).max() < 0.02
    sharp = resample(fine, coarser(fine.grid, 3.0), is_smoothed=False).data[1:-1, 1:-1, 1:-1]
    assert np.abs(sharp - 0.5).max() > 0.4


def test_another_size_covers_the_same_field_of_view(oblique):
    grid = resized(oblique.grid, (7, 40, 11))
    assert grid.shape == (7, 40, 11)
    assert np.allclose(outer_faces(grid), outer_faces(oblique.grid))


def test_another_size_is_what_torch_interpolates():
    random = np.random.default_rng(1)
    volume = Volume(random.normal(size=(12, 15, 9)), np.eye(4))
    found = resample(volume, resized(volume.grid, (9, 10, 7)), is_smoothed=False)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(np.array(volume.data))[None, None], (9, 10, 7), mode="trilinear", align_corners=False
    )
    assert np.allclose(found.data, expected[0, 0].numpy(), atol=1e-5)


def test_cutting_and_padding_keep_each_voxel_at_its_place(oblique):
    for shape in ((10, 10, 10), (40, 30, 33), (21, 27, 20)):
        grid = centred(oblique.grid, shape)
        found = resample(oblique, grid, interpolation="nearest")
        back = resample(found, oblique.grid, interpolation="nearest")
        kept = back.data != 0
        assert np.array_equal(back.data[kept], oblique.data[kept])
        inside = np.minimum(shape, oblique.data.shape)
        assert np.prod(inside) == (resample(oblique.with_data(np.ones(oblique.data.shape)), grid).data > 0.5).sum()


def test_the_same_grid_returns_the_same_values(oblique):
    assert np.array_equal(resample(oblique, oblique.grid).data, oblique.data)
