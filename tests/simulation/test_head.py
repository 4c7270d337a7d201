"""A painted head: volumes in the known ranges, structures in their places, the same bytes from the same seed."""

import numpy as np
import pytest

from voxlate.errors import UsageError
from voxlate.simulation.anatomy.brain import level_of_volume
from voxlate.simulation.anatomy.formula_head import build_head, draw_head_factors, head_grid

SPACING = 2.0


@pytest.fixture(scope="module")
def factors():
    return draw_head_factors(np.random.default_rng(7))


@pytest.fixture(scope="module")
def head(factors):
    return build_head(factors, SPACING, np.random.SeedSequence(7))


def millilitres(head, *tissues):
    return float((head.tissue_map.total(*tissues) * head.inside).sum()) * SPACING**3 / 1000


def test_every_voxel_is_full_and_none_overfull(head):
    total = head.tissue_map.total(*{part.tissue for part in head.tissue_map.parts})
    assert np.abs(total - 1).max() < 1e-4


def test_the_space_inside_the_dura_has_the_volume_that_was_drawn(head, factors):
    above_foramen = head.frame.points[2] > -64
    volume = float((head.inside * above_foramen).sum()) * SPACING**3 / 1000
    assert volume == pytest.approx(factors.intracranial_ml, rel=0.03)


def test_the_ventricles_have_the_volume_that_was_drawn(head, factors):
    x, y, z = head.frame.points
    near = (np.abs(x) < 46) & (y > -62) & (y < 58) & (z > -30) & (z < 32)
    fluid = next(part for part in head.tissue_map.parts if part.tissue == "csf")
    volume = float((fluid.fraction * near[fluid.box]).sum()) * SPACING**3 / 1000
    assert volume == pytest.approx(factors.brain.ventricle_ml, rel=0.2)


def test_grey_white_and_fluid_have_their_shares(head):
    grey, white, fluid = (millilitres(head, tissue) for tissue in ("gm", "wm", "csf"))
    whole = grey + white + fluid
    assert 0.36 < grey / whole < 0.54
    assert 0.30 < white / whole < 0.44
    assert 0.12 < fluid / whole < 0.30


def test_the_cortex_is_folded(head):
    # a smooth brain of this volume has a surface of about 600 cm²; folds at least double the grey-fluid border
    brain = head.tissue_map.total("gm", "wm") > 0.5
    faces = sum(int(np.count_nonzero(np.diff(brain, axis=axis))) for axis in range(3))
    convex = head.inside > 0.5
    smooth = sum(int(np.count_nonzero(np.diff(convex, axis=axis))) for axis in range(3))
    assert faces > 2 * smooth


def test_tissues_lie_where_they_belong(head):
    def centre(tissue):
        share = head.tissue_map.total(tissue)
        return [float((axis * share).sum() / share.sum()) for axis in head.frame.points]

    assert centre("pituitary") == pytest.approx([0, 21, -40], abs=4)
    assert centre("vitreous")[1] > 60
    assert head.tissue_map.total("gm")[head.inside < 0.01].max() < 0.1
    assert head.tissue_map.total("air")[0].min() == pytest.approx(1, abs=1e-4)


def test_the_same_seed_paints_the_same_bytes_and_another_one_does_not(factors):
    first, second, third = (build_head(factors, 4.0, np.random.SeedSequence(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.tissue_map.total("gm"), second.tissue_map.total("gm"))
    assert not np.array_equal(first.tissue_map.total("gm"), third.tissue_map.total("gm"))


@pytest.mark.parametrize("spacing", [8.0, 0.1, float("nan")])
def test_a_grid_too_coarse_for_the_anatomy_is_refused(spacing):
    with pytest.raises(UsageError, match="GRID_TOO_SMALL"):
        head_grid(spacing)


def test_a_level_holds_the_volume_asked_for():
    values = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    assert (values < level_of_volume(values, 2500)).sum() == 2500


@pytest.mark.slow
def test_tissue_volumes_at_one_millimetre_lie_in_the_ranges_of_the_young_and_the_old():
    shares = []
    for seed in (0, 3):
        factors = draw_head_factors(np.random.default_rng(100 + seed))
        head = build_head(factors, 1.0, np.random.SeedSequence(seed))
        volumes = [float((head.tissue_map.total(t) * head.inside).sum()) for t in ("gm", "wm", "csf")]
        shares.append(np.array(volumes) / sum(volumes))
    grey, white, fluid = np.mean(shares, axis=0)
    assert 0.43 < grey < 0.52
    assert 0.30 < white < 0.40
    assert 0.13 < fluid < 0.26
