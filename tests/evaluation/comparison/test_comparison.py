"""Several systems on the same cases: one table, tests between all of them, sets, folds, and what is refused."""

import csv
import json
import shutil
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats
from small_study import write_bundle, write_case

from voxlate.cases import ABSENT, write_cases
from voxlate.cli import voxlate
from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.evaluation.comparison import ComparisonSettings, compare_systems, read_comparison
from voxlate.evaluation.comparison.schema import ComparedScore, SystemsComparison
from voxlate.evaluation.comparison.systems import System
from voxlate.evaluation.comparison.tables import tables_by_set
from voxlate.evaluation.comparison.testing import compare_methods
from voxlate.evaluation.run import evaluate_cases
from voxlate.evaluation.settings import Settings
from voxlate.io.atomic import json_text
from voxlate.io.nifti import read_volume, write_volume

SETTINGS = Settings(protocols=("lee2020",), data_kind="simulated")
HOW = ComparisonSettings(correction="bonferroni", test="t", margins={"mae": 10.0}, alphas={"psnr": 0.01})


def write_system(folder, name, cases, *, gain=1.0, noise=0.0):
    """Writes the images of a system: those of the study with a gain and noise, in relative units of the target."""
    (folder / name).mkdir(exist_ok=True)
    for seed, case in enumerate(cases):
        shutil.copy(folder / "synthetic" / f"{case.case}.json", folder / name)
        image = read_volume(folder / "synthetic" / f"{case.case}.nii.gz")
        added = 500 * noise * np.random.default_rng(seed).normal(size=image.data.shape) * (image.data != 0)
        write_volume(folder / name / f"{case.case}.nii.gz", image.with_data((gain * image.data + added).astype("f4")))


def write_study(folder, count=6):
    cases = [write_case(folder, f"case_{seed}", seed=seed) for seed in range(count)]
    cases = [replace(case, set="good" if seed % 2 else "low") for seed, case in enumerate(cases)]
    write_system(folder, "plain", cases)
    write_system(folder, "noisy", cases, noise=0.3)
    write_system(folder, "near", cases, gain=1.001, noise=0.02)
    (folder / "empty").mkdir()
    return cases


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("systems")
    cases = write_study(folder)
    bundle = write_bundle(folder)
    systems = [System(name, folder / name, (bundle,) if name == "noisy" else ()) for name in ("plain", "noisy", "near")]
    outcome = compare_systems(
        cases, [*systems, System("empty", folder / "empty")], folder / "out", settings=SETTINGS, comparison=HOW
    )
    return folder, cases, outcome.comparison


def rows(folder):
    with (folder / "out" / "scores.tsv").open() as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def values(folder, system, metric="mae", **wanted):
    wanted = {"system": system, "metric": metric, "protocol": "lee2020", **wanted}
    return np.array([float(row["value"]) for row in rows(folder) if wanted.items() <= row.items()])


def comparing(comparison, first, second, metric="mae", name="good"):
    (found,) = [
        test
        for test in comparison.tests
        if (test.set, test.protocol, test.metric) == (name, "lee2020", metric)
        and (test.first, test.second) == (first, second)
    ]
    return found


def test_every_row_of_the_table_is_that_of_an_evaluation_of_the_system_alone(done, tmp_path):
    folder, cases, comparison = done
    assert (comparison.baselines, comparison.references) == (["source", "histogram_match", "constant"], ["curve"])
    assert [system.state for system in comparison.systems] == ["evaluated", "evaluated", "evaluated", "nothing"]
    good = [case for case in cases if case.set == "good"]
    alone = evaluate_cases(good, folder / "noisy", tmp_path, settings=SETTINGS, bundle=folder / "bundle").evaluation
    own = {(r.protocol, r.region, r.metric, r.method): (r.n, r.mean, r.sd, r.low) for r in alone.summary}
    compared = {
        (r.protocol, r.region, r.metric, r.method): (r.n, r.mean, r.sd, r.low)
        for r in comparison.summary
        if r.set == "good"
    }
    for place, expected in own.items():
        method = "noisy" if place[3] == "synthetic" else place[3]
        if method != "blurred_target":
            assert compared[(*place[:3], method)] == expected


def test_the_baselines_are_scored_once_and_a_second_run_computes_nothing(done, monkeypatch):
    folder, cases, comparison = done
    methods = [
        json.loads((folder / "out" / "systems" / name / "evaluation.json").read_text())["methods"]
        for name in ("plain", "noisy")
    ]
    assert methods == [["source", "histogram_match", "constant", "blurred_target", "synthetic"], ["synthetic"]]
    monkeypatch.setattr("voxlate.evaluation.cases.result.load_case", lambda *_: pytest.fail("computed again"))
    systems = [
        System(name, folder / name, (folder / "bundle",) if name == "noisy" else ()) for name in comparison.system_names
    ]
    again = compare_systems(cases, systems, folder / "out", settings=SETTINGS, comparison=HOW).comparison
    assert again == comparison


def test_the_tests_are_those_of_scipy_on_the_patients_that_both_have(done):
    folder, _, comparison = done
    for second in ("source", "noisy"):
        first, other = (values(folder, name, set="good") for name in ("plain", second))
        test = comparing(comparison, "plain", second)
        assert test.p_t == pytest.approx(stats.ttest_rel(first, other).pvalue)
        assert test.p_wilcoxon == pytest.approx(stats.wilcoxon(first, other).pvalue)
        assert test.p_independent_t == pytest.approx(stats.ttest_ind(first, other).pvalue)
        assert (test.n, test.mean_difference) == (3, pytest.approx((first - other).mean()))


def test_a_hard_scan_that_one_system_lacks_is_in_no_test_of_the_two():
    scored = []
    for patient, (scan, mae) in product(range(8), (("easy", 2.0), ("hard", 10.0))):
        for system, more in (("whole", 0.01 * patient), ("part", 0.5 + 0.02 * patient)):
            if (system, scan) != ("part", "hard"):
                place = (f"{patient}_{scan}", str(patient), "", "", system, "mask", "mae")
                scored.append(ComparedScore(*place, mae + more, "%", "lee2020", "as_written"))
    how = ComparisonSettings(margins={"mae": 1.0})
    (test,) = compare_methods(tables_by_set(scored, [""]), ["whole", "part"], [], how)
    assert (test.n, test.mean_difference) == (8, pytest.approx(-0.535))
    assert test.equivalence.is_shown
    assert test.non_inferiority.is_shown


def test_all_slices_are_tested_as_independent_samples_for_metrics_of_slices_alone(tmp_path):
    cases = [replace(case, set="") for case in write_study(tmp_path)]
    systems = [System(name, tmp_path / name) for name in ("plain", "noisy")]
    settings = Settings(protocols=("li2022", "lee2020"), data_kind="simulated")
    comparison = compare_systems(cases, systems, tmp_path / "out", settings=settings, comparison=HOW).comparison
    assert {row.region for row in comparison.summary if row.protocol == "li2022"} == {"slices"}
    of = {(t.protocol, t.metric): t for t in comparison.tests if (t.first, t.second) == ("plain", "noisy")}
    test, scans = of["li2022", "psnr"], of["lee2020", "mae"]
    assert (scans.p_independent_slices, scans.n_slices) == (None, (0, 0))
    found = rows(tmp_path)
    parts = [
        [
            [float(r["value"]) for r in found if (r["system"], r["region"], r["metric"]) == (name, region, "psnr")]
            for region in ("slice_count", "slices", "slice_sd")
        ]
        for name in ("plain", "noisy")
    ]
    counts, means, sds = (np.array([part[place] for part in parts]) for place in range(3))
    assert test.n_slices == tuple(counts.sum(axis=1).astype(int))
    whole = (counts * means).sum(axis=1) / counts.sum(axis=1)
    spread = np.sqrt((counts * (sds**2 + (means - whole[:, None]) ** 2)).sum(axis=1) / (counts.sum(axis=1) - 1))
    expected = stats.ttest_ind_from_stats(whole[0], spread[0], test.n_slices[0], whole[1], spread[1], test.n_slices[1])
    assert test.p_independent_slices == pytest.approx(expected.pvalue, rel=1e-6)
    assert test.n_slices[0] > 6 * test.n_scans[0]


def test_p_is_adjusted_for_all_tests_of_its_family_and_every_adjustment_is_printed(done):
    comparison = done[2]
    against = [
        t
        for t in comparison.tests
        if (t.protocol, t.question, t.is_leading) == ("lee2020", "system and baseline", True)
    ]
    between = [
        t for t in comparison.tests if (t.protocol, t.question, t.is_leading) == ("lee2020", "two systems", True)
    ]
    # 3 systems against 3 baselines, and 3 pairs of systems, each in 2 sets by MAE and PSNR
    assert {t.m for t in against} == {3 * 3 * 2 * 2}
    assert {t.m for t in between} == {3 * 2 * 2}
    for test in [*against, *between]:
        assert test.p_none == test.p_t
        assert test.p_bonferroni == pytest.approx(min(1, test.m * test.p_t)) == test.p_adjusted
        assert test.p_none <= test.p_holm <= test.p_bonferroni
        assert test.is_significant == (test.p_adjusted < (0.01 if test.metric == "psnr" else 0.05))
    for family in (against, between):
        ordered = sorted(family, key=lambda test: test.p_t)
        steps = [(len(ordered) - rank) * test.p_t for rank, test in enumerate(ordered)]
        expected = np.minimum(np.maximum.accumulate(steps), 1)  # Holm 1979, written anew
        assert [test.p_holm for test in ordered] == pytest.approx(expected.tolist())


def test_equivalence_within_a_stated_margin_is_shown_where_a_p_above_the_level_would_show_nothing(done):
    comparison = done[2]
    near, far = comparing(comparison, "plain", "near"), comparing(comparison, "plain", "source")
    assert near.equivalence.is_shown
    assert -10 < near.equivalence.low < near.mean_difference < near.equivalence.high < near.equivalence.margin == 10
    assert near.non_inferiority.is_shown
    assert not far.equivalence.is_shown  # better by more than the margin
    assert far.non_inferiority.is_shown
    assert comparing(comparison, "plain", "near", "psnr").equivalence is None


def test_a_system_without_an_image_is_a_row_that_says_so_and_the_others_go_on(done):
    _, cases, comparison = done
    empty = comparison.systems[-1]
    assert (empty.state, empty.n_missing) == ("nothing", 6)
    assert empty.reason.startswith("6 of 6 cases have no scores: no synthetic")
    assert not [test for test in comparison.tests if "empty" in (test.first, test.second)]
    assert {(row.system, row.case) for row in comparison.unscored} == {("empty", case.case) for case in cases}


def test_a_collapsed_system_is_scored_and_its_row_says_so(tmp_path):
    cases = [write_case(tmp_path, f"case_{seed}", seed=seed) for seed in range(2)]
    write_system(tmp_path, "zero", cases, gain=0.0)
    comparison = compare_systems(cases, {"zero": tmp_path / "zero"}, tmp_path / "out", settings=SETTINGS).comparison
    assert comparison.systems[0].state == "evaluated"
    assert comparison.systems[0].reason.startswith("in 2 of 2 cases the synthetic image has the one value 0")
    assert (comparison.systems[0].n_collapsed, comparison.systems[0].is_collapsed) == (2, True)
    assert values(tmp_path, "zero").min() > values(tmp_path, "source").max()


def test_baselines_are_there_for_each_case_that_any_system_has(tmp_path):
    cases = [write_case(tmp_path, f"case_{seed}", seed=seed) for seed in range(2)]
    for name, of in (("one", cases[:1]), ("two", cases)):
        write_system(tmp_path, name, of)
    outcome = compare_systems(cases, {n: tmp_path / n for n in ("one", "two")}, tmp_path / "out", settings=SETTINGS)
    assert values(tmp_path, "source").size == 2
    assert outcome.exit_status == 8
    (test,) = [t for t in outcome.comparison.tests if (t.first, t.second, t.metric) == ("one", "two", "mae")]
    assert (test.n, test.p_adjusted) == (1, None)


def test_what_was_written_is_read_and_written_again_byte_for_byte(done):
    folder, _, comparison = done
    text = (folder / "out" / "comparison.json").read_text()
    assert json_text(SystemsComparison.model_validate_json(text).to_json()) == text
    read = read_comparison(folder / "out")
    assert read.comparison == SystemsComparison.model_validate(comparison.to_json())
    assert len(read.scores) == len(rows(folder))
    assert comparison.sets == ["low", "good"]
    assert {score.set for score in read.scores if score.case == "case_1"} == {"good"}


def test_a_folder_without_a_comparison_and_a_spoiled_one_are_refused(done, tmp_path):
    with pytest.raises(NoInput, match=r"COMPARISON_MISSING no comparison.json"):
        read_comparison(tmp_path)
    for name in ("comparison.json", "scores.tsv"):
        shutil.copy(done[0] / "out" / name, tmp_path)
    text = (tmp_path / "comparison.json").read_text()
    (tmp_path / "comparison.json").write_text(text.replace('"sets"', '"others"'))
    with pytest.raises(InputRefused, match=r"COMPARISON_INVALID comparison.json: Field required at sets"):
        read_comparison(tmp_path)


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["a", "a"], "SYSTEM_TWICE"), (["a", "A"], "SYSTEM_TWICE"), (["a_b", "a b"], "SYSTEM_TWICE"),
        (["source"], "SYSTEM_NAME"), (["a/b"], "SYSTEM_NAME"),
    ],
)  # fmt: skip
def test_a_name_that_two_systems_or_a_baseline_have_is_refused(tmp_path, names, code):
    systems = [System(name, tmp_path) for name in names]
    with pytest.raises(UsageError, match=code):
        compare_systems([], systems, tmp_path / "out", settings=SETTINGS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"correction": "holms"}, "CORRECTION no correction 'holms'; did you mean holm"),
        ({"test": "z"}, "TEST no test 'z'"),
        ({"margins": {"maes": 1.0}}, "MARGIN no metric 'maes'; did you mean mae"),
        ({"margins": {"mae": 0.0}}, "MARGIN the margin of mae is 0"),
        ({"alpha": 2.0}, "ALPHA the level 2"),
        ({"alphas": {"avds": 0.01}}, "ALPHA no metric 'avds'"),
        ({"alphas": {"alpha": 0.01}}, "ALPHA no metric 'alpha'"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest_known_one(options, message):
    with pytest.raises(UsageError, match=message):
        ComparisonSettings(**options)


def test_patients_that_a_bundle_was_trained_on_are_refused_unless_they_are_asked_for(tmp_path):
    cases = [write_case(tmp_path, f"case_{seed}", seed=seed) for seed in range(2)]
    bundle = write_bundle(tmp_path)
    (bundle / "card.md").write_text("# x\n\n| | |\n|---|---|\n| trained on | 2 cases (real): case_9, case_1 |\n")
    system = System("ours", tmp_path / "synthetic", (bundle,))
    with pytest.raises(InputRefused, match=r"TRAINED_ON_TEST ours was trained .* 1 of 2 cases \(case_1\)"):
        compare_systems(cases, [system], tmp_path / "out", settings=SETTINGS)
    how = ComparisonSettings(allows_training_cases=True)
    assert compare_systems(cases, [system], tmp_path / "out", settings=SETTINGS, comparison=how).exit_status == 0
    # The run of the training states the patients, whose other scans are refused too.
    (tmp_path / "recipe.yaml").write_text("")
    write_cases(tmp_path / "cases.tsv", [replace(cases[0], case="other", split="train")])
    with pytest.raises(InputRefused, match=r"TRAINED_ON_TEST .* 1 of 2 cases \(case_0\)"):
        compare_systems(cases, [system], tmp_path / "out", settings=SETTINGS)
    # An unpaired training has rows of a source or of a target alone.
    alone = replace(cases[1], case="alone", split="train", source=ABSENT)
    write_cases(tmp_path / "cases.tsv", [replace(cases[0], split="test"), alone])
    with pytest.raises(InputRefused, match=r"TRAINED_ON_TEST .* 1 of 2 cases \(case_1\)"):
        compare_systems(cases, [system], tmp_path / "out", settings=SETTINGS)


def test_patients_of_the_model_that_a_bundle_began_with_are_refused_too(tmp_path):
    cases = [write_case(tmp_path, f"case_{seed}", seed=seed) for seed in range(2)]
    bundle = write_bundle(tmp_path)
    start = {"model": "base", "weights_sha256": "f" * 64, "cases": ["case_1"], "patients": []}
    (bundle / "start.json").write_text(json.dumps({"starts": [start]}))
    system = System("ours", tmp_path / "synthetic", (bundle,))
    with pytest.raises(InputRefused, match=r"ours, which began with the weights of base \(f{12}\), was .* \(case_1\)"):
        compare_systems(cases, [system], tmp_path / "out", settings=SETTINGS)


@pytest.fixture
def folds(tmp_path):
    """Returns the folder and five cases that two systems translated in two folds, three in the first."""
    cases = [replace(write_case(tmp_path, f"case_{seed}", seed=seed), split="train") for seed in range(5)]
    for name, noise in (("a", 0.0), ("b", 0.2)):
        write_system(tmp_path, f"all_{name}", cases, noise=noise)
        for seed, case in enumerate(cases):
            part = tmp_path / name / f"fold-{seed % 2}" / "synthetic"
            part.mkdir(parents=True, exist_ok=True)
            for suffix in (".nii.gz", ".json"):
                shutil.copy(tmp_path / f"all_{name}" / f"{case.case}{suffix}", part)
    return tmp_path, cases


def joined(folder, cases):
    systems = {name: folder / name for name in ("a", "b")}
    how = ComparisonSettings(are_folds=True)
    return compare_systems(cases, systems, folder / "out", settings=SETTINGS, comparison=how).comparison


def test_folds_are_joined_to_one_table_with_the_spread_between_folds_and_between_patients(folds):
    folder, cases = folds
    comparison = joined(folder, [*cases, replace(cases[0], case="never", patient="never")])
    assert {(case.case, case.fold) for case in comparison.cases} == {(f"case_{s}", s % 2) for s in range(5)}
    scores = values(folder, "b")
    means = [
        scores[
            [int(row["fold"]) == fold for row in rows(folder) if row["system"] == "b" and row["metric"] == "mae"]
        ].mean()
        for fold in (0, 1)
    ]
    (row,) = [r for r in comparison.joined if (r.method, r.metric, r.protocol) == ("b", "mae", "lee2020")]
    assert (row.folds, row.n) == (2, 5)
    assert (row.mean_of_folds, row.sd_between_folds) == pytest.approx((np.mean(means), np.std(means, ddof=1)))
    assert (row.mean, row.sd) == pytest.approx((scores.mean(), scores.std(ddof=1)))
    parts = [r for r in comparison.folds if (r.method, r.metric, r.protocol) == ("b", "mae", "lee2020")]
    assert [(r.fold, r.n, r.mean) for r in parts] == [(0, 3, pytest.approx(means[0])), (1, 2, pytest.approx(means[1]))]


def test_a_fold_without_a_lesion_has_no_row_of_lesions_and_a_set_may_be_in_one_fold_alone(folds):
    folder, cases = folds
    cases = [replace(c, set=f"set_{k % 2}", labels=None if k == 0 else c.labels) for k, c in enumerate(cases[:3])]
    how = ComparisonSettings(are_folds=True)
    settings = Settings(protocols=("chen2022",))
    found = compare_systems(cases, {"a": folder / "a"}, folder / "out", settings=settings, comparison=how).comparison
    rows = [r for r in found.folds if (r.method, r.region, r.metric) == ("a", "lesion", "mae")]
    assert [(r.set, r.fold, r.n) for r in rows] == [("set_0", 0, 1), ("set_1", 1, 1)]
    assert {(r.set, r.fold) for r in found.folds} == {("set_0", 0), ("set_1", 1)}


def test_folds_that_overlap_or_differ_or_are_not_there_are_refused(folds):
    folder, cases = folds
    shutil.move(folder / "b" / "fold-0" / "synthetic" / "case_0.nii.gz", folder / "b" / "fold-1" / "synthetic")
    with pytest.raises(InputRefused, match="FOLDS_DIFFER case_0 is in fold 0 and, of b, in fold 1"):
        joined(folder, cases)
    shutil.copy(folder / "a" / "fold-0" / "synthetic" / "case_0.nii.gz", folder / "a" / "fold-1" / "synthetic")
    with pytest.raises(InputRefused, match="FOLDS_OVERLAP a: folds 0 and 1 both have an image of case_0"):
        joined(folder, cases)
    (folder / "a" / "folds.tsv").write_text("case\tfold\ncase_0\tzero\n")
    with pytest.raises(InputRefused, match=r"FOLDS folds.tsv is not a table"):
        joined(folder, cases)
    (folder / "a" / "folds.tsv").write_text(f"case\tfold\n{'x' * 200_000}\t0\n")  # longer than csv reads
    with pytest.raises(InputRefused, match=r"FOLDS folds.tsv: field larger than field limit"):
        joined(folder, cases)
    shutil.rmtree(folder / "a")
    with pytest.raises(NoInput, match="FOLDS_MISSING a: no folder fold-0"):
        joined(folder, cases)


def test_the_histogram_match_of_a_case_is_that_of_the_fold_that_never_saw_it(folds):
    folder, cases = folds
    for fold, bright in ((0, 1.0), (1, 2.0)):
        bundle = write_bundle(folder / "a" / f"fold-{fold}")
        content = json.loads((bundle / "baselines.json").read_text())
        content["target_quantiles"] = [bright * value for value in content["target_quantiles"]]
        (bundle / "baselines.json").write_text(json.dumps(content))
    joined(folder, cases)
    constants = values(folder, "constant")
    assert constants.size == 5
    twice = values(folder, "constant", fold="1")
    assert twice.min() > 1.5 * values(folder, "constant", fold="0").max()


def test_a_fold_that_is_tested_on_its_training_cases_is_refused(folds):
    folder, cases = folds
    run = folder / "a" / "fold-0"
    (run / "bundle").mkdir()
    (run / "recipe.yaml").write_text("")
    write_cases(run / "cases.tsv", [replace(case, split="train") for case in cases[:1]])
    with pytest.raises(InputRefused, match=r"TRAINED_ON_TEST fold 0 of a .* \(case_0\)"):
        joined(folder, cases)


def evaluate(folder, *options):
    command = ["evaluate", str(folder / "cases.tsv"), str(folder / "cli"), "--protocol", "lee2020", *options]
    return CliRunner().invoke(voxlate, [*command, "--no-progress"], standalone_mode=False)


def test_the_command_compares_named_systems_and_still_evaluates_one_without_a_name(tmp_path):
    cases = [write_case(tmp_path, f"case_{seed}", seed=seed) for seed in range(2)]
    write_system(tmp_path, "noisy", cases, noise=0.2)
    write_cases(tmp_path / "cases.tsv", cases)
    plain, noisy = (f"{name}={tmp_path / folder}" for name, folder in (("plain", "synthetic"), ("noisy", "noisy")))
    named = evaluate(tmp_path, "--synthetic", plain, "--synthetic", noisy, "--margin", "mae=5", "--alpha", "0.01")
    assert (named.exception, named.return_value) == (None, 0)
    assert "MAE grey levels (lee2020, mask): source" in named.output
    comparison = read_comparison(tmp_path / "cli").comparison
    assert (comparison.system_names, comparison.margins, comparison.alpha) == (["plain", "noisy"], {"mae": 5.0}, 0.01)
    shutil.rmtree(tmp_path / "cli")
    assert evaluate(tmp_path, "--synthetic", str(tmp_path / "synthetic")).return_value == 0
    assert not (tmp_path / "cli" / "comparison.json").exists()
    assert (tmp_path / "cli" / "evaluation.json").is_file()


def test_a_system_whose_training_failed_has_a_row_that_says_so_and_the_others_are_scored(tmp_path):
    cases = [write_case(tmp_path, "case_0", seed=0)]
    write_cases(tmp_path / "cases.tsv", cases)
    failed = tmp_path / "failed"
    options = ["--synthetic", f"plain={tmp_path / 'synthetic'}", "--synthetic", f"failed={failed / 'synthetic'}"]
    done = evaluate(tmp_path, *options, "--model", f"failed={failed / 'run' / 'bundle'}")
    assert (done.exception, done.return_value) == (None, 8)
    assert "failed has neither its images nor its model (MODEL_MISSING)" in done.output
    comparison = read_comparison(tmp_path / "cli").comparison
    assert [(row.system, row.case) for row in comparison.unscored] == [("failed", "case_0")]
    wrong = evaluate(tmp_path, *options, "--model", "plain=nothing")  # a slip of the pen is no failed training
    assert "MODEL_MISSING" in str(wrong.exception)


def test_one_model_that_is_tested_on_its_training_patients_is_flagged(tmp_path, caplog):
    cases = [write_case(tmp_path, f"case_{seed}", seed=seed) for seed in range(2)]
    write_cases(tmp_path / "cases.tsv", cases)
    bundle = write_bundle(tmp_path)
    options = ["--synthetic", str(tmp_path / "synthetic"), "--model", str(bundle)]
    # Simulated patients have the same names in each data set: their names say nothing.
    for trained_on, count in (
        ("(real): case_9", 0),
        ("(simulated): case_9, case_1", 0),
        ("(real): case_9, case_1; 50 % of the windows from 3 simulated heads", 1),
    ):
        (bundle / "card.md").write_text(f"# x\n\n| | |\n|---|---|\n| trained on | 2 cases {trained_on} |\n")
        assert evaluate(tmp_path, *options).return_value == 0
        told = [each.getMessage() for each in caplog.records if getattr(each, "code", "") == "TRAINED_ON_TEST"]
        assert len(told) == count
    assert "1 of 2 cases (case_1); the scores say nothing of other patients" in told[0]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--synthetic", "a=x", "--synthetic", "y"], "SYSTEM_NAME several systems"),
        (["--synthetic", "a=x", "--synthetic", "a=y"], "SYSTEM_TWICE"),
        (["--synthetic", "a=x", "--model", "b=y"], "SYSTEM_NAME -m of b system"),
        (["--synthetic", "a=x", "--margin", "mae"], "MARGIN --margin 'mae' is not a number"),
        (["--synthetic", "a=x", "--margin", "mae=much"], "MARGIN --margin 'mae=much' is not a number"),
        (["--synthetic", "a=x", "--correction", "sidak"], "CORRECTION"),
        (["--synthetic", "x", "--model", "a", "--model", "b"], "MODEL one system has 2 models"),
        (["--synthetic", "x", "--margin", "mae=0.5"], "SYSTEM_NAME --margin is of named systems"),
        (["--synthetic", "x", "--alpha", "0.01"], "SYSTEM_NAME --alpha is of named systems"),
        (["--synthetic", "x", "--correction", "sidak"], "SYSTEM_NAME --correction is of named systems"),
        (["--synthetic", "x", "--test", "t"], "SYSTEM_NAME --test is of named systems"),
        (["--synthetic", "x", "--allow-training-cases"], "SYSTEM_NAME --allow-training-cases is of named systems"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused_with_its_remedy(tmp_path, options, code):
    write_cases(tmp_path / "cases.tsv", [write_case(tmp_path, "case_0", seed=0)])
    error = evaluate(tmp_path, *options).exception
    assert isinstance(error, UsageError)
    assert code in str(error)


def scored_by(protocol, unit, size, metric="mae"):
    """Returns scores of two systems over eight patients whose metric differs by 0.2 to 0.34 times `size`."""
    return [
        ComparedScore(
            str(patient), str(patient), "", "", system, "mask", metric, size * value, unit, protocol, "as_written"
        )
        for patient in range(8)
        for system, value in (("one", 2.0), ("two", 2.2 + 0.02 * patient))
    ]


@pytest.mark.parametrize(
    ("margins", "expected"),
    [
        ({"mae": 0.5}, {"voxlate": 0.5}),
        ({"mae": 0.5, "mae@chen2022": 0.005}, {"voxlate": 0.5, "chen2022": 0.005}),
        ({"mae@chen2022": 0.005}, {"chen2022": 0.005}),
    ],
)
def test_a_margin_counts_in_the_unit_of_the_first_protocol_or_of_the_named_one(margins, expected):
    scored = [
        *scored_by("chen2022", "", 0.01),
        *scored_by("voxlate", "%", 1.0),
        *scored_by("bottani2024", "%", 1.0),  # per cent of another range
        *scored_by("lee2020", "grey levels", 2.55),
    ]
    how = ComparisonSettings(margins=margins)
    names = ["voxlate", "bottani2024", "chen2022", "lee2020"]
    tests = compare_methods(tables_by_set(scored, [""]), ["one", "two"], [], how, protocols=names)
    found = {test.protocol: test.equivalence.margin for test in tests if test.equivalence is not None}
    assert found == expected
    assert all(test.equivalence.is_shown for test in tests if test.equivalence is not None)


def test_a_margin_in_an_absolute_unit_counts_for_every_protocol_with_that_unit():
    scored = [*scored_by("mixture", "cm3", 1.0, "avd"), *scored_by("clusters", "cm3", 1.0, "avd")]
    how = ComparisonSettings(margins={"avd": 0.5})
    tests = compare_methods(tables_by_set(scored, [""]), ["one", "two"], [], how)
    assert [test.equivalence.margin for test in tests] == [0.5, 0.5]


def test_a_margin_of_a_protocol_that_the_run_lacks_is_refused(tmp_path):
    how = ComparisonSettings(margins={"mae@lee202": 1.0})
    with pytest.raises(UsageError, match=r"MARGIN the margin of mae is for 'lee202', .* did you mean lee2020"):
        compare_systems([], {"one": tmp_path}, tmp_path / "out", settings=SETTINGS, comparison=how)
