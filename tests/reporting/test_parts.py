from __future__ import annotations

import re
from collections import Counter
from itertools import product

import numpy as np
from scipy import stats

from voxlate.evaluation.schema.results import History, ScoreRow, read_evaluation
from voxlate.evaluation.schema.table import ScoreTable
from voxlate.reporting.case_selection import leading_view
from voxlate.reporting.figures import volume_plots
from voxlate.reporting.figures.quality_plots import patient_means
from voxlate.reporting.figures.training_curves import loss_curves
from voxlate.reporting.sections import claim_checklist, lesion_tables, quality, subgroups
from voxlate.web import plotting


def test_the_interval_of_a_subgroup_equals_that_of_scipy(evaluation) -> None:
    folder = evaluation(*"abcdef", images=False)
    for case, scanner in zip(folder.content["cases"], "AAAABB", strict=True):
        case["subgroups"] = {"scanner": scanner}
    evaluated = read_evaluation(folder.write())
    text = str(subgroups.scores_by_subgroup(evaluated, leading_view(evaluated)))
    values = np.array([4.0, 5.0, 6.0, 7.0])
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert f"{low:.2f} to {high:.2f}" in text
    assert text.count(" to ") == 1 + text.count("up to ")  # two patients have no interval


def test_subgroups_show_their_gap_and_patients_without_a_group(evaluation) -> None:
    folder = evaluation("a", "b", "c", "d", images=False)
    for case, scanner in zip(folder.content["cases"], ("X", "X", "Y"), strict=False):
        case["subgroups"] = {"scanner": scanner}
    evaluated = read_evaluation(folder.write())
    text = subgroups.scores_by_subgroup(evaluated, leading_view(evaluated))
    assert "not stated" in text
    assert "gap 2.50" in text  # means 4.5, 6 and 7


def test_the_note_on_stars_states_the_number_of_tests_of_each_family_also_where_the_leading_one_is_larger() -> None:
    table = ScoreTable("lee2020")
    for k, method, metric in product(range(4), ("source", "synthetic"), ("mae", "psnr", "psnr_as_printed")):
        place = (f"c{k}", f"p{k}", method, "mask", metric)
        table.add(ScoreRow(*place, k + (method == "source"), "", "lee2020", "as_written"))
    note = quality._star_note(table.compare()).replace("\N{NO-BREAK SPACE}", " ")
    assert "adjusted for 2 comparisons (MAE, PSNR and SSIM in the mask; the others for 1)" in note


def test_where_no_test_can_be_run_the_report_says_why_and_has_no_table_of_dashes() -> None:
    table = ScoreTable("voxlate")
    for k, method in product(range(2), ("source", "synthetic")):
        table.add(ScoreRow(f"c{k}", f"p{k}", method, "mask", "mae", 1.0 + k, "%", "voxlate", "as_written"))
    tests = table.compare()
    assert quality._star_note(tests) == f"No test was run: {tests[0].note}."
    assert "below 3" in tests[0].note
    assert quality._tests(tests) is None


def test_subgroups_have_the_metric_of_a_protocol_without_an_mae(evaluation) -> None:
    folder = evaluation("a", "b", "c", images=False)
    folder.rows = [row for row in folder.rows if row[4] != "mae"]
    for case in folder.content["cases"]:
        case["subgroups"] = {"scanner": "X"}
    evaluated = read_evaluation(folder.write())
    text = subgroups.scores_by_subgroup(evaluated, leading_view(evaluated))
    assert "SSIM, mean ± SD" in text
    assert ">0.900 ± 0.020<" in text


def test_without_subgroups_there_is_no_table(evaluation) -> None:
    evaluated = read_evaluation(evaluation("a", images=False).write())
    assert subgroups.scores_by_subgroup(evaluated, leading_view(evaluated)) is None


def test_scans_of_a_patient_are_averaged_before_anything_else(evaluation) -> None:
    folder = evaluation("a", "b", images=False)
    for row in folder.rows:
        row[1] = "same"
    evaluated = read_evaluation(folder.write())
    assert patient_means(evaluated, leading_view(evaluated), "mae")["synthetic"] == {"same": 4.5}


def test_the_checklist_has_44_items_and_fills_only_those_that_the_data_answer(evaluation) -> None:
    evaluated = read_evaluation(evaluation("a", images=False).write())
    text = claim_checklist.checklist(evaluated, leading_view(evaluated))
    filled = claim_checklist.answers(evaluated, leading_view(evaluated))
    assert len(claim_checklist.ITEMS) == len(set(claim_checklist.ITEMS)) == 44
    assert text.count(claim_checklist.OPEN) == 44 - len(filled)
    assert 29 not in filled  # no test was run
    assert filled[11].startswith("Not applicable")  # simulated


def test_the_checklist_does_not_say_that_hounsfield_units_are_divided_by_a_reference_level(evaluation) -> None:
    folder = evaluation("a", images=False)
    assert "divided by its reference level" in _preparation(folder)
    folder.content["unit"] = "HU"
    assert "in HU" in _preparation(folder)


def _preparation(folder) -> str:
    evaluated = read_evaluation(folder.write())
    return claim_checklist.answers(evaluated, leading_view(evaluated))[9]


def test_two_drawings_share_no_id() -> None:
    ids: Counter[str] = Counter()
    for name in ("one", "two"):
        figure, axes = plotting.plot()
        axes.plot([0, 1], [0, 1], marker="o")
        drawn = plotting.inline_svg(figure, name=name, alt="a < b")
        ids.update(re.findall(r'\bid="([^"]+)"', drawn))
        assert "a &lt; b" in drawn
        targets = re.findall(r'(?:href="#|url\(#)([^")]+)', drawn)
        assert targets
        assert set(targets) <= set(ids)
    assert max(ids.values()) == 1


def test_a_long_curve_is_averaged_and_the_caption_says_so() -> None:
    history = History.model_validate({"training": [{"step": s, "loss": 1.0} for s in range(901)], "validation": []})
    text = loss_curves(history)
    assert "mean of 4 consecutive values" in text
    assert loss_curves(None) is None
    assert loss_curves(History()) is None


def test_a_table_of_records_separates_units_and_hides_the_patient() -> None:
    rows = [{"case": "a", "patient": "P1", "volume_mm3": 12.5, "is_kept": True}, {"case": "b", "volume_mm3": None}]
    text = lesion_tables.records_table(rows, label="Lesions", data_kind="real")
    assert "<small>mm³</small>" in text
    assert "P1" not in text
    assert 'data-value="12.5"' in text
    assert "2 rows of 2 cases" in text


def test_a_very_long_table_states_how_many_rows_it_leaves_out() -> None:
    rows = [{"case": str(at), "size": at} for at in range(lesion_tables.MOST_ROWS + 7)]
    assert "7 more are in evaluation.json" in lesion_tables.records_table(rows, label="x", data_kind="real")


def volumes(bias: float) -> list[dict[str, object]]:
    targets = [600.0, 650.0, 580.0, 700.0]
    noise = [1.0, -1.0, 2.0, -2.0]
    return [
        {
            "case": f"c{at}",
            "patient": f"P{at}",
            "tissue": "GM",
            "method": method,
            "volume_cm3": t + add,
            "target_cm3": t,
        }
        for at, (t, e) in enumerate(zip(targets, noise, strict=True))
        for method, add in (("source", 30.0), ("synthetic", bias + e))
    ]


def test_a_too_large_volume_is_below_zero_in_the_published_difference_and_above_zero_in_the_agreement() -> None:
    text = volume_plots.plots(volumes(bias=5.0), data_kind="simulated")
    assert "Untouched source −30" in text
    assert "Synthetic (model) −5.00" in text
    assert "Bias 5.00 cm³" in text
    half = 1.959964 * np.std([1, -1, 2, -2], ddof=1)
    assert f"limits of agreement {5 - half:.2f} to {5 + half:.2f}".replace("-", "−") in text


def test_published_differences_are_shown_when_given() -> None:
    rows = [{**row, "vd_cm3": -11.0} for row in volumes(bias=5.0)]
    text = volume_plots.plots(rows, data_kind="simulated")
    assert "Synthetic (model) −11" in text
    assert "mean intracranial volume" in text


def test_volumes_of_two_segmenters_are_never_averaged() -> None:
    rows = [{**row, "segmenter": "mixture"} for row in volumes(bias=5.0)]
    rows += [{**row, "segmenter": "clusters"} for row in volumes(bias=-9.0)]
    text = volume_plots.plots(rows, data_kind="real")
    assert "Bias 5.00 cm³" in text
    assert "Bias −9.00 cm³" in text
    assert text.count("<figure") == 4


def test_the_noise_of_a_repeated_scan_is_shown_beside_the_methods() -> None:
    rows = [{**row, "method": "target_again"} for row in volumes(bias=5.0) if row["method"] == "source"]
    assert "noise drawn again) −30" in volume_plots.plots([*volumes(bias=5.0), *rows], data_kind="real")


def test_each_kind_of_record_has_its_own_table_and_summaries_come_first() -> None:
    lesions = [{"kind": "lesion", "case": f"c{at}", "mae_synthetic": at} for at in range(20)]
    text = lesion_tables.tables_by_kind(
        [*lesions, {"kind": "by_size", "size": "small", "n_lesions": 20}], data_kind="real"
    )
    assert text.index("by size") < text.index("Each lesion: 20 rows")
    assert text.count("<table") == 2
    assert "MAE synthetic" in text
    assert ">Kind<" not in text
    assert lesion_tables.tables_by_kind([], data_kind="real") is None


def test_columns_and_criteria_of_lesions_have_names_units_and_definitions() -> None:
    worst = [{"kind": "worst_case", "criterion": "mae_synthetic", "rank": 1, "case": "a", "value": 16.0}]
    sizes = [{"kind": "by_size", "size": "<5 mm", "n_lesions": 2, "mae_source": 6.5, "share_reached": 0.1}]
    text = lesion_tables.tables_by_kind([*worst, *sizes], data_kind="real")
    assert "largest MAE of a lesion, % of L" in text
    assert "mae_synthetic" not in text
    assert "MAE source <small>% of L</small>" in text
    assert "0 as in the source, 1 as in the target" in text


def test_agreement_of_volumes_is_a_table_of_numbers_or_a_sentence() -> None:
    place = {"kind": "agreement", "segmenter": "mixture", "method": "target_again", "tissue": "GM"}
    limits = {"bias": 3.25, "bias_interval": [1.0, 5.5], "lower": -2.0, "upper": 8.5}
    equal = {"margin_cm3": 11.0, "p": 0.04, "is_shown": True}
    row = place | {"n": 8, "bland_altman": limits, "icc_2_1": [0.91, 0.7, 0.98], "icc_3_1": [0.95, 0.8, 0.99]}
    row |= {"concordance": 0.9, "equivalence": equal, "note": ""}
    text = lesion_tables.agreement_table([row], data_kind="real")
    assert "3.25" in text
    assert "Target (noise drawn again)" in text
    assert "bias_interval" not in text
    assert "ICC(2,1)" in text
    alone = lesion_tables.agreement_table([place | {"n": 1, "note": "agreement is not computed"}] * 3, data_kind="real")
    assert alone.count("Agreement is not computed.") == 1
    assert "<table" not in alone
    assert lesion_tables.agreement_table([], data_kind="real") is None


def test_records_without_the_columns_are_not_drawn() -> None:
    assert volume_plots.plots([{"case": "a", "tissue": "GM"}], data_kind="real") is None
