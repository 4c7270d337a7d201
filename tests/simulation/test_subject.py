"""Whole subjects: the same bytes for a seed, the signals that the physics gives, and refusals."""

import numpy as np
import pytest

from voxlate.errors import UsageError
from voxlate.preparation.adc import fitted_adc
from voxlate.simulation import Options, simulate_subject
from voxlate.simulation.anatomy.partial_volume import PartialVolumeMap
from voxlate.simulation.anatomy.tissues import TISSUES
from voxlate.simulation.physics.contrast_agent import AGENTS
from voxlate.simulation.physics.render import Body, Substance, render, render_ct, render_diffusion, tissue_signal
from voxlate.simulation.physics.scanners import scanner_named


def body(shares, textures=None, concentration=0.0):
    tissue_map = PartialVolumeMap((2, 2, 2))
    tissue_map.mix(shares, np.ones((2, 2, 2), np.float32))
    substances = {name: Substance(tissue, concentration) for name, tissue in TISSUES.items()}
    return Body(substances, AGENTS["generic"], tissue_map=tissue_map, textures=textures or {})


@pytest.mark.parametrize("contrast", ["T1w", "T2w", "FLAIR", "b0"])
def test_a_voxel_half_grey_and_half_white_has_the_mean_of_both_signals(contrast):
    scanner, half = scanner_named("A"), body({"gm": 0.5, "wm": 0.5})
    mean = (tissue_signal(half, scanner, contrast, "gm") + tissue_signal(half, scanner, contrast, "wm")) / 2
    assert render(half, scanner, contrast) == pytest.approx(mean, rel=1e-6)


def test_agent_changes_t1w_much_t2w_little_and_ct_not_at_all():
    scanner, rim = scanner_named("A"), body({"rim": 1.0}, concentration=0.14)
    before, after = (render(rim, scanner, "T1w", has_agent=has) for has in (False, True))
    assert after.mean() > 1.8 * before.mean()
    before, after = (render(rim, scanner, "T2w", has_agent=has) for has in (False, True))
    assert after.mean() == pytest.approx(before.mean() * np.exp(-96 * 5.5e-3 * 0.14), rel=0.03)
    assert render_ct(rim) == pytest.approx(TISSUES["rim"].hounsfield)


def test_ct_of_half_bone_and_half_air_is_the_mean_of_both():
    assert render_ct(body({"bone": 0.5, "air": 0.5})) == pytest.approx((1300 - 1000) / 2)


def test_the_adc_of_a_pure_tissue_comes_back_from_the_images():
    images = [render_diffusion(body({"gm": 1.0}), scanner_named("A"), b) for b in (0, 500, 1000)]
    assert fitted_adc(images, (0, 500, 1000)) == pytest.approx(0.89, rel=1e-5)


def test_texture_moves_the_signal_by_its_slope():
    field = np.full((2, 2, 2), 2.0, np.float32)
    scanner = scanner_named("A")
    plain, textured = (render(body({"wm": 1.0}, fields), scanner, "T1w") for fields in ({}, {"T1": field}))
    longer = tissue_signal(body({"wm": 1.0}), scanner, "T1w", "wm", factors={"T1": 1 + 2 * 0.015})
    assert textured == pytest.approx(longer, rel=1e-3)
    assert textured.mean() < plain.mean()


def test_a_transmit_field_of_one_changes_nothing_and_a_lower_one_does():
    scanner, white = scanner_named("A"), body({"wm": 1.0})
    ones = np.ones((2, 2, 2), np.float32)
    assert render(white, scanner, "T1w", transmit=ones) == pytest.approx(render(white, scanner, "T1w"), rel=1e-5)
    exact = tissue_signal(white, scanner, "T1w", "wm", factors={"flip": 0.9})
    assert render(white, scanner, "T1w", transmit=0.9 * ones) == pytest.approx(exact, rel=2e-3)


def test_no_gadolinium_and_the_same_acquisition_give_t1ce_equal_to_t1():
    options = Options(dose_mmol_kg=0.0, is_same_acquisition=True, lesions="none")
    subject = simulate_subject("t1ce_t1", seed=4, options=options)
    assert np.array_equal(subject.images["T1w"].data, subject.images["T1ce"].data)
    # The source is then an answer without error, and no oracle may state a larger one.
    assert subject.truth.factors["oracle"]["T1w"]["all"]["total_mse"] == 0


def test_the_images_show_what_the_physics_says(glioma):
    truth, before, after = glioma.truth, glioma.images["T1w"].data, glioma.images["T1ce"].data
    pure = {name: truth.fractions[name].data > 0.98 for name in ("wm", "gm", "vessel")}
    white = np.median(before[pure["wm"]])
    assert 0.45 < np.median(before[pure["gm"]]) / white < 0.75
    gain = np.median(after[pure["wm"]]) / white
    assert 1.6 < np.median(after[pure["vessel"]]) / white / gain < 2.6


def test_fractions_sum_to_one_and_labels_follow_them(glioma):
    fractions = np.stack([volume.data for volume in glioma.truth.fractions.values()])
    assert np.abs(fractions.sum(axis=0) - 1).max() < 1e-3
    assert np.array_equal(glioma.truth.labels.data, fractions.argmax(axis=0))


def test_every_subject_says_what_the_best_model_could_reach(glioma):
    oracle = glioma.truth.factors["oracle"]["T1w"]
    assert oracle["all"]["total_mse"] > oracle["noise_mse"] > 0
    assert oracle["uncertain"]["unpredictable_mse"] > 0


@pytest.mark.parametrize(
    ("task", "changes", "code"),
    [
        ("t1_to_pet", {}, "TASK_UNKNOWN"),
        ("t1ce_t1", {"size": "huge"}, "SIZE_UNKNOWN"),
        ("t1ce_t1", {"seed": -1}, "SEED_NEGATIVE"),
        ("t1ce_t1", {"scanner": "Q"}, "SCANNER_UNKNOWN"),
    ],
)
def test_a_subject_that_cannot_be_is_refused(task, changes, code):
    with pytest.raises(UsageError, match=code):
        simulate_subject(task, **{"seed": 1, **changes})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"dose_mmol_kg": -1}, "DOSE_NEGATIVE"),
        ({"agent": "iodine"}, "AGENT_UNKNOWN"),
        ({"lesions": "wart"}, "LESION_UNKNOWN"),
        ({"missing_share": 1.0}, "SHARE"),
        ({"quality_mix": {"fine": 1}}, "QUALITY_MIX"),
    ],
)
def test_options_that_cannot_be_are_refused(changes, code):
    with pytest.raises(UsageError, match=code):
        Options(**changes)


def test_a_spine_has_its_discs_where_it_says_and_its_images_on_one_grid(spine):
    slices = spine.truth.factors["disc_slices"]
    discs = spine.truth.fractions["disc"].data
    assert all(discs[:, :, k].sum() > 150 for k in slices)
    assert spine.images["CT"].grid.matches(spine.images["T2w"].grid)
    assert spine.images["CT"].data[discs > 0.99].mean() == pytest.approx(85, abs=15)


def test_the_t2w_signal_of_a_disc_follows_its_grade():
    signals = {}
    for seed in range(6):
        made = simulate_subject("spine", seed=seed, options=Options())
        level = made.images["T2w"].data[made.truth.fractions["soft"].data > 0.99]
        for disc, k in zip(made.truth.factors["spine"]["discs"], made.truth.factors["disc_slices"], strict=True):
            core = made.truth.fractions["disc"].data[:, :, k] > 0.99
            ratio = np.percentile(made.images["T2w"].data[:, :, k][core], 90) / np.median(level)
            signals.setdefault(disc["grade"], []).append(ratio)
    means = [np.mean(signals[grade]) for grade in sorted(signals)]
    assert len(means) >= 3
    assert means == sorted(means, reverse=True)


@pytest.mark.slow
def test_every_task_makes_its_images_and_the_same_ones_again():
    for task, shown in (
        ("virtual_contrast", {"T1w", "T2w", "FLAIR", "b0", "b500", "b1000", "ADC", "T1ce"}),
        ("ct_to_mr", {"CT", "T1w", "T2w"}),
    ):
        first, second = (simulate_subject(task, seed=9, subject=1) for _ in range(2))
        assert set(first.images) == shown
        for name in shown:
            assert np.array_equal(first.images[name].data, second.images[name].data), name


@pytest.mark.slow
def test_a_bad_and_an_improper_image_are_what_they_are_called():
    low = simulate_subject("t1ce_t1", seed=3, options=Options(quality_mix={"low": 1}))
    good = simulate_subject("t1ce_t1", seed=3)
    grades = low.truth.factors["acquisitions"]["T1w"]["grades"]
    assert max(grades["contrast"], grades["motion"], grades["noise"]) == 2
    assert not np.array_equal(low.images["T1w"].data, good.images["T1w"].data)
    improper = [
        simulate_subject("t1ce_t1", seed=seed, options=Options(quality_mix={"improper": 1})) for seed in (1, 2, 3)
    ]
    reasons = {made.truth.factors["acquisitions"]["T1w"]["grades"]["improper"] for made in improper}
    assert reasons <= {"t2_weighted", "localiser", "cut"}


@pytest.mark.slow
def test_a_second_session_shows_the_same_head_with_other_noise():
    first, second = (simulate_subject("t1ce_t1", seed=3, session=session) for session in (0, 1))
    assert first.truth.factors["head"] == second.truth.factors["head"]
    assert np.array_equal(first.truth.fractions["gm"].data, second.truth.fractions["gm"].data)
    assert not np.array_equal(first.images["T1w"].data, second.images["T1w"].data)


@pytest.mark.slow
def test_the_held_out_scanner_f_makes_thick_slices():
    made = simulate_subject("t1ce_t1", seed=3, scanner="F")
    assert made.images["T1w"].spacing_mm == pytest.approx((2, 2, 6))


def test_aligned_images_have_the_pose_of_the_first_and_noise_of_their_own():
    aligned = simulate_subject("ct_to_mr", seed=6, options=Options(is_aligned=True))
    posed = simulate_subject("ct_to_mr", seed=6)
    settings = aligned.truth.factors["acquisitions"]
    assert settings["T1w"]["pose"] == settings["T2w"]["pose"] == settings["CT"]["pose"]
    assert posed.truth.factors["acquisitions"]["T2w"]["pose"] != settings["CT"]["pose"]
    assert np.array_equal(aligned.images["CT"].data, posed.images["CT"].data)
    assert not np.array_equal(aligned.images["T2w"].data, posed.images["T2w"].data)
