"""The commands of `voxlate downstream`, from the folders and tables that other commands write."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from small_study import write_case

from voxlate.cli.downstream import downstream
from voxlate.errors import NoInput
from voxlate.evaluation.comparison import compare_systems
from voxlate.evaluation.downstream import Measurement, read_measurements, write_measurements
from voxlate.evaluation.downstream.evaluated import read_volumes
from voxlate.evaluation.run import evaluate_cases
from voxlate.evaluation.settings import Settings
from voxlate.io.nifti import write_volume
from voxlate.volume import Volume


def run(*arguments):
    return CliRunner().invoke(downstream, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def table(tmp_path):
    """Twelve patients, two sessions; half of them lose grey matter, and the system sees it with noise."""
    rng = np.random.default_rng(5)
    rows = []
    for number in range(12):
        for session in ("01", "02"):
            lost = 60.0 * (number % 2) * (1 + (session == "02"))
            for method, noise in (("target", 3.0), ("cGAN", 9.0)):
                for tissue, size in (("GM", 650.0 - lost), ("WM", 450.0), ("CSF", 300.0 + lost)):
                    value = size + float(rng.normal(0, noise))
                    rows.append(Measurement(f"p{number:02}", method, tissue, value, session))
    write_measurements(tmp_path / "volumes.tsv", rows)
    labels = "".join(f"p{number:02}\t{number % 2}\n" for number in range(12))
    (tmp_path / "classes.tsv").write_text("patient\tlabel\n" + labels)
    return tmp_path


def test_atrophy_is_classified_from_real_and_from_synthetic_volumes(table):
    result = run("classify", table / "volumes.tsv", table / "classes.tsv", table / "out")
    assert "AUC 1.00" in result.output
    assert (table / "out" / "classification.tsv").is_file()


def test_the_sulci_of_simulated_heads_are_the_classes(table):
    for number in range(12):
        truth = {"head": {"brain": {"sulcus_mm": 1.0 + number % 2}}}
        (table / f"p{number:02}_ses-01_factors.json").write_text(json.dumps(truth))
    result = run("classify", table / "volumes.tsv", table, table / "out", "--simulated")
    assert "AUC 1.00" in result.output
    written = (table / "out" / "classes.tsv").read_text()
    assert sorted(written.splitlines()) == sorted((table / "classes.tsv").read_text().splitlines())


def test_change_between_sessions_is_compared(table):
    result = run("change", table / "volumes.tsv", table / "out", "--percent")
    assert "3 comparisons" in result.output  # one for each tissue
    assert (table / "out" / "longitudinal.tsv").is_file()


def test_without_an_evaluation_the_reason_is_told(tmp_path):
    with pytest.raises(NoInput, match="EVALUATION_MISSING"):
        read_volumes(tmp_path)


def test_structures_of_label_maps_are_measured_and_compared(tmp_path):
    lines = ["patient\tmethod\tpath"]
    for patient in range(3):
        for method, size in (("target", 4 + patient), ("cGAN", 3 + patient)):
            data = np.zeros((9, 8, 7), dtype=np.float32)
            data[:size, :5, :5] = 17
            write_volume(tmp_path / f"{method}{patient}.nii.gz", Volume(data, np.eye(4)))
            lines.append(f"p{patient}\t{method}\t{method}{patient}.nii.gz")
    (tmp_path / "maps.tsv").write_text("\n".join(lines) + "\n")
    result = run("structures", tmp_path / "maps.tsv", tmp_path / "out", "--by-side")
    assert "1 comparison;" in result.output
    (row,) = json.loads((tmp_path / "out" / "structures.json").read_text())["rows"]
    assert (row["structure"], row["n"], row["difference"]) == ("Left-Hippocampus", 3, pytest.approx(-0.025))
    (tmp_path / "maps.tsv").write_text(lines[0] + "\n")
    with pytest.raises(NoInput, match=r"NO_INPUT maps.tsv lists no file"):
        run("structures", tmp_path / "maps.tsv", tmp_path / "out")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Returns the folders of an evaluation of one system, and of a comparison of it with one that has no image."""
    folder = tmp_path_factory.mktemp("evaluated")
    cases = [write_case(folder, f"case_{seed}", seed=seed) for seed in range(2)]
    settings = Settings(protocols=("lee2020",), is_segmented=True)
    evaluate_cases(cases, folder / "synthetic", folder / "one", settings=settings)
    (folder / "empty").mkdir()
    systems = {"ours": folder / "synthetic", "none": folder / "empty"}
    compare_systems(cases, systems, folder / "several", settings=settings)
    return folder


def test_volumes_of_an_evaluation_are_written_as_measurements(evaluated, tmp_path):
    result = run("volumes", evaluated / "one", tmp_path / "volumes.tsv")
    assert "volumes of 2 patients" in result.output
    rows = read_measurements(tmp_path / "volumes.tsv")
    assert {"target", "source", "synthetic"} <= {row.method for row in rows}
    assert {row.structure for row in rows} == {"GM", "WM", "CSF"}


def test_volumes_of_a_comparison_are_those_of_its_evaluations_by_the_name_of_the_system(evaluated):
    alone = {(row.patient, row.method, row.structure): row.value for row in read_volumes(evaluated / "one")}
    rows = read_volumes(evaluated / "several")
    names = {"ours": "synthetic"}
    found = {(row.patient, names.get(row.method, row.method), row.structure): row.value for row in rows}
    assert len(rows) == len(found)
    assert found == pytest.approx(alone)


def test_volumes_need_no_table_of_scores(evaluated, tmp_path):
    (tmp_path / "evaluation.json").write_text((evaluated / "one" / "evaluation.json").read_text())
    assert read_volumes(tmp_path) == read_volumes(evaluated / "one")
