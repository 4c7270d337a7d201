"""Every protocol keeps the contract; each published one is recomputed here by another library or on paper."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity
from small_study import SHAPE, anatomy, ball

from voxlate.errors import InputRefused, UsageError, VoxlateError
from voxlate.evaluation.protocols import PROTOCOLS, SLICE_COUNT, SLICE_SD, Pair, require_possible
from voxlate.evaluation.protocols.bottani import BOX_SHAPE, NETWORK_SHAPE, global_ssim, resize
from voxlate.evaluation.protocols.lee import SLIP_DB, grey_levels
from voxlate.evaluation.protocols.synthrad import masked_ms_ssim
from voxlate.evaluation.settings import Settings

TARGET, MASK, LESION = anatomy(0)
NOISE = np.where(MASK, np.random.default_rng(9).normal(0, 0.06, SHAPE), 0).astype(np.float32)
IMAGE = TARGET + NOISE
L = float(np.percentile(TARGET[MASK], 99.5))

OF_SLICES = {SLICE_COUNT, SLICE_SD}  # number and spread of what is averaged: no error and no similarity


def pair(image=IMAGE, target=TARGET, *, data_range=L, regions=True):
    parts = {"lesion": LESION} if regions else {}
    return Pair(image, target, MASK, MASK, parts, data_range)


def head(brain, seed=3):
    """Returns the image with a shell of scalp and marrow around the brain, brighter than it."""
    shell = ball(radius=21.9) & ~MASK
    return np.where(shell, 1.5 + 0.3 * np.random.default_rng(seed).random(SHAPE), brain).astype(np.float32)


def in_hu(name):
    """Returns the images as a protocol needs them: in HU, or with their skull."""
    if PROTOCOLS[name].needs_skull:
        return pair(head(IMAGE), head(TARGET))
    if PROTOCOLS[name].unit != "HU":
        return pair()
    return pair(1000 * IMAGE - 900, 1000 * TARGET - 900, data_range=4024.0)


def values(name, chosen):
    scores = PROTOCOLS[name].measure(chosen)
    return {(score.region, score.metric, score.intensity): score.value for score in scores}


def value(name, metric, region="mask", chosen=None):
    return values(name, chosen or pair())[region, metric, "as_written"]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_definition_is_one_paragraph_that_names_its_range_and_its_voxels(name):
    definition = PROTOCOLS[name].definition
    assert definition.endswith(".")
    assert "\n" not in definition
    assert any(word in definition for word in ("mask", "box", "volume"))
    assert any(word in definition for word in ("range", "[0, 1]", "peak"))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_an_exact_image_scores_no_error_and_perfect_structure(name):
    chosen = in_hu(name)
    for (region, metric, _), found in values(name, Pair(chosen.target, *list(vars(chosen).values())[1:])).items():
        if region in OF_SLICES:
            continue
        if metric in ("mae", "rmse"):
            assert found == pytest.approx(0, abs=1e-4)
        if metric in ("ssim", "ms_ssim"):
            assert found == pytest.approx(1, abs=1e-5)


def thick():
    """Returns a pair of 24 slices: a head of 5.5 mm slices, in plane wide enough for every window."""
    generator = np.random.default_rng(0)
    shape = (128, 128, 24)
    index = (np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2) / np.array([50, 55, 14])[
        :, None, None, None
    ]
    mask = np.linalg.norm(index, axis=0) <= 1
    texture = gaussian_filter(generator.normal(size=shape), (2.0, 2.0, 0.5))
    target = np.where(mask, 1 + 2 * texture, 0).astype(np.float32)
    image = target + np.where(mask, generator.normal(0, 0.06, shape), 0).astype(np.float32)
    lesion = mask & (np.linalg.norm(index, axis=0) <= 0.2)
    return Pair(image, target, mask, mask, {"lesion": lesion}, float(np.percentile(target[mask], 99.5)))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_24_thick_slices_are_scored_by_every_protocol(name):
    chosen = thick()
    if PROTOCOLS[name].unit == "HU":
        chosen = Pair(1000 * chosen.image - 900, 1000 * chosen.target - 900, *list(vars(chosen).values())[2:5], 4024.0)
    scores = PROTOCOLS[name].measure(chosen)
    left_out = {score.metric: score.left_out for score in scores if score.left_out}
    assert all(np.isnan(score.value) == bool(score.left_out) for score in scores)
    if PROTOCOLS[name].needs_skull:  # these heads have none
        assert set(left_out) == {"mae", "psnr", "ssim"}
        return
    assert set(left_out) == ({"ms_ssim"} if name == "voxlate" else set())
    assert all("is narrower than the 11 voxels of the window" in reason for reason in left_out.values())


def test_a_metric_that_refuses_for_another_reason_ends_the_case():
    spoiled = IMAGE.copy()
    spoiled[22, 22, 22] = np.nan
    with pytest.raises(InputRefused, match="NON_FINITE"):
        PROTOCOLS["voxlate"].measure(pair(spoiled))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_noisier_image_scores_worse(name):
    chosen = in_hu(name)
    worse = Pair(chosen.target + 3 * (chosen.image - chosen.target), *list(vars(chosen).values())[1:])
    before, after = values(name, chosen), values(name, worse)
    for place in before:
        if place[0] in OF_SLICES:
            continue
        if place[1] in ("psnr", "ssim", "ms_ssim"):
            assert after[place] < before[place]
        if place[1] in ("mae", "rmse"):
            assert after[place] > before[place]


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if not PROTOCOLS[name].needs_skull])
def test_what_lies_outside_of_both_scans_changes_nothing(name):
    chosen = in_hu(name)
    spoiled = [np.where(MASK, array, np.float32(-1000)) for array in (chosen.image, chosen.target)]
    assert values(name, Pair(*spoiled, *list(vars(chosen).values())[2:])) == pytest.approx(values(name, chosen))


@pytest.mark.parametrize(("mae", "psnr"), [(21.19, 64.92), (13.75, 68.16), (34.24, 61.96)])
def test_the_guard_rejects_the_psnrs_that_lee_printed_and_takes_the_true_ones(mae, psnr):
    with pytest.raises(VoxlateError, match=r"IMPOSSIBLE_SCORE .* at most"):
        require_possible(mae, psnr, 255)
    require_possible(mae, psnr - SLIP_DB, 255)


def test_the_slip_of_lee_is_the_published_48_decibel():
    assert round(SLIP_DB, 2) == 48.13
    assert value("lee2020", "psnr_as_printed") - value("lee2020", "psnr") == pytest.approx(48.13, abs=0.005)


def test_lee_counts_grey_levels():
    image, target = (np.rint(np.clip(a / L, 0, 1) * 255) for a in (IMAGE, TARGET))
    assert value("lee2020", "mae") == pytest.approx(np.abs(image - target)[MASK].mean())


def test_a_hot_vessel_of_a_scan_darkens_its_whole_brain_under_min_max_scaling():
    vessel = head(TARGET)
    vessel[tuple(np.argwhere(MASK)[0])] = 10 * TARGET.max()
    scan = replace(pair(vessel, head(TARGET)), is_scan=True)
    assert value("bottani2024", "mae", chosen=scan) > 20
    assert value("bottani2024_code", "mae", "box", chosen=scan) > 4
    assert value("voxlate", "mae", chosen=pair(np.where(MASK, vessel, 0))) < 0.1


def test_bottani_as_printed_is_the_mae_in_the_brain_in_per_cent_of_the_range_of_the_whole_head():
    image, target = head(IMAGE), head(TARGET)
    mine, low, high = (lambda a: (a - low) / (high - low)), target.min(), target.max()
    found = value("bottani2024", "mae", chosen=pair(image, target))
    assert found == pytest.approx(100 * np.abs(mine(image) - mine(target))[MASK].mean(), rel=1e-5)
    scan = replace(pair(image, target), is_scan=True)
    own = (image - image.min()) / (image.max() - image.min())
    assert value("bottani2024", "mae", chosen=scan) == pytest.approx(
        100 * np.abs(own - mine(target))[MASK].mean(), rel=1e-5
    )


@pytest.mark.parametrize("name", ["bottani2024", "bottani2024_code"])
def test_an_image_that_is_a_fifth_too_dark_has_an_error_and_the_target_itself_none(name):
    region = "mask" if name == "bottani2024" else "box"
    dark, exact = (value(name, "mae", region, pair(gain * head(TARGET), head(TARGET))) for gain in (0.8, 1.0))
    share = np.where(MASK, head(TARGET), 0).sum() / (head(TARGET).max() - head(TARGET).min())
    expected = 20 * share / (MASK.sum() if name == "bottani2024" else MASK.size)
    assert exact == 0
    assert dark == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("name", ["bottani2024", "bottani2024_code"])
def test_scans_without_their_skull_are_left_out_because_their_range_is_another(name):
    scores = PROTOCOLS[name].measure(pair())
    assert all(np.isnan(score.value) and "its skull was removed" in score.left_out for score in scores)
    stripped = replace(pair(IMAGE, head(TARGET)), is_scan=True)
    assert all(score.left_out for score in PROTOCOLS[name].measure(stripped))


def test_resizing_equals_trilinear_interpolation_of_torch():
    for shape in ((64, 70, 50), (31, 20, 47)):
        expected = torch.nn.functional.interpolate(torch.from_numpy(TARGET)[None, None], size=shape, mode="trilinear")
        assert resize(TARGET, shape) == pytest.approx(expected[0, 0].numpy(), abs=2e-5)


def interpolated(array, shape):
    return torch.nn.functional.interpolate(array, size=shape, mode="trilinear", align_corners=False)


def released_code(source, target, answer, brain):
    """Returns MAE, PSNR and SSIM of the answer and of the source, written anew from the released evaluation.py.

    The scans are whole heads; the answer is in the scale of the target at 128³; the brain is on the last grid.
    """
    scans = [interpolated(torch.from_numpy(scan)[None, None].double(), NETWORK_SHAPE) for scan in (source, target)]
    scans = [(scan - scan.min()) / (scan.max() - scan.min()) for scan in scans]
    one, two, made = (interpolated(array, BOX_SHAPE)[0, 0] * brain for array in (*scans, answer))
    results = []
    for image in (made, one):
        covariance = ((two - two.mean()) * (image - image.mean())).mean()
        ssim = (2 * two.mean() * image.mean() + 0.01) * (2 * covariance + 0.03)
        ssim /= (two.mean() ** 2 + image.mean() ** 2 + 0.01) * (two.std() ** 2 + image.std() ** 2 + 0.03)
        psnr = -10 * torch.log10(((two - image) ** 2).mean())
        results.append([float(v) for v in (100 * (two - image).abs().mean(), psnr, ssim)])
    return results


def test_bottani_as_coded_is_the_released_code_written_anew():
    source, target = head(TARGET**2, seed=4), head(TARGET)
    whole = interpolated(torch.from_numpy(target)[None, None].double(), NETWORK_SHAPE)
    image = np.where(MASK, 0.8 * TARGET, target).astype(np.float32)
    small = interpolated(torch.from_numpy(image)[None, None].double(), NETWORK_SHAPE)
    answer = (small - whole.min()) / (whole.max() - whole.min())
    brain = interpolated(torch.from_numpy(MASK[None, None].astype(np.float32)), BOX_SHAPE)[0, 0] > 0.5
    expected = released_code(source, target, answer, brain)
    scan = replace(pair(source, target), is_scan=True)
    assert_coded(zip((pair(image, target), scan), expected, strict=True))


def test_the_answer_of_a_min_max_network_is_compared_as_it_is_by_bottani_as_coded():
    source, target = head(TARGET**2, seed=4), head(TARGET)
    target[tuple(np.argwhere(MASK)[0])] = 5 * target.max()  # one bright voxel, which the smaller grid averages away
    share = (0.8 * (target - target.min()) / (target.max() - target.min())).astype(np.float32)
    answer = interpolated(torch.from_numpy(share)[None, None].double(), NETWORK_SHAPE)
    brain = interpolated(torch.from_numpy(MASK[None, None].astype(np.float32)), BOX_SHAPE)[0, 0] > 0.5
    chosen = replace(pair(np.zeros_like(share), target), share=share)
    assert_coded([(chosen, released_code(source, target, answer, brain)[0])])


def assert_coded(cases):
    """Checks the scores of pairs against MAE, PSNR and SSIM of the released code."""
    for chosen, (mae, psnr, ssim) in cases:
        found = values("bottani2024_code", chosen)
        assert found["box", "mae", "as_written"] == pytest.approx(mae, rel=1e-3)
        assert found["box", "psnr", "as_written"] == pytest.approx(psnr, abs=1e-3)
        assert found["box", "ssim", "as_written"] == pytest.approx(ssim, abs=1e-5)


def test_the_empty_box_deflates_the_mae_by_the_share_of_the_brain():
    smooth = pair(head(TARGET + 0.3 * TARGET**2), head(TARGET))
    found = value("bottani2024_code", "mae", "box", smooth) / value("bottani2024", "mae", "mask", smooth)
    assert found == pytest.approx(MASK.mean(), rel=0.1)


def test_global_ssim_is_scikit_images_with_one_window_over_all():
    x, y = (np.random.default_rng(seed).random((7, 7, 7)) for seed in (0, 1))
    one = structural_similarity(x, y, data_range=1.0, win_size=7, use_sample_covariance=False)
    assert global_ssim(x, y, c1=0.01**2, c2=0.03**2) == pytest.approx(one)


def test_chen_averages_two_dimensional_ssim_over_whole_slices():
    low, high = TARGET[MASK].min(), TARGET[MASK].max()
    image, target = (np.where(MASK, (a - low) / (high - low), 0) for a in (IMAGE, TARGET))
    slices = [k for k in range(SHAPE[2]) if MASK[..., k].any()]
    expected = np.mean([structural_similarity(image[..., k], target[..., k], data_range=1.0) for k in slices])
    assert value("chen2022", "ssim", region="slices") == pytest.approx(expected, abs=1e-5)


def test_li_reports_sharpness_against_the_target():
    found = values("li2022", pair())
    assert found["slices", "tenengrad_ratio", "as_written"] > 1
    assert found["slices", "tenengrad", "as_written"] > found["slices", "tenengrad_of_target", "as_written"]


def test_li_states_number_and_spread_of_the_slices_in_each_mean():
    chosen = pair()
    found = values("li2022", chosen)
    image, target = (np.where(MASK, grey_levels(x, chosen.data_range), 0) for x in (chosen.image, chosen.target))
    seen = MASK.any(axis=(0, 1))
    errors = np.sqrt(np.square(image - target).mean(axis=(0, 1)))[seen]
    assert found["slices", "rmse", "as_written"] == pytest.approx(errors.mean(), rel=1e-4)
    assert found["slice_sd", "rmse", "as_written"] == pytest.approx(errors.std(), rel=1e-3)
    assert found["slice_count", "rmse", "as_written"] == seen.sum()


def test_synthrad_2023_is_scikit_images_map_in_the_mask_without_the_border():
    chosen = in_hu("synthrad2023")
    image, target = (np.where(MASK, a.clip(-1024, 3000), -1024) + 1024 for a in (chosen.image, chosen.target))
    full = structural_similarity(target, image, data_range=4024, full=True)[1]
    inner = np.s_[3:-3, 3:-3, 3:-3]
    assert value("synthrad2023", "ssim", chosen=chosen) == pytest.approx(full[inner][MASK[inner]].mean(), abs=1e-5)
    assert value("synthrad2023", "mae", chosen=chosen) == pytest.approx(1000 * np.abs(NOISE)[MASK].mean(), rel=1e-3)


def test_synthrad_2025_ms_ssim_equals_a_naive_loop():
    image, target = (np.where(MASK, 1000 * a + 124, 0).astype(np.float32) for a in (IMAGE, TARGET))
    pads = [((97 - n) // 2, 97 - n - (97 - n) // 2) for n in SHAPE]
    x, y, m = (np.pad(a.astype(np.float64), pads, mode="edge") for a in (image, target, MASK))
    expected = 1.0
    for weight in (0.0448, 0.2856, 0.3001, 0.2363, 0.1333):
        full = structural_similarity(y, x, data_range=4095, full=True)[1]
        inner = np.s_[3:-3, 3:-3, 3:-3]
        expected *= (full[inner][m[inner] > 0].clip(0) ** weight).mean()
        x, y = (halved(a) for a in (x, y))
        m = m[::2, ::2, ::2]
    assert masked_ms_ssim(image, target, MASK) == pytest.approx(expected, abs=1e-5)


def halved(array):
    padded = np.pad(array, ((1, 0),) * 3)
    corners = [padded[a : a - 1 or None, b : b - 1 or None, c : c - 1 or None] for a, b, c in np.ndindex(2, 2, 2)]
    return sum(corners)[::2, ::2, ::2] / 8


def test_brasyn_scores_the_tumour_apart_from_the_rest():
    spoiled = np.where(LESION, TARGET * 0.5, TARGET).astype(np.float32)
    found = values("brasyn", pair(spoiled))
    assert found["lesion", "ssim", "as_written"] < found["not_lesion", "ssim", "as_written"]
    assert found["not_lesion", "ssim", "as_written"] == pytest.approx(1, abs=5e-3)
    assert "lesion" not in {place[0] for place in values("brasyn", pair(regions=False))}


def test_hu_protocols_are_refused_for_images_without_a_unit():
    with pytest.raises(UsageError, match="defined for HU only"):
        Settings(protocols=("synthrad2023",))
    Settings(protocols=("synthrad2023",), unit="HU", data_range=4024.0)
