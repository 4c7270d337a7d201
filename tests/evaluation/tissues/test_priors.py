import numpy as np
import pytest
from scipy import ndimage

from voxlate.errors import InputRefused
from voxlate.evaluation.tissues import BRIGHT, SEGMENTERS, TISSUES, dice
from voxlate.evaluation.tissues.priors import Priors
from voxlate.preparation.registration.templates import mni_template, mni_tissues
from voxlate.preparation.registration.transform import Transform
from voxlate.volume import Volume

SPACING = (2.0, 2.0, 2.0)


def average_head(*, noise=0.04, vessels=0.0, seed=0):
    """Returns an image made from the template's own maps at 2 mm, its mask, and the likeliest tissue of each voxel."""
    random = np.random.default_rng(seed)
    maps = np.stack([mni_tissues()[name].data[::2, ::2, ::2] for name in TISSUES])
    mask = mni_template().mask[::2, ::2, ::2]
    clean = np.tensordot([0.35, 0.75, 1.0], maps, axes=1)
    tree = (np.abs(ndimage.gaussian_filter(random.normal(size=mask.shape), 1.2)) > 0.22) & mask
    image = np.where(mask, clean + vessels * tree + random.normal(0, noise, mask.shape), 0).astype(np.float32)
    truth = np.where(mask & ~(tree & (vessels > 0)), 1 + maps.argmax(axis=0), 0)
    affine = np.array(mni_template().volume.affine) @ np.diag([2, 2, 2, 1])
    return Volume(image, affine), mask, truth


def maps_of(mask):
    maps = np.stack([mni_tissues()[name].data[::2, ::2, ::2] for name in TISSUES]).clip(0) ** 0.5 + 0.1
    return Priors((maps / maps.sum(axis=0)).astype(np.float32))


def test_the_maps_of_the_template_add_up_to_its_brain():
    found = mni_tissues()
    total = sum(found[name].data for name in TISSUES)
    inside = mni_template().mask
    assert total[inside].mean() == pytest.approx(1, abs=0.02)
    for name in TISSUES:
        assert 0 <= found[name].data.min() <= found[name].data.max() <= 1


def test_tissues_are_found_and_vessels_take_no_white_matter_s_place():
    for vessels in (0.0, 1.0):
        image, mask, truth = average_head(vessels=vessels)
        labels = maps_of(mask).segment(image.data, mask, spacing_mm=SPACING)
        found = {name: dice(labels == number, truth == number) for name, number in TISSUES.items()}
        assert found["WM"] > 0.9, (vessels, found)
        assert found["GM"] > 0.85, (vessels, found)
        assert (labels[~mask] == 0).all()
    assert (labels == BRIGHT).sum() > 300


def test_a_gain_changes_no_label():
    image, mask, _ = average_head()
    plain = maps_of(mask).segment(image.data, mask, spacing_mm=SPACING)
    scaled = maps_of(mask).segment(37 * image.data, mask, spacing_mm=SPACING)
    assert (plain != scaled)[mask].mean() < 1e-3


def test_a_constant_brain_is_refused():
    image, mask, _ = average_head()
    with pytest.raises(InputRefused, match="CONSTANT"):
        maps_of(mask).segment(np.ones_like(image.data), mask, spacing_mm=SPACING)


@pytest.mark.slow
def test_maps_are_brought_onto_a_head_that_lies_elsewhere():
    image, mask, _ = average_head()
    turned = Transform.rigid((0.3, 1, 0.2), 8, (6, -9, 4))
    moved = turned.carry(image)
    priors = Priors.registered(moved, mask)
    labels = priors.segment(moved.data, mask, spacing_mm=SPACING)
    at_home = maps_of(mask).segment(image.data, mask, spacing_mm=SPACING)
    for name, number in TISSUES.items():
        assert dice(labels == number, at_home == number) > 0.93, name
    assert "priors" not in SEGMENTERS
