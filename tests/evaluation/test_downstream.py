"""Downstream checks against closed forms: known areas under the curve, known changes, known volumes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

from voxlate.errors import InputRefused, NoInput
from voxlate.evaluation.downstream import (
    Measurement,
    Regime,
    changes,
    classify,
    classify_files,
    compare_changes,
    compare_changes_files,
    compare_structures,
    compare_structures_files,
    from_volume_rows,
    measure_label_maps,
    read_classes,
    read_measurements,
    read_stats,
    simulated_atrophy,
    structure_volumes,
    write_measurements,
)
from voxlate.evaluation.downstream.classification import features, usual_regimes
from voxlate.evaluation.downstream.roc import area, difference
from voxlate.evaluation.schema.rows import VolumeRow
from voxlate.evaluation.statistics import bland_altman, holm, paired_t
from voxlate.io.nifti import write_volume
from voxlate.volume import Volume

REAL, MADE = "target", "synthetic"
SIMPLE = Regime((REAL,), REAL)


def cohort(
    shift: float, n: int = 30, *, noise: float = 0.0, seed: int = 0
) -> tuple[list[Measurement], dict[str, bool]]:
    """Returns volumes of real and synthetic images; atrophy moves `shift` standard deviations of GM into CSF."""
    random = np.random.default_rng(0)
    rows, classes = [], {}
    for k in range(n):
        patient = f"p{k}"
        classes[patient] = k % 2 == 0
        gm = 650 + 20 * random.normal() - 20 * shift * classes[patient]
        for method, error in ((REAL, 0.0), (MADE, noise * random.normal())):
            values = {"CSF": 1500 - 500 - gm - error, "GM": gm + error, "WM": 500.0}
            rows += [Measurement(patient, method, name, value) for name, value in values.items()]
    return rows, classes


# The area under the curve


def test_the_area_is_that_of_mann_and_whitney_with_ties() -> None:
    random = np.random.default_rng(3)
    scores, positive = random.integers(0, 6, 40).astype(float), random.random(40) < 0.4
    u = stats.mannwhitneyu(scores[positive], scores[~positive]).statistic
    assert area(scores, positive).auc == pytest.approx(u / (positive.sum() * (~positive).sum()))


def test_delong_s_variance_is_that_of_the_placement_values() -> None:
    random = np.random.default_rng(4)
    positive = np.arange(50) < 20
    scores = random.normal(size=50) + positive
    found = area(scores, positive)
    wins = (scores[positive][:, None] > scores[~positive][None]).astype(float)
    variance = wins.mean(axis=1).var(ddof=1) / 20 + wins.mean(axis=0).var(ddof=1) / 30
    z, scaled = stats.norm.ppf(0.975), np.sqrt(variance) / (found.auc * (1 - found.auc))
    logit = np.log(found.auc / (1 - found.auc))
    assert np.log(found.high / (1 - found.high)) == pytest.approx(logit + z * scaled)
    assert found.low < found.auc < found.high


def test_the_interval_covers_the_area_of_two_normal_distributions() -> None:
    random = np.random.default_rng(5)
    positive, truth = np.arange(60) < 30, stats.norm.cdf(1 / np.sqrt(2))
    areas = [area(random.normal(size=60) + positive, positive) for _ in range(400)]
    covered = np.mean([one.low <= truth <= one.high for one in areas])
    assert 0.92 <= covered <= 0.98
    assert np.mean([one.auc for one in areas]) == pytest.approx(truth, abs=0.01)


def test_perfect_separation_and_equal_scores_have_honest_intervals() -> None:
    positive = np.arange(12) < 5
    perfect = area(positive.astype(float), positive)
    assert (perfect.auc, perfect.low, perfect.high) == (1.0, pytest.approx(0.025 ** (1 / 5)), 1.0)
    assert (area(-positive.astype(float), positive).auc, area(np.ones(12), positive).auc) == (0.0, 0.5)
    assert (area(np.ones(12), positive).low, area(np.ones(12), positive).high) == (0.0, 1.0)
    same = difference(perfect, perfect, positive)
    assert (same.difference, same.p) == (0.0, 1.0)


def test_a_better_score_on_the_same_patients_has_a_difference_above_0() -> None:
    random = np.random.default_rng(6)
    positive = np.arange(80) < 40
    good = random.normal(size=80) + 3 * positive
    compared = difference(area(good, positive), area(random.normal(size=80), positive), positive)
    assert compared.low > 0.2
    assert compared.p < 0.001


def test_scores_that_cannot_be_ranked_are_refused() -> None:
    for scores, positive, code in (
        ([1.0, 2.0], [True, True], "TOO_FEW_PATIENTS"),
        ([1.0, 2.0, 3.0], [True, False], "LENGTHS"),
        ([1.0, float("nan"), 3.0, 4.0], [True, False, True, False], "NON_FINITE"),
    ):
        with pytest.raises(InputRefused, match=code):
            area(scores, positive)


# The classifier


def test_clear_atrophy_is_told_from_none_and_no_atrophy_is_not() -> None:
    pytest.importorskip("sklearn")
    (found,) = classify(*cohort(6.0), regimes=[SIMPLE], repeats=2)
    assert (found.auc, found.n, found.n_positive, found.accuracy) == (1.0, 30, 15, 1.0)
    (nothing,) = classify(*cohort(0.0, 60), regimes=[SIMPLE], repeats=2)
    assert nothing.auc_low < 0.5 < nothing.auc_high


def test_the_area_is_that_of_the_shift_and_images_without_a_trace_of_it_are_worse() -> None:
    pytest.importorskip("sklearn")
    rows, classes = cohort(1.5, 300, noise=200.0)
    real, made, crossed = classify(
        rows, classes, regimes=[SIMPLE, Regime((MADE,), MADE), Regime((REAL,), MADE)], repeats=1
    )
    assert real.auc == pytest.approx(stats.norm.cdf(1.5 / np.sqrt(2)), abs=0.04)
    for worse in (made, crossed):
        assert worse.auc < 0.7
        assert worse.difference_high < 0
        assert worse.difference_p < 0.001
    assert np.isnan(real.difference)


def test_a_patient_in_the_test_is_in_no_image_of_the_training() -> None:
    """One feature that names the patient, equal in both methods: a leak would separate random classes perfectly."""
    pytest.importorskip("sklearn")
    random = np.random.default_rng(0)
    classes = {f"p{k}": bool(random.random() < 0.5) for k in range(60)}
    names = [f"f{k}" for k in range(60)]
    rows = [
        Measurement(patient, method, name, 1.0 + 10 * (patient[1:] == name[1:]))
        for patient in classes
        for method in (REAL, MADE)
        for name in names
    ]
    (found,) = classify(rows, classes, regimes=[Regime((REAL, MADE), MADE)], repeats=2)
    assert found.auc < 0.7


def test_the_classifier_is_the_penalised_logistic_regression() -> None:
    """An independent fit: minimises the penalised likelihood on one fold by another optimiser."""
    pytest.importorskip("sklearn")
    from voxlate.evaluation.downstream import classification

    rows, classes = cohort(1.0, 20)
    table = features(rows)[REAL]
    x, y = np.stack([table[p] for p in classes]), np.array(list(classes.values()))
    (held_out, *_) = classification._folds(y, folds=2, repeats=1, seed=0)
    scores = classification._scores({REAL: x}, y, SIMPLE, folds=2, repeats=1, seed=0)
    train, signs = x[~held_out], np.where(y[~held_out], 1, -1)
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread[spread == 0] = 1

    def loss(beta: np.ndarray) -> float:
        odds = (train - mean) / spread @ beta[1:] + beta[0]
        return float(np.logaddexp(0, -signs * odds).sum() + 0.5 * beta[1:] @ beta[1:])

    beta = optimize.minimize(loss, np.zeros(x.shape[1] + 1), tol=1e-10).x
    np.testing.assert_allclose(scores[held_out], (x[held_out] - mean) / spread @ beta[1:] + beta[0], atol=2e-3)


def test_a_session_without_a_synthetic_image_is_left_out_of_the_real_ones_too() -> None:
    """Atrophy shows in the second session, of which only the real images are there; the first ones are equal."""
    pytest.importorskip("sklearn")
    rows, classes = cohort(0.0, 60)
    first = [replace(one, method=method, session="1") for one in rows if one.method == REAL for method in (REAL, MADE)]
    second = [replace(one, session="2") for one in cohort(6.0, 60)[0] if one.method == REAL]
    regimes = [SIMPLE, Regime((MADE,), MADE)]
    assert [row.auc for row in classify([*first, *second], classes, regimes=regimes, repeats=2)] == [
        row.auc for row in classify(first, classes, regimes=regimes, repeats=2)
    ]


def test_features_are_shares_of_the_volume_and_sessions_are_averaged() -> None:
    rows = [Measurement("a", REAL, name, value, s) for s in "12" for name, value in (("GM", 6.0), ("WM", 4.0))]
    rows += [Measurement("b", REAL, "GM", 1.0)]
    assert {p: v.tolist() for p, v in features(rows)[REAL].items()} == {"a": [0.6, 0.4]}
    with pytest.raises(InputRefused, match="VOLUME"):
        features([Measurement("a", REAL, "GM", 0.0)])


def test_every_pair_of_real_and_synthetic_is_a_usual_regime() -> None:
    rows, _ = cohort(1.0, 4)
    names = [regime.name for regime in usual_regimes(rows)]
    assert names[:2] == ["target -> target", "target -> synthetic"]
    assert len(names) == len(set(names)) == 6
    with pytest.raises(InputRefused, match="METHOD"):
        usual_regimes([Measurement("a", MADE, "GM", 1.0)])


def test_a_class_that_is_smaller_than_the_folds_is_refused() -> None:
    rows, classes = cohort(1.0, 8)
    with pytest.raises(InputRefused, match="at least 5"):
        classify(rows, classes, regimes=[SIMPLE])


def test_classes_are_read_with_names_and_refused_when_unclear(tmp_path: Path) -> None:
    path = tmp_path / "classes.tsv"
    path.write_text("patient\tlabel\na\t1\nb\tno\nc\tn/a\n")
    assert read_classes(path) == {"a": True, "b": False}
    path.write_text("participant_id\tlabel\na\tAD\nb\tCN\n")
    assert read_classes(path, positive="AD") == {"a": True, "b": False}
    with pytest.raises(InputRefused, match="which label is positive"):
        read_classes(path)
    path.write_text("patient\tlabel\na\t1\na\t0\n")
    with pytest.raises(InputRefused, match="another label"):
        read_classes(path)
    with pytest.raises(NoInput):
        read_classes(tmp_path / "none.tsv")


def test_simulated_atrophy_is_wide_sulci(tmp_path: Path) -> None:
    for name, width in (("sub-1", 0.5), ("sub-2", 1.5), ("sub-3", 2.0), ("sub-4", 0.4)):
        (tmp_path / f"{name}_ses-01_factors.json").write_text(json.dumps({"head": {"brain": {"sulcus_mm": width}}}))
    assert simulated_atrophy(tmp_path) == {"sub-1": False, "sub-2": True, "sub-3": True, "sub-4": False}
    (tmp_path / "sub-5_ses-01_factors.json").write_text("{}")
    with pytest.raises(InputRefused, match="FACTORS"):
        simulated_atrophy(tmp_path)


def test_files_of_the_classifier_hold_the_table_and_what_it_means(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    rows, classes = cohort(3.0, 12)
    write_measurements(tmp_path / "volumes.tsv", rows)
    lines = "".join(f"{name}\t{int(label)}\n" for name, label in classes.items())
    (tmp_path / "classes.tsv").write_text(f"patient\tlabel\n{lines}")
    found = classify_files(tmp_path / "volumes.tsv", tmp_path / "classes.tsv", tmp_path / "out", repeats=1)
    assert len(found) == 6
    table = (tmp_path / "out" / "classification.tsv").read_text().splitlines()
    assert len(table) == 7
    assert table[1].endswith("n/a\tn/a\tn/a\tn/a")
    document = json.loads((tmp_path / "out" / "classification.json").read_text())
    assert "DeLong" in document["definition"]
    assert document["rows"][0]["difference"] is None


@pytest.mark.parametrize("name", ['"made" again', 'of 5"', "two\rlines", "two\r\nlines", "two\tcells"])
def test_a_name_with_quotes_or_breaks_is_read_back_from_the_table_that_holds_it(tmp_path: Path, name: str) -> None:
    rows = [Measurement("a", name, "GM", 5.0), Measurement("b", name, "GM", 6.0)]
    write_measurements(tmp_path / "measured.tsv", rows)
    told = [replace(row, method=" ".join(name.split())) for row in rows]
    assert read_measurements(tmp_path / "measured.tsv") == told


# Changes between sessions


def visits(factor: float, *, offset: float = 0.0, n: int = 8) -> list[Measurement]:
    """Returns two visits, two years apart; GM shrinks by 10 + k cm³, the synthetic change is factor * that + offset."""
    rows = []
    for k in range(n):
        for method, change in ((REAL, -10.0 - k), (MADE, factor * (-10.0 - k) + offset)):
            start = 600.0 + 7 * k
            rows.append(Measurement(f"p{k}", method, "GM", start, "01", years=40.0))
            rows.append(Measurement(f"p{k}", method, "GM", start + change, "02", years=42.0))
    return rows


def test_a_change_is_last_minus_first_also_per_year_and_in_percent() -> None:
    found = changes(visits(0.5))[REAL]["GM"]["p3"]
    assert (found.value, found.percent, found.sessions) == (-13.0, pytest.approx(-1300 / 621), ("01", "02"))
    assert changes(visits(0.5), is_per_year=True)[REAL]["GM"]["p3"].value == -6.5
    assert changes(visits(0.5), is_per_year=True)[REAL]["GM"]["p3"].unit == "cm3/year"
    reversed_names = [Measurement("a", REAL, "GM", v, s, years=y) for v, s, y in ((5.0, "2", 1.0), (3.0, "1", 4.0))]
    assert changes(reversed_names)[REAL]["GM"]["a"].value == -2.0


@pytest.mark.parametrize("sessions", [("9", "10"), ("M06", "M12", "M120"), ("M6", "M12"), ("base", "year1"), ("", "1")])
def test_a_later_session_has_the_larger_number_in_its_name(sessions: tuple[str, ...]) -> None:
    rows = [Measurement("a", REAL, "GM", 600.0 - k, name) for k, name in enumerate(sessions)]
    found = changes(rows[::-1])[REAL]["GM"]["a"]
    assert (found.value, found.sessions) == (1.0 - len(sessions), (sessions[0], sessions[-1]))


def test_half_the_change_has_a_bias_of_half_and_the_limits_of_bland_and_altman() -> None:
    (row,) = compare_changes(visits(0.5))
    real = np.array([-10.0 - k for k in range(8)])
    expected = bland_altman(0.5 * real, real)
    assert (row.n, row.unit, row.structure, row.method) == (8, "cm3", "GM", MADE)
    assert (row.real_change, row.change, row.bias) == (-13.5, -6.75, pytest.approx(6.75))
    assert (row.lower, row.upper) == (pytest.approx(expected.lower), pytest.approx(expected.upper))
    (row,) = compare_changes(visits(1.0, offset=2.0), is_per_year=True)
    assert (row.bias, row.lower, row.upper) == (pytest.approx(1.0),) * 3
    (row,) = compare_changes(visits(1.0), is_percent=True)
    assert (row.unit, row.bias) == ("%", pytest.approx(0.0))


@pytest.mark.parametrize("unit", ["cm3", "a", "", "ml/kg"])
def test_a_change_in_percent_has_no_other_unit(unit: str) -> None:
    rows = [replace(row, unit=unit) for row in visits(1.0)]
    for is_per_year, told in ((False, "%"), (True, "%/year")):
        (row,) = compare_changes(rows, is_per_year=is_per_year, is_percent=True)
        assert row.unit == told


def test_too_few_sessions_are_noted_or_refused(tmp_path: Path) -> None:
    (row,) = compare_changes(visits(1.0, n=2))
    assert row.note.endswith("are needed; here 2")
    assert np.isnan(row.bias)
    with pytest.raises(InputRefused, match="SESSIONS"):
        changes([Measurement("a", REAL, "GM", 1.0)])
    with pytest.raises(InputRefused, match="add `years`"):
        changes([Measurement("a", REAL, "GM", 1.0, s) for s in "12"], is_per_year=True)
    with pytest.raises(InputRefused, match="METHOD"):
        compare_changes([Measurement("a", MADE, "GM", 1.0, s) for s in "12"])
    write_measurements(tmp_path / "volumes.tsv", visits(0.5))
    compare_changes_files(tmp_path / "volumes.tsv", tmp_path / "out")
    assert "\t6.75\t" in (tmp_path / "out" / "longitudinal.tsv").read_text()
    written = json.loads((tmp_path / "out" / "longitudinal.json").read_text())
    assert written["rows"][0]["bias"] == 6.75
    # The change of these sessions was not divided by a time, and the definition must not say that it was.
    assert written["rows"][0]["unit"] == "cm3"
    assert "a unit that ends in /year says that it is divided by the years" in written["definition"]


# Structures


def test_the_volume_of_a_structure_is_its_voxels_times_their_volume() -> None:
    data = np.zeros((10, 10, 10), dtype=np.float32)
    data[:2, :5, :4], data[5:7, :5, :2], data[9, 9, 9] = 17, 53, 16
    volume = Volume(data, np.diag([-2.0, 1.5, 3.0, 1.0]))
    found = structure_volumes(volume)
    assert found["Hippocampus"] == pytest.approx(60 * 9 / 1000)
    assert (found["Brain-Stem"], found["Amygdala"]) == (pytest.approx(0.009), 0.0)
    sides = structure_volumes(volume, is_by_side=True)
    assert sides["Left-Hippocampus"] == pytest.approx(0.36)
    assert sides["Right-Hippocampus"] == pytest.approx(0.18)
    data[0, 9, 9] = 1e18  # a label that is none of FreeSurfer's costs no memory
    assert structure_volumes(volume.with_data(data)) == found
    for bad in (data + 0.5, data * 0):
        with pytest.raises(InputRefused, match="LABELS"):
            structure_volumes(Volume(bad, np.eye(4)))


APARC = """# Title Cortical parcellation statistics
# hemi lh
# Measure Cortex, MeanThickness, Mean Thickness, 2.45678, mm
# ColHeaders StructName NumVert SurfArea GrayVol ThickAvg ThickStd MeanCurv GausCurv FoldInd CurvInd
bankssts                                 1300    900   2200  2.512 0.411     0.110     0.020       10     1.1
precuneus                                5000   3500   9200  2.298 0.480     0.120     0.025       60     5.0
"""
ASEG = """# Title Segmentation Statistics
# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total Intracranial Volume, 1501234.5, mm^3
# ColHeaders  Index SegId NVoxels Volume_mm3 StructName normMean normStdDev normMin normMax normRange
  1  17  3900  3950.5  Left-Hippocampus  60.0  8.0  20.0  90.0  70.0
"""


def test_tables_of_freesurfer_give_thickness_in_mm_and_volumes_in_cm3(tmp_path: Path) -> None:
    (tmp_path / "lh.aparc.stats").write_text(APARC)
    assert read_stats(tmp_path / "lh.aparc.stats") == {
        "lh-bankssts": (2.512, "mm"),
        "lh-precuneus": (2.298, "mm"),
        "lh-MeanThickness": (2.45678, "mm"),
    }
    (tmp_path / "aseg.stats").write_text(ASEG)
    found = read_stats(tmp_path / "aseg.stats")
    assert found == {"Left-Hippocampus": (pytest.approx(3.9505), "cm3"), "eTIV": (pytest.approx(1501.2345), "cm3")}
    for bad in ("nothing", APARC.replace("2.512", ""), APARC.replace("2.512", "x"), APARC.replace("# hemi lh", "")):
        (tmp_path / "bad.stats").write_text(bad)
        with pytest.raises(InputRefused, match="STATS"):
            read_stats(tmp_path / "bad.stats")


def test_label_maps_and_tables_are_measured_and_compared(tmp_path: Path) -> None:
    lines = ["patient\tmethod\tpath"]
    for k in range(4):
        for method, size in ((REAL, 4 + k), (MADE, 3 + k)):
            data = np.zeros((12, 10, 10), dtype=np.float32)
            data[:size, :5, :5] = 17
            data[11, 9, 9] = 8 if method == REAL else 0
            write_volume(tmp_path / f"{method}{k}.nii.gz", Volume(data, np.eye(4)))
            lines.append(f"p{k}\t{method}\t{method}{k}.nii.gz")
    (tmp_path / "lh.aparc.stats").write_text(APARC)
    lines += [f"p0\t{method}\tlh.aparc.stats" for method in (REAL, MADE)]
    (tmp_path / "maps.tsv").write_text("\n".join(lines) + "\n")
    measured = measure_label_maps(tmp_path / "maps.tsv")
    rows = {row.structure: row for row in compare_structures(measured)}
    assert set(rows) == {"Hippocampus", "Cerebellum-Cortex", "lh-bankssts", "lh-precuneus", "lh-MeanThickness"}
    hippocampus = rows["Hippocampus"]
    assert hippocampus.difference == pytest.approx(-0.025)
    assert hippocampus.real == pytest.approx(0.025 * 5.5)
    assert hippocampus.percent == pytest.approx(-100 / 5.5)
    assert rows["Cerebellum-Cortex"].value == 0.0  # a structure that the synthetic image lost counts as 0
    assert rows["lh-bankssts"].note.endswith("are needed; here 1")
    (tmp_path / "maps.tsv").write_text("\n".join([*lines, lines[1]]) + "\n")
    with pytest.raises(InputRefused, match="twice"):
        measure_label_maps(tmp_path / "maps.tsv")


def test_a_session_that_the_method_lacks_is_in_neither_mean() -> None:
    """Hippocampi shrink by 0.4 cm³ until the second session, which has no synthetic image."""
    rows = [
        Measurement(f"p{k}", method, "Hippocampus", 3.5 + 0.05 * k - loss + 0.001 * k * (method == MADE), session)
        for k in range(8)
        for method, session, loss in ((REAL, "1", 0.0), (REAL, "2", 0.4), (MADE, "1", 0.0))
    ]
    (found,) = compare_structures(rows)
    assert (found.n, found.real, found.difference) == (8, pytest.approx(3.675), pytest.approx(0.0035))


def test_p_values_are_those_of_the_paired_test_adjusted_over_structures(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    values = {name: random.normal(5, 1, (2, 10)) for name in ("Thalamus", "Caudate", "Putamen")}
    rows = [
        Measurement(f"p{k}", method, name, float(pair[index, k]))
        for name, pair in values.items()
        for index, method in enumerate((REAL, MADE))
        for k in range(10)
    ]
    found = compare_structures(rows)
    expected = [paired_t(pair[1], pair[0]).p for pair in values.values()]
    assert [row.p for row in found] == pytest.approx(expected)
    assert [row.p_holm for row in found] == pytest.approx(holm(expected).tolist())
    write_measurements(tmp_path / "measured.tsv", rows)
    again = compare_structures_files(tmp_path / "measured.tsv", tmp_path / "out")
    assert [row.difference for row in again] == pytest.approx([row.difference for row in found], rel=1e-4)
    assert (tmp_path / "out" / "structures.tsv").is_file()


# Tables


def test_measurements_come_back_from_their_table(tmp_path: Path) -> None:
    rows = [Measurement("a", REAL, "GM", 1.5, "01", 40.5, "mm"), Measurement("b", MADE, "WM", 2.0)]
    write_measurements(tmp_path / "table.tsv", rows)
    text = (tmp_path / "table.tsv").read_text()
    assert text.splitlines()[2] == "b\t\tn/a\tsynthetic\tWM\t2\tcm3"
    assert read_measurements(tmp_path / "table.tsv") == rows


def test_volumes_of_an_evaluation_are_measurements_with_the_target() -> None:
    def row(case: str, segmenter: str) -> VolumeRow:
        values = {"tiv_cm3": 1.0, "dice": None, "hd95_mm": None, "mean_tiv_cm3": 1.0, "vd_cm3": 0.0, "avd_cm3": 0.0}
        names = {"case": case, "patient": case[:5], "segmenter": segmenter, "method": MADE, "tissue": "GM"}
        return {**names, **values, "volume_cm3": 5.0, "target_cm3": 6.0}  # type: ignore[typeddict-item]

    rows = [row("sub-1_ses-01", "mixture"), row("sub-1_ses-02", "mixture"), row("sub-1_ses-01", "clusters")]
    names = {"segmenter": "mixture", "method": MADE, "tissue": "GM"}
    rows.append({"kind": "agreement", **names, "n": 2, "note": ""})  # type: ignore[arg-type, typeddict-item]
    found = from_volume_rows(rows, segmenter="mixture")
    assert {(one.method, one.session): one.value for one in found} == {
        (REAL, "01"): 6.0,
        (MADE, "01"): 5.0,
        (REAL, "02"): 6.0,
        (MADE, "02"): 5.0,
    }
    with pytest.raises(NoInput):
        from_volume_rows(rows, segmenter="spm")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("patient\tmethod\n", "structure, value is missing"),
        ("patient\tmethod\tstructure\tvalue\na\tb\tGM\tx\n", "line 2: 'x' is no number"),
        ("patient\tmethod\tstructure\tvalue\na\tb\tGM\t1\na\tb\tGM\t2\n", "line 3 repeats"),
        ("patient\tmethod\tstructure\tvalue\na\tb\tGM\n", "line 2 has more or fewer"),
        ("patient\tmethod\ttissue\tvolume_cm3\tsegmenter\na\tb\tGM\t1\tx\na\tb\tWM\t1\ty\n", "segmenters x, y"),
        ("patient\tmethod\tstructure\tvalue\na\tb\tGM\tn/a\n", "has no value"),
    ],
)
def test_tables_that_cannot_be_used_are_refused_with_the_line(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "table.tsv").write_text(text)
    with pytest.raises((InputRefused, NoInput), match=told):
        read_measurements(tmp_path / "table.tsv")
