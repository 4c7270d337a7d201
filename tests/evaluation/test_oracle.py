"""A score below the least error there is raises a flag."""

import json

import pytest
from small_study import write_bundle, write_case

from voxlate.evaluation.oracle import compare_with_oracle
from voxlate.evaluation.run import evaluate_cases
from voxlate.evaluation.settings import Settings
from voxlate.reporting.page import write_report


def test_over_cases_mean_squares_are_compared():
    record = compare_with_oracle({"a": 3.0, "b": 4.0, "c": 9.0}, {"a": 6.0, "b": 8.0})
    assert record.model_dump() == {
        "cases": 2,
        "oracle_rmse_percent": pytest.approx(12.5**0.5),
        "synthetic_rmse_percent": pytest.approx(50**0.5),
        "is_below": False,
    }
    assert compare_with_oracle({"a": 3.0}, {"a": 2.9}).is_below
    assert compare_with_oracle({}, {"a": 1.0}) is None


@pytest.mark.parametrize(("least", "said"), [(0.5, "Against the oracle"), (50.0, "the model has seen these targets")])
def test_the_report_says_how_the_model_stands_to_the_least_error(tmp_path, least, said):
    case = write_case(tmp_path, "sub-0001_ses-01", seed=0)
    truth = tmp_path / "truth" / "sub-0001"
    truth.mkdir(parents=True)
    factors = {"scanner": "A", "oracle": {"T1w": {"all": {"rmse_percent": least}}}}
    (truth / "sub-0001_ses-01_factors.json").write_text(json.dumps(factors))
    settings = Settings(data_kind="simulated", factors=tmp_path / "truth")
    evaluate_cases([case], tmp_path / "synthetic", tmp_path / "out", settings=settings, bundle=write_bundle(tmp_path))
    write_report(tmp_path / "out", tmp_path / "report.html")
    assert said in (tmp_path / "report.html").read_text()
