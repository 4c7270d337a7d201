"""Tables, figures and page of an experiment, from evaluations and images that lie in its folder."""

import json
import re
import shutil
from dataclasses import replace
from typing import get_args

import pytest
from tiny import write_cohort

from voxlate.cases import read_cases, write_cases
from voxlate.experiments.figures import KINDS as FUNCTIONS
from voxlate.experiments.plan import Size, build_plan
from voxlate.experiments.publish import publish
from voxlate.experiments.run import StepOutcome
from voxlate.experiments.settings import Experiment, Figure
from voxlate.io.nifti import read_volume, write_volume
from voxlate.jobs.states import DONE, FAILED, PENDING

COLUMN = {"metric": "mae", "head": "MAE"}
KINDS = ("bars", "boxes", "case_bars", "curve", "losses", "masks", "montage", "features")


@pytest.fixture
def experiment():
    figures = {
        kind: {"title": kind, "kind": kind, "column": COLUMN, "values": {"a": 0.1, "b": 0.2}, "axis": "δ"}
        for kind in KINDS
    }
    return Experiment.model_validate(
        {
            "name": "x", "title": "Two systems", "scales": {"tiny": {"patients": 3}}, "data": {"steps": []},
            "systems": {name: {"recipe": "t1ce_to_t1_simulated", "label": f"System {name}"} for name in ("a", "b")},
            "evaluations": {"test": {}}, "figures": figures,
            "tables": {"one": {"title": "Table 1", "columns": [COLUMN], "against": "source",
                               "printed": {"test": {"a": ["4.14 ± 1.59"]}}}},
        }
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    cases = write_cohort(tmp_path / "data", ["test", "test", "test"])
    write_cases(tmp_path / "data" / "cases.tsv", cases)
    lines = ["case\tpatient\tset\tfold\tsystem\tregion\tmetric\tvalue\tunit\tprotocol\tintensity"]
    for number, case in enumerate(cases):
        for system, value in (("source", 9.0), ("a", 4.0), ("b", 5.0)):
            row = (case.case, case.patient, "test", "", system, "mask", "mae", str(value + 0.3 * number**2), "%")
            lines.append("\t".join([*row, "voxlate", "as_written"]))
            if system != "source":
                synthetic = tmp_path / "systems" / system / "synthetic" / f"{case.case}.nii.gz"
                synthetic.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(case.target, synthetic)
    (tmp_path / "evaluation" / "test").mkdir(parents=True)
    (tmp_path / "evaluation" / "test" / "scores.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


def outcomes_of(experiment, folder, **states):
    steps = build_plan(experiment, folder, Size("tiny"))
    return {step.name: StepOutcome(step.name, *states.get(step.name.replace("-", "_"), (DONE,))) for step in steps}


def test_an_experiment_is_published_and_what_cannot_be_drawn_is_told(experiment, folder):
    outcomes = outcomes_of(experiment, folder, train_b=(FAILED, "DIVERGED", "the loss is not finite"))
    page = publish(experiment, folder, Size("tiny"), build_plan(experiment, folder, Size("tiny")), outcomes)
    content = json.loads((folder / "results.json").read_text())
    faults = {figure["key"]: figure["fault"] for figure in content["figures"]}
    drawn = {"bars", "boxes", "case_bars", "curve", "montage"}
    assert {key for key, fault in faults.items() if not fault} == drawn
    assert all((folder / "figures" / f"{key}.png").is_file() for key in drawn)
    assert content["systems"]["b"]["state"] == "FAILED:DIVERGED the loss is not finite"
    text = page.read_text()
    assert "4.14 ± 1.59" in text  # of the paper
    assert "4.50 ± 0.62" in text  # ours: 4.0, 4.3, 5.2
    assert "FAILED:DIVERGED" in text
    assert str(folder) not in text
    assert "Synthetic images. Not for diagnosis." in text


def test_every_kind_of_figure_that_a_file_may_name_is_drawn_by_a_function():
    assert set(get_args(Figure.model_fields["kind"].annotation)) == set(FUNCTIONS)


def test_a_montage_shows_further_sources_between_the_source_and_the_target(experiment, folder):
    cases = [replace(case, more={"T2w": case.target}) for case in read_cases(folder / "data" / "cases.tsv")]
    write_cases(folder / "data" / "cases.tsv", cases)
    figure = experiment.figures["montage"].model_copy(update={"more_sources": ("T2w",)})
    experiment = experiment.model_copy(update={"figures": {"montage": figure}})
    steps = build_plan(experiment, folder, Size("tiny"))
    publish(experiment, folder, Size("tiny"), steps, outcomes_of(experiment, folder))
    titles = re.findall(r"font-weight: 700[^>]*>([^<]+)<", (folder / "figures" / "montage.svg").read_text())
    assert titles == ["Untouched source", "T2w", "target", "System a", "System b"]


def test_a_profile_of_two_systems_with_one_target_draws_both(experiment, folder):
    cases = read_cases(folder / "data" / "cases.tsv")
    source = read_volume(cases[0].source)
    write_volume(folder / "mask.nii.gz", source.with_data(source.data > 0), dtype="uint8")
    write_cases(folder / "data" / "cases.tsv", [replace(case, mask=folder / "mask.nii.gz") for case in cases])
    figure = experiment.figures["montage"].model_copy(update={"kind": "profile"})
    experiment = experiment.model_copy(update={"figures": {"profile": figure}})
    steps = build_plan(experiment, folder, Size("tiny"))
    publish(experiment, folder, Size("tiny"), steps, outcomes_of(experiment, folder))
    drawn = (folder / "figures" / "profile.svg").read_text()
    assert all(f">{name}<" in drawn for name in ("real target", "System a", "System b"))


def test_without_any_evaluation_there_is_no_page(experiment, tmp_path):
    steps = build_plan(experiment, tmp_path, Size("tiny"))
    assert publish(experiment, tmp_path, Size("tiny"), steps, outcomes_of(experiment, tmp_path)) is None


@pytest.mark.parametrize("state", [PENDING, FAILED])
def test_the_scores_of_an_evaluation_that_is_not_done_are_shown_nowhere(experiment, folder, state):
    steps = build_plan(experiment, folder, Size("tiny"))
    assert publish(experiment, folder, Size("tiny"), steps, outcomes_of(experiment, folder)) is not None
    outcomes = outcomes_of(experiment, folder, evaluate_test=(state,))
    assert publish(experiment, folder, Size("tiny"), steps, outcomes) is None
    assert not any(path.is_file() for name in ("tables", "figures") for path in (folder / name).iterdir())
    assert not (folder / "index.html").exists()
    assert not (folder / "results.json").exists()


def test_an_evaluation_that_is_not_done_leaves_the_others_shown(experiment, folder):
    table = experiment.tables["one"]
    tables = {name: table.model_copy(update={"evaluations": (name,)}) for name in ("test", "other")}
    evaluations = dict.fromkeys(("test", "other"), experiment.evaluations["test"])
    experiment = experiment.model_copy(update={"evaluations": evaluations, "tables": tables})
    shutil.copytree(folder / "evaluation" / "test", folder / "evaluation" / "other")
    steps = build_plan(experiment, folder, Size("tiny"))
    publish(experiment, folder, Size("tiny"), steps, outcomes_of(experiment, folder))
    page = publish(experiment, folder, Size("tiny"), steps, outcomes_of(experiment, folder, evaluate_other=(PENDING,)))
    assert "4.50 ± 0.62" in page.read_text()
    assert [path.name for path in (folder / "tables").iterdir()] == ["test.tsv"]
    assert [table["key"] for table in json.loads((folder / "results.json").read_text())["tables"]] == ["test"]
