"""The contrast of a reference scan: an increasing curve between quantiles of the brain."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from phantoms import head
from scipy import ndimage

from voxlate.bundle.bundle import read_bundle, write_bundle
from voxlate.bundle.contrast_descriptor import SHARES, ContrastDescriptor
from voxlate.bundle.networks import generator_of
from voxlate.bundle.settings import ReferenceSettings
from voxlate.cli import voxlate
from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.inference.files import translate_file
from voxlate.inference.item import Item
from voxlate.inference.like import curve
from voxlate.inference.reference_scan import read_reference
from voxlate.inference.runtime import choose_runtime
from voxlate.inference.translate import Options
from voxlate.io.nifti import read_volume
from voxlate.models.gain_offset_unet import with_reference


def a_brain(seed: int = 0, shape: tuple[int, int, int] = (20, 21, 22)) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    mask = np.zeros(shape, dtype=bool)
    mask[3:-3, 3:-3, 3:-3] = True
    return np.where(mask, random.uniform(0.2, 2.0, shape), 0).astype(np.float32), mask


def saved(path, data):
    nib.save(nib.Nifti1Image(np.round(data).astype(np.int16), np.eye(4)), path)
    return path


def test_the_curve_to_its_own_contrast_changes_nothing():
    image, mask = a_brain()
    changed, slope = curve(image, mask, ContrastDescriptor.of(image, mask))
    assert changed == pytest.approx(image, abs=1e-5)
    assert slope == pytest.approx(np.ones(image.shape), abs=1e-3)


def test_the_quantiles_of_the_result_are_those_of_the_reference_and_its_median_stays():
    image, mask = a_brain(0)
    other = np.where(mask, np.sqrt(a_brain(1)[0]) * 300, 0)
    changed, _ = curve(image * 50, mask, ContrastDescriptor.of(other, mask))
    found = np.quantile(changed[mask], SHARES)
    wanted = np.quantile(other[mask], SHARES)
    assert found / found[3] == pytest.approx(wanted / wanted[3], rel=2e-3)
    assert np.median(changed[mask]) == pytest.approx(np.median(image[mask] * 50), rel=1e-3)
    assert not changed[~mask].any()


def test_a_contrast_that_is_linear_between_the_quantiles_is_undone_exactly():
    image, mask = a_brain(2)
    linear = np.where(mask, 0.5 + 0.5 * image, 0)  # its order and its differences are those of the image, times a half
    changed, slope = curve(linear, mask, ContrastDescriptor.of(image, mask))
    median = float(np.median(image[mask]))
    expected = image / median * float(np.median(linear[mask]))
    first = np.quantile(image[mask], SHARES[0])
    inner = mask & (image > first)
    assert changed[inner] == pytest.approx(expected[inner], rel=1e-3)
    steep = 2 / median * float(np.median(linear[mask]))
    assert slope[inner] == pytest.approx(np.full(inner.sum(), steep), rel=1e-2)


def test_a_share_of_the_curve_goes_that_far():
    image, mask = a_brain(0)
    wanted = ContrastDescriptor.of(np.where(mask, np.sqrt(a_brain(1)[0]), 0), mask)
    whole, slope = curve(image, mask, wanted)
    part, part_slope = curve(image, mask, wanted, share=0.25)
    assert part == pytest.approx(0.75 * image + 0.25 * whole, abs=1e-5)
    assert part_slope == pytest.approx(0.75 + 0.25 * slope, abs=1e-5)


def test_the_curve_keeps_the_order_of_intensities_also_where_quantiles_coincide():
    image, mask = a_brain(3)
    clipped = np.where(mask, np.minimum(image, 1.0), 0)
    changed, _ = curve(clipped, mask, ContrastDescriptor.of(image, mask))
    order = np.argsort(clipped[mask], kind="stable")
    assert (np.diff(changed[mask][order]) >= -1e-5).all()


def test_a_brain_of_one_intensity_or_none_has_no_contrast():
    _, mask = a_brain()
    with pytest.raises(InputRefused, match="CONSTANT"):
        ContrastDescriptor.of(np.where(mask, 5.0, 0), mask)
    with pytest.raises(InputRefused, match="REFERENCE_LEVEL"):
        ContrastDescriptor.of(np.zeros(mask.shape), mask)


def test_a_translated_scan_gets_the_contrast_and_its_sidecar_is_a_reference_too(bundle, tmp_path):
    source = saved(tmp_path / "scan.nii.gz", head(0).data)
    reference = saved(tmp_path / "reference.nii.gz", 40 * np.sqrt(np.maximum(head(1).data, 0)))
    like = read_reference(reference, bundle.recipe)
    translate_file(bundle, source, tmp_path / "plain.nii.gz")
    translate_file(bundle, source, tmp_path / "like.nii.gz", options=Options(like=like))
    made, plain = (read_volume(tmp_path / f"{name}.nii.gz").data for name in ("like", "plain"))
    inside = plain > 0
    assert ContrastDescriptor.of(made, inside).quantiles == pytest.approx(like.quantiles, abs=0.03)
    assert np.median(made[inside]) == pytest.approx(np.median(plain[inside]), rel=0.02)
    content = json.loads((tmp_path / "like.json").read_text())["Synthetic"]["Like"]
    assert content["ReferenceSHA256"] == like.sha256
    assert read_reference(tmp_path / "like.json", bundle.recipe) == like
    assert json.loads((tmp_path / "plain.json").read_text())["Synthetic"]["Like"] is None


@pytest.fixture
def following(recipe, tmp_path):
    """Returns the folder of a bundle whose network takes a reference, with random weights in the layers for it."""
    torch.manual_seed(0)
    made = recipe.model_copy(update={"reference": ReferenceSettings(share=1.0)})
    network = generator_of(made)
    for name, parameter in network.named_parameters():
        if name.startswith(("reference.last", "head")):
            parameter.data += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    mapping = {"gain": 1.5, "log_sd": 0.2, "n": 4, "spacing_mm": [0.9, 1.2]}
    folder = tmp_path / "following"
    write_bundle(folder, made, network.state_dict(), documents={"mapping": mapping}, card="# following\n")
    return folder


def test_a_network_with_layers_for_a_reference_gets_its_quantiles_and_half_of_the_curve(following, tmp_path):
    bundle = read_bundle(following)
    source = saved(tmp_path / "scan.nii.gz", head(0).data)
    like = ContrastDescriptor((0.2, 0.6, 0.8, 1.0, 1.3, 1.5, 1.7), "f" * 64)
    translate_file(bundle, source, tmp_path / "like.nii.gz", options=Options(like=like))
    translate_file(bundle, source, tmp_path / "plain.nii.gz")
    made, plain, scan = (read_volume(tmp_path / f"{name}.nii.gz").data for name in ("like", "plain", "scan"))
    inside = plain > 0
    own = ContrastDescriptor.of(scan, inside)
    asked = with_reference(bundle.network, np.array([own.quantiles, like.quantiles], dtype=np.float32))
    relative = torch.from_numpy(scan / np.median(scan[inside]) * inside)[None, None]
    with torch.no_grad():
        by_network = asked(relative)[0, 0].numpy() * np.median(scan[inside]) * bundle.mapping.gain
    expected = (by_network + curve(by_network, inside, like)[0]) / 2
    # The network saw the brain in a box; near its border the image of this test, which has no box, may differ.
    core = ndimage.binary_erosion(inside, iterations=4)
    assert np.median(np.abs(made / np.maximum(expected, 1) - 1)[core]) < 0.005
    assert np.abs(made - plain)[core].mean() > 0.01 * plain[core].mean()
    sidecars = [json.loads((tmp_path / f"{name}.json").read_text())["Synthetic"]["Like"] for name in ("like", "plain")]
    assert sidecars[0]["By"] == "network and curve"
    assert sidecars[1] is None
    assert read_reference(tmp_path / "like.json", bundle.recipe) == like


def test_an_ensemble_gets_the_contrast_by_a_curve_where_a_member_takes_no_reference(following, bundle, tmp_path):
    source = saved(tmp_path / "scan.nii.gz", head(0).data)
    like = ContrastDescriptor((0.2, 0.6, 0.8, 1.0, 1.3, 1.5, 1.7))
    member = read_bundle(following)
    by = {}
    for name, other in {"both": member, "mixed": bundle}.items():
        joined = replace(member, parts=(member, other))
        translate_file(joined, source, tmp_path / f"{name}.nii.gz", options=Options(like=like))
        by[name] = json.loads((tmp_path / f"{name}.json").read_text())["Synthetic"]["Like"]["By"]
    assert by == {"both": "network and curve", "mixed": "curve"}
    assert read_volume(tmp_path / "mixed.nii.gz").data.any()


def test_a_network_with_a_reference_runs_in_openvino_and_not_in_8_bits(following, tmp_path):
    pytest.importorskip("openvino")
    bundle, source = read_bundle(following), saved(tmp_path / "scan.nii.gz", head(0).data)
    like = ContrastDescriptor((0.2, 0.6, 0.8, 1.0, 1.3, 1.5, 1.7))
    made = {}
    for runtime in ("torch", "openvino"):
        path = tmp_path / f"{runtime}.nii.gz"
        translate_file(bundle, source, path, options=Options(like=like, runtime=runtime))
        made[runtime] = read_volume(path).data
    assert made["openvino"] == pytest.approx(made["torch"], rel=1e-3, abs=0.5)
    assert choose_runtime(bundle, torch.device("cpu"), has_reference=True) == "torch"
    with pytest.raises(UsageError, match="RUNTIME the 8-bit network of tiny takes no reference"):
        translate_file(bundle, source, tmp_path / "x.nii.gz", options=Options(like=like, runtime="int8"))


def test_the_uncertainty_follows_the_slope_of_the_curve(bundle, tmp_path):
    for parameter in bundle.network.parameters():  # an untrained network returns its source, and has no spread
        parameter.data += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    item = Item("scan", saved(tmp_path / "scan.nii.gz", head(0).data))
    reference = saved(tmp_path / "reference.nii.gz", 40 * np.sqrt(np.maximum(head(1).data, 0)))
    like = read_reference(reference, bundle.recipe)
    for name, wanted in {"plain": None, "like": like}.items():
        options, spread = Options(mirror=True, like=wanted), tmp_path / f"{name}_sd.nii.gz"
        translate_file(bundle, item, tmp_path / f"{name}.nii.gz", spread=spread, options=options)
    image, spread, plain = (read_volume(tmp_path / f"{name}.nii.gz").data for name in ("plain", "like_sd", "plain_sd"))
    inside = image > 0
    _, slope = curve(image, inside, like)
    shown = inside & (plain > 0)
    assert shown.sum() > 100
    assert np.median(np.abs(spread[shown] / plain[shown] / slope[shown] - 1)) < 0.01


@pytest.mark.parametrize(
    ("name", "code"), [("t1ce", "CONTRAST_DIFFERS"), ("flair", "CONTRAST_DIFFERS"), ("none", "NO_INPUT")]
)
def test_a_reference_of_another_contrast_is_refused(bundle, tmp_path, name, code):
    if name != "none":
        saved(tmp_path / f"{name}.nii.gz", head(1).data)
    with pytest.raises(Exception, match=code):
        read_reference(tmp_path / f"{name}.nii.gz", bundle.recipe)


def described(*quantiles: float) -> str:
    return json.dumps({"Shares": SHARES, "Quantiles": quantiles})


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[]",
        '{"Synthetic": {"Like": null}}',
        '{"Shares": [1], "Quantiles": [1]}',
        "x",
        described(0.2, 0.5, 0.8, 1, 1.1, 1.2, float("inf")),
        described(0, 0, 0, 0, 0, 0, 0),
    ],
)
def test_a_json_without_a_contrast_is_refused(bundle, tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputRefused, match="LIKE"):
        read_reference(tmp_path / "x.json", bundle.recipe)


def test_a_json_that_does_not_exist_is_no_input(bundle, tmp_path):
    with pytest.raises(NoInput, match=r"NO_INPUT x\.json"):
        read_reference(tmp_path / "x.json", bundle.recipe)


def test_a_map_of_labels_is_no_reference(bundle, tmp_path):
    halves = np.zeros((30, 30, 30))
    halves[5:25, 5:15, 5:25], halves[5:25, 15:25, 5:25] = 2, 3
    labels = saved(tmp_path / "reference.nii.gz", halves)
    with pytest.raises(InputRefused, match="LABEL_MAP"):
        read_reference(labels, bundle.recipe)


def test_the_command_line_takes_a_reference(identity, tmp_path):
    source = saved(tmp_path / "scan.nii.gz", head(0).data)
    reference = saved(tmp_path / "reference.nii.gz", head(1).data)
    arguments = ["translate", str(source), str(tmp_path / "x.nii.gz"), "-m", str(identity)]
    assert CliRunner().invoke(voxlate, [*arguments, "--like", str(reference)]).exit_code == 0
    assert json.loads((tmp_path / "x.json").read_text())["Synthetic"]["Like"]["Quantiles"]


def test_one_reference_is_not_for_several_patients(identity, tmp_path):
    (tmp_path / "scans").mkdir()
    reference = saved(tmp_path / "scans" / "a.nii.gz", head(0).data)
    arguments = ["translate", str(tmp_path / "scans"), str(tmp_path / "out"), "-m", str(identity)]
    done = CliRunner().invoke(voxlate, [*arguments, "--like", str(reference)])
    assert done.exit_code != 0
    assert "--like is for a single scan" in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("target", "brightest", "count"), [("T1nce", 3, 1), ("T1nce", 1.5, 0), ("T2w", 1.5, 1), ("T2w", 3, 0)]
)
def test_a_reference_whose_brightest_tissue_is_that_of_another_contrast_is_flagged(
    bundle, tmp_path, caplog, target, brightest, count
):
    brain = head(1)
    fluid = (brain.data > 0) & (np.indices(brain.data.shape)[0] > 14)  # more than 2 % of the brain
    reference = saved(
        tmp_path / "scan.nii.gz", np.where(fluid, brightest * 500, brain.data / 8 + 440 * (brain.data > 0))
    )
    recipe = bundle.recipe.model_copy(update={"target": target})
    read_reference(reference, recipe)
    assert [getattr(record, "code", "") for record in caplog.records].count("REFERENCE_UNUSUAL") == count
