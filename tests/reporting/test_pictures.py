from __future__ import annotations

import io
from itertools import permutations, product

import matplotlib.image
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, inv_ornt_aff

from voxlate.preparation.steps.orientation import ToRas
from voxlate.reporting.figures.panels import cut_planes
from voxlate.reporting.figures.slices import PLANES, box_around, fullest_slice, position_mm, section
from voxlate.volume import Volume
from voxlate.web import colours, png

AXIAL, CORONAL, SAGITTAL = PLANES
UNIT = (1.0, 1.0, 1.0)


@pytest.mark.parametrize("shape", [(5, 7), (4, 9, 3), (1, 1)])
def test_matplotlib_reads_the_same_pixels_from_a_png(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    read = matplotlib.image.imread(io.BytesIO(png.encode(image)), format="png")
    np.testing.assert_array_equal(np.rint(read * 255).astype(np.uint8), image)


def test_right_is_left_front_is_up_and_the_nose_is_left() -> None:
    data = np.zeros((5, 7, 9), dtype=np.float32)
    data[4, 6, 8] = 1  # rightmost, foremost, topmost
    corners = {"axial": (AXIAL, 8), "coronal": (CORONAL, 6), "sagittal": (SAGITTAL, 4)}
    for plane, index in corners.values():
        picture = section(data, plane, index, spacing_mm=UNIT)
        assert np.argwhere(picture == 1).tolist() == [[0, 0]], plane.name
    assert (AXIAL.left, AXIAL.right, CORONAL.left, SAGITTAL.left) == ("R", "L", "R", "A")


@pytest.mark.parametrize(("order", "flips"), list(product(permutations(range(3)), product((1, -1), repeat=3)))[::5])
def test_pictures_do_not_depend_on_the_order_in_which_voxels_are_stored(
    order: tuple[int, ...], flips: tuple[int, ...]
) -> None:
    volume = Volume(np.random.default_rng(1).random((5, 6, 7), dtype=np.float32), np.diag([1.0, 2.0, 3.0, 1.0]))
    change = np.array(list(zip(order, flips, strict=True)), dtype=float)
    stored = Volume(apply_orientation(volume.data, change), volume.affine @ inv_ornt_aff(change, volume.data.shape))
    again = ToRas(stored.grid).apply(stored)
    for plane in PLANES:
        np.testing.assert_array_equal(
            section(again.data, plane, 2, spacing_mm=again.spacing_mm),
            section(volume.data, plane, 2, spacing_mm=volume.spacing_mm),
        )
        assert position_mm(again, plane, 2) == pytest.approx(position_mm(volume, plane, 2))


def test_thick_slices_keep_the_proportions_of_the_head() -> None:
    picture = section(np.zeros((40, 50, 12), dtype=np.float32), CORONAL, 3, spacing_mm=(1.0, 1.0, 5.0))
    assert picture.shape == (60, 40)


def test_a_large_picture_is_shrunk_with_its_proportions() -> None:
    picture = section(np.ones((800, 400, 3), dtype=np.float32), AXIAL, 0, spacing_mm=(0.5, 0.5, 1.0))
    assert picture.shape == (160, 320)
    np.testing.assert_allclose(picture, 1, atol=1e-6)


def test_the_shown_slice_has_the_largest_error_in_the_mask() -> None:
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[2:7, 2:7, 2:7] = True
    target = np.zeros(mask.shape, dtype=np.float32)
    wrong = target.copy()
    wrong[4, 3, 5] = -2  # a dark error counts as a bright one does
    wrong[0, 0, 0] = 50  # outside the mask nothing counts
    images = {"source": target, "target": target, "synthetic": wrong}
    planes, _ = cut_planes({role: Volume(data, np.eye(4)) for role, data in images.items()}, mask)
    assert [picture.at_mm for picture in planes] == [5, 3, 4]
    assert all(picture.images["difference"].min() == -2 for picture in planes)
    assert all(picture.images["difference"].max() == 0 for picture in planes)


def test_the_scale_of_a_case_ends_at_the_99th_percentile_in_the_mask() -> None:
    random = np.random.default_rng(2)
    mask = random.random((6, 7, 8)) > 0.5
    target, synthetic = random.random((2, *mask.shape), dtype=np.float32)
    images = {role: Volume(data, np.eye(4)) for role, data in {"target": target, "synthetic": synthetic}.items()}
    _, large = cut_planes(images, mask)
    assert large == pytest.approx(np.quantile(np.abs(synthetic - target)[mask], 0.99))


def test_the_first_of_equal_slices_is_taken() -> None:
    assert fullest_slice(np.ones((3, 4, 5)), AXIAL) == 0


def test_the_box_holds_the_mask_and_its_margin_within_the_image() -> None:
    mask = np.zeros((40, 40, 40), dtype=bool)
    mask[10:12, 1:3, 20:38] = True
    assert box_around(mask, (1.0, 2.0, 3.0)) == (slice(4, 18), slice(0, 6), slice(18, 40))
    assert box_around(np.zeros((3, 4, 5), dtype=bool), UNIT) == (slice(0, 3), slice(0, 4), slice(0, 5))


def test_grey_is_black_below_the_window_white_above_and_linear_between() -> None:
    values = np.array([[-1.0, 0.5, 1.0, 1.5, 9.0]], dtype=np.float32)
    assert colours.grey(values, (0.5, 1.5)).tolist() == [[0, 0, 128, 255, 255]]


def test_no_difference_is_black_and_luminance_rises_with_the_error() -> None:
    bar = colours.diverging_bar()[0].astype(float)
    assert bar[128].tolist() == [0, 0, 0]
    linear = (bar / 255) ** 2.2 @ [0.2126, 0.7152, 0.0722]
    assert np.all(np.diff(linear[128:]) > 0)
    assert np.all(np.diff(linear[:129]) < 0)
    assert bar[0, 2] > bar[0, 0]  # too dark is blue
    assert bar[-1, 0] > bar[-1, 2]  # too bright is red


@pytest.mark.parametrize(("value", "end"), [(0.37, 0.5), (1.0, 1.0), (7.1, 10.0), (0.012, 0.015), (0.0, 0.01)])
def test_a_scale_ends_at_a_round_number_not_below_the_value(value: float, end: float) -> None:
    assert colours.round_up(value) == pytest.approx(end)
