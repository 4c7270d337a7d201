import numpy as np
import pytest

from preparation.heads import rigid
from voxlate.errors import InputRefused, UsageError
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.spine.planes import (
    Plane,
    disc_grid,
    disc_plane,
    disc_slice,
    lumbar_crop,
    paired_slice,
    slice_plane,
)
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Grid, Volume


def disc(tilt_deg: float = 0.0) -> tuple[Volume, np.ndarray]:
    """Returns a scan of 1 mm and the mask of a flat cylinder at 20, 30, 25 mm, tilted about the right-left axis."""
    index = np.indices((48, 60, 52)).reshape(3, -1).T - np.array([20, 30, 25])
    tilt = np.deg2rad(tilt_deg)
    normal = np.array([0, -np.sin(tilt), np.cos(tilt)])
    height = index @ normal
    across = np.linalg.norm(index - height[:, None] * normal, axis=1)
    mask = ((np.abs(height) <= 5) & (across <= 17)).reshape(48, 60, 52)
    return Volume(np.where(mask, 100, 10), np.eye(4)), mask


@pytest.mark.parametrize("tilt", [0, 7, 25])
def test_the_plane_of_a_disc_lies_in_its_middle_and_along_its_endplates(tilt):
    volume, mask = disc(tilt)
    plane = disc_plane(volume, mask)
    assert plane.centre_mm == pytest.approx([20, 30, 25], abs=0.3)
    expected = Plane(plane.centre_mm, np.array([0, -np.sin(np.deg2rad(tilt)), np.cos(np.deg2rad(tilt))]))
    assert plane.angle_deg(expected) < 0.7


def test_the_acquired_slice_through_a_disc_is_found_or_its_tilt_is_told():
    volume, mask = disc(4)
    assert disc_slice(volume, disc_plane(volume, mask)) == 25
    volume, mask = disc(25)
    with pytest.raises(InputRefused, match=r"SLICE_TILTED .* 25 degrees"):
        disc_slice(volume, disc_plane(volume, mask))
    far = Plane(np.array([20.0, 30, 80]), np.array([0, 0, 1.0]))
    with pytest.raises(InputRefused, match="SLICE_ABSENT"):
        disc_slice(volume, far)


def test_an_image_parallel_to_a_tilted_disc_shows_only_disc_where_the_disc_is():
    volume, mask = disc(25)
    image = resample(volume, disc_grid(disc_plane(volume, mask), size_mm=24, spacing_mm=0.5))
    assert image.data.shape == (48, 48, 1)
    assert image.data[6:-6, 6:-6].min() > 95
    assert image.grid.affine[0, 0] == pytest.approx(0.5)


def test_the_published_crop_reaches_as_far_behind_the_sac_as_before_it():
    image = Grid((200, 200, 1), np.diag([0.5, 0.5, 1, 1]))
    across, along = lumbar_crop(image, ventral_mm=np.array([50, 70, 0.0]), sac_mm=np.array([52, 40, 0.0]))
    assert (along.start * 0.5, (along.stop - 1) * 0.5) == (10, 70)
    assert (across.start * 0.5, (across.stop - 1) * 0.5) == (22, 82)
    with pytest.raises(InputRefused, match="LANDMARKS"):
        lumbar_crop(image, ventral_mm=np.array([50, 40, 0.0]), sac_mm=np.array([52, 70, 0.0]))
    with pytest.raises(InputRefused, match="SLICE_CUT"):
        lumbar_crop(image, ventral_mm=np.array([50, 95, 0.0]), sac_mm=np.array([52, 40, 0.0]))


def test_slices_are_paired_where_the_patient_lay_otherwise():
    source = Grid((40, 40, 30), np.diag([1.0, 1, 3, 1]))
    shift = np.eye(4)
    shift[:3, 3] = 2, -3, 12
    assert paired_slice(source, 10, source, Transform(shift)) == 14
    move = rigid(5, degrees=4, shift_mm=1)
    index = paired_slice(source, 10, source, move)
    expected = slice_plane(source, 10).moved(move)
    assert abs(expected.height_mm(slice_plane(source, index).centre_mm)) < 1.6


def test_pairs_whose_axes_differ_or_that_do_not_meet_are_excluded():
    source = Grid((40, 40, 30), np.diag([1.0, 1, 3, 1]))
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    with pytest.raises(InputRefused, match=r"SLICE_TILTED .* 11\.5 degrees"):
        paired_slice(source, 10, source, Transform(tilt))
    shift = np.eye(4)
    shift[2, 3] = 200
    with pytest.raises(InputRefused, match="SLICE_ABSENT"):
        paired_slice(source, 10, source, Transform(shift))
    with pytest.raises(UsageError, match="SLICE_ABSENT"):
        paired_slice(source, 30, source, Transform.identity())


def test_a_ball_is_no_disc():
    index = np.indices((30, 30, 30)).reshape(3, -1).T - 15
    mask = (np.linalg.norm(index, axis=1) < 9).reshape(30, 30, 30)
    with pytest.raises(InputRefused, match="DISC_SHAPE"):
        disc_plane(Volume(mask, np.eye(4)), mask)
    with pytest.raises(InputRefused, match="EMPTY_MASK"):
        disc_plane(Volume(mask, np.eye(4)), np.zeros_like(mask))
