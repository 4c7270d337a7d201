"""All stages, one after the other, on a few simulated patients."""

import json

from voxlate.demo.__main__ import embedded_recipe, run_stages
from voxlate.io.nifti import read_volume

SPLITS = ("train", "test", "test")


def test_simulated_patients_go_all_the_way_to_a_report(tmp_path):
    recipe = embedded_recipe()
    short = recipe.training.model_copy(update={"steps": 3, "window": (32, 32, 32), "validate_every": 3})
    run_stages(tmp_path, recipe.model_copy(update={"training": short}), SPLITS)
    content = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    assert content["methods"] == ["source", "histogram_match", "constant", "blurred_target", "synthetic"]
    assert len(content["cases"]) == SPLITS.count("test")
    assert content["data_kind"] == "simulated"
    assert not content["missing"]
    assert not content["refused"]
    name = content["cases"][0]["case"]
    source = read_volume(tmp_path / "data" / name / "t1ce.nii.gz")
    synthetic = read_volume(tmp_path / "synthetic" / f"{name}.nii.gz")
    assert synthetic.grid.matches(source.grid, tolerance_mm=1e-4)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "not for diagnosis" in page.lower()
    assert name in page
    assert str(tmp_path) not in page
