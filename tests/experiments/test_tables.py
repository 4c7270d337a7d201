import csv

import numpy as np
import pytest
from scipy import stats

from voxlate.evaluation.comparison.schema import ComparedTest, read_scores
from voxlate.experiments.page import cell_text, cell_texts, parts_of, table_html
from voxlate.experiments.publish import as_tsv
from voxlate.experiments.settings import Experiment
from voxlate.experiments.tables import Cell, make_table, table_from_json
from voxlate.web.labels import p_value

COLUMNS = ("case", "patient", "set", "fold", "system", "region", "metric", "value", "unit", "protocol", "intensity")


@pytest.fixture
def scores(tmp_path):
    rng = np.random.default_rng(3)
    base = rng.normal(10, 2, 8)
    values = {"source": base, "a": base - 3 + rng.normal(0, 0.3, 8), "b": base + rng.normal(0, 0.3, 8)}
    folder = tmp_path / "test"
    folder.mkdir()
    with (folder / "scores.tsv").open("w", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        for system, patients in values.items():
            for number, value in enumerate(patients):
                for scan in (-1, 1):  # two scans of a patient, whose mean is the patient's value
                    case = f"p{number}-{scan}"
                    row = (case, f"p{number}", "Test_good", "", system, "mask", "mae", repr(float(value + scan)), "%")
                    writer.writerow((*row, "voxlate", "as_written"))
    return {"test": read_scores(folder)}, values


def experiment(**table):
    return Experiment.model_validate(
        {
            "name": "x", "title": "x", "scales": {"tiny": {"patients": 3}}, "data": {"steps": []},
            "systems": {name: {"recipe": "r", "label": name.upper()} for name in ("a", "b", "c")},
            "evaluations": {"test": {}},
            "tables": {"one": {"title": "One", "columns": [{"metric": "mae", "head": "MAE"}], **table}},
        }
    )  # fmt: skip


def test_a_table_has_the_mean_of_patients_and_bonferroni_stars(scores):
    rows, values = scores
    made = make_table(experiment(against="source"), "one", rows, {"c": "FAILED:DIVERGED the loss"})
    (block,) = made.blocks
    assert [row.label for row in block.rows] == ["Untouched source", "A", "B", "C"]
    cells = {row.method: row.cells[0] for row in block.rows}
    assert cells["a"].mean == pytest.approx(values["a"].mean())
    assert cells["a"].sd == pytest.approx(values["a"].std(ddof=1))
    assert cells["a"].n == 8
    expected = stats.ttest_rel(values["a"], values["source"]).pvalue
    assert made.tests == 2
    assert cells["a"].p == pytest.approx(expected)
    assert cells["a"].p_adjusted == pytest.approx(2 * expected)
    assert cells["source"].p is None
    assert block.rows[3].state == "FAILED:DIVERGED the loss"
    assert block.rows[3].cells[0].mean is None
    assert cell_text(cells["a"], 2, 0.05).endswith("*")
    assert not cell_text(cells["b"], 2, 0.05).endswith("*")
    assert "FAILED:DIVERGED" in as_tsv(made)


def test_what_the_paper_prints_stands_beside_ours(scores):
    rows, _ = scores
    table = experiment(printed={"Test_good": {"a": ["4.14 ± 1.59"]}})
    made = make_table(table, "one", rows, {})
    assert {row.method: row.cells[0].printed for row in made.blocks[0].rows}["a"] == "4.14 ± 1.59"


def test_without_an_evaluation_there_is_no_table(tmp_path):
    assert read_scores(tmp_path) == ()
    assert make_table(experiment(), "one", {}, {}) is None


def test_a_cell_without_a_value_is_a_dash():
    assert cell_text(Cell(None, None, 0), 2, 0.05) == "—"


def test_the_p_over_slices_stands_beside_the_paired_one_and_gives_no_star(scores):
    rows, values = scores
    place = {"set": "Test_good", "protocol": "voxlate", "region": "mask", "metric": "mae", "intensity": "as_written"}
    tests = [
        ComparedTest.model_construct(**place, first="a", second="b", p_independent_slices=0.3),
        ComparedTest.model_construct(**place, first="b", second="source", p_independent_slices=1e-9),
        ComparedTest.model_construct(**place | {"set": "other"}, first="b", second="source", p_independent_slices=0.7),
    ]
    settings = experiment(against="source", correction="none", has_slice_test=True)
    made = make_table(settings, "one", rows, {}, {"test": tests})
    cells = {row.method: row.cells[0] for row in made.blocks[0].rows}
    assert {name: cell.p_slices for name, cell in cells.items()} == {"source": None, "a": None, "b": 1e-9, "c": None}
    expected = stats.ttest_rel(values["b"], values["source"]).pvalue
    assert cell_texts(made, cells["b"], 2, parts_of(made))[1:] == [p_value(expected), p_value(1e-9)]
    assert "*" not in cell_texts(made, cells["b"], 2, parts_of(made))[0]
    assert table_from_json(made.to_json()) == made
    assert parts_of(made) == ["here", "p, patients", "p, slices"]
    assert "p, slices" in str(table_html(made))
    assert "1e-09" in as_tsv(made)


def test_a_test_over_slices_needs_a_method_to_test_against():
    with pytest.raises(ValueError, match=r"has_slice_test.*against"):
        experiment(has_slice_test=True)
