"""Heads from label maps: refusals, exact volumes, and real maps."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from phantoms import DATA

from voxlate.cli import run_with_status, voxlate
from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.io.nifti import write_volume
from voxlate.simulation import Options, simulate_subject
from voxlate.simulation.anatomy.label_head import build_label_head, draw_label_head_factors
from voxlate.simulation.anatomy.label_map import BONE, DURA, LabelMaps, read_label_table
from voxlate.volume import Volume

SHAPE, SPACING = (64, 76, 64), 3.0


def radius(shape=SHAPE, centre=(0.0, 0.0, 0.0)):
    index = np.indices(shape, dtype=float)
    middle = (np.array(shape) - 1) / 2
    axes = [(index[a] - middle[a]) * SPACING - centre[a] for a in range(3)]
    return np.sqrt((axes[0] / 68) ** 2 + (axes[1] / 86) ** 2 + (axes[2] / 62) ** 2)


def labels():
    """Returns a head of ellipsoids: white matter, cortex, fluid, dura or bone, soft tissue, skin, and ventricles."""
    r = radius()
    data = np.zeros(SHAPE)
    for limit, label in ((1.35, 511), (1.3, 507), (1.2, 515), (1.08, 24), (1.0, 3), (0.9, 2), (0.2, 4)):
        data[r < limit] = label
    return data


def write(folder, data, name="a.nii.gz", affine=None):
    affine = np.diag([SPACING] * 3 + [1.0]) if affine is None else affine
    folder.mkdir(exist_ok=True)
    write_volume(folder / name, Volume(np.asarray(data, np.float32), affine, "labels"), dtype="int16")
    return folder


def head(folder, data, **options):
    return LabelMaps.find(write(folder, data, **options)).of(0, 0)


@pytest.fixture
def source(tmp_path):
    return head(tmp_path / "maps", labels())


def built(source, spacing=4.0, seed=1, **changes):
    factors = replace(draw_label_head_factors(np.random.default_rng(seed), source), **changes)
    return build_label_head(factors, source, spacing, np.random.SeedSequence(seed))


def test_every_voxel_is_full_and_no_part_is_negative(source):
    painted = built(source)
    total = np.zeros(painted.frame.shape)
    for part in painted.tissue_map.parts:
        assert part.fraction.min() > -1e-6
        total[part.box] += part.fraction
    assert np.abs(total - 1).max() < 1e-4


def test_volumes_follow_the_map_and_the_scale(source):
    plain = {"scale": (1.0, 1.0, 1.0), "veins": 0}
    expected = float((source.groups == 4).sum()) * SPACING**3  # white matter is the first row
    volume = built(source, **plain).tissue_map.total("wm").sum() * 4.0**3
    larger = built(source, **plain | {"scale": (1.1, 1.0, 1.0)}).tissue_map.total("wm").sum() * 4.0**3
    assert volume == pytest.approx(expected, rel=0.03)
    assert larger == pytest.approx(1.1 * expected, rel=0.03)


def test_bone_beside_the_brain_is_dura_and_elsewhere_bone(source):
    dura, bone = (radius()[source.groups == index] for index in (DURA, BONE))
    assert 1.05 < dura.mean() < bone.mean() < 1.2
    assert dura.size < 0.6 * bone.size


def test_the_same_numbers_give_the_same_head_and_mirroring_is_what_it_says(source):
    still = {"shift_mm": (0.0, 0.0, 0.0), "turn_deg": (0.0, 0.0, 0.0), "veins": 0}
    lopsided = source.groups.copy()
    lopsided[: SHAPE[0] // 2][lopsided[: SHAPE[0] // 2] == 4] = 5  # the left half of the white matter becomes cortex
    source = replace(source, groups=lopsided)
    first, again, mirrored = (
        built(source, **still, is_mirrored=m).tissue_map.total("wm") for m in (False, False, True)
    )
    assert np.array_equal(first, again)
    half = first.shape[0] // 2
    assert first[half:].sum() > 5 * first[:half].sum()
    assert mirrored[:half].sum() > 5 * mirrored[half:].sum()


@pytest.mark.parametrize("axes", [(1, 0, 2), (2, 1, 0)])
def test_orientation_and_grid_of_the_file_change_nothing(tmp_path, axes):
    plain = head(tmp_path / "plain", labels())
    affine = np.diag([SPACING] * 3 + [1.0])[:, [*axes, 3]]
    turned = head(tmp_path / "turned", np.transpose(labels(), axes), affine=affine)
    assert np.array_equal(plain.groups, turned.groups)
    assert plain.low_mm == pytest.approx(turned.low_mm)


def with_hole(data):
    data[radius(centre=(20, 0, 0)) < 0.25] = 0
    return data


def one_slice(data):
    return np.where(np.isin(data, (2, 3)) & (np.arange(SHAPE[2]) != 31), 24, data)


def two_heads(data):
    both = np.zeros((SHAPE[0] * 2, *SHAPE[1:]))
    both[: SHAPE[0]] = data
    both[SHAPE[0] + 2 : 2 * SHAPE[0]] = data[2:]
    both[SHAPE[0] - 1 : SHAPE[0] + 3] = 0
    return both


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (lambda d: np.where(d == 3, 999, d), "ANATOMY_LABELS", "999"),
        (lambda d: np.where(np.isin(d, (2, 3)), 24, d), "ANATOMY_BRAIN", "cerebrum"),
        (with_hole, "ANATOMY_HOLE", "have no label"),
        (two_heads, "ANATOMY_HEADS", "two heads"),
        (lambda d: d - 1, "ANATOMY_LABELS", "whole numbers from 0"),
        (
            lambda d: np.where((d == 2) | (d == 3), np.where(np.arange(SHAPE[2]) == 31, d, 24), d),
            "ANATOMY_BRAIN",
            " mm",
        ),
    ],
)
def test_a_map_that_is_no_head_is_refused(tmp_path, change, code, says):
    with pytest.raises(InputRefused, match=code) as caught:
        head(tmp_path / "maps", change(labels()))
    assert says in caught.value.message


def test_speckles_beside_the_head_are_left_out(tmp_path, source):
    data = labels()
    data[1, 1, 1:3] = 511
    assert np.array_equal(head(tmp_path / "speckled", data).groups, source.groups)


def test_the_hull_of_a_fine_map_lies_where_the_brain_lies(tmp_path):
    fine = np.kron(labels()[:, ::2, :], np.ones((3, 3, 3)))[:, :, ::2]
    read = head(tmp_path / "maps", fine, affine=np.diag([1.0, 2.0, 2.0, 1.0]))
    brain = np.argwhere(np.isin(read.groups, np.unique(read.groups[read.inside]))).mean(axis=0)
    assert np.argwhere(read.inside).mean(axis=0) == pytest.approx(brain, abs=0.3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("groups: {a: {labels: [2], tissues: {wm: 0.5}, cerebrum: true, inside: true}}", "sum to 1"),
        ("groups: {a: {labels: [2], tissues: {cheese: 1}, cerebrum: true}}", "cheese"),
        ("groups: {a: {labels: [2], tissues: {wm: 1}, cerebrum: true, inside: true}}\nsoft_tissue: [2]", "two groups"),
        ("groups: {a: {labels: [2], tissues: {wm: 1}}}", "cerebrum"),
        ("groups: {a: {labels: [2], tissue: {wm: 1}, cerebrum: true}}", "tissue"),
        ("groups: {a: {labels: [2], tissues: {wm: .nan}, cerebrum: true, inside: true}}", "wm"),
        ("groups: {a: {labels: [2], tissues: {wm: 1}, cerebrum: true}}", "inside: true"),
        ("groups: [", "LABEL_TABLE"),
    ],
)
def test_a_broken_table_is_refused_with_its_place(tmp_path, text, says):
    (tmp_path / "labels.yaml").write_text(text)
    with pytest.raises(UsageError, match="LABEL_TABLE") as caught:
        read_label_table(tmp_path / "labels.yaml")
    assert says in str(caught.value)


def test_a_folder_without_maps_and_a_spine_from_heads_are_refused(tmp_path, source):
    with pytest.raises(NoInput):
        LabelMaps.find(tmp_path / "nowhere")
    anatomies = LabelMaps.find(tmp_path / "maps")
    with pytest.raises(UsageError, match="ANATOMY_TASK"):
        simulate_subject("spine", seed=0, options=Options(anatomies=anatomies))


def test_the_command_writes_a_data_set_that_names_its_maps_by_hash_alone(tmp_path):
    write(tmp_path / "maps", labels(), name="miller_anna.nii.gz")
    out = tmp_path / "out"
    arguments = ["simulate", str(out), "-n", "1", "--anatomy", str(tmp_path / "maps"), "--lesions", "none"]
    done = CliRunner().invoke(voxlate, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (settings,) = out.rglob("simulation.json")
    maps = json.loads(settings.read_text())["anatomies"]["maps"]
    (factors,) = out.rglob("*_factors.json")
    assert json.loads(factors.read_text())["head"]["anatomy"] == maps[0][:12]
    assert not any("miller" in path.read_text() for path in out.rglob("*.json"))
    write(tmp_path / "maps", labels(), name="b.nii.gz")
    other = CliRunner().invoke(voxlate, [*arguments, "-n", "2"])
    assert "SETTINGS_DIFFER" in str(other.exception)
    without = CliRunner().invoke(voxlate, ["simulate", str(out), "-n", "2", "--lesions", "none"])
    assert "SETTINGS_DIFFER" in str(without.exception)


@pytest.mark.parametrize(
    ("change", "code", "kind"), [(with_hole, "ANATOMY_HOLE", []), (two_heads, "ANATOMY_HEADS", ["--tissue-maps"])]
)
def test_nothing_is_written_where_the_map_of_any_subject_is_no_head(tmp_path, capsys, change, code, kind):
    write(tmp_path / "maps", labels(), name="a.nii.gz")
    write(tmp_path / "maps", change(labels()), name="b.nii.gz")
    out = tmp_path / "out"
    arguments = ["simulate", str(out), "-n", "2", "--anatomy", str(tmp_path / "maps"), "--no-progress", *kind]
    assert run_with_status(lambda: voxlate.main(arguments, standalone_mode=False)) == 65
    assert f"REFUSED:{code} " in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.skipif(not (DATA / "anatomies").is_dir(), reason="the development data are absent")
def test_a_real_anatomy_has_tissues_that_enhance_as_they_should():
    anatomies = LabelMaps.find(DATA / "anatomies")
    options = Options(anatomies=anatomies, lesions="none", is_same_acquisition=True)
    subject = simulate_subject("t1ce_t1", seed=4, subject=1, options=options)
    before, after = (subject.images[name].data for name in ("T1w", "T1ce"))
    part = {name: volume.data > 0.95 for name, volume in subject.truth.fractions.items()}
    brain = subject.truth.brain_mask.data > 0.5
    grey, white = (before[part[name] & brain].mean() for name in ("gm", "wm"))
    assert 0.5 < grey / white < 0.95
    assert after[part["wm"] & brain].mean() / white == pytest.approx(1, abs=0.1)
    vessels = part["vessel"] & brain
    assert vessels.sum() > 50
    assert after[vessels].mean() > 1.3 * before[vessels].mean()
    volumes = subject.truth.factors["volumes_inside"]
    assert 400 < volumes["gm_ml"] < 900
    assert 300 < volumes["wm_ml"] < 750


def test_a_map_is_found_by_its_suffix_in_capitals_too(tmp_path):
    for name in ("a.nii.gz", "B.NII.GZ", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert {path.name for path in LabelMaps.find(tmp_path).paths} == {"a.nii.gz", "B.NII.GZ"}
