import numpy as np
import pytest
from phantoms import ball
from scipy import ndimage

from preparation.heads import simulated
from voxlate.errors import InputRefused, UsageError
from voxlate.preparation.masks.brain_mask import BRAIN_MASKS, find_brain, union
from voxlate.preparation.masks.checks import check_mask, require_plausible
from voxlate.preparation.masks.components import fill_holes
from voxlate.preparation.masks.ct_mask import metal_cm3, require_hounsfield
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Volume

METHODS = [
    ("deepbet", "T1ce", 0.95),
    ("deepbet", "T1w", 0.95),
    ("ct", "CT", 0.97),
    ("ct_watershed", "CT", 0.95),
]


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def with_truth(contrast: str) -> tuple[Volume, np.ndarray]:
    subject = simulated("ct_to_mr" if contrast == "CT" else "t1ce_t1")
    image = subject.images[contrast]
    return image, resample(subject.truth.brain_mask, image.grid, interpolation="nearest").data > 0.5


@pytest.mark.parametrize(("method", "contrast", "least"), METHODS)
def test_the_brain_of_a_simulated_head_is_found(method, contrast, least):
    image, truth = with_truth(contrast)
    found = find_brain(image, method)
    assert dice(found, truth) > least
    assert check_mask(found, image).verdict == "good"


def test_the_mask_does_not_depend_on_how_the_ct_is_stored():
    image, _ = with_truth("CT")
    turned = Volume(np.ascontiguousarray(image.data[::-1, :, ::-1]), image.affine @ flip(image.data.shape))
    assert np.array_equal(find_brain(turned, "ct"), find_brain(image, "ct")[::-1, :, ::-1])


def flip(shape):
    matrix = np.diag([-1.0, 1, -1, 1])
    matrix[:3, 3] = shape[0] - 1, 0, shape[2] - 1
    return matrix


def test_a_hole_in_the_skull_does_not_open_the_brain():
    image, truth = with_truth("CT")
    data = image.data.copy()
    middle = np.argwhere(truth).mean(axis=0)
    place = np.indices(data.shape).reshape(3, -1).T - middle
    side = (np.linalg.norm(place[:, 1:] * image.spacing_mm[1], axis=1) < 12) & (place[:, 0] > 0)
    drilled = side.reshape(data.shape) & (data > 150)
    assert drilled.any()
    data[drilled] = 40
    assert dice(find_brain(image.with_data(data), "ct"), truth) > 0.95


def test_metal_is_measured_in_cubic_centimetres():
    image, _ = with_truth("CT")
    data = image.data.copy()
    data[40:45, 40:45, 40:45] = 3071
    assert metal_cm3(image.with_data(data)) == pytest.approx(125 * image.grid.voxel_volume_mm3 / 1000)


def test_an_image_that_is_no_ct_is_refused_as_one():
    image, _ = with_truth("T1w")
    with pytest.raises(InputRefused, match="NOT_HOUNSFIELD"):
        require_hounsfield(image)
    with pytest.raises(InputRefused, match="NOT_HOUNSFIELD"):
        find_brain(image, "ct")


def test_a_ct_without_a_skull_has_no_brain():
    water = np.where(ball((60, 60, 60), 25), 30.0, -1000.0)
    with pytest.raises(InputRefused, match="BRAIN_NOT_FOUND"):
        find_brain(Volume(water, np.diag([3.0, 3, 3, 1])), "ct")


def test_masks_are_joined_by_a_plus(scan):
    assert np.array_equal(find_brain(scan, "nonzero+nonzero"), BRAIN_MASKS["nonzero"](scan))
    first, second = ball((9, 9, 9), 2), ball((9, 9, 9), 3)
    assert np.array_equal(union(first, second), second)
    with pytest.raises(InputRefused, match="GRID_MISMATCH"):
        union(first, ball((8, 9, 9), 2))
    with pytest.raises(UsageError, match=r"BRAIN_MASK .*deepbet"):
        find_brain(scan, "guess")


def brain_of(volume_cm3: float) -> tuple[np.ndarray, Volume]:
    radius_mm = (volume_cm3 * 1000 * 3 / 4 / np.pi) ** (1 / 3)
    n = int(2 * radius_mm / 3) + 8
    mask = ball((n, n, n), radius_mm / 3)
    return mask, Volume(mask, np.diag([3.0, 3, 3, 1]))


@pytest.mark.parametrize(("volume_cm3", "verdict"), [(100, "bad"), (600, "doubtful"), (1400, "good"), (3000, "bad")])
def test_the_volume_of_a_brain_decides_the_verdict(volume_cm3, verdict):
    report = check_mask(*brain_of(volume_cm3))
    assert report.volume_cm3 == pytest.approx(volume_cm3, rel=0.05)
    assert report.verdict == verdict
    if verdict == "bad":
        with pytest.raises(InputRefused, match="MASK_IMPLAUSIBLE"):
            require_plausible(report)


def test_a_brain_that_is_cut_or_in_pieces_is_doubtful():
    mask, volume = brain_of(1400)
    half = mask.shape[2] // 3
    report = check_mask(mask[:, :, half:], Volume(volume.data[:, :, half:], volume.affine))
    assert any("cuts the brain" in reason for reason in report.reasons)
    torn = mask.copy()
    torn[:, :, mask.shape[2] // 2 - 1 : mask.shape[2] // 2 + 1] = False
    assert any("largest connected component" in reason for reason in check_mask(torn, volume).reasons)
    assert check_mask(np.zeros_like(mask), volume).verdict == "bad"


@pytest.mark.parametrize("share", [0.02, 0.4, 0.6, 0.9])
def test_holes_are_those_of_scipy_at_the_edge_of_the_image_too(share):
    mask = np.random.default_rng(1).random((13, 21, 17)) < share
    for chosen in (mask, np.pad(mask, 3), np.pad(mask, ((0, 4), (2, 0), (1, 1))), np.zeros_like(mask)):
        assert (fill_holes(chosen) == ndimage.binary_fill_holes(chosen)).all()
