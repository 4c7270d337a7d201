"""The frame of Bottani et al., from training to a synthetic scan on the grid of its source."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from voxlate.cases import Case, write_cases
from voxlate.io.nifti import read_volume, write_volume
from voxlate.simulation import Options, simulate_subject
from voxlate.simulation.anatomy.anatomies import FormulaHeads

RECIPE = """
name: published_frame
source: T1ce
target: T1nce
data_kind: simulated
data: {root: ROOT, cases: cases.tsv}
preparation: {frame: t1_linear, reference: min_max, bias: true}
model: {name: translator, arguments: {width: 8}}
training: {steps: 2, batch: 1, window: [32, 32, 32], validate_every: 2, warmup: 1}
"""


@pytest.mark.slow
def test_a_model_of_the_published_frame_takes_its_own_scans_and_gives_their_grid_and_units(tmp_path):
    subject = simulate_subject("t1ce_t1", seed=11, subject=0, size="small", options=Options(anatomies=FormulaHeads()))
    files = {name: tmp_path / f"{name}.nii.gz" for name in ("source", "target", "mask")}
    write_volume(files["source"], subject.images["T1ce"])
    write_volume(files["target"], subject.images["T1w"])
    write_volume(files["mask"], subject.truth.brain_mask, dtype="uint8")
    write_cases(tmp_path / "cases.tsv", [Case("one", "one", "train", **files)])
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("ROOT", str(tmp_path)))
    run_voxlate("train", tmp_path / "recipe.yaml", tmp_path / "run", "--no-progress")
    out = tmp_path / "synthetic.nii.gz"
    run_voxlate("translate", files["source"], out, "-m", tmp_path / "run/bundle", "--mask", files["mask"])
    source, synthetic, target = read_volume(files["source"]), read_volume(out), read_volume(files["target"])
    assert synthetic.grid.matches(source.grid)
    inside = read_volume(files["mask"]).data > 0.5
    assert np.corrcoef(source.data[inside], synthetic.data[inside])[0, 1] > 0.7
    sidecar = json.loads((tmp_path / "synthetic.json").read_text())
    assert sidecar["SkullStripped"] is False
    assert sidecar["Synthetic"]["ReferenceLevel"] == pytest.approx(np.median(target.data[inside]), rel=0.25)


def run_voxlate(*words: object) -> None:
    script = Path(sys.executable).with_name("voxlate")
    done = subprocess.run([script, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
