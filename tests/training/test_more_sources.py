"""Several sources: in the table, in a window, missing, made by a helper."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from voxlate.bundle.bundle import read_bundle
from voxlate.bundle.prepared_case import prepare_case
from voxlate.bundle.settings import AugmentationSettings
from voxlate.cases import read_cases, write_cases
from voxlate.errors import InputRefused, UsageError
from voxlate.inference.files import translate_file
from voxlate.inference.item import Item
from voxlate.inference.translate import Options, translate_volume
from voxlate.io.nifti import read_volume, write_volume
from voxlate.training.data.augment import Pair, augment
from voxlate.training.data.windows import draw_batch
from voxlate.training.loop import train

PLAIN = AugmentationSettings(flip=0, contrast=0, gain=0, bias=0, noise=0)


@pytest.fixture
def rich(cohort):
    """The tiny cohort with a T2w for all cases but the second, and its table."""
    cases = []
    for case in read_cases(cohort / "cases.tsv"):
        scan = read_volume(case.source)
        path = cohort / f"{case.case}_t2.nii.gz"
        write_volume(path, scan.with_data(np.where(scan.data > 0, 2 * scan.data + 7, 0)), dtype="float32")
        more = {} if case.case == "case1" else {"T2w": path}
        cases.append(replace(case, more=more))
    write_cases(cohort / "cases.tsv", cases)
    return cohort


@pytest.fixture
def two(recipe):
    settings = recipe.training.model_copy(update={"steps": 3})
    return recipe.model_copy(update={"more_sources": ("T2w",), "training": settings, "augmentation": PLAIN})


def test_the_table_keeps_additional_sources_and_what_is_missing(rich):
    cases = read_cases(rich / "cases.tsv")
    assert (rich / "cases.tsv").read_text().splitlines()[0].endswith("more:T2w")
    assert cases[0].more["T2w"].name == "case0_t2.nii.gz"
    assert cases[1].more == {}


def test_a_window_holds_every_source_on_a_scale_of_its_own_and_zeros_where_one_is_missing(rich, two, tmp_path):
    rows = read_cases(rich / "cases.tsv")[:2]
    here, missing = (prepare_case(row, tmp_path / "p", two.preparation, two.more_sources) for row in rows)
    batch = draw_batch([here], two, 0)
    assert batch.source.shape == (2, 2, 16, 16, 16)
    assert np.median(np.array(here.more[0])[np.array(here.mask)]) == pytest.approx(1.0, abs=1e-3)
    assert not draw_batch([missing], two, 0).source[:, 1].any()


def test_sources_are_turned_together_and_left_out_now_and_then():
    random = np.random.default_rng(0)
    volume = random.random((4, 4, 3), dtype=np.float32) + 0.1
    pair = Pair(volume, volume, np.ones_like(volume), (1.0, 0.0), volume[None])
    seen = set()
    for seed in range(20):
        made = augment(pair, PLAIN.model_copy(update={"quarter_turns": True, "flip": 0.5}), np.random.default_rng(seed))
        assert np.array_equal(made.source, made.target)
        assert np.array_equal(made.source, made.more[0])
        seen.add(made.source.tobytes())
        # A turn within axial slices takes no voxel to another slice.
        assert np.array_equal(np.sort(made.source, axis=None), np.sort(volume, axis=None))
        assert np.allclose(made.source.sum(axis=(0, 1)), volume.sum(axis=(0, 1)))
    assert len(seen) == 8
    left_out = [
        not augment(pair, PLAIN.model_copy(update={"drop_source": 0.3}), np.random.default_rng(seed)).more.any()
        for seed in range(200)
    ]
    assert 0.2 < np.mean(left_out) < 0.4


def test_a_model_of_two_sources_translates_with_both(rich, two, tmp_path):
    bundle = read_bundle(train(two, tmp_path / "run", root=rich))
    case = read_cases(rich / "cases.tsv")[3]
    synthesis = translate_file(bundle, Item("x", case.source, None, case.more), tmp_path / "out.nii.gz")
    assert synthesis.missing == ()
    assert "Synthetic T1nce made from T1ce + T2w" in (tmp_path / "out.json").read_text()
    other = read_volume(case.more["T2w"])
    random = other.with_data(np.where(other.data > 0, np.random.default_rng(0).random(other.data.shape), 0))
    changed = translate_volume(bundle, read_volume(case.source), more={"T2w": random})
    assert not np.array_equal(changed.volume.data, synthesis.volume.data)


def test_a_missing_source_is_refused_unless_training_did_without_or_zeros_are_asked_for(rich, two, tmp_path):
    bundle = read_bundle(train(two, tmp_path / "run", root=rich))
    scan = read_volume(read_cases(rich / "cases.tsv")[3].source)
    with pytest.raises(InputRefused, match=r"SOURCE_MISSING T2w is missing"):
        translate_volume(bundle, scan)
    assert translate_volume(bundle, scan, options=Options(zero_fill=True)).missing == ("T2w",)
    dropped = two.model_copy(update={"augmentation": PLAIN.model_copy(update={"drop_source": 0.5})})
    robust = read_bundle(train(dropped, tmp_path / "robust", root=rich))
    assert translate_volume(robust, scan).missing == ("T2w",)


def test_each_source_can_be_shown_as_zeros(rich, two, tmp_path):
    bundle = read_bundle(train(two, tmp_path / "run", root=rich))
    case = read_cases(rich / "cases.tsv")[3]
    scan, other = read_volume(case.source), {"T2w": read_volume(case.more["T2w"])}
    whole = translate_volume(bundle, scan, more=other)
    missing = translate_volume(bundle, scan, options=Options(zero_fill=True))
    without_t2 = translate_volume(bundle, scan, more=other, options=Options(blank=("T2w",)))
    assert without_t2.missing == ("T2w",)
    assert np.array_equal(without_t2.volume.data, missing.volume.data)
    without_t1 = translate_volume(bundle, scan, more=other, options=Options(blank=("T1ce",)))
    assert without_t1.missing == ("T1ce",)
    assert not np.array_equal(without_t1.volume.data, whole.volume.data)
    assert translate_volume(bundle, scan, options=Options(blank=("T1ce", "T2w"))).missing == ("T1ce", "T2w")
    with pytest.raises(UsageError, match=r"SOURCE_UNKNOWN .* not ADC"):
        translate_volume(bundle, scan, more=other, options=Options(blank=("ADC",)))
    with pytest.raises(UsageError, match=r"SOURCE_UNKNOWN .* not T1ce"):
        translate_volume(bundle, scan, more={**other, "T1ce": scan})  # it is the scan itself


def test_a_helper_makes_a_missing_source_and_the_sidecar_says_so(rich, two, recipe, tmp_path):
    bundle = read_bundle(train(two, tmp_path / "run", root=rich))
    short = recipe.model_copy(update={"target": "T2w", "training": two.training})
    helper = read_bundle(train(short, tmp_path / "helper", root=rich))
    case = read_cases(rich / "cases.tsv")[3]
    options = Options(imputers={"T2w": helper})
    translate_file(bundle, case.source, tmp_path / "out.nii.gz", options=options)
    assert helper.weights_sha256 in (tmp_path / "out.json").read_text()
    by_hand = translate_volume(helper, read_volume(case.source)).volume
    expected = translate_volume(bundle, read_volume(case.source), more={"T2w": by_hand}).volume
    assert np.allclose(read_volume(tmp_path / "out.nii.gz").data, expected.data, atol=0.51)
    given = translate_volume(bundle, read_volume(case.source), more={"T2w": by_hand}, options=options)
    assert given.imputed == {}
    blank = Options(imputers={"T2w": helper}, blank=("T2w",))
    hidden = translate_volume(bundle, read_volume(case.source), more={"T2w": read_volume(case.source)}, options=blank)
    assert hidden.imputed == {"T2w": helper.weights_sha256}
    assert hidden.missing == ()  # made by the helper, not set to zero
    assert np.array_equal(hidden.volume.data, expected.data)
    with pytest.raises(UsageError, match="HELPER"):
        translate_volume(bundle, read_volume(case.source), options=Options(imputers={"T2w": bundle}))


def test_a_source_the_model_does_not_take_or_on_another_grid_is_refused(rich, two, tmp_path):
    bundle = read_bundle(train(two, tmp_path / "run", root=rich))
    case = read_cases(rich / "cases.tsv")[3]
    scan, other = read_volume(case.source), read_volume(case.more["T2w"])
    with pytest.raises(UsageError, match=r"SOURCE_UNKNOWN .* not ADC"):
        translate_volume(bundle, scan, more={"ADC": other})
    affine = np.array(other.affine)
    affine[0, 3] += 5
    with pytest.raises(InputRefused, match="GRID_MISMATCH source and T2w"):
        translate_volume(bundle, scan, more={"T2w": type(other)(other.data, affine)})


def test_lesions_weigh_as_a_recipe_says_and_all_voxels_count_where_it_asks(cohort, recipe, tmp_path):
    row = read_cases(cohort / "cases.tsv")[0]
    scan = read_volume(row.source)
    labels = np.zeros(scan.data.shape, dtype=np.float32)
    labels[9, 10, 9] = 1
    write_volume(cohort / "labels.nii.gz", scan.with_data(labels), dtype="uint8")
    case = prepare_case(
        type(row)(**{**vars(row), "labels": cohort / "labels.nii.gz"}), tmp_path / "p", recipe.preparation
    )
    plain = recipe.model_copy(update={"augmentation": PLAIN})
    whole = {"window": (20, 24, 20), "lesion_weight": 9.0}
    batch = draw_batch([case], plain.model_copy(update={"training": recipe.training.model_copy(update=whole)}), 0)
    assert [(batch.weight[0] == 9).sum().item(), batch.weight.max().item()] == [1, 9]
    everywhere = recipe.training.model_copy(update=whole | {"region": "all", "lesion_weight": 1.0})
    batch = draw_batch([case], plain.model_copy(update={"training": everywhere}), 0)
    assert batch.weight[0].sum() == case.mask.size
    assert torch.equal(batch.weight.unique(), torch.tensor([0.0, 1.0]))
