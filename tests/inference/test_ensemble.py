from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import write_cohort

from voxlate.bundle.bundle import read_bundle
from voxlate.bundle.ensemble import join_bundles
from voxlate.errors import UsageError
from voxlate.inference.files import translate_file
from voxlate.inference.translate import Options, translate_volume
from voxlate.io.nifti import read_volume, write_volume
from voxlate.training.loop import train


@pytest.fixture
def cohort(tmp_path):
    write_cohort(tmp_path / "data", ["train", "train", "validation", "test"])
    return tmp_path / "data"


@pytest.fixture
def three(recipe, cohort, tmp_path):
    found = []
    for seed in range(3):
        settings = recipe.training.model_copy(update={"steps": 3, "seed": seed})
        varied = recipe.model_copy(update={"training": settings})
        found.append(read_bundle(train(varied, tmp_path / f"run{seed}", root=cohort)))
    return found


def test_a_joined_bundle_answers_with_the_mean_of_its_members(three, scan):
    joined = join_bundles(three)
    apart = [translate_volume(bundle, scan).volume.data for bundle in three]
    assert not np.array_equal(apart[0], apart[1])
    together = translate_volume(joined, scan)
    x = torch.rand(1, 1, 16, 16, 16)
    mean = torch.stack([bundle.network(x) for bundle in three]).mean(dim=0)
    assert torch.allclose(joined.network(x), mean)
    assert np.abs(together.volume.data - np.mean(apart, axis=0)).max() < 0.02 * np.max(apart)


def test_gains_are_averaged_by_their_logarithms_and_the_members_are_named(three):
    gains = [three[0].mapping.gain * factor for factor in (1, 3, 9)]  # far apart: their mean is 4.3 times the first
    three = [
        replace(bundle, mapping=replace(bundle.mapping, gain=gain)) for bundle, gain in zip(three, gains, strict=True)
    ]
    joined = join_bundles(three)
    assert joined.mapping.gain == pytest.approx(3 * three[0].mapping.gain)
    assert joined.members == tuple(bundle.weights_sha256 for bundle in three)
    assert joined.weights_sha256 not in joined.members


def test_a_joined_bundle_knows_the_voxel_sizes_of_all_its_members(three):
    ranges = [(1.0, 1.2), (0.8, 1.0), (0.9, 2.5)]
    varied = [replace(bundle, spacing_mm=spacing) for bundle, spacing in zip(three, ranges, strict=True)]
    assert join_bundles(varied).spacing_mm == (0.8, 2.5)


def test_one_bundle_is_left_as_it_is_and_others_tasks_are_refused(three):
    assert join_bundles(three[:1]) is three[0]
    other = three[1].recipe.model_copy(update={"target": "FLAIR"})
    object.__setattr__(three[1], "recipe", other)
    with pytest.raises(UsageError, match=r"ENSEMBLE .*target"):
        join_bundles(three[:2])


def test_the_spread_is_the_standard_deviation_of_the_members_answers_in_the_units_of_the_result(three, scan):
    together = translate_volume(join_bundles(three), scan)
    level = together.source_level * join_bundles(three).mapping.gain
    apart = [translate_volume(bundle, scan) for bundle in three]
    relative = [
        one.volume.data / (one.source_level * bundle.mapping.gain) for one, bundle in zip(apart, three, strict=True)
    ]
    assert together.predictions == 3
    assert np.allclose(together.spread.data, level * np.std(relative, axis=0, ddof=1), atol=1e-3 * level)


def test_a_mirrored_answer_is_turned_back_before_it_counts(three, scan):
    one = three[0]
    both = translate_volume(one, scan, options=Options(mirror=True))
    assert both.predictions == 2
    turned = scan.with_data(scan.data[::-1].copy())
    plain = translate_volume(one, scan).volume.data
    mirrored = translate_volume(one, turned).volume.data[::-1]
    assert not np.allclose(plain, mirrored)
    assert np.allclose(both.volume.data, (plain + mirrored) / 2, atol=1e-3 * plain.max())


def test_a_spread_that_cannot_be_made_is_refused_before_the_translation(three, scan, tmp_path, monkeypatch):
    write_volume(tmp_path / "s.nii.gz", scan)
    with monkeypatch.context() as patched:
        patched.delattr("voxlate.inference.files.translate_volume")
        with pytest.raises(UsageError, match="ONE_ANSWER"):
            translate_file(three[0], tmp_path / "s.nii.gz", tmp_path / "o.nii.gz", spread=tmp_path / "sd.nii.gz")
        with pytest.raises(UsageError, match="OUTPUT_NAME"):
            translate_file(three[0], tmp_path / "s.nii.gz", tmp_path / "o.nii.gz", spread=tmp_path / "sd.mha")
    assert not (tmp_path / "o.nii.gz").exists()
    options = Options(mirror=True)
    translate_file(
        three[0], tmp_path / "s.nii.gz", tmp_path / "o.nii.gz", spread=tmp_path / "sd.nii.gz", options=options
    )
    assert "Standard deviation of 2 predictions" in (tmp_path / "sd.json").read_text()
    assert read_volume(tmp_path / "sd.nii.gz").data.max() > 0
