"""Slices through lumbar discs: registration without a brain, labels, landmarks, and the command."""

import json
from functools import lru_cache

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import ndimage

from preparation.heads import points_mm, rigid
from voxlate.cases import Case, read_cases, write_cases
from voxlate.cli.spine import spine
from voxlate.errors import InputRefused, UsageError
from voxlate.io.nifti import read_mask, read_volume, write_volume
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.spine.labels import LABELS, SpineLabels, find_discs
from voxlate.preparation.spine.planes import Plane, disc_plane
from voxlate.preparation.spine.sections import SpineSettings, disc_pair, prepare_spine
from voxlate.preparation.steps.resample import resample
from voxlate.simulation import simulate_subject
from voxlate.volume import Grid, Volume

SIMULATED = LABELS["simulated"]
ALIGNED = SpineSettings(labels=SIMULATED, is_registered=False)


@lru_cache(maxsize=1)
def subject():
    """Returns CT, T2w, label map and mask of the column of a simulated spine at 2 mm."""
    made = simulate_subject("spine", seed=3, subject=0, size="small")
    return made.images["CT"], made.images["T2w"], made.truth.labels, made.truth.brain_mask.data > 0.5


def vertebrae(tilt_deg=0.0):
    """Returns a label map of 1.5 mm with two vertebrae: bodies 10 mm apart, and arches that nearly touch."""
    x, y, z = (np.indices((60, 70, 60)) - np.array([30, 45, 30]).reshape(3, 1, 1, 1)) * 1.5
    cosine, sine = np.cos(np.deg2rad(tilt_deg)), np.sin(np.deg2rad(tilt_deg))
    y, height = y * cosine + z * sine, z * cosine - y * sine
    body = (np.abs(x) < 22) & (np.abs(y) < 17)
    arch = (np.abs(x) < 15) & (y < -17) & (y > -50) & ((np.abs(x) > 9) | (y < -30))
    data = np.zeros(x.shape)
    for value, side in ((22, 1), (23, -1)):
        data[body & (side * height > 5) & (side * height < 30)] = value
        data[arch & (side * height > 1) & (side * height < 9)] = value
    affine = np.diag([1.5, 1.5, 1.5, 1])
    affine[:3, 3] = -np.array([30, 45, 30]) * 1.5
    return Volume(data, affine)


def test_three_discs_of_one_label_are_found_from_inferior_to_superior_37_mm_apart():
    labels = subject()[2]
    found = find_discs(labels, SIMULATED)
    assert list(found) == ["disc1", "disc2", "disc3"]
    heights = [disc_plane(labels, mask).centre_mm[2] for mask in found.values()]
    assert np.diff(heights) == pytest.approx([37, 37], abs=5)  # the level of the template, scaled by 0.88 to 1.12


@pytest.mark.parametrize("tilt", [0, 15])
def test_the_plane_between_two_bodies_is_found_in_spite_of_their_arches(tilt):
    labels = vertebrae(tilt)
    (name, gap), *others = find_discs(labels, LABELS["verse"]).items()
    assert (name, others) == ("L3L4", [])
    plane = disc_plane(labels, gap)
    normal = np.array([0, -np.sin(np.deg2rad(tilt)), np.cos(np.deg2rad(tilt))])
    assert plane.angle_deg(Plane(plane.centre_mm, normal)) < 1.5
    assert np.abs(plane.centre_mm).max() < 1.5


def test_a_moved_t2_comes_back_within_a_voxel_and_its_slices_are_those_of_the_still_one():
    ct, t2, labels, mask = subject()
    truth = rigid(4, degrees=5, shift_mm=8)
    moved = truth.carry(t2), truth.carry(labels)  # the labels lie on the grid of the T2w
    pair = prepare_spine(ct, *moved, SpineSettings(labels=SIMULATED), mask=mask)
    assert pair.registration.transform.distance_mm(truth, points_mm(ct, mask)).max() < 2.0
    assert list(pair.discs) == ["disc1", "disc2", "disc3"]
    still = prepare_spine(ct, t2, labels, ALIGNED)
    for name, disc in pair.discs.items():
        assert disc.source.data.shape == (256, 256, 1)
        assert disc.target.grid.matches(disc.source.grid)
        assert disc.target.grid.matches(still.discs[name].target.grid, tolerance_mm=3.0)
        assert np.corrcoef(disc.target.data.ravel(), still.discs[name].target.data.ravel())[0, 1] > 0.97


def test_labels_on_the_grid_of_the_t2_give_the_slices_of_labels_on_the_ct():
    ct, t2, labels, mask = subject()
    part = t2.grid.part((4, 0, 0), (72, 80, 48))
    cut = [Volume(volume.data[4:76], part.affine) for volume in (t2, labels)]
    found = prepare_spine(ct, *cut, ALIGNED, mask=mask)
    whole = prepare_spine(ct, t2, labels, ALIGNED)
    for name, disc in whole.discs.items():
        assert found.discs[name].target.grid.matches(disc.target.grid, tolerance_mm=1.0)
    told = "GRID_MISMATCH the label map lies on the grid of neither the CT nor the T2w; resample it to one of them"
    with pytest.raises(InputRefused, match=told):
        prepare_spine(ct, t2, cut[1], ALIGNED)


def test_a_slice_has_the_voxels_of_the_scan_at_its_place_and_the_sac_in_its_middle():
    ct, t2, labels, _ = subject()
    disc = find_discs(labels, SIMULATED)["disc2"]
    pair = disc_pair(ct, t2, Transform.identity(), (labels, disc), ALIGNED)
    grid = pair.target.grid
    assert grid.spacing_mm[2] == pytest.approx(t2.spacing_mm[2])
    middle = (pair.target.data[108:148, 108:148, 0]).mean()
    assert middle > 1.2 * np.median(pair.target.data)  # fluid is bright on T2w
    rows = np.flatnonzero(resample(labels.with_data(disc), grid, interpolation="nearest").data.any(axis=(0, 2)))
    assert rows.max() >= 250  # the front edge is the most ventral point of the disc
    at = grid.to_mm(np.argwhere(np.ones(grid.shape))[::4001])
    index = np.linalg.inv(ct.affine) @ np.c_[at, np.ones(len(at))].T
    assert (index[:3] >= -0.5).all()
    values = ndimage.map_coordinates(ct.data, index[:3], order=1, mode="nearest")
    assert pair.source.data.ravel()[::4001] == pytest.approx(values, abs=1e-2)


def test_acquired_slices_lie_in_planes_of_the_t2_and_tilted_ones_are_refused():
    ct, t2, labels, _ = subject()
    disc = find_discs(labels, SIMULATED)["disc2"]
    settings = ALIGNED.model_copy(update={"slices": "acquired"})
    pair = disc_pair(ct, t2, Transform.identity(), (labels, disc), settings)
    heights = np.linalg.inv(t2.affine) @ pair.target.affine @ np.array([10, 20, 0, 1.0])
    assert heights[2] == pytest.approx(round(heights[2]), abs=1e-6)
    oblique = Grid(t2.data.shape, Transform.rigid([1, 0, 0], 8, [0, 0, 0]).matrix @ t2.affine)
    with pytest.raises(InputRefused, match="SLICE_TILTED"):
        disc_pair(ct, resample(t2, oblique), Transform.identity(), (labels, disc), settings)


def test_a_slice_that_a_scan_does_not_cover_is_refused_and_too_few_are_too():
    ct, t2, labels, _ = subject()
    half = Volume(t2.data[:, :, :20], t2.affine)  # the inferior part alone
    found = prepare_spine(ct, half, labels, ALIGNED)
    assert list(found.discs) == ["disc1"]
    assert {code for code, _ in found.refused.values()} == {"SLICE_CUT"}
    with pytest.raises(InputRefused, match=r"TOO_FEW_DISCS 1 discs .* 2 are needed; disc2: SLICE_CUT"):
        prepare_spine(ct, half, labels, ALIGNED.model_copy(update={"least_discs": 2}))


def test_scans_that_do_not_meet_or_do_not_fit_are_refused():
    ct, t2, labels, _ = subject()
    far = Transform.rigid([0, 0, 1], 0, [500, 0, 0]).carry(t2)
    with pytest.raises(InputRefused, match=r"MISREGISTERED .* covers 0% of it"):
        prepare_spine(ct, far, labels, ALIGNED)
    turned = Volume(np.random.default_rng(0).permutation(t2.data.ravel()).reshape(t2.data.shape), t2.affine)
    with pytest.raises(InputRefused, match="MISREGISTERED CT and T2w do not fit"):
        prepare_spine(ct, turned, labels, ALIGNED)
    part = t2.grid.part((4, 0, 0), (76, 80, 48))
    cut = [Volume(volume.data[4:], part.affine) for volume in (t2, labels)]
    with pytest.raises(InputRefused, match=r"NO_SPINE no voxel of the CT is above 250 HU"):
        prepare_spine(ct.with_data(np.zeros(ct.data.shape)), *cut, ALIGNED)


def test_labels_without_discs_or_neighbouring_vertebrae_are_refused():
    labels = subject()[2]
    with pytest.raises(InputRefused, match=r"NO_DISC_LABELS the label map holds the values 1, 4, 7, 8, 9"):
        find_discs(labels, LABELS["verse"])
    with pytest.raises(ValueError, match="at least two vertebrae"):
        SpineLabels(vertebrae=(20,))


def run(*arguments):
    return CliRunner().invoke(spine, [str(each) for each in arguments], standalone_mode=False, catch_exceptions=False)


def test_the_command_writes_one_case_for_each_disc_and_keeps_patient_split_and_set(tmp_path):
    ct, t2, labels, _ = subject()
    for name, volume in {"ct": ct, "t2": t2, "a_labels": labels, "b_labels": labels.with_data(labels.data * 0)}.items():
        write_volume(tmp_path / f"{name}.nii.gz", volume)
    files = tmp_path / "ct.nii.gz", tmp_path / "t2.nii.gz"
    rows = [Case("a", "p1", "test", *files, set="A"), Case("b", "p2", "train", *files)]
    write_cases(tmp_path / "cases.tsv", rows)
    given = (tmp_path / "cases.tsv", tmp_path / "out", "--labels", "{case}_labels.nii.gz", "--labels-as", "simulated")
    result = run(*given, "--aligned", "--size", 64, "--no-progress")
    assert result.return_value == 8, result.output
    assert "REFUSED:NO_DISC_LABELS b" in result.output
    cases = read_cases(tmp_path / "out" / "cases.tsv")
    assert [(case.case, case.patient, case.split, case.set) for case in cases] == [
        (f"a_disc{number}", "p1", "test", "A") for number in (1, 2, 3)
    ]
    source = read_volume(cases[0].source)
    assert source.data.shape == (64, 64, 1)
    assert read_mask(cases[0].mask, like=source).all()
    assert (tmp_path / "out" / "a" / "picture.png").read_bytes()[:4] == b"\x89PNG"
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.index("NO_DISC_LABELS") < page.index("a/picture.png")  # what was refused comes first
    assert str(tmp_path) not in page
    written = cases[0].target.stat().st_mtime_ns
    run(*given, "--aligned", "--size", 64, "--no-progress")
    assert cases[0].target.stat().st_mtime_ns == written  # not done again


@pytest.mark.parametrize(
    ("numbering", "canal", "discs"),
    [([], ["--canal", "60,61"], 6), (["--labels-as", "verse"], [], 6), (["--labels-as", "simulated"], [], 1),
     (["--discs", "5"], ["--canal", "60,61"], 1)],
)  # fmt: skip
def test_a_canal_is_named_beside_a_numbering_or_beside_labels(tmp_path, numbering, canal, discs):
    write_cases(tmp_path / "c.tsv", [Case("a", "a", "test", tmp_path / "ct.nii", tmp_path / "t2.nii")])
    run(tmp_path / "c.tsv", tmp_path / "out", "--labels", "none.nii", "--no-progress", *numbering, *canal)
    labels = json.loads((tmp_path / "out" / "settings.json").read_text())["labels"]
    assert len(labels["discs"]) == discs
    assert labels["canal"] == ([60, 61] if canal else [1] if "simulated" in numbering else [])


def test_missing_labels_two_numberings_and_other_names_in_a_pattern_are_refused(tmp_path):
    write_cases(tmp_path / "c.tsv", [Case("a", "a", "test", tmp_path / "ct.nii", tmp_path / "t2.nii")])
    with pytest.raises(InputRefused, match="NO_LABELS a has no label map"):
        run(tmp_path / "c.tsv", tmp_path / "out")
    with pytest.raises(UsageError, match="SPINE_LABELS give either"):
        run(tmp_path / "c.tsv", tmp_path / "out", "--labels-as", "verse", "--discs", "91")
    for wrong in (["--discs", "L1"], ["--canal", "L1"]):
        with pytest.raises(UsageError, match="SPINE_LABELS labels are whole numbers"):
            run(tmp_path / "c.tsv", tmp_path / "out", *wrong)
    for pattern in ("{subject}.nii", "{case.foo}.nii", "{case[0]}.nii", "{case!r}.nii", "{case", "{}"):
        with pytest.raises(UsageError, match=r"PATTERN .* may contain \{case\} and \{patient\} alone"):
            run(tmp_path / "c.tsv", tmp_path / "out", "--labels", pattern)
