"""The programs of the Python guide and the cells of the notebook run, from the first to the last."""

import json
import re
import runpy
from pathlib import Path

import pytest
import yaml
from tiny import RECIPE, write_cohort

from voxlate.io.nifti import read_volume, write_volume

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOTEBOOK = DOCS / "tutorials" / "tutorial.ipynb"


def run(program, folder):
    """Runs a program as a script and returns its names."""
    path = folder / "program.py"
    path.write_text(program)
    return runpy.run_path(str(path), run_name="__main__")


def test_the_programs_of_the_python_guide_run(tmp_path, monkeypatch):
    write_cohort(tmp_path, ["train", "train", "validation", "test"])
    write_volume(tmp_path / "T1ce.nii.gz", read_volume(tmp_path / "source_3.nii.gz"))
    recipe = yaml.safe_load(RECIPE)
    recipe["training"] |= {"steps": 2, "validate_every": 2}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.chdir(tmp_path)
    guide = (DOCS / "how-to" / "python.md").read_text()
    programs = re.findall(r"^```python\n(.*?)^```", guide, flags=re.MULTILINE | re.DOTALL)
    assert len(programs) >= 6
    for program in programs:
        run(program, tmp_path)
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "synthetic_arrays" / "case2.nii.gz").is_file()


def test_the_notebook_is_stored_without_outputs():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert [cell for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    assert NOTEBOOK.stat().st_size < 50_000


@pytest.mark.slow
def test_the_cells_of_the_notebook_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    names = run("\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"), tmp_path)
    assert names["outcome"].n_evaluated == 1
    assert (tmp_path / "tutorial" / "report.html").is_file()
