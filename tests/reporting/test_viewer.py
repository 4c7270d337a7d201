from __future__ import annotations

import base64
import gzip
import json
import re
from importlib import resources
from pathlib import Path

import nibabel
import numpy as np

from voxlate.io.atomic import sha256
from voxlate.reporting.page import write_report
from voxlate.reporting.viewer import STEP, compact_nifti
from voxlate.volume import Volume

ROOT = Path(__file__).resolve().parents[2]


def test_a_compact_copy_holds_the_same_values_at_the_same_places() -> None:
    affine = np.array([[1.0, 0, 0, -5], [0, 2, 0, 3], [0, 0, 3, 7], [0, 0, 0, 1]])
    data = np.random.default_rng(0).normal(1, 1, (6, 7, 8)).astype(np.float32)
    box = (slice(1, 5), slice(0, 7), slice(2, 8))
    copy = nibabel.Nifti1Image.from_bytes(gzip.decompress(compact_nifti(Volume(data, affine), box)))
    np.testing.assert_allclose(copy.get_fdata(), data[box], atol=STEP / 2 + 1e-6)
    np.testing.assert_allclose(copy.affine @ [0, 0, 0, 1], affine @ [1, 0, 2, 1])
    assert copy.get_data_dtype() == np.int16


def test_the_viewer_holds_all_its_files_and_no_path_or_patient(evaluation, tmp_path: Path) -> None:
    folder = evaluation("alpha", "beta", "gamma")
    (folder.path / "images1" / "source.nii.gz").unlink()
    left_out = write_report(folder.write(), tmp_path / "out" / "r.html", viewer=True)
    viewer = tmp_path / "out" / "viewer"
    assert left_out == ["beta: NO_INPUT"]
    html = (viewer / "index.html").read_text()
    for name in re.findall(r'(?:src|href)="([^":]+)"', html):
        assert (viewer / name).is_file(), name
    assert 'type="module"' not in html  # a module does not load from file://
    content = json.loads((viewer / "cases.js").read_text().removeprefix("globalThis.voxlate = ").rstrip(";\n"))
    assert [case["name"] for case in content["cases"]] == ["gamma", "alpha"]  # worst first
    assert str(tmp_path) not in (viewer / "cases.js").read_text()
    assert "P0" not in (viewer / "cases.js").read_text()
    assert 'href="viewer/index.html"' in (tmp_path / "out" / "r.html").read_text()


def read_images(folder: Path) -> dict[str, np.ndarray]:
    text = (folder / "viewer" / "data" / "0001.js").read_text()
    images = json.loads(text.removeprefix("globalThis.voxlate.images = ").rstrip(";\n"))
    files = {role: gzip.decompress(base64.b64decode(content)) for role, content in images.items()}
    return {role: nibabel.Nifti1Image.from_bytes(content).get_fdata() for role, content in files.items()}


def read_content(folder: Path) -> dict:
    text = (folder / "viewer" / "cases.js").read_text()
    return json.loads(text.removeprefix("globalThis.voxlate = ").rstrip(";\n"))


def test_a_case_of_the_viewer_holds_its_images_and_their_difference_in_relative_units(evaluation, tmp_path) -> None:
    folder = evaluation("alpha")
    write_report(folder.write(), tmp_path / "r.html", viewer=True)
    images = read_images(tmp_path)
    assert list(images) == read_content(tmp_path)["roles"] == ["source", "target", "synthetic", "difference"]
    target = images["target"]
    assert 0.79 < target[target > 0].min() < target.max() < 1.21  # 80 to 120 divided by the level of 100
    inside = target > 0
    np.testing.assert_allclose(images["difference"][inside], (images["synthetic"] - target)[inside], atol=2 * STEP)
    assert images["difference"].min() < 0 < images["difference"].max()


def test_the_uncertainty_beside_a_synthetic_image_is_a_further_image(evaluation, tmp_path: Path) -> None:
    folder = evaluation("alpha", "beta")
    synthetic = nibabel.load(folder.path / "images1" / "synthetic.nii.gz")
    spread = np.full(synthetic.shape, 6.9, dtype=np.float32)
    nibabel.save(
        nibabel.Nifti1Image(spread, synthetic.affine), folder.path / "images1" / "synthetic_uncertainty.nii.gz"
    )
    write_report(folder.write(), tmp_path / "r.html", viewer=True)
    content = read_content(tmp_path)
    assert content["roles"][-1] == "uncertainty"
    assert [case.get("largest_uncertainty") for case in content["cases"]] == [0.07, None]  # beta, the worse one, first
    np.testing.assert_allclose(read_images(tmp_path)["uncertainty"], 0.069, atol=STEP)


def test_every_element_that_the_script_of_the_viewer_asks_for_is_on_its_page() -> None:
    page = resources.files("voxlate.reporting") / "viewer_page"
    asked = set(re.findall(r'find\("([\w-]+)"\)', (page / "viewer.js").read_text()))
    given = set(re.findall(r'id="([\w-]+)"', (page / "index.html").read_text()))
    assert asked
    assert asked <= given


def test_the_bundled_viewer_has_the_hash_in_the_documentation() -> None:
    bundled = Path(str(resources.files("voxlate.web") / "niivue" / "niivue.umd.js"))
    assert sha256(bundled) in (ROOT / "docs" / "how-to" / "report.md").read_text()
    assert "BSD 2-Clause" in bundled.with_name("niivue.LICENSES.txt").read_text()
