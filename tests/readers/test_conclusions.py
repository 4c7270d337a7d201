"""Sentences of a reader study agree with the intervals beside them, and several tests are adjusted."""

import re

import numpy as np
import pytest
from scipy import stats

from voxlate.readers.analysis.conclusions import indistinguishable, not_inferior, similar_enough
from voxlate.readers.analysis.grading import quality, similarity
from voxlate.readers.analysis.margin_tests import adjusted, compared
from voxlate.readers.analysis.output.page import _marks, _similarity
from voxlate.readers.analysis.records import Record
from voxlate.readers.analysis.results import ChanceComparison, MarksResult
from voxlate.readers.analysis.statistics.mrmc import ReaderMean, differs, within_margin
from voxlate.readers.study import Quality, Similarity


def mean_over_readers(mean, error, freedom=30.0):
    half = stats.t.ppf(0.975, freedom) * error
    return ReaderMean("form", mean, error, freedom, mean - half, mean + half, (mean,))


def against_chance(mean, error):
    found = mean_over_readers(mean, error)
    test = within_margin(found, reference=0.5, margin=0.1, alpha=0.05)
    different = differs(found, reference=0.5)
    return ChanceComparison(mean=found, undefined=(), p_different=different, margin=0.1, alpha=0.05, test=test)


def test_the_interval_of_equivalence_is_the_one_whose_ends_decide():
    # The 95 % interval (0.48 to 0.602) leaves the margin, that of the test (0.49 to 0.592) does not.
    text = indistinguishable(against_chance(0.541, 0.030), "Mean AUC")
    assert "95 % interval 0.48 to 0.60; of equivalence, 90 % interval 0.49 to 0.59, margin 0.4 to 0.6" in text
    assert "shown to be within ± 0.1 of guessing" in text


def test_a_difference_from_guessing_within_the_margin_is_told_as_both():
    text = indistinguishable(against_chance(0.54, 0.015), "Mean AUC")
    assert "Readers could tell synthetic from real (p 0.012)" in text
    assert "Yet they were shown to be within ± 0.1 of guessing" in text
    below = indistinguishable(against_chance(0.46, 0.015), "Mean AUC")
    assert "took synthetic for real" in below
    assert "Yet they" in below


def test_a_one_sided_test_prints_its_one_sided_interval():
    found = compared(mean_over_readers(-0.02, 0.016), reference=-0.05, margin=0.05, alpha=0.05)
    text = not_inferior(found, "Lesion sensitivity")
    assert found.one_sided_low == pytest.approx(-0.02 - stats.t.ppf(0.95, 30) * 0.016)
    assert "one-sided 95 % interval: above −0.05" in text
    assert "95 % interval −" not in text
    assert "shown to lose less than the margin of 0.05 (p 0.035)" in text


def test_the_tests_of_a_design_are_adjusted_by_holm_and_the_sentence_follows():
    errors = (0.9, 1.0, 1.2, 1.6)
    alone = [compared(mean_over_readers(82, error), reference=80, margin=20, alpha=0.05) for error in errors]
    nothing = ReaderMean("form", np.nan, np.nan, np.nan, np.nan, np.nan, (), note="no")
    undefined = compared(nothing, reference=80, margin=20, alpha=0.05)
    found = adjusted([*alone, undefined])
    raw = [one.test.p for one in alone]
    steps = np.minimum(np.maximum.accumulate([(4 - rank) * p for rank, p in enumerate(sorted(raw))]), 1)
    assert [one.p_adjusted for one in found[:4]] == pytest.approx(steps.tolist())
    assert [one.m for one in found] == [4, 4, 4, 4, 1]
    assert [one.test.is_shown for one in found] == [True, True, False, False, False]
    assert not found[0].is_shown  # 4 × 0.017
    text = similar_enough(found[0], "disc")
    assert "Not shown above 80 %" in text
    assert re.search(r"\(p 0\.06\d after Holm's adjustment for 4 tests\)", text)


def record(reader, case, answer, shown=("real", "synthetic")):
    return Record(reader, case, "d", shown, 0, 0, False, False, answer, "", 1.0, 0, "")


def similarities(structures, readers=("anna", "ben"), cases=6):
    generator = np.random.default_rng(2)
    return [
        record(
            reader,
            f"c{case}",
            {"kind": "similarity", "scores": {s: int(generator.integers(78, 92)) for s in structures}},
        )
        for reader in readers
        for case in range(cases)
    ]


def test_the_structures_of_a_design_are_one_family():
    structures = ("disc", "fat", "bone")
    found = similarity(similarities(structures), Similarity(name="d", structures=structures), 0.05).structures
    assert [one.pooled.m for one in found] == [3, 3, 3]
    assert all(one.pooled.p_adjusted >= one.pooled.test.p for one in found)
    (alone,) = similarity(similarities(("disc",)), Similarity(name="d", structures=("disc",)), 0.05).structures
    assert (alone.pooled.m, alone.pooled.p_adjusted) == (1, alone.pooled.test.p)


def test_the_items_of_a_design_are_one_family():
    generator = np.random.default_rng(2)
    high = {"real": 5, "synthetic": 6}
    records = [
        record(
            "anna",
            f"c{case}",
            {"kind": "quality", "grades": {i: int(generator.integers(3, high[version])) for i in "ab"}},
            (version,),
        )
        for case in range(6)
        for version in ("real", "synthetic")
    ]
    found = quality(records, Quality(name="d", items=("a", "b")), 0.05).items
    raw = sorted(item.difference.test.p for item in found)
    assert sorted(item.difference.p_adjusted for item in found) == pytest.approx(
        [min(2 * raw[0], 1), max(2 * raw[0], raw[1])]
    )


def test_the_two_means_of_a_similarity_and_the_cases_of_its_icc_are_named():
    structures = ("disc",)
    text = "".join(
        map(str, _similarity(similarity(similarities(structures), Similarity(name="d", structures=structures), 0.05)))
    )
    assert "Mean ± SD of all answers" in text
    assert "mean of readers&#x27; means" in text or "mean of readers' means" in text
    assert re.search(r"\d \(.* to .*\), 6<", text)


def test_lesions_of_one_case_are_said_not_to_be_independent():
    text = "".join(map(str, _marks(MarksResult(readers=[], lesions=0, difference=None))))
    assert "Lesions of one case are not independent; use the difference over cases." in text
