"""Statistics against scipy, statsmodels and pingouin (tests/golden/statistics.json), closed forms and papers."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from voxlate.errors import InputRefused, UsageError
from voxlate.evaluation import statistics as st

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "statistics.json").read_text())
FIRST, SECOND = np.array(GOLDEN["first"]), np.array(GOLDEN["second"])


@pytest.mark.parametrize("name", ["paired_t", "wilcoxon", "sign_flip"])
def test_paired_tests_equal_scipy(name):
    result = getattr(st, name)(FIRST, SECOND)
    assert [result.statistic, result.p] == pytest.approx(GOLDEN[name], rel=1e-12)


def test_the_independent_test_is_scipy_s_and_hides_what_pairing_shows():
    expected = stats.ttest_ind(FIRST, SECOND[:-1])
    result = st.independent_t(FIRST, SECOND[:-1])
    assert (result.statistic, result.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)
    people = np.linspace(20, 40, 10)  # patients differ more than methods do
    better = people + 1 + 0.1 * np.sin(people)
    assert st.paired_t(better, people).p < 1e-6
    assert st.independent_t(better, people).p > 0.5
    assert st.independent_t(np.tile(better, 500), np.tile(people, 500)).p < 0.001  # slices taken for people
    assert np.isnan(st.independent_t([1, 1, 1], [2, 2, 2]).p)
    assert st.independent_t([1, 1, 1], [1, 1, 1]).p == 1


def test_the_independent_test_of_groups_is_scipy_s_on_all_values_of_the_groups():
    rng = np.random.default_rng(1)
    first, second = ([rng.normal(i, 2, n) for i, n in enumerate(sizes)] for sizes in ((3, 9, 1), (5, 4, 7, 2)))
    summaries = [[st.Summary(g.size, g.mean(), g.std()) for g in groups] for groups in (first, second)]
    expected = stats.ttest_ind(np.concatenate(first), np.concatenate(second))
    result = st.independent_t_of_groups(*summaries)
    assert (result.statistic, result.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)
    with pytest.raises(InputRefused, match=r"TOO_FEW_PATIENTS.*1 values"):
        st.independent_t_of_groups(summaries[0][2:], summaries[1])


def test_sampled_sign_flips_approach_the_exact_p_of_scipy():
    rng = np.random.default_rng(5)
    first, second = rng.normal(0.5, 1, 16), np.zeros(16)
    exact = stats.permutation_test(
        (first, second), lambda x, y, axis: (x - y).mean(axis=axis), permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert st.sign_flip(first, second).p == pytest.approx(exact, abs=4 * np.sqrt(exact / 10_000))


def test_a_difference_in_every_patient_is_shown_among_hundreds_of_tests():
    """The exact p of 30 differences of one sign is 2e-9; by 10,000 patterns it was 1e-4, and 0.011 after 108 tests."""
    first = np.random.default_rng(0).normal(3, 1, 30)
    assert (first > 0).all()
    assert st.sign_flip(first, np.zeros(30)).p < 0.01 / 108


def test_three_patients_can_never_reach_a_permutation_p_below_a_quarter():
    assert st.sign_flip([5, 6, 7], [1, 1, 1]).p == 0.25


@pytest.mark.parametrize("test", [st.paired_t, st.wilcoxon, st.sign_flip])
def test_equal_samples_have_a_p_of_one(test):
    assert test(FIRST, FIRST).p == 1.0


@pytest.mark.parametrize("n", [3, 19])
def test_the_interval_of_few_patients_is_student_s(n):
    values = np.random.default_rng(n).normal(size=n)
    found = st.mean_interval(values)
    assert (found.low, found.high) == pytest.approx(tuple(stats.ttest_1samp(values, 0).confidence_interval()))
    assert found.method == "Student's t"


def test_the_studentised_bootstrap_has_the_ends_of_its_definition():
    values = np.random.default_rng(3).lognormal(0, 0.5, 30)
    found = st.mean_interval(values)
    draws = np.random.default_rng(8).choice(values, size=(40_000, 30))
    t = (draws.mean(axis=1) - values.mean()) / (draws.std(axis=1, ddof=1) / np.sqrt(30))
    error = values.std(ddof=1) / np.sqrt(30)
    expected = values.mean() - np.quantile(t, [0.975, 0.025]) * error
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.03 * float(np.ptp(expected)))
    assert found.method == "studentised bootstrap"
    assert found.high - values.mean() > values.mean() - found.low


@pytest.mark.parametrize("values", [[0.0] * 19 + [1.0], [0.1] * 19 + [1.0], [1 / 3] * 25 + [2 / 3]])
def test_values_that_most_patients_share_have_the_interval_of_student(values):
    # A third of the resamples hold one value alone; dividing by the rounding of their standard error gave 10⁷.
    found = st.mean_interval(values)
    assert (found.low, found.high) == pytest.approx(tuple(stats.ttest_1samp(values, 0).confidence_interval()))
    assert found.method == "Student's t"


def test_the_bootstrap_interval_grows_with_the_square_of_an_outlier_and_student_s_with_the_outlier():
    others = np.random.default_rng(3).normal(size=19)

    def upper(outlier):
        found = st.mean_interval([*others, outlier])
        assert found.method == "studentised bootstrap"
        return found.high, stats.ttest_1samp([*others, outlier], 0).confidence_interval().high

    (near, near_t), (far, far_t) = upper(1000.0), upper(2000.0)
    assert far / near == pytest.approx(4, rel=0.05)
    assert far_t / near_t == pytest.approx(2, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 5, 9, 26])
@pytest.mark.parametrize(("kind", "sd"), [("normal", 1.0), ("log-normal", 0.25)])
def test_intervals_cover_as_often_as_they_say(kind, sd, n):
    # 0.25: mean absolute errors of the project's own real and simulated patients vary by 15 to 30 % of their mean.
    values = sd * np.random.default_rng(n).normal(size=(4000, n))
    truth = 0.0 if kind == "normal" else np.exp(sd**2 / 2)
    intervals = [st.mean_interval(row if kind == "normal" else np.exp(row)) for row in values]
    assert 0.93 <= np.mean([one.low <= truth <= one.high for one in intervals]) <= 0.97


def test_values_that_do_not_vary_have_no_interval_and_no_test():
    found = st.mean_interval([2.0, 2.0, 2.0])
    assert np.isnan([found.low, found.high]).all()
    assert "do not vary" in found.method
    assert np.isnan(st.paired_t([3.0, 4.0, 5.0], [1.0, 2.0, 3.0]).p)
    assert not st.tost([3.0, 4.0, 5.0], [1.0, 2.0, 3.0], margin=5.0).is_shown


def test_a_difference_that_is_constant_but_for_rounding_has_no_p_value():
    first, second = [1.1, 2.1, 3.1, 4.1], [1.0, 2.0, 3.0, 4.0]
    assert np.isnan(st.paired_t(first, second).p)
    assert np.isnan(st.tost(first, second, margin=1.0).p)
    assert np.isinf(st.cohen_dz(first, second))


@pytest.mark.parametrize("name", ["holm", "bonferroni"])
def test_adjusted_p_values_equal_statsmodels(name):
    assert getattr(st, name)(GOLDEN["p_values"]) == pytest.approx(GOLDEN[name])


def test_tost_equals_pingouin_and_statsmodels():
    result = st.tost(FIRST, SECOND, margin=GOLDEN["tost_margin"])
    assert result.p == pytest.approx(GOLDEN["tost_pingouin"]) == pytest.approx(GOLDEN["tost_statsmodels"])


@pytest.mark.parametrize("margin", [0.8, 1.4, 1.6, 3.0])
def test_equivalence_is_shown_exactly_when_the_90_percent_interval_lies_within_the_margin(margin):
    result = st.tost(FIRST, SECOND, margin=margin)
    assert result.is_shown == (-margin < result.low and result.high < margin)


def test_non_inferiority_equals_the_lower_half_of_statsmodels_tost():
    result = st.non_inferiority(FIRST, SECOND, margin=2.0, better="higher")
    assert result.p == pytest.approx(GOLDEN["non_inferiority"])


def test_non_inferiority_of_a_lower_is_better_score_is_its_mirror():
    mirrored = st.non_inferiority(-FIRST, -SECOND, margin=2.0, better="lower")
    assert mirrored.p == pytest.approx(GOLDEN["non_inferiority"])


def test_icc_equals_pingouin():
    rows = {row["Type"]: row for row in GOLDEN["icc_table"]}
    for own, form in zip(st.icc(np.column_stack([FIRST, SECOND])), ("ICC(A,1)", "ICC(C,1)"), strict=True):
        assert own.value == pytest.approx(rows[form]["ICC"], abs=1e-9)
        assert [round(own.low, 2), round(own.high, 2)] == rows[form]["CI95"]


def test_concordance_is_one_only_on_the_line_of_identity():
    assert st.concordance(FIRST, FIRST) == pytest.approx(1.0)
    shift = 3.0
    expected = 2 * FIRST.var() / (2 * FIRST.var() + shift**2)
    assert st.concordance(FIRST, FIRST + shift) == pytest.approx(expected)


def test_bland_altman_has_the_closed_form_of_its_limits():
    result, d = st.bland_altman(FIRST, SECOND), FIRST - SECOND
    assert result.bias == pytest.approx(d.mean())
    assert (result.lower, result.upper) == pytest.approx(
        (d.mean() - 1.96 * d.std(ddof=1), d.mean() + 1.96 * d.std(ddof=1)), rel=1e-4
    )
    assert result.bias_interval == pytest.approx(stats.t.interval(0.95, 11, d.mean(), stats.sem(d)))
    # Bland and Altman 1999: the standard error of a limit is s √(1/n + z²/(2(n − 1))).
    half = stats.t.ppf(0.975, 11) * d.std(ddof=1) * np.sqrt(1 / 12 + stats.norm.ppf(0.975) ** 2 / (2 * 11))
    assert result.lower_interval == pytest.approx((result.lower - half, result.lower + half))
    assert result.upper_interval == pytest.approx((result.upper - half, result.upper + half))


def test_bland_altman_finds_an_error_that_grows_with_the_size():
    result = st.bland_altman(1.2 * FIRST, FIRST)
    assert result.slope == pytest.approx(0.2 / 1.1)
    assert result.slope_p < 1e-6


def test_clopper_pearson_equals_statsmodels_and_the_published_forty_percent():
    assert st.clopper_pearson(6, 15) == pytest.approx(GOLDEN["clopper_pearson_6_15"])
    assert st.clopper_pearson(6, 15) == pytest.approx((0.163, 0.677), abs=5e-4)
    assert st.clopper_pearson(0, 9) == pytest.approx(GOLDEN["clopper_pearson_0_9"])


def test_exact_mcnemar_equals_statsmodels_and_mid_p_is_smaller():
    exact = st.mcnemar(5, 12, is_mid_p=False)
    assert exact == pytest.approx(GOLDEN["mcnemar_5_12"])
    assert st.mcnemar(5, 12) == pytest.approx(exact - stats.binom.pmf(5, 17, 0.5))
    assert st.mcnemar(0, 0) == 1.0


@pytest.mark.parametrize(("only_first", "only_second"), [(1, 1), (4, 4), (2, 7), (0, 5)])
def test_mid_p_is_the_probability_of_rarer_outcomes_and_half_of_that_of_equally_rare_ones(only_first, only_second):
    chance = stats.binom.pmf(np.arange(only_first + only_second + 1), only_first + only_second, 0.5)
    observed = chance[only_first]
    is_equal = np.isclose(chance, observed)
    expected = chance[(chance < observed) & ~is_equal].sum() + 0.5 * chance[is_equal].sum()
    assert st.mcnemar(only_first, only_second) == pytest.approx(expected)


def test_mixed_model_equals_statsmodels():
    golden = GOLDEN["mixed"]
    design = np.column_stack([np.ones(len(golden["values"])), golden["method"], golden["scanner"]])
    fit = st.fit_mixed_model(golden["values"], design, golden["patients"])
    assert fit.coefficients == pytest.approx(golden["coefficients"], abs=1e-5)
    # statsmodels takes them from the Hessian of all parameters, we from the fixed effects alone, as lme4 does.
    assert fit.standard_errors == pytest.approx(golden["standard_errors"], rel=1e-3)
    assert fit.patient_variance == pytest.approx(golden["patient_variance"], rel=1e-3)
    assert fit.residual_variance == pytest.approx(golden["residual_variance"], rel=1e-4)
    assert fit.log_likelihood == pytest.approx(golden["log_likelihood"], abs=1e-6)


def test_mixed_model_without_patient_variance_is_least_squares():
    values = np.array([1.0, 3.0, 1.0, 3.0, 1.0, 3.0, 1.2, 2.8])
    design = np.column_stack([np.ones(8), np.tile([0, 1], 4)])
    fit = st.fit_mixed_model(values, design, ["a", "a", "b", "b", "c", "c", "d", "d"])
    assert fit.coefficients == pytest.approx(np.linalg.lstsq(design, values)[0])
    assert fit.patient_variance == 0.0


def test_effects_within_patients_have_the_degrees_of_freedom_of_their_own_stratum():
    # Balanced: 6 patients, 4 scans each, a within-patient effect: n − patients − 1; the mean: patients − 1.
    rng = np.random.default_rng(0)
    patients = [f"p{i}" for i in range(6) for _ in range(4)]
    within = np.tile([-1.0, -1.0, 1.0, 1.0], 6)
    values = np.repeat(3 * rng.normal(size=6), 4) + 0.3 * within + rng.normal(size=24)
    fit = st.fit_mixed_model(values, np.column_stack([np.ones(24), within]), patients)
    assert fit.patient_variance > 0
    assert fit.freedom == pytest.approx([5.0, 24 - 6 - 1])
    means = values.reshape(6, 4).mean(axis=1)
    assert fit.p[0] == pytest.approx(stats.ttest_1samp(means, 0).pvalue)


def test_degrees_of_freedom_are_those_of_satterthwaite_with_all_matrices_written_out():
    golden = GOLDEN["mixed"]
    x = np.column_stack([np.ones(len(golden["values"])), golden["method"], golden["scanner"]])
    fit = st.fit_mixed_model(golden["values"], x, golden["patients"])
    z = (np.asarray(golden["patients"])[:, None] == np.unique(golden["patients"])).astype(float)
    parts = z @ z.T, np.eye(len(x))
    inverse = np.linalg.inv(fit.patient_variance * parts[0] + fit.residual_variance * parts[1])
    c = np.linalg.inv(x.T @ inverse @ x)
    p = inverse - inverse @ x @ c @ x.T @ inverse
    information = 0.5 * np.array([[np.trace(p @ a @ p @ b) for b in parts] for a in parts])
    slopes = np.array([np.diag(c @ x.T @ inverse @ part @ inverse @ x @ c) for part in parts])
    spread = np.diag(slopes.T @ np.linalg.inv(information) @ slopes)
    assert fit.freedom == pytest.approx(2 * np.diag(c) ** 2 / spread)
    assert fit.p == pytest.approx(2 * stats.t.sf(np.abs(fit.coefficients / fit.standard_errors), fit.freedom))


def test_several_scans_of_a_patient_count_once():
    assert st.by_patient([1.0, 3.0, 10.0], ["a", "a", "b"]) == {"a": 2.0, "b": 10.0}


@pytest.mark.parametrize("test", [st.paired_t, st.wilcoxon, st.sign_flip, st.cohen_dz, st.bland_altman, st.concordance])
def test_no_test_is_run_on_two_patients(test):
    with pytest.raises(InputRefused, match="TOO_FEW_PATIENTS"):
        test([1.0, 2.0], [2.0, 3.0])


def test_effect_size_is_the_mean_difference_in_its_standard_deviations():
    d = FIRST - SECOND
    assert st.cohen_dz(FIRST, SECOND) == pytest.approx(d.mean() / d.std(ddof=1))


def test_unequal_lengths_and_missing_values_are_refused():
    with pytest.raises(InputRefused, match="LENGTHS"):
        st.paired_t(FIRST, SECOND[:-1])
    with pytest.raises(InputRefused, match="NON_FINITE"):
        st.paired_t(FIRST, np.full(12, np.nan))


def test_a_margin_of_zero_is_refused():
    with pytest.raises(UsageError, match="MARGIN"):
        st.tost(FIRST, SECOND, margin=0.0)
