"""The programs in the documents on figures and on downstream checks run as they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from voxlate.evaluation.downstream import Measurement, write_measurements
from voxlate.io.nifti import write_volume
from voxlate.volume import Volume

DOCUMENTS = Path(__file__).resolve().parents[2] / "docs" / "how-to"


def programs(name: str) -> list[str]:
    text = (DOCUMENTS / name).read_text()
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def test_the_programs_of_figures_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).uniform(50, 150, (16, 18, 14)).astype(np.float32)
    values[:3] = values[-3:] = 0
    for name in ("source", "target", "res_unet", "cgan"):
        write_volume(tmp_path / f"{name}.nii.gz", Volume(values, np.eye(4)))
    write_volume(tmp_path / "mask.nii.gz", Volume((values > 0).astype(np.float32), np.eye(4)), dtype="uint8")
    exec("\n".join(programs("figures.md")), {})  # noqa: S102 - our own document
    assert {path.name for path in tmp_path.rglob("*.png")} == {"examples.png", "boxes.png"}


def test_the_programs_of_downstream_checks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    rows, visits, maps = [], [], ["patient\tmethod\tpath"]
    for k in range(12):
        for tissue in ("CSF", "GM", "WM"):
            names = {"case": f"p{k}", "patient": f"p{k}", "segmenter": "mixture", "method": "cGAN", "tissue": tissue}
            made, real = 500 + 30 * random.normal(size=2)
            rows.append(names | {"volume_cm3": made, "target_cm3": real})
        for method in ("target", "cGAN"):
            visits += [Measurement(f"p{k}", method, "GM", 600 + random.normal(), str(visit)) for visit in (1, 2)]
            write_volume(
                tmp_path / f"{method}{k}.nii.gz", Volume(np.full((4, 4, 5 + k % 3), 17, np.float32), np.eye(4))
            )
            maps.append(f"p{k}\t{method}\t{method}{k}.nii.gz")
    (tmp_path / "evaluation.json").write_text(json.dumps({"volumes": rows}))
    classes = [f"p{k}\t{k % 2}" for k in range(12)]
    (tmp_path / "classes.tsv").write_text("\n".join(["patient\tlabel", *classes]) + "\n")
    write_measurements(tmp_path / "visits.tsv", visits)
    (tmp_path / "maps.tsv").write_text("\n".join(maps) + "\n")
    exec("\n".join(programs("downstream.md")), {})  # noqa: S102 - our own document
    written = {path.name for path in (tmp_path / "out").iterdir()}
    names = ("classification", "longitudinal", "structures")
    assert written == {f"{name}.{end}" for name in names for end in ("tsv", "json")}
