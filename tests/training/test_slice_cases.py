"""Cases that are single slices without a mask, as those of lumbar discs, with and without partners."""

from pathlib import Path

import numpy as np
import pytest

from voxlate.bundle.bundle import read_bundle
from voxlate.bundle.recipe import read_recipe
from voxlate.cases import Case, write_cases
from voxlate.inference.translate import Options, translate_volume
from voxlate.io.nifti import read_volume, write_volume
from voxlate.training.loop import train
from voxlate.volume import Volume

RECIPES = Path(__file__).resolve().parents[2] / "recipes" / "lee2020"
SMALL = {
    "model.arguments.width": 4,
    "model.arguments.blocks": 1,
    "adversarial.discriminator.arguments.width": 2,
    "training.steps": 2,
    "training.batch": 1,
    "training.window": [64, 64, 1],
    "training.warmup": 0,
    "inference.window": [64, 64, 1],
}


@pytest.fixture
def discs(tmp_path):
    """Returns a folder with five discs of three patients: slices of 60 x 56 voxels, none of which is zero."""
    random, cases = np.random.default_rng(0), []
    tilt = np.radians(10)  # of the slice against the axial plane
    rotation = np.array([[-1, 0, 0], [0, -np.cos(tilt), np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    oblique = np.eye(4)
    oblique[:3, :3] = rotation * [0.6, 0.6, 4.0]
    for index, patient in enumerate("aabbc"):
        shape = random.random((60, 56, 1), dtype=np.float32)
        for role, data in {"ct": 400 * shape - 100, "T2w": 300 - 200 * shape}.items():
            write_volume(tmp_path / f"{index}_{role}.nii.gz", Volume(data, oblique), dtype="float32")
        split = {"a": "train", "b": "validation", "c": "test"}[patient]
        paths = (tmp_path / f"{index}_{role}.nii.gz" for role in ("ct", "T2w"))
        cases.append(Case(f"{patient}_disc{index}", patient, split, *paths))
    write_cases(tmp_path / "cases.tsv", cases)
    return tmp_path


def small(name, *variants):
    form = {"adversarial.discriminator.arguments.form": "patchgan_70"}
    return read_recipe(RECIPES / f"{name}.yaml", variants=variants, overrides=SMALL | form)


@pytest.mark.parametrize("name", ["faithful", "default"])
def test_slices_are_cases_of_their_own(discs, tmp_path, name):
    bundle = read_bundle(train(small(name), tmp_path / "run", root=discs))
    scan = read_volume(discs / "4_ct.nii.gz")
    made = translate_volume(bundle, scan, options=Options(keep_spacing=True, gate="off")).volume
    assert made.data.shape == (60, 56, 1)
    assert np.isfinite(made.data).all()
    assert made.data.std() > 0


def test_the_published_networks_see_256_grey_levels(discs, tmp_path):
    train(small("faithful"), tmp_path / "run", root=discs)
    for path in (tmp_path / "run" / "prepared").rglob("*.npy"):
        if path.stem in ("source", "target"):
            levels = np.load(path) * np.float32(255)
            assert np.abs(levels - np.rint(levels)).max() < 1e-3
            assert len(np.unique(levels)) > 100
    without = read_recipe(RECIPES / "faithful.yaml", overrides={"preparation.grey_levels": None})
    assert without.preparation.grey_levels is None
    scaled = {"preparation.reference": "min_max", "preparation.target_reference": "min_max"}
    some = read_recipe(RECIPES / "default.yaml", overrides=scaled | {"preparation.grey_levels": 9})
    assert some.preparation.grey_levels == 9


def test_slices_without_partners_are_trained(discs, tmp_path):
    table = discs / "cases.tsv"
    rows = [line.split("\t") for line in table.read_text().splitlines()]
    (discs / "9_T2w.nii.gz").write_bytes((discs / "1_T2w.nii.gz").read_bytes())
    rows[1][4], rows[2][3] = "", ""
    rows.insert(3, ["a_disc9", "a", "train", "", "9_T2w.nii.gz", "", ""])
    table.write_text("\n".join("\t".join(row) for row in rows) + "\n")
    read_bundle(train(small("default", "unpaired"), tmp_path / "run", root=discs))
    prepared = tmp_path / "run" / "prepared"
    assert [path.name for path in (prepared / "sources").iterdir()] == ["a_disc0"]
    assert sorted(path.name for path in (prepared / "targets").iterdir()) == ["a_disc1", "a_disc9"]
