"""Lesions: frequencies, positions, predictable part of the enhancement, and the error of the oracle."""

from dataclasses import replace

import numpy as np
import pytest

from voxlate.errors import UsageError
from voxlate.simulation.anatomy.partial_volume import Frame, PartialVolumeMap
from voxlate.simulation.anatomy.tissues import TISSUES
from voxlate.simulation.lesions.disc_grades import (
    GRADE_SHARES,
    HU_MEAN,
    NUCLEUS_T2_MS,
    draw_disc,
    grade_posterior,
    t2_prior,
)
from voxlate.simulation.lesions.enhancement import UPTAKE_SPREAD, draw_leakiness, uptake_prior
from voxlate.simulation.lesions.lesion_shapes import paint_lesion
from voxlate.simulation.lesions.lesions import (
    LESION_KINDS,
    LESION_SETS,
    depth_needed_mm,
    draw_lesion,
    draw_lesions,
    require_fit,
)
from voxlate.simulation.oracle import (
    AcquisitionVariance,
    acquisition_variance,
    contrast_removal_posterior,
    oracle_error,
    virtual_contrast_posterior,
    visibility,
)
from voxlate.simulation.physics.acquisition import draw_mr_settings
from voxlate.simulation.physics.artefacts import shading
from voxlate.simulation.physics.contrast_agent import AGENTS
from voxlate.simulation.physics.quality import Grades
from voxlate.simulation.physics.render import Body, Substance, tissue_signal
from voxlate.simulation.physics.scanners import contrast_signal, scanner_named
from voxlate.volume import Volume


def random(seed=0):
    return np.random.default_rng(seed)


def metastasis(seed=0, **changes):
    lesion = draw_lesion("metastasis", "L01", 0.7, TISSUES, random(seed))
    return replace(lesion, centre_mm=(30.0, 10.0, 25.0), **changes)


def cube(voxels, corner_mm):
    """Returns the frame of a cube of voxels of 2 mm; the first has its centre at the corner."""
    to_scanner = np.diag([2.0, 2.0, 2.0, 1.0])
    to_scanner[:3, 3] = corner_mm
    index = np.indices((voxels, voxels, voxels), dtype=np.float32) * 2
    points = tuple(axis + at for axis, at in zip(index, corner_mm, strict=True))
    return Frame(2.0, np.eye(4), points, np.linalg.inv(to_scanner))


def sampled(count=160):
    return [lesion for seed in range(count) for lesion in draw_lesions(random(seed), TISSUES)]


def test_ten_to_twenty_per_cent_of_lesions_are_bright_without_agent():
    lesions = sampled()
    assert 0.10 < np.mean([lesion.t1_bright for lesion in lesions]) < 0.20


def test_fifteen_to_twenty_five_per_cent_of_gliomas_do_not_enhance():
    gliomas = [draw_lesion("glioma", "L01", 0.7, TISSUES, random(seed)) for seed in range(500)]
    assert 0.15 < np.mean([not lesion.enhances for lesion in gliomas]) < 0.25


def test_no_lesion_reaches_out_of_the_brain_or_into_another():
    for seed in range(40):
        lesions = draw_lesions(random(seed), TISSUES, "metastases")
        for number, lesion in enumerate(lesions):
            require_fit(lesion)
            for other in lesions[:number]:
                apart = np.linalg.norm(np.subtract(lesion.centre_mm, other.centre_mm))
                assert apart > (lesion.diameter_mm + other.diameter_mm) / 2


def test_a_lesion_that_does_not_fit_is_refused():
    with pytest.raises(UsageError, match=r"LESION_DOES_NOT_FIT .*60 mm.*is 2\d\.\d mm inside"):
        require_fit(metastasis(diameter_mm=60.0))
    with pytest.raises(UsageError, match="LESION_UNKNOWN"):
        draw_lesions(random(), TISSUES, "pimple")


@pytest.mark.parametrize("kind", LESION_KINDS)
def test_every_kind_can_be_drawn_and_has_a_depth(kind):
    lesion = draw_lesion(kind, "L01", 0.7, TISSUES, random(3))
    assert lesion.diameter_mm > 0
    assert depth_needed_mm(lesion) <= lesion.diameter_mm / 2


@pytest.mark.parametrize("diameter_mm", [3.0, 8.0, 16.0])
def test_a_painted_lesion_has_the_volume_of_its_diameter(diameter_mm):
    frame = cube(24, (7, -13, 2))
    tissue_map = PartialVolumeMap(frame.shape)
    tissue_map.paint("wm", 1.0)
    lesion = metastasis(diameter_mm=diameter_mm, core_share=0.0, oedema_mm=0.0)
    paint_lesion(tissue_map, frame, lesion, np.ones(frame.shape, np.float32), random())
    volume = tissue_map.total("L01-solid").sum() * 8
    assert volume == pytest.approx(np.pi / 6 * diameter_mm**3, rel=0.45)
    assert tissue_map.total("wm", *lesion.tissues) == pytest.approx(1, abs=1e-5)


def test_leakiness_correlates_with_what_t2_and_adc_show_as_asked():
    pairs = []
    for seed in range(3000):
        rng = random(seed)
        t2, adc = np.exp(0.12 * rng.standard_normal(2))
        leak = draw_leakiness(t2, adc, 0.7, rng)
        pairs.append((leak.score, np.log(leak.uptake(0.2))))
    score, logarithm = np.array(pairs).T
    assert score.std() == pytest.approx(1, abs=0.05)
    assert np.corrcoef(score, logarithm)[0, 1] == pytest.approx(0.7, abs=0.03)
    assert logarithm.std() == pytest.approx(UPTAKE_SPREAD, rel=0.05)


def test_the_prior_over_the_hidden_part_has_the_moments_of_a_log_normal():
    uptakes, weights = uptake_prior(0.2, 0.5, 0.7)
    sigma = UPTAKE_SPREAD * np.sqrt(1 - 0.49)
    assert weights.sum() == pytest.approx(1)
    assert weights @ uptakes == pytest.approx(0.2 * np.exp(UPTAKE_SPREAD * 0.35 + sigma**2 / 2))


def body_with(lesion, plasma=0.646):
    tissues = {**scanner_named("A").tissues(), **lesion.tissues}
    substances = {name: Substance(tissue, tissue.uptake * plasma) for name, tissue in tissues.items()}
    tissue_map = PartialVolumeMap((3, 3, 3))
    tissue_map.mix({"L01-solid": 0.5, "wm": 0.5}, np.ones((3, 3, 3), np.float32))
    return Body(substances, AGENTS["gadobutrol"], tissue_map=tissue_map, textures={})


def test_the_oracle_of_virtual_contrast_is_right_on_average_and_its_variance_is_its_error():
    errors, variances = [], []
    for seed in range(500):
        lesion = metastasis(seed)
        if lesion.solid.name == "metastasis":
            posterior = virtual_contrast_posterior(body_with(lesion), scanner_named("A"), lesion, 0.646)
            errors.append(posterior.mean - posterior.actual)
            variances.append(posterior.variance)
    assert np.mean(errors) == pytest.approx(0, abs=0.03)
    assert np.mean(np.square(errors)) == pytest.approx(np.mean(variances), rel=0.2)


def test_removing_contrast_leaves_an_error_above_zero():
    lesion = metastasis(1)
    posterior = contrast_removal_posterior(body_with(lesion), scanner_named("A"), lesion, 0.646)
    assert posterior.variance > 1e-4
    assert abs(posterior.mean - posterior.actual) < 6 * np.sqrt(posterior.variance)


def test_the_oracle_s_error_is_variance_times_share_squared_plus_noise():
    lesion = metastasis(1)
    body = body_with(lesion)
    posterior = virtual_contrast_posterior(body, scanner_named("A"), lesion, 0.646)
    error = oracle_error(body, {"L01-solid": posterior}, None, np.ones((3, 3, 3), bool), 0.02)
    assert error["all"]["total_mse"] == pytest.approx(0.25 * posterior.variance + 0.0004, rel=1e-5)


def acquired(shading_amplitude=0.3, bend_mm=0.0):
    settings = draw_mr_settings(Grades(), 3.0, random(0), is_reference=bend_mm == 0)
    return replace(settings, shading=shading_amplitude, bend_mm=bend_mm)


def test_a_lesion_is_as_visible_as_the_sequence_that_was_acquired_shows_it():
    lesion, scanner = metastasis(1), scanner_named("A")
    body, planned = body_with(lesion), acquired()

    def expected(contrast, **weighting):
        def signal(tissue, **by):
            kept = tissue.turbo_kept if contrast == "T2w" else 1
            return kept * float(contrast_signal(contrast, tissue.relaxation, scanner, **by))

        white = scanner.tissues()["wm"]
        noise = signal(white) * planned.noise_percent / 100
        return (signal(lesion.solid, **weighting) - signal(white, **weighting)) / noise

    for changed, of in (
        ({}, expected("T1w")),
        ({"weighting": 0.2}, expected("T1w", weighting=0.2)),
        ({"grades": Grades(improper="t2_weighted")}, expected("T2w")),
    ):
        found = visibility(lesion, body, scanner, {"T1w": replace(planned, **changed)})
        assert found["cnr_T1w"] == pytest.approx(of, abs=2e-3)


def edge_body():
    tissue_map = PartialVolumeMap((24, 24, 24))
    half = np.zeros((24, 24, 24), np.float32)
    half[12:] = 1
    tissue_map.mix({"wm": 1.0}, half)
    substances = {name: Substance(tissue, 0.0) for name, tissue in scanner_named("A").tissues().items()}
    return Body(substances, AGENTS["gadobutrol"], tissue_map=tissue_map, textures={})


@pytest.mark.parametrize("amplitude", [0.1, 0.4])
def test_the_oracle_counts_the_shading_of_the_target_as_it_is_drawn(amplitude):
    mask = np.square((np.indices((24, 24, 24)) - 11.5) / 8.64).sum(axis=0) <= 1
    result = acquisition_variance(
        edge_body(), scanner_named("A"), "T1w", acquired(amplitude), mask, spacing_mm=1.0, has_agent=False
    )
    fields = [shading((24, 24, 24), amplitude, random(k))[mask] for k in range(80)]
    drawn = [np.square(field / np.median(field) - 1).mean() for field in fields]
    bright = mask & (np.arange(24)[:, None, None] >= 14)  # where the body's signal is 1
    assert result.variance[bright].mean() == pytest.approx(np.mean(drawn), rel=0.25)
    assert result.signal_range == pytest.approx(1, rel=1e-5)


def test_the_oracle_counts_pose_and_bend_where_there_are_edges_and_nothing_where_the_truth_lies():
    mask = np.ones((24, 24, 24), bool)
    plain, moved = (
        acquisition_variance(edge_body(), scanner_named("A"), "T1w", acquired(0.0, bend), mask, spacing_mm=1.0,
                             has_agent=False).variance
        for bend in (0.0, 0.25)
    )  # fmt: skip
    assert plain.max() == 0
    flat = np.ones(24, bool)
    flat[10:14] = False
    assert moved[flat].max() < 1e-12
    # At the edge the gradient is half a step on both sides: (1/2)² (0.3² + 0.25² + what the turn adds near the centre).
    assert moved[12, 12, 12] == pytest.approx(0.25 * (0.3**2 + 0.25**2), rel=0.02)


def test_the_oracle_s_error_is_given_in_the_unit_of_the_tables():
    lesion = metastasis(1)
    body = body_with(lesion)
    acquisition = AcquisitionVariance(np.full((3, 3, 3), 0.0009, np.float32), 1.5)
    error = oracle_error(body, {}, None, np.ones((3, 3, 3), bool), 0.02, acquisition)
    assert error["all"]["acquisition_mse"] == pytest.approx(0.0009)
    assert error["all"]["rmse_percent"] == pytest.approx(100 * np.sqrt(0.0009 + 0.0004) / 1.5)


def test_ct_tells_little_of_a_disc_s_grade():
    discs = [draw_disc(random(seed)) for seed in range(1500)]
    right = np.mean([np.argmax(grade_posterior(disc)) + 1 == disc.grade for disc in discs])
    assert max(GRADE_SHARES) < right < 0.62
    certainty = np.mean([grade_posterior(disc)[disc.grade - 1] for disc in discs])
    frequency = np.mean([grade_posterior(disc) for disc in discs], axis=0)
    assert certainty < 0.5
    assert frequency == pytest.approx(GRADE_SHARES, abs=0.04)
    assert max(HU_MEAN) - min(HU_MEAN) < 10


def test_t2_given_a_certain_grade_has_that_grade_s_moments():
    times, weights = t2_prior([0, 1, 0, 0])
    mean = weights @ times
    assert (mean, np.sqrt(weights @ (times - mean) ** 2)) == pytest.approx(NUCLEUS_T2_MS[1])


def test_lesions_of_a_subject_are_in_its_mask_and_its_table(glioma):
    row = glioma.truth.lesions[0]
    assert isinstance(glioma.truth.lesion_mask, Volume)
    voxels = int((glioma.truth.lesion_mask.data == 1).sum())
    assert voxels * 0.008 == pytest.approx(row["volume_ml"], rel=0.15)
    assert row["kind"] == "glioma"


def painted_kind(kind, seed=4, **changes):
    """Paints a lesion of a kind into a cube of fluid, dura, grey and white matter, a quarter each."""
    frame = cube(40, (-9, -39, -14))
    tissue_map = PartialVolumeMap(frame.shape)
    tissue_map.mix(dict.fromkeys(("wm", "gm", "csf", "dura"), 0.25), np.ones(frame.shape, np.float32))
    lesion = draw_lesion(kind, "L01", 0.7, TISSUES, random(seed))
    lesion = replace(lesion, centre_mm=(30.0, 0.0, 25.0), oedema_mm=0.0, **changes)
    paint_lesion(tissue_map, frame, lesion, np.ones(frame.shape, np.float32), random())
    return tissue_map, lesion


@pytest.mark.parametrize(("kind", "host"), [("leptomeningeal", "csf"), ("pachymeningeal", "dura")])
def test_a_lesion_of_the_meninges_replaces_its_host_and_nothing_else(kind, host):
    tissue_map, _ = painted_kind(kind)
    assert tissue_map.total("L01-solid").max() == pytest.approx(0.25, abs=1e-3)
    for tissue in {"wm", "gm", "csf", "dura"} - {host}:
        assert tissue_map.total(tissue) == pytest.approx(0.25, abs=1e-6)
    assert tissue_map.total(host, "L01-solid") == pytest.approx(0.25, abs=1e-6)


def test_a_cavity_after_an_operation_is_fluid_with_a_thin_wall():
    tissue_map, lesion = painted_kind("cavity", diameter_mm=32.0, core_share=0.75)
    fluid, wall = (float(tissue_map.total(f"L01-{part}").sum()) for part in ("core", "solid"))
    assert lesion.core.name == "csf"
    assert lesion.core.uptake == 0
    assert 0.5 < fluid / (fluid + wall) < 0.9


@pytest.mark.parametrize("kind", LESION_KINDS)
def test_what_enhances_gets_brighter_after_the_agent_and_what_does_not_stays(kind):
    scanner = scanner_named("A")
    drawn = [draw_lesion(kind, "L01", 0.7, scanner.tissues(), random(seed)) for seed in range(60)]
    share = np.mean([lesion.enhances for lesion in drawn])
    barred = np.mean([lesion.solid.name in ("haemorrhage", "lipoma") for lesion in drawn])
    assert share == pytest.approx(LESION_KINDS[kind].enhancing * (1 - barred), abs=0.2)
    for lesion in drawn[:20]:
        body = body_with(lesion)
        before, after = (tissue_signal(body, scanner, "T1w", "L01-solid", has_agent=has) for has in (False, True))
        if lesion.enhances:
            assert after > 1.08 * before
        else:
            assert before <= after < 1.08 * before


def test_a_haemorrhage_is_brighter_than_white_matter_without_agent_and_never_enhances():
    scanner = scanner_named("A")
    for seed in range(20):
        lesion = draw_lesion("haemorrhage", "L01", 0.7, scanner.tissues(), random(seed))
        body = body_with(lesion)
        assert not lesion.enhances
        assert tissue_signal(body, scanner, "T1w", "L01-solid") > tissue_signal(body, scanner, "T1w", "wm")


@pytest.mark.parametrize(
    ("lesion_set", "kind", "most_mm"),
    [("punctate", "punctate", 3.5), ("lymphoma", "lymphoma", 35), ("cavity", "cavity", 45)],
)
def test_the_new_sets_hold_their_kind(lesion_set, kind, most_mm):
    lesions = [lesion for seed in range(8) for lesion in draw_lesions(random(seed), TISSUES, lesion_set)]
    assert len(lesions) >= 6
    assert {lesion.kind for lesion in lesions} == {kind}
    assert max(lesion.diameter_mm for lesion in lesions) <= most_mm


def test_the_probabilities_of_all_sets_sum_to_one():
    assert sum(LESION_SETS.values()) == pytest.approx(1)
