"""Lesions of known size, brightness and fate."""

import numpy as np
import pytest

from voxlate.errors import InputRefused
from voxlate.evaluation.cases.regions import lesion_regions, within
from voxlate.evaluation.lesions import (
    describe_lesions,
    enhancement,
    find_structures,
    measure_lesions,
    summarize_lesions,
)
from voxlate.evaluation.lesions.components import components
from voxlate.evaluation.lesions.reference import noise_sd
from voxlate.evaluation.lesions.sentences import UNLABELLED, lesion_sentences

SHAPE = (40, 42, 44)
SPACING = (1.0, 1.0, 1.0)
RANDOM = np.random.default_rng(0)
MASK = np.zeros(SHAPE, dtype=bool)
MASK[3:-3, 3:-3, 3:-3] = True


def blob(centre, radius):
    return np.linalg.norm(np.indices(SHAPE) - np.array(centre)[:, None, None, None], axis=0) <= radius


BIG, SMALL = blob((20, 20, 20), 6), blob((30, 30, 30), 2)
BRAIN = np.where(MASK, 1.0 + 0.1 * np.sin(np.indices(SHAPE).sum(axis=0) / 3.0), 0).astype(np.float32)


def images(*, source=2.0, synthetic=1.0, target=1.0, where=BIG):
    factors = {"source": source, "synthetic": synthetic, "target": target}
    return {role: (BRAIN * np.where(where, factor, 1.0)).astype(np.float32) for role, factor in factors.items()}


def normal(lesion=BIG):
    return MASK & ~within(lesion, 5.0, SPACING)


@pytest.mark.parametrize(("synthetic", "share"), [(2.0, 0.0), (1.5, 0.5), (1.0, 1.0), (0.5, 1.5)])
def test_the_share_reached_runs_from_the_source_to_the_target(synthetic, share):
    found = enhancement(images(synthetic=synthetic), BIG, normal())
    assert found["share_reached"] == pytest.approx(share, abs=1e-6)


def test_the_index_is_the_brightness_against_white_matter_whatever_the_gain():
    shown = images()
    plain = enhancement(shown, BIG, normal())
    scaled = enhancement(
        {"source": 7 * shown["source"], "synthetic": 3 * shown["synthetic"], "target": shown["target"]}, BIG, normal()
    )
    assert scaled == pytest.approx(plain, rel=1e-5)
    assert plain["index_source"] / plain["index_target"] == pytest.approx(2.0, rel=1e-5)


def test_an_erased_enhancing_part_counts_as_lost_though_the_whole_lesion_is_grey():
    enhancing = blob((20, 20, 20), 3)
    dark_edema = np.where(BIG, 0.8, 1.0) * BRAIN
    target = np.where(enhancing, 2.0, dark_edema).astype(np.float32)
    shown = {"source": dark_edema.astype(np.float32), "synthetic": dark_edema.astype(np.float32), "target": target}
    (alone,) = measure_lesions(shown, BIG, normal(), voxel_mm3=1.0, data_range=1.0)
    assert not alone["is_bright_in_target"]
    (parted,) = measure_lesions(shown, BIG, normal(), voxel_mm3=1.0, data_range=1.0, enhancing=enhancing)
    assert (parted["index_of"], parted["is_bright_in_target"], parted["is_kept"]) == ("enhancing", True, False)


@pytest.mark.parametrize(("synthetic", "is_kept"), [(1.0, False), (0.7, True)])
def test_a_dark_lesion_that_is_painted_over_is_lost(synthetic, is_kept):
    shown = images(source=0.6, synthetic=synthetic, target=0.6)
    (lesion,) = measure_lesions(shown, BIG, normal(), voxel_mm3=1.0, data_range=1.0)
    assert (lesion["is_bright_in_target"], lesion["is_dark_in_target"]) == (False, True)
    assert lesion["is_kept"] is is_kept
    (row,) = [r for r in summarize_lesions([{"case": "a", "patient": "a", "kind": "lesion", **lesion}])
              if r["kind"] == "by_size"]  # fmt: skip
    assert (row["n_dark_in_target"], row["n_dark_kept"]) == (1, int(is_kept))


def test_a_synthetic_image_of_zeros_shows_no_lesion():
    (lesion,) = measure_lesions(images(source=0.6, synthetic=0.0, target=0.6) | {"synthetic": np.zeros_like(BRAIN)},
                                BIG, normal(), voxel_mm3=1.0, data_range=1.0)  # fmt: skip
    assert (lesion["index_synthetic"], lesion["share_reached"], lesion["is_kept"]) == (None, None, False)


def record(kind, **content):
    return {"kind": kind, "case": "a", "patient": "a", **content}


def test_a_constant_that_is_nearer_in_lesions_is_named():
    means = {("lesion", "source"): 46.8, ("lesion", "synthetic"): 19.1, ("lesion", "constant"): 14.3}
    (first, *_) = lesion_sentences(means, [], unit="%")
    assert "(untouched source 46.8, constant 14.3). A constant image has a smaller error there" in first.text
    (first, *_) = lesion_sentences(means | {("lesion", "constant"): 20.0}, [], unit="%")
    assert first.text.endswith("constant 20.0).")


def test_a_histogram_match_that_is_nearer_in_lesions_is_named():
    means = {("lesion", "source"): 46.8, ("lesion", "synthetic"): 19.1, ("lesion", "histogram_match"): 18.2}
    (first, *_) = lesion_sentences(means, [], unit="%")
    assert "better than doing nothing (untouched source 46.8, histogram match 18.2). The source after a" in first.text
    assert first.text.endswith("histogram match, which needs no network, has a smaller error there.")
    (first, *_) = lesion_sentences(means | {("lesion", "histogram_match"): 19.08}, [], unit="%")
    assert first.text.endswith("histogram match 19.1).")


@pytest.mark.parametrize(("share", "is_worse"), [(-0.1, True), (0.1, False), (1.9, False), (2.6, True)])
def test_a_change_beyond_the_target_is_worse_than_the_source_from_twice_its_size_on(share, is_worse):
    (sentence,) = lesion_sentences({}, [record("enhancement", share_reached=share)], unit="%")
    assert sentence.is_worse == is_worse


def test_the_sentence_on_lesions_that_enhance_leaves_out_cases_without_an_enhancing_label():
    records = [
        record("enhancement", patient=patient, region=region, share_reached=share)
        for patient, region, share in (("a", "enhancing", 0.9), ("b", "lesion", 0.0), ("c", "lesion", 0.1))
    ]
    assert "lesions that enhance, 90 % was made" in lesion_sentences({}, records, unit="%")[0].text
    assert "target in lesions, 5 % was made" in lesion_sentences({}, records[1:], unit="%")[0].text


def test_the_sentences_say_where_the_image_is_worse_than_its_source():
    means = {("lesion", "source"): 17.9, ("lesion", "synthetic"): 23.1, ("lesion", "histogram_match"): 20.0,
             ("lesion_rim", "source"): 9.0, ("lesion_rim", "synthetic"): 8.0}  # fmt: skip
    records = [
        record("lesion", is_kept=False),
        record("lesion", is_kept=None),
        record("enhancement", share_reached=-0.84),
        record("structures", false_structures_count=2, false_structures_mm3=500.0, leftovers_mm3=1000.0,
               candidates_mm3=4000.0),
    ]  # fmt: skip
    said = lesion_sentences(means, records, unit="%")
    assert "Inside lesions the MAE is 23.1 %, worse than doing nothing (untouched source 17.9" in said[0].text
    assert [sentence.is_worse for sentence in said] == [True, False, True, False, False]
    assert "-84 %" in said[2].text
    assert "1 of 1 lesions" in said[3].text
    assert "1 of 1 cases: 2 of them, 0.5 cm³" in said[4].text


def test_without_labels_a_sentence_states_that_lesions_were_not_evaluated():
    assert lesion_sentences({}, [], unit="%")[0].text == UNLABELLED


def test_no_share_is_computed_where_source_and_target_are_equal():
    assert enhancement(images(source=1.0), BIG, normal())["share_reached"] is None


def test_a_vessel_bright_in_the_source_alone_is_not_taken_for_white_matter():
    shown = images()
    vessel = MASK & (np.arange(SHAPE[0]) < 6)[:, None, None]
    shown["source"] = np.where(vessel, 4.0, shown["source"]).astype(np.float32)
    before, after = (enhancement(s, BIG, normal()) for s in (images(), shown))
    assert after["index_source"] == pytest.approx(before["index_source"], rel=0.05)


def test_without_normal_tissue_there_is_no_reference():
    with pytest.raises(InputRefused, match="NO_REFERENCE"):
        enhancement(images(), BIG, np.zeros(SHAPE, dtype=bool))


def test_lesions_are_measured_one_by_one_the_largest_first():
    lesion = BIG | SMALL
    records = measure_lesions(
        images(where=lesion, synthetic=1.2), lesion, normal(lesion), voxel_mm3=1.0, data_range=2.0
    )
    assert [record["size"] for record in records] == [">10 mm", "<5 mm"]
    assert records[0]["volume_mm3"] == BIG.sum()
    assert records[0]["voxel"] == [20, 20, 20]
    assert records[1]["mae_synthetic"] == pytest.approx(100 * 0.2 * BRAIN[SMALL].mean() / 2.0, rel=1e-5)
    assert records[1]["mae_source"] == pytest.approx(5 * records[1]["mae_synthetic"], rel=1e-5)


@pytest.mark.parametrize(("synthetic", "is_kept"), [(1.6, True), (1.35, True), (1.25, False), (1.0, False)])
def test_a_lesion_bright_before_contrast_must_survive_its_removal(synthetic, is_kept):
    shown = images(source=1.8, synthetic=synthetic, target=1.6)
    (record,) = measure_lesions(shown, BIG, normal(), voxel_mm3=1.0, data_range=2.0)
    assert record["is_bright_in_target"]
    assert record["is_kept"] is is_kept


def test_components_of_voxels_that_share_a_corner_are_one():
    mask = np.zeros((5, 5, 5), dtype=bool)
    mask[1, 1, 1] = mask[2, 2, 2] = mask[4, 4, 0] = True
    assert [part.volume_mm3 for part in components(mask, voxel_mm3=2.0)] == [4.0, 2.0]
    assert [part.volume_mm3 for part in components(mask, voxel_mm3=2.0, least_mm3=3.0)] == [4.0]


def test_a_ball_has_the_diameter_of_a_ball():
    (part,) = components(blob((20, 20, 20), 8), voxel_mm3=1.0)
    assert part.diameter_mm == pytest.approx(16, rel=0.03)


def find(shown):
    return find_structures(shown, MASK, spacing_mm=SPACING, data_range=2.0)


def test_an_exact_image_has_neither_false_structures_nor_leftovers():
    record, candidates = find(images())
    assert record["false_structures_count"] == record["leftovers_count"] == record["false_enhancements_count"] == 0
    assert len(candidates) == record["candidates_count"] == 1
    assert candidates[0]["share_reached"] == pytest.approx(1.0, abs=0.1)
    assert candidates[0]["voxel"] == pytest.approx([20, 20, 20], abs=1)


def test_an_invented_bright_spot_is_a_false_enhancement():
    shown = images(source=1.0)
    shown["synthetic"] = (BRAIN * np.where(BIG, 1.6, 1.0)).astype(np.float32)
    record, _ = find(shown)
    assert record["false_structures_count"] == record["false_enhancements_count"] == 1
    assert record["false_structures_mm3"] == pytest.approx(BIG.sum(), rel=0.3)
    assert record["leftovers_count"] == 0


def test_an_invented_dark_spot_is_a_false_structure_but_no_enhancement():
    shown = images(source=1.0)
    shown["synthetic"] = (BRAIN * np.where(BIG, 0.4, 1.0)).astype(np.float32)
    record, _ = find(shown)
    assert (record["false_structures_count"], record["false_enhancements_count"]) == (1, 0)


def test_what_was_in_the_source_and_stayed_is_left_over_not_invented():
    record, candidates = find(images(synthetic=2.0))
    assert record["leftovers_count"] == 1
    assert record["false_structures_count"] == 0
    assert candidates[0]["share_reached"] == pytest.approx(0.0, abs=0.1)


def test_parts_below_27_cubic_millimetres_are_not_structures():
    shown = images(source=1.0, where=blob((20, 20, 20), 0.5), synthetic=9.0)
    assert find(shown)[0]["false_structures_count"] == 0


def test_noise_is_measured_through_structure():
    noisy = BRAIN + RANDOM.normal(0, 0.05, SHAPE).astype(np.float32)
    assert noise_sd(noisy, MASK) == pytest.approx(0.05, rel=0.05)
    assert noise_sd(noisy + 5 * BIG, MASK) == pytest.approx(0.05, rel=0.1)


def test_the_noise_of_a_single_slice_is_measured_within_the_slice():
    noise = np.random.default_rng(0).normal(0, 0.05, (200, 201, 1))
    ramp = np.linspace(0, 1, 200)[:, None, None]
    assert noise_sd((ramp + noise).astype(np.float32), np.ones(noise.shape, bool)) == pytest.approx(0.05, rel=0.05)


def test_the_threshold_does_not_rise_with_a_worse_model():
    shown = images()
    worse = {**shown, "synthetic": shown["synthetic"] + RANDOM.normal(0, 0.5, SHAPE).astype(np.float32)}
    assert find(worse)[0]["threshold"] == find(shown)[0]["threshold"]


def test_the_regions_of_a_lesion_do_not_overlap_and_fill_the_mask():
    labels = (BIG * 2 + blob((20, 20, 20), 3) * 2).astype(np.int32)
    regions = lesion_regions(labels, MASK, spacing_mm=SPACING, enhancing_labels=(3, 4))
    assert (regions["enhancing"] <= regions["lesion"]).all()
    total = sum(regions[name].astype(int) for name in ("lesion", "lesion_rim", "normal_appearing"))
    assert (total == MASK).all()
    assert lesion_regions(np.zeros(SHAPE, dtype=np.int32), MASK, spacing_mm=SPACING, enhancing_labels=(3, 4)) == {}


def described(case, patient, **options):
    labels = (4 * BIG).astype(np.int32)
    regions = lesion_regions(labels, MASK, spacing_mm=SPACING, enhancing_labels=(3, 4))
    records = describe_lesions(images(**options), MASK, regions, spacing_mm=SPACING, data_range=2.0)
    return [{"case": case, "patient": patient, **record} for record in records]


def test_the_summary_averages_patients_and_names_the_worst_cases_by_rule():
    records = (
        described("a", "p", synthetic=1.5) + described("b", "p", synthetic=1.0) + described("c", "q", synthetic=1.75)
    )
    summary = summarize_lesions(records)
    (row,) = [record for record in summary if record["kind"] == "by_size"]
    assert (row["n_lesions"], row["n_patients"]) == (3, 2)
    assert row["share_reached"] == pytest.approx((0.75 + 0.25) / 2, abs=1e-5)
    worst = [record for record in summary if record.get("criterion") == "mae_synthetic"]
    assert [(record["rank"], record["case"]) for record in worst] == [(1, "c"), (2, "a")]


def test_the_summary_lists_the_sizes_from_small_to_large():
    lesion = next(row for row in described("a", "p") if row["kind"] == "lesion")
    sizes = {">10 mm": 12.0, "5-10 mm": 7.0, "<5 mm": 3.0}
    rows = [lesion | {"size": size, "diameter_mm": mm} for size, mm in sizes.items()]
    listed = [record["size"] for record in summarize_lesions(rows) if record["kind"] == "by_size"]
    assert listed == ["<5 mm", "5-10 mm", ">10 mm"]


def test_a_case_without_reference_tissue_says_so():
    lesion = {"lesion": MASK}
    records = describe_lesions(images(), MASK, lesion, spacing_mm=SPACING, data_range=2.0)
    assert records[-1]["kind"] == "no_reference"
    assert "white matter" in records[-1]["reason"]
