"""What images of one target share has the values of the plain definitions, and is computed once."""

import numpy as np
import pytest
from scipy import ndimage

from voxlate.errors import InputRefused
from voxlate.evaluation import similarity as sim
from voxlate.evaluation.similarity import Comparison, Target, moments
from voxlate.evaluation.similarity.information import Binned
from voxlate.evaluation.similarity.shared import MS_SSIM_SCALES

SHAPE = (61, 58, 64)
RANDOM = np.random.default_rng(7)
TARGET = 0.5 + 0.9 * ndimage.gaussian_filter(RANDOM.normal(size=SHAPE), 1.2)
IMAGES = [TARGET + scale * RANDOM.normal(size=SHAPE) for scale in (0.05, 0.2)] + [ndimage.gaussian_filter(TARGET, 1)]
MASK = np.zeros(SHAPE, dtype=bool)
MASK[3:55, 6:58, 5:60] = True
MASK &= ndimage.gaussian_filter(RANDOM.normal(size=SHAPE), 6) > -0.02
RANGE = 1.4

PLAIN = {
    "ssim": lambda x: sim.ssim(x, TARGET, data_range=RANGE, mask=MASK),
    "ms_ssim": lambda x: sim.ms_ssim(x, TARGET, data_range=RANGE, mask=MASK, scales=MS_SSIM_SCALES),
    "local_correlation": lambda x: sim.local_correlation(x, TARGET, mask=MASK),
    "nmi": lambda x: sim.nmi(x, TARGET, mask=MASK),
    "gradient_error": lambda x: sim.gradient_error(x, TARGET, mask=MASK),
    "sharpness_ratio": lambda x: sim.sharpness_ratio(x, TARGET, mask=MASK),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_value_beside_a_shared_target_equals_that_of_the_function_whatever_was_asked_before(name):
    target = Target(TARGET, MASK)
    for other in PLAIN:
        getattr(Comparison(IMAGES[0], target, RANGE), other)()
    for image in IMAGES:
        assert getattr(Comparison(image, target, RANGE), name)() == pytest.approx(PLAIN[name](image), rel=1e-12)


def test_errors_beside_a_shared_target_equal_those_of_the_functions():
    for image in IMAGES:
        errors = Comparison(image, Target(TARGET, MASK), RANGE).errors
        assert errors.mae == sim.mae(image, TARGET, mask=MASK)
        assert errors.rmse == sim.rmse(image, TARGET, mask=MASK)
        assert errors.bias == sim.bias(image, TARGET, mask=MASK)
        assert errors.psnr(RANGE) == sim.psnr(image, TARGET, data_range=RANGE, mask=MASK)


def test_a_part_of_the_mask_has_the_errors_and_the_ssim_of_its_own_voxels():
    part = MASK.copy()
    part[:30] = False
    comparison = Comparison(IMAGES[0], Target(TARGET, MASK), RANGE)
    whole = sim.ssim_map(IMAGES[0], TARGET, data_range=RANGE)
    assert comparison.errors.at(part[MASK]).mae == sim.mae(IMAGES[0], TARGET, mask=part)
    assert comparison.ssim_at(part[MASK]) == pytest.approx(whole[part].mean(), rel=1e-12)


def test_the_target_is_filtered_once_for_all_images(monkeypatch):
    sizes = []

    def counting(image, *arguments, **options):
        sizes.append(image.size)
        return gaussian_mean(image, *arguments, **options)

    gaussian_mean = moments.gaussian_mean
    monkeypatch.setattr(moments, "gaussian_mean", counting)
    target = Target(TARGET, MASK)
    for image in IMAGES:
        comparison = Comparison(image, target, RANGE)
        for name in ("ssim", "ms_ssim", "local_correlation", "ssim"):
            getattr(comparison, name)()
    of_target, of_image = 2, 3  # mean and mean square; the same of the image, and the product of both
    assert len(sizes) == MS_SSIM_SCALES * (of_target + of_image * len(IMAGES))


def test_images_on_another_grid_and_missing_values_are_refused():
    target = Target(TARGET, MASK)
    with pytest.raises(InputRefused, match="GRID_MISMATCH"):
        Comparison(TARGET[1:], target, RANGE)
    spoiled = np.where(MASK, np.nan, TARGET)
    with pytest.raises(InputRefused, match=f"NON_FINITE {int(MASK.sum())}"):
        _ = Comparison(spoiled, target, RANGE).errors


def test_local_correlation_is_pearsons_r_by_scipys_filters():
    def mean(array):
        return ndimage.gaussian_filter(array, 1.5, radius=5)

    x, y = IMAGES[1], TARGET
    spread = np.sqrt((mean(x * x) - mean(x) ** 2) * (mean(y * y) - mean(y) ** 2))
    r = (mean(x * y) - mean(x) * mean(y)) / spread
    assert sim.local_correlation(x, y, mask=MASK) == pytest.approx(r[MASK].mean(), rel=1e-10)


EDGES = np.linspace(0.1, 0.7, 65)
ON_EDGES = np.concatenate([np.nextafter(EDGES, -1)[1:], EDGES, np.nextafter(EDGES, 1)[:-1]])


@pytest.mark.parametrize("values", [RANDOM.normal(size=9999), RANDOM.integers(0, 200, 9999) / 7, ON_EDGES, np.ones(50)])
def test_bins_are_those_of_numpys_histogram(values):
    other = RANDOM.normal(size=values.size)
    expected, _, _ = np.histogram2d(values, other, bins=64)
    cells = Binned.of(values).index * 64 + Binned.of(other).index
    assert (np.bincount(cells, minlength=64 * 64).reshape(64, 64) == expected).all()


@pytest.mark.parametrize("shape", [(9, 14, 11), (7, 1, 5), (12, 10)])
def test_the_gradient_is_that_of_scipys_sobel_filter(shape):
    image = RANDOM.normal(size=shape)
    scale = 2.0 * 4.0 ** (image.ndim - 1)
    sobels = [ndimage.sobel(image, axis, mode="nearest") / scale for axis in range(image.ndim)]
    assert sim.gradient_magnitude(image) == pytest.approx(np.sqrt(np.square(sobels).sum(axis=0)), abs=1e-14)


def test_the_sharpness_ratio_is_that_of_its_definition_by_scipy_and_numpy():
    core = ndimage.binary_erosion(np.pad(MASK, 1), iterations=2)
    taper = np.where(MASK, ndimage.gaussian_filter(core.astype(float), 2.0, mode="constant")[1:-1, 1:-1, 1:-1], 0)
    inside = tuple(slice(axis.min(), axis.max() + 1) for axis in np.nonzero(MASK))
    taper = taper[inside]
    radius = np.sqrt(sum(np.square(f) for f in np.meshgrid(*map(np.fft.fftfreq, taper.shape), indexing="ij")))

    def share(image):
        power = np.abs(np.fft.fftn((image[inside] - (image[inside] * taper).sum() / taper.sum()) * taper)) ** 2
        power.flat[0] = 0
        return np.sqrt(power[(radius >= 0.25) & (radius <= 0.5)].sum() / power.sum())

    expected = share(IMAGES[0]) / share(TARGET)
    assert sim.sharpness_ratio(IMAGES[0], TARGET, mask=MASK) == pytest.approx(expected, rel=1e-6)
