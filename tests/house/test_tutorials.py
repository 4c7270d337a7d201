"""The tutorials run from their first command to their last, as printed, from an empty folder."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from voxlate.cases import read_cases

TUTORIALS = Path(__file__).resolve().parents[2] / "docs" / "tutorials"
NEEDS = {"scan": ("deepbet",), "pairs": ("deepbet", "picsl_greedy"), "archive": ("pyarrow", "picsl_greedy", "deepbet")}
"""Modules of the extras that each tutorial installs in its first step."""


def blocks(name: str, language: str) -> list[str]:
    text = (TUTORIALS / f"{name}.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def run(name: str, folder: Path) -> None:
    """Writes the files that a tutorial shows and runs its commands; `pip` has run before."""
    lacking = [module for module in NEEDS[name] if importlib.util.find_spec(module) is None]
    if lacking:
        pytest.skip(f"{', '.join(lacking)} of an extra is not installed")
    for text in blocks(name, "yaml"):
        (folder / text.splitlines()[0].removeprefix("# ")).write_text(text)
    environment = dict(os.environ)
    for line in "".join(blocks(name, "sh")).splitlines():
        if line.startswith("export "):
            variable, _, value = line.removeprefix("export ").partition("=")
            environment[variable] = value
        elif line.startswith("voxlate "):
            done = subprocess.run(
                [sys.executable, "-m", *shlex.split(line)],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{line}\n{done.stderr}"
        else:
            assert line.startswith("pip install "), line


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_tutorial_of_a_scan_ends_with_a_report_on_its_translation(tmp_path):
    run("scan", tmp_path)
    assert (tmp_path / "synthetic.nii.gz").is_file()
    assert "esidual enhancement" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_tutorial_of_pairs_ends_with_a_report_on_a_network_of_ones_own(tmp_path):
    run("pairs", tmp_path)
    assert (tmp_path / "prepared" / "index.html").is_file()
    assert (tmp_path / "runs" / "mine" / "bundle" / "weights.safetensors").is_file()
    assert (tmp_path / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_tutorial_of_an_archive_ends_with_prepared_pairs(tmp_path):
    run("archive", tmp_path)
    assert read_cases(tmp_path / "prepared" / "cases.tsv")
    assert (tmp_path / "cohort" / "cohort.html").is_file()


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_a_tutorial_shows_nothing_that_its_test_does_not_run(name):
    assert blocks(name, "sh")
    for text in blocks(name, "yaml"):
        assert text.startswith("# ")
    assert not blocks(name, "bash")
    assert not blocks(name, "shell")
    assert not blocks(name, "python")
