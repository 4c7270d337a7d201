"""The blocks of the document on several systems run as they stand, on a small study."""

import re
import runpy
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_study import write_case

from voxlate.cases import write_cases
from voxlate.cli import voxlate

DOCUMENT = Path(__file__).parents[3] / "docs" / "how-to" / "evaluation.md"


def block(language):
    section = DOCUMENT.read_text().split("## Several systems", 1)[1].split("\n## ", 1)[0]
    return re.search(f"^```{language}\\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Goes to a folder with the files that the document names."""
    monkeypatch.chdir(tmp_path)
    cases = [write_case(Path(), f"case_{seed}", seed=seed) for seed in range(2)]
    write_cases(Path("cases.tsv"), cases)
    write_cases(Path("table.tsv"), [replace(case, split="train") for case in cases])
    for name in ("res_unet", "att_unet"):
        shutil.copytree("synthetic", name)
        for fold in range(2):
            folder = Path("runs", name, f"fold-{fold}", "synthetic")
            folder.mkdir(parents=True)
            for case in cases[fold::2]:
                for suffix in (".nii.gz", ".json"):
                    shutil.copy(Path("synthetic", case.case + suffix), folder)
    return tmp_path


@pytest.mark.slow
def test_the_commands_of_the_document_run(study):
    for line in block("sh").splitlines():
        done = CliRunner().invoke(voxlate, line.split()[1:], standalone_mode=False)
        assert done.exception is None, line
    assert (study / "compared.html").is_file()
    assert "Cross-validation" in (study / "folds.html").read_text()


def test_the_program_of_the_document_runs(study, capsys):
    (study / "program.py").write_text(block("python"))
    runpy.run_path(str(study / "program.py"))
    assert "res_unet att_unet mae 0.0" in capsys.readouterr().out
