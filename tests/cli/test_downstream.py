import numpy as np
import pytest
from click.testing import CliRunner

from voxlate.cli.downstream import downstream
from voxlate.errors import NoInput
from voxlate.evaluation.downstream import Measurement, write_measurements
from voxlate.evaluation.downstream.evaluated import read_volumes


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


def test_change_between_sessions_is_compared(table):
    result = run("change", table / "volumes.tsv", table / "out", "--percent")
    assert "3 comparisons" in result.output  # one for each tissue
    assert (table / "out" / "longitudinal.tsv").is_file()


def test_without_an_evaluation_the_reason_is_told(tmp_path):
    with pytest.raises(NoInput, match="EVALUATION_MISSING"):
        read_volumes(tmp_path)
