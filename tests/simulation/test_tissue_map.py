"""Tissue maps: the same heads as simulated subjects, images of the same signals, files that resume and are checked."""

import json

import numpy as np
import pytest

from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.simulation import Options, simulate_subject
from voxlate.simulation.anatomy.anatomies import EmbeddedHead, FormulaHeads
from voxlate.simulation.files.tissue_maps import (
    ARRAYS,
    MapPlan,
    build_tissue_map,
    read_tissue_maps,
    write_tissue_maps,
)
from voxlate.simulation.patient import PatientOptions, build_patient, draw_patient
from voxlate.simulation.physics.render import mixed
from voxlate.simulation.physics.scanners import scanner_named
from voxlate.simulation.tissue_map import KEPT, WHOLE, compact, depth_mm

PLAN = MapPlan(2, 5, "small", "glioma")


@pytest.fixture(scope="module")
def head():
    return build_tissue_map(PLAN, 0)


@pytest.fixture(scope="module")
def painted():
    anatomy = EmbeddedHead().of(5, 0)
    patient = draw_patient(5, 0, 0, scanner_named("A"), PatientOptions("gadobutrol", 0.1, "glioma", anatomy))
    return (*build_patient(patient, 5, 0, 2.0, anatomy), patient.lesions)


def box_of(head, painted):
    """Returns the box of the whole grid that a map shows, found from the brain."""
    inside = np.argwhere(painted.inside >= 0.5)
    shown = np.argwhere(depth_mm(head.depth) > 0)
    start = inside.min(axis=0) - shown.min(axis=0)
    return tuple(slice(a, a + n) for a, n in zip(start, head.shape, strict=True))


def test_the_shares_of_a_voxel_sum_to_one_and_fall(head):
    assert head.index.shape == (*head.shape, KEPT)
    assert (head.share.sum(axis=-1, dtype=int) == WHOLE).all()
    assert (np.diff(head.share.astype(int), axis=-1) <= 0).all()


def test_an_image_from_the_map_is_the_image_of_the_head(head, painted):
    anatomy, body, _ = painted
    rng = np.random.default_rng(0)
    values = {name: float(rng.uniform(0, 1)) for name in body.substances}
    exact = mixed(anatomy.tissue_map, values.__getitem__)[box_of(head, anatomy)]
    table = np.array([values[name] for name in head.names])
    stored = (table[head.index] * (head.share / WHOLE)).sum(axis=-1)
    inside = depth_mm(head.depth) > 0
    # A share is stored to 1/255, and a fifth tissue is left out.
    assert np.abs(stored - exact)[inside].mean() < 0.002
    assert np.quantile(np.abs(stored - exact)[inside], 0.999) < 0.05


def test_the_depth_is_positive_in_the_brain_and_grows_by_a_voxel_for_each_voxel(head, painted):
    anatomy, *_ = painted
    inside = anatomy.inside[box_of(head, anatomy)] >= 0.5
    assert np.array_equal(depth_mm(head.depth) > 0, inside)
    row = depth_mm(head.depth)[:, head.shape[1] // 2, head.shape[2] // 2]
    assert row.min() == -5
    assert np.abs(np.diff(row)).max() <= 2.0 + 0.11


def test_the_voxels_that_enhance_are_those_where_agent_goes(head):
    names = np.array(head.names)
    largest = names[head.index[..., 0]].reshape(-1)
    counts = {name: int((largest[head.enhancing] == name).sum()) for name in names}
    assert counts["blood"] > 0
    assert counts["L01-solid"] > 0
    assert counts["wm"] + counts["gm"] < 0.2 * len(head.enhancing)  # borders of vessels
    assert (depth_mm(head.depth).reshape(-1)[head.sample] > 0).all()


def test_a_map_has_the_head_and_the_lesions_of_the_subject_of_its_seed(head):
    subject = simulate_subject("t1ce_t1", seed=5, subject=0, options=Options(lesions="glioma"))
    ours = np.bincount(head.lesions.reshape(-1))[1:]
    theirs = np.bincount(subject.truth.lesion_mask.data.astype(int).reshape(-1))[1:]
    assert np.array_equal(ours, theirs)
    assert set(head.lesion_tissues) == {1.5, 3.0}
    assert set(head.lesion_tissues[3.0]) == {"L01-solid", "L01-core"}
    assert head.lesion_tissues[1.5]["L01-solid"].t1_ms < head.lesion_tissues[3.0]["L01-solid"].t1_ms


def test_maps_are_written_read_and_continued(tmp_path, head):
    root = tmp_path / "maps"
    assert list(write_tissue_maps(root, MapPlan(1, 5, "small", "glioma"))) == ["sub-0001"]
    first = (root / "sub-0001" / "tissue_map.json").stat().st_mtime_ns
    assert list(write_tissue_maps(root, PLAN)) == ["sub-0001", "sub-0002"]
    assert (root / "sub-0001" / "tissue_map.json").stat().st_mtime_ns == first
    maps = read_tissue_maps(root)
    assert len(maps) == 2
    assert maps[0].names == head.names
    assert maps[0].lesion_tissues == head.lesion_tissues
    for part in ARRAYS:
        assert np.array_equal(getattr(maps[0], part), getattr(head, part))
    with pytest.raises(UsageError, match="SETTINGS_DIFFER"):
        list(write_tissue_maps(root, MapPlan(2, 6, "small", "glioma")))
    _damage(root / "sub-0002")
    with pytest.raises(InputRefused, match=r"TISSUE_MAP the tissue map sub-0002 is damaged .* simulate it again"):
        read_tissue_maps(root)
    assert list(write_tissue_maps(root, PLAN)) == ["sub-0001", "sub-0002"]
    assert len(read_tissue_maps(root)) == 2


def test_a_map_whose_description_is_damaged_is_written_again(tmp_path, head, monkeypatch):
    monkeypatch.setattr("voxlate.simulation.files.tissue_maps.build_tissue_map", lambda plan, number: head)
    list(write_tissue_maps(tmp_path / "maps", MapPlan(1, 5)))
    for content in ("{}", '{"files": {}}', "not json"):
        (tmp_path / "maps" / "sub-0001" / "tissue_map.json").write_text(content)
        assert list(write_tissue_maps(tmp_path / "maps", MapPlan(1, 5))) == ["sub-0001"]
        assert read_tissue_maps(tmp_path / "maps")[0].names == head.names


def _damage(folder):
    content = bytearray((folder / "share.npy").read_bytes())
    content[-1] ^= 1
    (folder / "share.npy").write_bytes(bytes(content))


def test_a_folder_without_maps_and_a_map_without_tissues_are_refused(tmp_path):
    with pytest.raises(NoInput, match=r"NO_TISSUE_MAPS .*--tissue-maps"):
        read_tissue_maps(tmp_path)
    (tmp_path / "sub-0001").mkdir()
    (tmp_path / "sub-0001" / "tissue_map.json").write_text(json.dumps({"names": []}))
    with pytest.raises(InputRefused, match="TISSUE_MAP"):
        read_tissue_maps(tmp_path)


@pytest.mark.parametrize(
    ("code", "settings"),
    [
        ("SUBJECTS", {"subjects": 0}),
        ("SEED_NEGATIVE", {"seed": -1}),
        ("SIZE_UNKNOWN", {"size": "huge"}),
        ("LESION_UNKNOWN", {"lesions": "wart"}),
        ("ANATOMY_FORMULA", {"anatomies": FormulaHeads()}),
    ],
)
def test_settings_that_cannot_be_met_are_refused(code, settings):
    with pytest.raises(UsageError, match=code):
        MapPlan(**{"subjects": 1, "seed": 0} | settings)


def test_the_sample_is_that_of_its_generator(painted):
    anatomy, _, lesions = painted
    first, second = (compact(anatomy, {3.0: lesions}, np.random.default_rng(seed)) for seed in (1, 1))
    assert np.array_equal(first.sample, second.sample)
