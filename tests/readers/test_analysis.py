import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from roe_metz import Skill, separation_for, simulate_ratings, true_auc
from scipy import stats

from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.evaluation.statistics import clopper_pearson
from voxlate.evaluation.statistics.auc import auc_influences
from voxlate.readers.analysis import analyse_study
from voxlate.readers.analysis.discrimination import forced_choice
from voxlate.readers.analysis.grading import similarity
from voxlate.readers.analysis.output.exports import cell, csv_text
from voxlate.readers.analysis.output.page import _choice
from voxlate.readers.analysis.records import Record
from voxlate.readers.analysis.statistics.agreement import fleiss_kappa, weighted_kappa
from voxlate.readers.analysis.statistics.mrmc import (
    NO_VARIANCE,
    ONE_CASE,
    ONE_READER,
    UNDEFINED,
    differs,
    mean_influences,
    not_below,
    reader_mean,
    within_margin,
)
from voxlate.readers.analysis.statistics.rank_comparison import case_scores
from voxlate.readers.package import load_package
from voxlate.readers.study import ForcedChoice, Similarity
from voxlate.web.server.answer_log import AnswerLog
from voxlate.web.server.sql import SqliteDatabase

from .conftest import Browser, fill


def ratings(seed=0, readers=4, cases=12, auc=0.7):
    skill = Skill()
    skill = replace(skill, separation=separation_for(auc, skill))
    data = simulate_ratings(np.random.default_rng(seed), skill, studies=1, readers=readers, cases=cases, levels=6)[0]
    return data[0], data[1]


def test_the_auc_is_the_mann_whitney_statistic_and_the_influences_sum_to_0():
    real, synthetic = ratings()
    aucs, influences = auc_influences(real, synthetic)
    for at in range(4):
        u = stats.mannwhitneyu(synthetic[at], real[at]).statistic
        assert aucs[at] == pytest.approx(u / 144)
    assert np.allclose(influences.sum(axis=1), 0)


def test_influences_are_what_leaving_one_case_out_changes():
    real, synthetic = ratings(cases=60)
    _, influences = auc_influences(real, synthetic)
    left_out = np.array([auc_influences(np.delete(real, k, 1), np.delete(synthetic, k, 1))[0] for k in range(60)]).T
    jackknife = (59 / 60 * np.square(left_out - left_out.mean(axis=1, keepdims=True)).sum(axis=1)) ** 0.5
    assert np.sqrt(np.square(influences).sum(axis=1) * 60 / 59) == pytest.approx(jackknife, rel=0.05)


def test_one_auc_has_delong_s_variance_when_the_cases_are_not_paired():
    real, synthetic = ratings(readers=1, cases=20)
    nothing = np.full((1, 20), np.nan)
    apart = np.hstack([real, nothing]), np.hstack([nothing, synthetic])
    _, influences = auc_influences(*apart)
    wins = (synthetic[0][None] > real[0][:, None]) + 0.5 * (synthetic[0][None] == real[0][:, None])
    delong = wins.mean(axis=0).var(ddof=1) / 20 + wins.mean(axis=1).var(ddof=1) / 20
    assert np.square(influences).sum() == pytest.approx(delong * 19 / 20)


def test_a_difference_of_two_modalities_has_the_interval_of_obuchowski_and_rockette():
    generator = np.random.default_rng(5)
    scores = generator.normal(size=(2, 4, 15)) + generator.normal(size=(1, 1, 15)) + generator.normal(size=(1, 4, 1))
    found = reader_mean(*mean_influences(scores[1] - scores[0]))
    theta = scores.mean(axis=2)
    covariance = np.cov(scores.reshape(8, 15)).reshape(2, 4, 2, 4) / 15
    apart = ~np.eye(4, dtype=bool)
    cov2 = np.mean([covariance[i, :, i][apart].mean() for i in range(2)])
    cov3 = np.mean([covariance[i, :, 1 - i][apart].mean() for i in range(2)])
    residual = theta - theta.mean(axis=0) - theta.mean(axis=1, keepdims=True) + theta.mean()
    ms_tr = np.square(residual).sum() / 3
    total = ms_tr + max(4 * (cov2 - cov3), 0)
    assert found.standard_error == pytest.approx(np.sqrt(2 / 4 * total))
    assert found.freedom == pytest.approx(3 * (total / ms_tr) ** 2)


def test_one_reader_is_named_as_such_and_gets_the_t_interval_of_the_cases():
    values = np.random.default_rng(0).normal(size=(1, 10))
    found = reader_mean(*mean_influences(values))
    expected = stats.ttest_1samp(values[0], 0)
    assert found.form == ONE_READER
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert differs(found, reference=0) == pytest.approx(expected.pvalue)


def test_cases_that_a_reader_did_not_read_do_not_narrow_the_interval():
    values = np.random.default_rng(0).normal(size=(1, 3))
    among = np.concatenate([values, np.full((1, 17), np.nan)], axis=1)
    found = reader_mean(*mean_influences(among), read=np.isfinite(among))
    expected = stats.ttest_1samp(values[0], 0)
    assert (found.freedom, found.low, found.high) == pytest.approx((2, *expected.confidence_interval()))
    two = np.random.default_rng(1).normal(size=(2, 4))
    more = np.concatenate([two, np.full((2, 16), np.nan)], axis=1)
    found, alone = reader_mean(*mean_influences(more), read=np.isfinite(more)), reader_mean(*mean_influences(two))
    assert (found.freedom, found.low, found.high) == pytest.approx((alone.freedom, alone.low, alone.high))


def test_a_structure_that_one_reader_assessed_in_three_of_twenty_cases_is_judged_by_three():
    design = Similarity(name="s", structures=("stenosis",))
    given = {0: 90, 1: 95, 2: 85}
    records = [similarity_record(case, given.get(case)) for case in range(20)]
    (found,) = similarity(records, design, 0.05).structures
    expected = stats.ttest_1samp(list(given.values()), 80, alternative="greater")
    assert (found.n, found.not_assessable) == (3, 17)
    assert found.pooled.mean.freedom == 2
    assert found.pooled.test.p == pytest.approx(expected.pvalue)


def test_a_repeated_answer_is_not_counted_among_the_answers_without_a_score():
    design = Similarity(name="s", structures=("stenosis",))
    records = [similarity_record(case, None if case == 0 else 80 + case) for case in range(5)]
    again = [similarity_record(case, None, is_repeat=True) for case in range(2)]
    (found,) = similarity([*records, *again], design, 0.05).structures
    assert (found.n, found.not_assessable) == (4, 1)


def similarity_record(case, score, *, is_repeat=False):
    answer = {"kind": "similarity", "scores": {"stenosis": score}}
    shown = ("real", "synthetic")
    return Record("anna", f"case{case:02d}", "s", shown, case, 0, is_repeat, is_repeat, answer, "", 1.0, 0, "")


def test_a_single_case_gives_no_interval_and_no_test():
    found = reader_mean([0.5], [[0.0]])
    assert (found.mean, found.note) == (0.5, ONE_CASE)
    assert np.isnan([found.low, found.high, found.standard_error, differs(found, reference=0.2)]).all()


def test_an_auc_without_answers_of_both_classes_is_undefined_and_left_out_of_the_mean():
    real, synthetic = ratings(readers=2)
    synthetic[1] = np.nan
    aucs, influences = auc_influences(real, synthetic)
    assert np.isnan(aucs[1])
    found = reader_mean(aucs, influences)
    alone = reader_mean(*auc_influences(real[:1], synthetic[:1]))
    assert found.undefined == (1,)
    assert (found.form, found.mean, found.low, found.high) == (ONE_READER, alone.mean, alone.low, alone.high)
    nobody = reader_mean(aucs[1:], influences[1:])
    assert np.isnan([nobody.mean, nobody.low, differs(nobody, reference=0.5)]).all()
    assert nobody.note == UNDEFINED


def test_a_reader_who_read_nothing_has_no_mean():
    means, influences = mean_influences(np.array([[1.0, 3.0], [np.nan, np.nan]]))
    assert means[0] == 2
    assert np.isnan(means[1])
    assert not influences[1].any()


def test_nothing_is_inferred_from_answers_that_do_not_vary():
    real, synthetic = np.full((2, 3), 1.0), np.full((2, 3), 6.0)
    found = reader_mean(*auc_influences(real, synthetic), bounds=(0, 1))
    assert (found.mean, found.note) == (1, NO_VARIANCE)
    assert np.isnan([found.low, differs(found, reference=0.5)]).all()
    assert not within_margin(found, reference=1.0, margin=0.1, alpha=0.05).is_shown
    assert not not_below(found, reference=0.5, alpha=0.05).is_shown


def test_an_interval_ends_at_the_bounds_of_its_figure():
    free = reader_mean([0.95, 0.9], [[0.4, -0.4], [0.4, -0.4]])
    cut = reader_mean([0.95, 0.9], [[0.4, -0.4], [0.4, -0.4]], bounds=(0, 1))
    assert free.high > 1
    assert free.low < 0
    assert (cut.low, cut.high) == (0, 1)


# Van Dyke et al. 1993 (aortic dissection, spin echo and cine MR; 5 readers, 114 cases). Areas, error variances and
# covariances by jackknife, and results as printed by OR-DBM MRMC 2.51 and by MRMCaov 0.2 (R), "each analysis based
# only on data for the specified treatment", and for the difference.
VAN_DYKE = {
    "spin echo": (
        [0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066],
        (0.00101410, 0.0004839618),
        (0.8970370, 0.03317360, 12.74465, 0.8252236, 0.9688505),
    ),
    "cine": (
        [0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169],
        (0.00059047, 0.0002041879),
        (0.9408374, 0.02156637, 12.71019, 0.8941378, 0.9875369),
    ),
    "difference": (
        np.subtract(
            [0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066],
            [0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169],
        ),
        # Cov2 - Cov3 of the ten areas, twice, for a difference of two; its own variance plays no part.
        (0.0009, 2 * (0.0003440748 - 0.0002390284)),
        (-0.04380032, 0.02074862, 15.25967, -0.0879594986, 0.0003588544),
    ),
}


@pytest.mark.parametrize("treatment", VAN_DYKE)
def test_the_published_analysis_of_van_dyke_s_study_comes_out(treatment):
    areas, (variance, shared), printed = VAN_DYKE[treatment]
    covariance = np.full((5, 5), shared) + np.eye(5) * (variance - shared)
    found = reader_mean(areas, influences_with(covariance, cases=114))
    figures = (found.mean, found.standard_error, found.freedom, found.low, found.high)
    assert figures == pytest.approx(printed, rel=2e-6, abs=2e-8)
    if treatment == "difference":
        assert differs(found, reference=0) == pytest.approx(0.05166569, rel=1e-5)


def influences_with(covariance, *, cases):
    """Returns influences of cases whose covariance is the one given."""
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(cases, len(covariance))))[0].T
    return np.linalg.cholesky(covariance) @ basis * np.sqrt((cases - 1) / cases)


@pytest.mark.parametrize(("auc", "readers", "cases"), [(0.5, 5, 30), (0.75, 6, 15)])
def test_the_interval_of_simulated_readers_covers_the_truth(auc, readers, cases):
    skill = Skill()
    skill = replace(skill, separation=separation_for(auc, skill))
    truth = true_auc(skill, levels=6)
    data = simulate_ratings(np.random.default_rng(1), skill, studies=400, readers=readers, cases=cases, levels=6)
    found = [reader_mean(*auc_influences(study[0], study[1])) for study in data]
    covered = np.mean([one.low <= truth <= one.high for one in found])
    assert 0.91 <= covered <= 0.985
    assert np.mean([one.mean for one in found]) == pytest.approx(truth, abs=0.015)


def test_equivalence_is_rarely_shown_where_readers_are_at_the_margin():
    skill = Skill()
    skill = replace(skill, separation=separation_for(0.605, skill))
    data = simulate_ratings(np.random.default_rng(2), skill, studies=400, readers=5, cases=30, levels=6)
    shown = [
        within_margin(reader_mean(*auc_influences(s[0], s[1])), reference=0.5, margin=0.1, alpha=0.05).is_shown
        for s in data
    ]
    assert np.mean(shown) < 0.075


def test_fleiss_kappa_of_the_published_example():
    # Fleiss 1971 as tabulated in textbooks: 10 subjects, 14 raters, 5 categories, kappa 0.210.
    counts = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    table = np.array([np.repeat(np.arange(5), row) for row in counts]).T
    assert fleiss_kappa(table).value == pytest.approx(0.210, abs=5e-4)


def test_quadratic_kappa_is_the_icc_like_agreement_of_two_gradings():
    one, two = np.array([1, 2, 3, 4, 5, 3]), np.array([1, 3, 3, 4, 4, 2])
    weights = np.square(np.arange(5)[:, None] - np.arange(5))
    seen = np.zeros((5, 5))
    np.add.at(seen, (one - 1, two - 1), 1)
    chance = np.outer(seen.sum(axis=1), seen.sum(axis=0)) / 6
    assert weighted_kappa(one, two, levels=5).value == pytest.approx(
        1 - (weights * seen).sum() / (weights * chance).sum()
    )
    assert weighted_kappa(one, one, levels=5).value == 1


def test_agreement_is_undefined_where_all_answers_are_one():
    assert np.isnan(fleiss_kappa(np.ones((3, 5))).value)


@pytest.mark.parametrize("text", ["=1+1", "+A1", "-2+3", "@SUM(A1)", "\t=1", "  =1", "\n=1"])
def test_a_formula_in_free_text_is_only_text_in_a_spreadsheet(text):
    assert cell(text) == "'" + text
    assert next(csv.reader([csv_text(("a",), [(text,)]).split("\n", 1)[1]]))[0].startswith("'")


def test_numbers_are_not_taken_for_formulas():
    assert cell(-3.5) == -3.5


@pytest.fixture(scope="module")
def result(frozen, tmp_path_factory):
    """Returns the folder of an analysis of three readers.

    The first is always right, the second always wrong, the third gives the same answer to every image.
    """
    root = tmp_path_factory.mktemp("answered")
    package = load_package(Path(shutil.copytree(frozen, root / "study")))
    store = AnswerLog(SqliteDatabase(package.folder / "answers.sqlite"), package.protocol_hash)
    for reader in package.trials:
        _read_all(Browser(package, store, reader).enter())
    store.close()
    scores = "case\tmethod\tmetric\tvalue\n" + "".join(f"case{at}\tsynthetic\tmae\t{at}\n" for at in range(8))
    (root / "scores.tsv").write_text(scores)
    analyse_study(package.folder, root / "out", scores=root / "scores.tsv")
    return root / "out"


def _read_all(browser):
    while trial := browser.state()["trial"]:
        shown = browser.package.key["trials"][trial["id"]]["shown"]
        is_left = {"anna": shown[0] == "synthetic", "ben": shown[0] == "real", "cleo": True}[browser.reader]
        place = [11, 13, 4] if shown[0] == "synthetic" else [0, 0, 0]
        given = {
            "real_or_synthetic": {"confidence": 6 if is_left else 1},
            "forced_choice": {"side": "left" if is_left else "right"},
            "similarity": {"scores": {"disc": 80, "muscle": None if trial["position"] % 2 else 90}},
            "quality": {"grades": {"sharpness": 3}},
            "marks": {"marks": [{"voxel": place, "confidence": 3}]},
        }[trial["design"]["kind"]]
        comment = "=cmd|' /C calc'!A0<script>alert(1)</script>" if trial["position"] == 0 else ""
        sent = browser.answer(answer={"kind": trial["design"]["kind"]} | given, comment=comment)
        assert sent.status_code == 200, sent.text


@pytest.fixture(scope="module")
def found(result):
    return json.loads((result / "analysis.json").read_text())


def test_the_analysis_finds_what_each_reader_did(found, result):
    turing = found["designs"]["turing"]
    assert [row["auc"] for row in turing["auc"]] == [1.0, 0.0, 0.5]
    assert [(row["correct"], row["n"]) for row in turing["accuracy"]] == [(16, 16), (0, 16), (8, 16), (24, 48)]
    assert (turing["accuracy"][0]["low"], turing["accuracy"][0]["high"]) == clopper_pearson(16, 16)
    assert turing["mean_auc"]["mean"] == 0.5
    assert not turing["mean_auc"]["test"]["is_shown"]
    assert turing["within_reader"][0]["value"] == 1
    structures = {row["structure"]: row for row in found["designs"]["lee"]["structures"]}
    assert (structures["disc"]["mean"], structures["disc"]["sd"]) == (80, 0)
    assert structures["muscle"]["not_assessable"] > 0
    marks = found["designs"]["lesions"]
    assert [(row["real"]["found"], row["synthetic"]["found"]) for row in marks["readers"]] == [(0, 8)] * 3
    assert marks["difference"]["mean"] == 1
    assert found["record"]["first_broken_row"] is None

    report = (result / "report.html").read_text()
    assert "<script>alert" not in report
    assert "&lt;script&gt;alert" in report
    assert "no evidence that the images cannot be told apart" in report
    assert (found["cases"], found["patients"]) == (8, None)
    assert "hold for one case per patient" in report
    with (result / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["comment"].startswith("'=cmd")
    assert len({row["protocol_sha256"] for row in rows}) == 1


def test_the_imrmc_file_holds_each_image_s_truth_once_and_each_first_rating(found, result):
    lines = (result / "turing.imrmc").read_text().splitlines()
    assert {"N0: 8", "N1: 8", "NR: 3", "NM: 1"} <= set(lines)
    rows = [line.split(",") for line in lines[lines.index("BEGIN DATA:") + 1 :]]
    truth = {row[1]: row[3] for row in rows if row[0] == "-1"}
    assert sorted(truth.values()) == ["0"] * 8 + ["1"] * 8
    ratings_ = [row for row in rows if row[0] == "1"]
    assert len(ratings_) == 16
    assert all((row[3] == "6") == (truth[row[1]] == "1") for row in ratings_)
    head = (result / "turing_mrmcaov.csv").read_text().splitlines()[0]
    assert head == "reader,treatment,case,truth,rating"


def choice_of(reader, case, side, *, is_repeat=False):
    return Record(reader=reader, case=case, design="choice", shown=("real", "synthetic"), position=0, session=0,
                  is_repeat=is_repeat, is_second=is_repeat, answer={"side": side}, comment="", viewed_s=1.0, revision=0,
                  time_utc="")  # fmt: skip


SIDES = ["left"] * 7 + ["right"]


def test_the_preference_for_a_side_counts_each_case_of_a_reader_once():
    first = [choice_of(reader, f"case{at}", side) for reader in ("anna", "ben") for at, side in enumerate(SIDES)]
    again = [choice_of(each.reader, each.case, each.answer["side"], is_repeat=True) for each in first]
    found = forced_choice([*first, *again], ForcedChoice(name="choice", repeats=8), 0.05).chose_left
    # P(X <= 2) + P(X >= 14) of 16 tosses: 2 (1 + 16 + 120) / 65536; 28 of 32 would have p = 2e-5.
    assert (found.n, found.of, found.p) == (14, 16, pytest.approx(274 / 65536))


def test_a_reader_named_all_is_in_the_plot():
    records = [choice_of(reader, f"case{at}", side) for reader in ("all", "anna") for at, side in enumerate(SIDES)]
    result = forced_choice(records, ForcedChoice(name="choice"), 0.05)
    assert "Share of correct answers of 2 readers" in str(_choice("choice", result))


def test_the_ranks_of_a_metric_and_of_the_readers_are_compared_case_by_case(found):
    ranks = found["designs"]["lee"]["discordance"]
    assert {row["case"] for row in ranks["cases"]} == {f"case{at}" for at in range(8)}
    assert [row["metric_rank"] for row in sorted(ranks["cases"], key=lambda row: row["case"])] == list(range(1, 9))


@pytest.mark.parametrize("answered", range(1, 5))
def test_an_unfinished_study_is_marked_interim_and_its_report_claims_nothing_undefined(
    folder, package, store, tmp_path, answered
):
    browser = Browser(package, store, "anna").enter()
    for _ in range(answered):
        trial = browser.state()["trial"]
        shown = package.key["trials"][trial["id"]]["shown"]
        answer = fill(trial["design"])
        if "confidence" in answer:
            answer["confidence"] = 6 if shown[0] == "synthetic" else 1
        assert browser.answer(answer=answer).status_code == 200
    lines = analyse_study(folder, tmp_path / "out")
    found = json.loads((tmp_path / "out/analysis.json").read_text())
    planned = sum(len(own) for own in package.trials.values())
    assert found["interim"] == {"answered": answered, "of": planned}
    assert f"interim: {answered} of {planned} answered" in lines
    page = (tmp_path / "out/report.html").read_text()
    assert f"Interim: {answered} of {planned} answered" in page
    assert "0.001" not in page
    for design in found["designs"].values():
        mean = design.get("mean_auc", design.get("mean_accuracy"))
        if mean is not None and mean["low"] is not None:
            assert 0 <= mean["low"] <= mean["mean"] <= mean["high"] <= 1


def test_a_finished_study_is_not_called_unfinished(found, result):
    assert found["interim"] is None
    assert "Interim" not in (result / "report.html").read_text()


def test_a_study_without_answers_is_refused(folder, store, tmp_path):
    with pytest.raises(NoInput, match="no answers yet"):
        analyse_study(folder, tmp_path / "out")


def test_a_table_without_the_metric_is_refused(tmp_path):
    (tmp_path / "scores.tsv").write_text("case\tmethod\tmetric\tvalue\na\tsynthetic\tssim\t1\n")
    with pytest.raises(InputRefused, match="TABLE"):
        case_scores(tmp_path / "scores.tsv", "mae")


@pytest.mark.parametrize("column", ["system", "network"])
def test_the_table_of_a_comparison_is_refused_because_its_first_rows_are_the_source(tmp_path, column):
    rows = ["a\tsource\tmae\t9", "a\tours\tmae\t1"]
    (tmp_path / "scores.tsv").write_text("\n".join([f"case\t{column}\tmetric\tvalue", *rows]) + "\n")
    with pytest.raises(InputRefused, match=r"TABLE .* no column method; .* systems/NAME/scores.tsv"):
        case_scores(tmp_path / "scores.tsv", "mae")


def test_a_score_that_a_case_does_not_have_is_left_out_and_text_is_refused(tmp_path):
    table = tmp_path / "scores.tsv"
    head = "case\tprotocol\tmethod\tmetric\tvalue\n"
    table.write_text(f"{head}a\tone\tsynthetic\tssim\tn/a\na\ttwo\tsynthetic\tssim\t1\nb\tone\tsynthetic\tssim\t0.5\n")
    assert case_scores(table, "ssim") == {"b": 0.5}
    table.write_text(f"{head}a\tone\tsynthetic\tssim\tgood\n")
    with pytest.raises(InputRefused, match="'good' of a is not a number"):
        case_scores(table, "ssim")


def test_a_metric_of_which_more_is_better_ranks_the_highest_case_first(result, tmp_path):
    lines = [f"case{at}\tsynthetic\tpsnr\t{20 + at}" for at in range(8)]
    (tmp_path / "scores.tsv").write_text("\n".join(["case\tmethod\tmetric\tvalue", *lines]) + "\n")
    analyse_study(result.parent / "study", tmp_path / "out", scores=tmp_path / "scores.tsv", metric="psnr")
    ranks = json.loads((tmp_path / "out" / "analysis.json").read_text())["designs"]["lee"]["discordance"]
    assert {row["case"]: row["metric_rank"] for row in ranks["cases"]} == {f"case{at}": 8 - at for at in range(8)}
    assert {row["metric"] for row in ranks["cases"]} == set(range(20, 28))


def test_a_metric_without_a_better_direction_ranks_no_case(result, tmp_path):
    with pytest.raises(UsageError, match="no value of tenengrad is better"):
        analyse_study(result.parent / "study", tmp_path, scores=result.parent / "scores.tsv", metric="tenengrad")


def test_lesions_are_found_where_the_display_shows_them(package):
    lesion = json.loads((package.folder / "truth.json").read_text())["case0"][0]
    shape = nibabel.load(next((package.folder / "images").iterdir())).shape
    # Stored voxels 3 to 5 along left and posterior axes are counted from the other end in RAS+.
    assert np.min(lesion["voxels"], axis=0).tolist() == [shape[0] - 6, shape[1] - 6, 3]
    assert len(lesion["voxels"]) == 27
