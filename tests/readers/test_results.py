"""The form of results in `analysis.json`."""

from dataclasses import replace

import numpy as np

from voxlate.evaluation.statistics import MarginResult
from voxlate.readers.analysis.output.json_values import to_json
from voxlate.readers.analysis.output.page import _inference
from voxlate.readers.analysis.results import Accuracy, ChanceComparison, MarksResult, ShareEstimate
from voxlate.readers.analysis.statistics.mrmc import ReaderMean, reader_mean


def test_numbers_that_are_not_finite_become_null_and_numpy_numbers_plain():
    assert to_json({"a": (np.float64(1), float("nan"), np.int64(2)), "b": -np.inf}) == {"a": [1.0, None, 2], "b": None}


def test_a_part_without_values_adds_no_keys():
    share = ShareEstimate(share=0.5, low=0.1, high=0.9, p=1.0)
    row = Accuracy(reader="anna", correct=1, n=2, undecided=0, estimate=share)
    assert list(to_json(row)) == ["reader", "correct", "n", "undecided", "share", "low", "high", "p"]
    nothing_decided = Accuracy(reader="anna", correct=0, n=0, undecided=2, estimate=None)
    assert list(to_json(nothing_decided)) == ["reader", "correct", "n", "undecided"]
    assert to_json(MarksResult(readers=[], lesions=0, difference=None)) == {
        "kind": "marks",
        "readers": [],
        "lesions": 0,
    }


def test_readers_without_a_defined_value_are_named_not_numbered():
    mean = reader_mean([0.5, np.nan], [[0.1, -0.1], [0.0, 0.0]])
    test = MarginResult(0.0, -0.1, 0.1, 0.5, is_shown=False)
    comparison = ChanceComparison(mean=mean, undefined=("ben",), p_different=1.0, margin=0.1, alpha=0.05, test=test)
    assert mean.undefined == (1,)
    assert to_json(comparison)["undefined"] == ["ben"]


def test_the_report_names_infinite_degrees_of_freedom():
    """They are infinite where the readers' figures are equal; a dash would look like a missing number."""
    mean = ReaderMean("method", 0.5, 0.1, np.inf, 0.3, 0.7, (0.5, 0.5))
    assert _inference(mean, []) == "Mean: method, infinite degrees of freedom."
    assert _inference(replace(mean, freedom=2.5), []) == "Mean: method, 2.5 degrees of freedom."
