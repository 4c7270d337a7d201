"""A calibrated spread is the expected error of a voxel."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from phantoms import head

from voxlate.bundle.bundle import add_to_bundle, read_bundle
from voxlate.bundle.calibration import CALIBRATION_FILE, Calibration
from voxlate.bundle.pretrained import model_card
from voxlate.cases import Case, write_cases
from voxlate.cli import voxlate
from voxlate.errors import InputRefused, ModelInvalid, NoInput, UsageError
from voxlate.inference.calibration import (
    fit_calibration,
    read_calibration,
    reliability,
    require_same_members,
    sample_errors,
)
from voxlate.io.documents import read_json
from voxlate.io.nifti import read_volume, write_volume


def drawn(floor, factor, seed=0, n=60_000):
    rng = np.random.default_rng(seed)
    spread = rng.gamma(2.0, 0.05, n)
    return rng.normal(0, np.sqrt(floor**2 + (factor * spread) ** 2)), spread


@pytest.mark.parametrize(("floor", "factor"), [(0.05, 3.0), (0.2, 0.5), (0.0, 2.0), (0.1, 0.0)])
def test_the_fit_finds_the_floor_and_the_factor_that_made_the_errors(floor, factor):
    found = fit_calibration([drawn(floor, factor, 1), drawn(floor, factor, 2)])
    spread = np.array([0.03, 0.1, 0.2])
    assert found.expected_error(spread) == pytest.approx(np.hypot(floor, factor * spread), rel=0.06)
    assert found.cases == 2


def test_a_spread_that_promises_too_much_where_it_is_large_is_bent():
    rng = np.random.default_rng(5)
    spread = rng.gamma(2.0, 0.05, 60_000)
    found = fit_calibration([(rng.normal(0, 0.6 * np.sqrt(spread)), spread)])
    assert found.power == pytest.approx(0.5, abs=0.03)
    assert found.expected_error(np.array([0.01, 0.3])) == pytest.approx([0.06, 0.6 * 0.3**0.5], rel=0.05)


def test_each_case_counts_the_same_whatever_its_size():
    few = fit_calibration([drawn(0.1, 0.0, 1, n=600), drawn(0.4, 0.0, 2, n=60_000)])
    assert few.expected_error(np.array([0.1])) == pytest.approx(np.sqrt((0.1**2 + 0.4**2) / 2), rel=0.05)


def test_normal_errors_of_the_expected_size_are_reliable_and_others_are_not():
    errors, spread = drawn(0.0, 1.0)
    true, half = reliability(errors, spread), reliability(errors, spread / 2)
    assert true.within_one == pytest.approx(0.683, abs=0.01)
    assert true.within_two == pytest.approx(0.954, abs=0.01)
    assert true.calibration_error < 0.03
    assert half.calibration_error == pytest.approx(1.0, abs=0.05)
    assert true.observed == sorted(true.observed)
    assert true.correlation == pytest.approx(half.correlation)


def test_leaving_out_doubtful_voxels_leaves_at_least_what_leaving_out_the_worst_does():
    errors, spread = drawn(0.02, 1.0)
    found = reliability(errors, spread)
    assert found.left[0] == pytest.approx(np.abs(errors).mean())
    assert all(ours >= best - 1e-12 for ours, best in zip(found.left, found.left_by_error, strict=True))
    assert found.left[-1] < 0.6 * found.left[0]
    perfect = reliability(errors, np.abs(errors))
    assert perfect.left == pytest.approx(perfect.left_by_error)


def test_an_expected_error_is_in_the_units_of_the_spread_and_the_floor_where_all_agree():
    found = Calibration(0.3, 2.0, 1.0, (), mirror=False, cases=1)
    spread = np.array([0, 0.2, 2.0], np.float32)
    assert found.expected_error(spread) == pytest.approx([0.3, 0.5, np.hypot(0.3, 4)])
    assert found.expected_error(spread * 100, level=100) == pytest.approx(100 * found.expected_error(spread))


@pytest.fixture
def table(tmp_path):
    rows = []
    for number, split in enumerate(["validation", "validation", "test"]):
        scan = head(number, shape=(16, 18, 14))
        noise = np.random.default_rng(number).normal(1, 0.1, scan.data.shape).astype(np.float32)
        source, target = (tmp_path / f"{number}_{name}.nii.gz" for name in ("source", "target"))
        write_volume(source, scan)
        write_volume(target, scan.with_data(scan.data * noise))
        rows.append(Case(f"c{number}", f"c{number}", split, source, target))
    write_cases(tmp_path / "cases.tsv", rows)
    return tmp_path / "cases.tsv"


def run(*arguments):
    return CliRunner().invoke(voxlate, [str(each) for each in arguments], catch_exceptions=False, standalone_mode=False)


def test_a_spread_is_calibrated_drawn_and_used(table, identity, tmp_path):
    out = tmp_path / "calibrated"
    run("calibrate", table, out, "-m", identity, "--tta-flip", "--no-progress")
    content = json.loads((out / "calibration.json").read_text())
    assert list(content["by_split"]) == ["validation, 2 cases", "test, 1 case"]
    assert content["calibration"]["floor"] == pytest.approx(0.1, abs=0.03)  # the noise, as the answers do not differ
    assert (out / "calibration.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (out / "calibration.svg").read_bytes()
    scan = table.parent / "0_source.nii.gz"
    common = ("-m", identity, "--ood", "off", "--uncertainty", tmp_path / "s.nii.gz")
    options = ("--tta-flip", "--calibration", out / "calibration.json")
    run("translate", scan, tmp_path / "o.nii.gz", *common, *options)
    told = json.loads((tmp_path / "s.json").read_text())
    assert told["Description"].startswith("Expected error, calibrated on 2 cases")
    assert told["Calibration"]["members"] == content["calibration"]["members"]
    level = told["Synthetic"]["ReferenceLevel"]
    spread = read_volume(tmp_path / "s.nii.gz").data
    assert np.median(spread[spread > 0]) == pytest.approx(content["calibration"]["floor"] * level, rel=0.2)
    with pytest.raises(UsageError, match=r"CALIBRATION .*--tta-flip"):
        run("translate", scan, tmp_path / "o.nii.gz", "--overwrite", *common, *options[1:])


def test_a_calibration_in_the_bundle_is_used_by_itself_and_shown_with_the_card(table, identity, tmp_path):
    run("calibrate", table, tmp_path / "first", "-m", identity, "--tta-flip", "--add-to-bundle", "--no-progress")
    run("calibrate", table, tmp_path / "again", "-m", identity, "--tta-flip", "--add-to-bundle", "--no-progress")
    assert read_json(identity / CALIBRATION_FILE) == read_json(tmp_path / "again" / "calibration.json")
    own = read_bundle(identity).calibration
    assert own is not None
    assert own.floor == pytest.approx(0.1, abs=0.03)
    scan, spread = table.parent / "0_source.nii.gz", tmp_path / "s.nii.gz"
    run("translate", scan, tmp_path / "o.nii.gz", "-m", identity, "--ood", "off", "--uncertainty", spread)
    told = json.loads((tmp_path / "s.json").read_text())
    assert told["Description"].startswith("Expected error, calibrated on 2 cases")
    assert told["Calibration"]["floor"] == own.floor
    assert "validation, 2 cases" in model_card(str(identity))


def test_a_calibration_of_other_weights_makes_a_bundle_invalid(table, identity, tmp_path):
    run("calibrate", table, tmp_path / "out", "-m", identity, "--tta-flip", "--no-progress")
    content = read_json(tmp_path / "out" / "calibration.json")
    content["calibration"]["members"] = ["0"]
    (identity / CALIBRATION_FILE).write_text(json.dumps(content))
    add_to_bundle(identity, [CALIBRATION_FILE])
    with pytest.raises(ModelInvalid, match=r"MODEL_MANIFEST .*other weights"):
        read_bundle(identity)
    (identity / CALIBRATION_FILE).write_text("[]")
    add_to_bundle(identity, [CALIBRATION_FILE])
    for read in (read_bundle, model_card):
        with pytest.raises(ModelInvalid, match="MODEL_DOCUMENT"):
            read(identity)


def test_only_one_bundle_in_a_folder_can_hold_its_calibration(table, identity, tmp_path):
    for models in (("-m", "t1ce-to-t1"), ("-m", identity, "-m", identity)):
        with pytest.raises(UsageError, match="ADD_TO_BUNDLE"):
            run("calibrate", table, tmp_path / "out", *models, "--tta-flip", "--add-to-bundle", "--no-progress")
    assert not (tmp_path / "out").exists()


def test_a_calibration_of_other_answers_is_refused(bundle):
    mine = Calibration(0.1, 1.0, 1.0, (bundle.weights_sha256,), mirror=True, cases=3)
    require_same_members(mine, bundle, mirror=True)
    for other, mirror in ((replace(mine, members=("0",)), True), (mine, False)):
        with pytest.raises(UsageError, match="CALIBRATION"):
            require_same_members(other, bundle, mirror=mirror)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"calibration": {"floor": 1}}'])
def test_what_is_no_calibration_is_refused(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputRefused, match="CALIBRATION"):
        read_calibration(tmp_path / "c.json")
    with pytest.raises(NoInput):
        read_calibration(tmp_path / "none.json")


def test_a_calibration_with_a_negative_floor_is_refused(tmp_path):
    content = {"floor": -1.0, "factor": 1.0, "power": 1.0, "members": [], "mirror": False, "cases": 1}
    (tmp_path / "c.json").write_text(json.dumps({"calibration": content}))
    with pytest.raises(InputRefused, match=r"CALIBRATION .*not negative"):
        read_calibration(tmp_path / "c.json")


def test_one_answer_has_no_spread_and_no_case_no_calibration(bundle):
    with pytest.raises(UsageError, match="ONE_ANSWER"):
        next(sample_errors(bundle, []))
    with pytest.raises(NoInput):
        next(sample_errors(bundle, [], mirror=True))


def test_a_calibration_without_an_uncertainty_to_turn_is_refused():
    said = CliRunner().invoke(voxlate, ["translate", "s.nii.gz", "o.nii.gz", "-m", "bundle", "--calibration", "c.json"])
    assert said.exit_code == 2
    assert "pass --uncertainty as well" in " ".join(said.output.split())
