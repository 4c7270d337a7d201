"""An earlier evaluation is continued, and never replaced by one of other images or of none."""

import json
import shutil

import pytest
from click.testing import CliRunner
from small_study import write_bundle, write_case

from voxlate.cases import write_cases
from voxlate.cli import voxlate
from voxlate.errors import InputRefused, NoInput
from voxlate.evaluation.run import evaluate_cases
from voxlate.evaluation.settings import Settings

QUICK = Settings(protocols=("lee2020",))


@pytest.fixture
def table(tmp_path):
    cases = [write_case(tmp_path, f"case_{seed}", seed=seed) for seed in range(2)]
    write_cases(tmp_path / "cases.tsv", cases)
    return cases


def evaluate(folder, synthetic, *options):
    command = ["evaluate", str(folder / "cases.tsv"), str(folder / "out"), "--protocol", "lee2020", "--no-progress"]
    return CliRunner().invoke(
        voxlate, [*command, "--synthetic", str(folder / synthetic), *options], standalone_mode=False
    )


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_folder_of_images_that_does_not_exist_is_refused_and_an_evaluation_is_kept(tmp_path, table):
    assert evaluate(tmp_path, "synthetic").return_value == 0
    before = contents(tmp_path / "out")
    for options in ((), ("--overwrite",)):
        done = evaluate(tmp_path, "synthetik", *options)
        assert done.exception is not None
        assert contents(tmp_path / "out") == before
    assert "NO_INPUT synthetik: no such folder" in str(done.exception)
    with pytest.raises(NoInput, match="no such folder of synthetic images; correct --synthetic"):
        evaluate_cases(table, tmp_path / "synthetik", tmp_path / "new", settings=QUICK)
    assert not (tmp_path / "new").exists()


def test_an_evaluation_without_an_evaluated_case_is_not_written_and_tells_no_finding(tmp_path, table):
    assert evaluate(tmp_path, "synthetic").return_value == 0
    before = (tmp_path / "out" / "evaluation.json").read_bytes()
    (tmp_path / "empty").mkdir()
    done = evaluate(tmp_path, "empty", "--overwrite")
    assert done.return_value == 66
    assert "missing case_0: no synthetic, no sidecar file" in done.output
    assert "0 evaluated, 2 missing, 0 refused of 2; no evaluation was written" in done.output
    assert "lesion" not in done.output
    assert (tmp_path / "out" / "evaluation.json").read_bytes() == before


def test_images_of_another_folder_and_other_cases_replace_an_evaluation_only_when_asked(tmp_path, table):
    shutil.copytree(tmp_path / "synthetic", tmp_path / "other")
    assert evaluate(tmp_path, "synthetic").return_value == 0
    refused = evaluate(tmp_path, "other")
    assert "OUTPUT_EXISTS out holds an evaluation of images of another folder than other;" in str(refused.exception)
    assert evaluate(tmp_path, "other", "--overwrite").return_value == 0
    write_cases(tmp_path / "cases.tsv", [write_case(tmp_path, "case_9", seed=9)])
    shutil.copytree(tmp_path / "synthetic", tmp_path / "other", dirs_exist_ok=True)
    assert "OUTPUT_EXISTS out holds an evaluation of 2 other cases" in str(evaluate(tmp_path, "other").exception)


def test_the_same_images_and_more_of_them_are_evaluated_again_but_images_that_changed_only_when_asked(tmp_path, table):
    write_cases(tmp_path / "cases.tsv", table[:1])
    assert evaluate(tmp_path, "synthetic").return_value == 0
    assert evaluate(tmp_path, "synthetic").return_value == 0
    write_cases(tmp_path / "cases.tsv", table)
    assert evaluate(tmp_path, "synthetic").return_value == 0
    write_case(tmp_path, "case_1", seed=1, error=0.3)
    refused = evaluate(tmp_path, "synthetic")
    assert "OUTPUT_EXISTS out holds an evaluation of other images of 1 cases, such as case_1" in str(refused.exception)
    assert evaluate(tmp_path, "synthetic", "--overwrite").return_value == 0
    assert evaluate(tmp_path, "synthetic").return_value == 0


def test_overwrite_is_not_an_option_of_several_systems(tmp_path, table):
    done = evaluate(tmp_path, "x", "--synthetic", f"a={tmp_path / 'synthetic'}", "--overwrite")
    assert "--overwrite is for one system" in str(done.exception)


def state_model(folder, case, **facts):
    path = folder / "synthetic" / f"{case}.json"
    content = json.loads(path.read_text())
    content["Synthetic"] |= facts
    path.write_text(json.dumps(content))


def test_images_of_another_model_are_refused_and_those_of_an_ensemble_are_of_each_member(tmp_path, table):
    bundle = write_bundle(tmp_path)
    (bundle / "manifest.json").write_text(json.dumps({"files": {"weights.safetensors": "a" * 64}}))
    options = ("-m", str(bundle))
    assert evaluate(tmp_path, "synthetic", *options).exception is None  # the sidecars state no model
    state_model(tmp_path, "case_0", ModelSHA256="a" * 64)
    state_model(tmp_path, "case_1", ModelSHA256="b" * 64)
    refused = evaluate(tmp_path, "synthetic", *options)
    assert isinstance(refused.exception, InputRefused)
    assert "OTHER_MODEL 1 of 2 images were not made by the model (case_1): a sidecar" in str(refused.exception)
    assert "states the weights bbbbbbbbbbbb, the model has aaaaaaaaaaaa; pass with -m" in str(refused.exception)
    state_model(tmp_path, "case_1", Members=["c" * 64, "a" * 64])
    assert evaluate(tmp_path, "synthetic", *options).exception is None
    state_model(tmp_path, "case_1", Members=[])
    systems = ("--synthetic", f"ours={tmp_path / 'synthetic'}", "-m", f"ours={bundle}")
    command = ["evaluate", str(tmp_path / "cases.tsv"), str(tmp_path / "compared"), "--no-progress", *systems]
    compared = CliRunner().invoke(voxlate, command, standalone_mode=False)
    assert "OTHER_MODEL 1 of 2 images were not made by ours (case_1)" in str(compared.exception)


def test_an_enhancing_label_that_no_label_file_holds_is_named_with_those_that_they_hold(tmp_path, table, caplog):
    def told():
        return [each.getMessage() for each in caplog.records if getattr(each, "code", "") == "ENHANCING_LABEL"]

    for labels in ((), (4,), (3, 4)):
        settings = Settings(protocols=("lee2020",), enhancing_labels=labels)
        evaluate_cases(table, tmp_path / "synthetic", tmp_path / "out", settings=settings)
        assert told() == []
    settings = Settings(protocols=("lee2020",), enhancing_labels=(3,))
    evaluate_cases(table, tmp_path / "synthetic", tmp_path / "out", settings=settings)
    (line,) = told()
    assert "label 3 occurs in none of 2 label files; they hold 4; pass the one of enhancing tumour" in line
