"""The head of the package: what it holds, how its subjects differ, and the laws of its deformation and ageing."""

from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from voxlate.simulation import Options
from voxlate.simulation.anatomy import ageing
from voxlate.simulation.anatomy.ageing import lost_cortex, widen_ventricles
from voxlate.simulation.anatomy.anatomies import (
    EMBEDDED_FILE,
    EmbeddedHead,
    FormulaHeads,
    anatomies_named,
    embedded_head,
)
from voxlate.simulation.anatomy.formula_head import head_grid
from voxlate.simulation.anatomy.label_head import (
    STRONG_BENDING_MM,
    _displacement,
    build_label_head,
    draw_embedded_head_factors,
)
from voxlate.simulation.anatomy.label_map import FIRST_ROW, label_map_of, read_label_table
from voxlate.simulation.anatomy.sampling import sample_groups
from voxlate.simulation.files.dataset import Plan
from voxlate.simulation.files.dataset_files import write_description_files
from voxlate.volume import Volume


def random(seed=0):
    return np.random.default_rng(seed)


def groups_named():
    names = ["air", "soft", "bone", "dura", *embedded_head().table.groups]
    counts = np.bincount(embedded_head().groups.ravel(), minlength=len(names))
    return dict(zip(names, counts.tolist(), strict=True))


def painted(seed, **changes):
    factors = draw_embedded_head_factors(random(seed), embedded_head())
    return build_label_head(replace(factors, **changes), embedded_head(), 4.0, np.random.SeedSequence(seed))


def test_the_default_head_is_the_embedded_one_and_formulas_must_be_asked_for():
    assert isinstance(Options().anatomies, EmbeddedHead)
    assert isinstance(anatomies_named("formula"), FormulaHeads)
    assert isinstance(anatomies_named("embedded"), EmbeddedHead)


def test_the_file_is_small_and_its_licence_lies_beside_it():
    folder = resources.files("voxlate.simulation.anatomy")
    assert len(folder.joinpath(EMBEDDED_FILE).read_bytes()) < 400_000
    text = folder.joinpath("HEAD.md").read_text(encoding="utf-8")
    assert "McConnell Brain Imaging Centre" in text
    assert "Apache License 2.0" in text


LEAST_ML = {
    "white matter": 400,
    "cortex": 500,
    "cerebellar white matter": 15,
    "grey matter": 100,
    "thalamus": 10,
    "caudate": 5,
    "putamen": 8,
    "pallidum": 2,
    "brain stem": 20,
    "ventricles": 10,
    "choroid plexus": 0.5,
    "subarachnoid fluid": 150,
    "venous sinus": 5,
    "eyeball": 8,
    "mucosa": 20,
    "muscle": 500,
    "skin": 100,
    "fat under the skin": 300,
    "spinal cord": 2,
    "spongy bone": 100,
    "bone": 100,
    "dura": 20,
    "air": 1000,
}


@pytest.mark.parametrize("name", LEAST_ML)
def test_the_head_holds_every_structure(name):
    assert groups_named()[name] / 1000 > LEAST_ML[name]


def test_left_and_right_of_the_map_mirror_each_other():
    groups = embedded_head().groups
    # The hull that tells dura from bone is found on every second voxel, which breaks the symmetry a little.
    assert (groups != groups[::-1]).mean() < 0.005


def test_subjects_have_the_volumes_of_adults_and_differ_from_each_other():
    heads = [painted(seed).tissue_map for seed in range(4)]
    for head in heads:
        assert 450 < head.total("gm").sum() * 0.064 < 1000
        assert 320 < head.total("wm").sum() * 0.064 < 750
    first, second = (head.total("wm") > 0.5 for head in heads[:2])
    overlap = 2 * (first & second).sum() / (first.sum() + second.sum())
    assert 0.3 < overlap < 0.85


def test_no_tissue_folds_over():
    shape, _ = head_grid(4.0)
    for seed in range(6):
        rng = random(seed)
        bent = [_displacement(shape, 4.0, STRONG_BENDING_MM, rng) for _ in range(3)]
        jacobian = np.stack([np.stack(np.gradient(axis, 4.0)) for axis in bent]) + np.eye(3)[:, :, None, None, None]
        assert np.linalg.det(np.moveaxis(jacobian, (0, 1), (3, 4))).min() > 0.2


def ball_map(radius_mm=20.0):
    """Returns a map of 2 mm: a ventricle, white matter around it, cortex and fluid, as balls."""
    index = np.indices((90, 100, 90)) - np.array([44.5, 49.5, 44.5]).reshape(3, 1, 1, 1)
    r = np.sqrt(np.square(index * 2).sum(axis=0))
    labels = np.zeros(r.shape)
    for limit, label in ((84, 507), (78, 24), (72, 3), (66, 2), (radius_mm, 4)):
        labels[r < limit] = label
    return label_map_of(
        Volume(labels.astype(np.float32), np.diag([2.0, 2, 2, 1]), "labels"), "balls", read_label_table()
    )


@pytest.mark.parametrize("amount_mm", [-3.0, 0.0, 2.0, 4.0])
def test_the_wall_of_a_ventricle_moves_by_the_millimetres_asked_for(amount_mm):
    source = ball_map()
    where = [axis.astype(np.float32) for axis in np.indices(source.groups.shape, dtype=np.float32)]
    widen_ventricles(source, where, amount_mm)
    fractions, _ = sample_groups(source, where, 2.0)
    index = source.table.rows("ventricle")[0]
    volume = float(fractions[index].sum()) * 8
    assert (3 * volume / (4 * np.pi)) ** (1 / 3) == pytest.approx(20 + amount_mm, abs=0.4)
    outline = fractions[source.table.rows("cerebrum")[1]].sum()
    assert outline == pytest.approx((source.groups == source.table.rows("cerebrum")[1]).sum(), rel=0.01)


def test_ventricles_that_keep_their_size_cost_no_distance_transform(monkeypatch):
    monkeypatch.setattr(ageing, "_push", lambda _: pytest.fail("computed for nothing"))
    where = [np.zeros((2, 2, 2), np.float32) for _ in range(3)]
    widen_ventricles(embedded_head(), where, 0.0)
    assert not np.any(where)


def test_cortex_is_lost_beside_fluid_alone_and_more_with_more_atrophy():
    fluid = np.zeros((20, 20, 20), np.float32)
    fluid[:5] = 1
    cortex = 1 - fluid
    some, more = (lost_cortex(cortex, fluid, atrophy, 1.0) for atrophy in (0.2, 0.8))
    assert lost_cortex(cortex, fluid, 0.0, 1.0).max() == 0
    assert more.sum() > 2 * some.sum() > 0
    assert more[12:].max() == 0
    assert more.max() <= 1


def test_what_the_cortex_loses_becomes_fluid():
    young, old = (painted(3, atrophy=atrophy, ventricle_mm=0.0, veins=0).tissue_map for atrophy in (0.0, 1.0))
    lost = young.total("gm").sum() - old.total("gm").sum()
    gained = old.total("csf", "blood", "artery").sum() - young.total("csf", "blood", "artery").sum()
    assert lost > 0.03 * young.total("gm").sum()
    assert gained == pytest.approx(lost, rel=1e-3)


def test_samples_are_the_trilinear_weights_of_every_label():
    source = ball_map()
    rng = random(2)
    where = [rng.uniform(-3, n + 2, (16, 9, 7)).astype(np.float32) for n in source.groups.shape]
    fractions, inside = sample_groups(source, where, 2.0)
    padded = np.pad(source.groups, 4)
    points = [axis + 4 for axis in where]
    for index in np.unique(source.groups):
        if index:
            exact = ndimage.map_coordinates((padded == index).astype(np.float32), points, order=1)
            assert fractions.get(int(index), np.zeros_like(exact)) == pytest.approx(exact, abs=2e-4)
    held = ndimage.map_coordinates(np.pad(source.inside, 4).astype(np.float32), points, order=1)
    assert inside == pytest.approx(held, abs=2e-4)
    assert set(fractions) <= set(range(1, FIRST_ROW + len(source.table.groups)))


def test_a_data_set_of_embedded_heads_carries_the_notice_of_the_template(tmp_path):
    for name, anatomies in (("embedded", EmbeddedHead()), ("formula", FormulaHeads())):
        settings = Plan("t1ce_t1", 1, 0, options=Options(anatomies=anatomies)).identity()
        write_description_files(tmp_path / name, "t1ce_t1", settings, Path("settings.json"))
        text = (tmp_path / name / "README").read_text(encoding="utf-8")
        assert ("McConnell" in text) == (name == "embedded")
