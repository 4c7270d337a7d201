import re

import nibabel as nib
import numpy as np
import pytest
from phantoms import DATA, ball
from scipy import ndimage

from voxlate.errors import InputRefused, MissingLibrary, UsageError
from voxlate.io.nifti import read_volume
from voxlate.preparation.align_scan import aligned_already
from voxlate.preparation.masks import brain_mask as masks
from voxlate.preparation.masks.brain_mask import BRAIN_MASKS, brain_given, find_brain, locate_brain
from voxlate.preparation.masks.skull_stripped import recognise, stripped_mask
from voxlate.preparation.register_pair import PairSettings, prepare_pair
from voxlate.volume import Volume

MM = 3.0
AFFINE = np.diag([MM, MM, MM, 1.0])
real = pytest.mark.skipif(not DATA.exists(), reason="the development data are not here")


def textured(mask: np.ndarray, seed: int = 0, background: float = 0.0) -> Volume:
    values = np.random.default_rng(seed).uniform(200, 800, mask.shape)
    return Volume(np.where(mask, values, background), AFFINE)


def region(volume_cm3: float, n: int = 72) -> np.ndarray:
    return ball((n, n, n), (volume_cm3 * 1000 * 3 / 4 / np.pi) ** (1 / 3) / MM)


def test_a_brain_in_zeros_is_skull_stripped_and_its_mask_is_the_whole_brain():
    brain = region(1400)
    holed = brain & ~ball(brain.shape, 3)  # a ventricle that the tool set to zero
    seen = recognise(textured(holed))
    assert seen.kind == "skull-stripped"
    assert np.array_equal(seen.mask, brain)
    assert seen.region_cm3 == pytest.approx(1400, rel=0.02)
    assert seen.text == "skull-stripped"


@pytest.mark.parametrize(
    ("shown", "doubt"),
    [
        (region(3000), r"is zero, but the rest has (2,9|3,0)\d\d cm³, more than a brain"),
        (region(3000)[:, :, 31:41], r"an axial section of 2\d\d cm², more than a brain"),
        (np.concatenate([region(600, 50), region(600, 50)]), r"only 50% of the rest is connected"),
        (np.ones((20, 20, 20), dtype=bool), "^$"),
    ],
    ids=["a whole head", "a part of a head", "two pieces", "no background"],
)
def test_what_is_no_brain_in_zeros_is_not_skull_stripped_and_the_doubt_is_stated(shown, doubt):
    seen = recognise(textured(shown))
    assert (seen.kind, seen.mask) == ("not skull-stripped", None)
    assert re.search(doubt, seen.doubt)


def test_the_orientation_of_the_array_does_not_matter():
    part = region(3000)[:, :, 31:41]
    turned = Volume(textured(part).data.transpose(2, 0, 1), AFFINE[:, [2, 0, 1, 3]])
    assert recognise(turned).doubt == recognise(textured(part)).doubt


def test_a_ct_is_recognised_by_its_air_and_a_stripped_ct_by_its_constant_air():
    brain, random = region(1400), np.random.default_rng(1)
    noise = random.normal(0, 5, brain.shape)
    assert recognise(Volume(np.where(brain, 30, -1000) + noise, AFFINE)).kind == "CT"
    stripped = recognise(Volume(np.where(brain, 30 + noise, -1024), AFFINE))
    assert stripped.kind == "skull-stripped"
    assert np.array_equal(stripped.mask, brain)


def test_auto_keeps_the_mask_of_a_skull_stripped_scan_and_looks_for_the_brain_of_others(monkeypatch):
    for name in ("deepbet", "ct", "robex"):
        monkeypatch.setitem(BRAIN_MASKS, name, lambda volume: region(1300, volume.data.shape[0]))
    stripped = textured(region(1400))
    assert np.array_equal(find_brain(stripped, "auto"), region(1400))
    found = locate_brain(stripped, "auto", otherwise="robex")
    assert (found.method, found.text) == ("nonzero", "skull-stripped; the mask is its non-zero region")
    head = textured(region(3000))
    assert locate_brain(head).method == "deepbet"
    assert locate_brain(head, "auto", otherwise="robex").method == "robex"
    assert locate_brain(textured(region(1400), background=-1000.0)).method == "nonzero"
    assert locate_brain(Volume(np.where(region(3000), 30.0, -1000.0), AFFINE)).method == "ct"


def test_the_brain_that_a_method_finds_must_have_the_size_of_one(monkeypatch):
    monkeypatch.setitem(BRAIN_MASKS, "deepbet", lambda volume: region(100))
    with pytest.raises(InputRefused, match=r"MASK_IMPLAUSIBLE .*give its brain mask \(--mask"):
        locate_brain(textured(region(3000)))
    assert locate_brain(textured(region(100))).report.verdict == "bad"  # its own mask: told, not refused


def test_a_scan_without_any_contrast_has_no_brain():
    for value, code in ((0.0, "EMPTY_MASK"), (7.0, "CONSTANT")):
        with pytest.raises(InputRefused, match=f"{code} every voxel is"):
            locate_brain(Volume(np.full((9, 9, 9), value), AFFINE))


def test_without_deepbet_the_refusal_names_the_command_and_has_status_78(monkeypatch):
    def absent(module: str, *, extra: str = "prepare") -> None:
        raise MissingLibrary("MISSING_LIBRARY", f"deepbet is not installed; run: pip install 'voxlate[{extra}]'")

    monkeypatch.setattr(masks, "library", absent)
    masks._deepbet.cache_clear()
    with pytest.raises(
        MissingLibrary, match=r"not skull-stripped .*pip install 'voxlate\[prepare\]'.*brain mask"
    ) as caught:
        locate_brain(textured(region(3000)))
    masks._deepbet.cache_clear()
    assert caught.value.exit_status == 78
    assert isinstance(caught.value, UsageError)  # a run of many cases ends with it


def test_auto_stands_alone():
    with pytest.raises(UsageError, match=r"BRAIN_MASK .*`auto` stands alone"):
        find_brain(textured(region(1400)), "auto+robex")


def test_nonzero_is_refused_for_a_head_with_its_skull_in_zeros():
    with pytest.raises(InputRefused, match=r"NOT_SKULL_STRIPPED .* cm³, more than a brain; .*--brain-mask auto"):
        stripped_mask(textured(region(3000)))


def test_a_given_mask_is_measured_and_refused_when_it_is_empty_or_tiny():
    scan = textured(region(1400))
    found = brain_given(scan, scan.with_data(region(1200)))
    assert (found.method, found.report.verdict) == ("given", "good")
    for data, code in ((np.zeros(scan.data.shape), "EMPTY_MASK"), (ball(scan.data.shape, 2), "MASK_TINY")):
        with pytest.raises(InputRefused, match=f"{code} .*leave it out"):
            brain_given(scan, scan.with_data(data))


def test_the_refusal_of_a_mask_of_a_pair_says_which_scan_it_means():
    brain, small = textured(region(1400)), textured(region(100))
    for source, target, methods, words in (
        (brain, brain, ("nonzero", "ct"), "NOT_HOUNSFIELD target: .*take the brain mask auto"),
        (brain, brain, ("ct", "nonzero"), "NOT_HOUNSFIELD source: "),
        (small, brain, ("auto", "auto"), "MASK_IMPLAUSIBLE source: "),
        (brain, small, ("auto", "auto"), "MASK_IMPLAUSIBLE target: "),
    ):
        with pytest.raises(InputRefused, match=words):
            prepare_pair(source, target, PairSettings(source_mask=methods[0], target_mask=methods[1]))


def pair(shift: int = 0, seed: int = 5) -> tuple[Volume, Volume]:
    """Returns two contrasts of one smooth brain; the second moved by whole voxels."""
    brain = region(1400)
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=brain.shape), 1.5)
    first, second = np.where(brain, 500 + 900 * smooth, 0), np.where(brain, 700 - 1500 * smooth, 0)
    return Volume(first, AFFINE), Volume(np.roll(second, shift, axis=0), AFFINE)


@pytest.mark.parametrize("shift", [0, 1])
def test_a_stripped_pair_is_aligned_only_while_nobody_moved(shift):
    source, target = pair(shift)
    found = aligned_already(source, target, (recognise(source), recognise(target)))
    assert (found is not None) == (shift == 0)


def test_stripped_scans_of_two_heads_or_on_two_grids_are_not_aligned():
    source, target = pair()
    seen = recognise(source)
    other_head = pair(seed=6)[1]
    assert aligned_already(source, other_head, (seen, recognise(other_head))) is None
    elsewhere = Volume(target.data, AFFINE + np.eye(4, k=3))
    assert aligned_already(source, elsewhere, (seen, recognise(elsewhere))) is None
    assert aligned_already(source, target, (seen, None)) is None


@real
@pytest.mark.parametrize("path", ["BraTS2021_00006/t1ce", "MS_ljubljana_07/t1", "TCGA-FG-6692_sri24/flair"])
def test_real_scans_without_skull_keep_their_mask(path):
    scan = read_volume(DATA / "pairs" / f"{path}.nii.gz")
    found = locate_brain(scan)
    assert found.method == "nonzero"
    assert not np.any((scan.data != 0) & ~found.mask & ball(scan.data.shape, 60))


@real
def test_the_mask_of_a_real_scan_without_skull_holds_its_whole_tumour():
    folder = DATA / "pairs" / "BraTS2021_00006"
    found = locate_brain(read_volume(folder / "t1ce.nii.gz"))
    tumour = np.asarray(nib.load(folder / "seg.nii.gz").dataobj) > 0
    assert tumour.any()
    assert found.mask[tumour].all()


@real
@pytest.mark.parametrize(
    "path",
    [
        "MSlong_patient01_study1/t1",
        "MSlong_patient03_study2/flair",
        "TCGA-FG-6692_native/t1ce",
        "TCGA-FG-6692_native/t2",
        "Philips_Elition_healthy/t1",
        "sct_testing_cervical/t2",
    ],
)
def test_real_scans_with_skull_are_never_taken_for_stripped(path):
    seen = recognise(read_volume(DATA / "native" / f"{path}.nii.gz"))
    assert seen.kind == "not skull-stripped"
