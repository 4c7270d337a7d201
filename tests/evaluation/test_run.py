"""A whole evaluation: what is written, what is refused, what is never computed twice."""

import csv
import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from small_study import write_bundle, write_case

from voxlate.errors import InputRefused, ModelInvalid, NoInput, UsageError
from voxlate.evaluation.card import UNMEASURED
from voxlate.evaluation.cases import result
from voxlate.evaluation.cases.read_case import CaseFiles, load_case
from voxlate.evaluation.metrics import METRICS
from voxlate.evaluation.protocols import PROTOCOLS
from voxlate.evaluation.run import evaluate_cases
from voxlate.evaluation.schema.results import Evaluation, read_evaluation
from voxlate.evaluation.settings import Baselines, Settings
from voxlate.io.atomic import json_text
from voxlate.io.nifti import read_volume, write_volume
from voxlate.reporting.page import write_report
from voxlate.volume import Volume

KEYS = [
    "voxlate_version", "protocols", "data_kind", "unit", "direction", "methods", "cases", "summary", "comparisons",
    "primary", "oracle", "lesions", "volumes", "left_out", "missing", "refused", "history", "network_pictures",
    "model",
]  # fmt: skip


QUICK = {"protocols": ("lee2020",)}


def run(study, *, bundle=None, jobs=1, **options):
    folder, cases = study
    settings = Settings(data_kind="simulated", enhancing_labels=(3, 4), **options)
    return evaluate_cases(cases, folder / "synthetic", folder / "out", settings=settings, bundle=bundle, jobs=jobs)


def scores(folder):
    with (folder / "out" / "scores.tsv").open() as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def mean_of(content, **wanted):
    wanted = {"protocol": "voxlate", "intensity": "as_written", "region": "mask", **wanted}
    (row,) = [row for row in content["summary"] if wanted.items() <= row.items()]
    return row["mean"]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    cases = [write_case(folder, f"case_{seed}", seed=seed) for seed in range(4)]
    return folder, run((folder, cases), bundle=write_bundle(folder))


def test_the_report_reads_what_evaluation_writes(done):
    folder, outcome = done
    assert list(outcome.content) == KEYS
    assert json.loads((folder / "out" / "evaluation.json").read_text()) == outcome.content
    read = read_evaluation(folder / "out")
    assert len(read.scores) == len(scores(folder))
    assert outcome.content["direction"] == {"source": "T1ce", "target": "T1"}


def test_what_was_written_is_read_and_written_again_byte_for_byte(done):
    text = (done[0] / "out" / "evaluation.json").read_text()
    assert json_text(Evaluation.model_validate_json(text).to_json()) == text


def test_loss_curves_keep_the_keys_of_the_bundle_and_their_order(study, bundle):
    text = '{"stopped": [{"stage": 0}], "training": [{"step": 1, "l1": 2, "loss": 0.5}], "validation": []}'
    (bundle / "history.json").write_text(text)
    assert json.dumps(run((study[0], study[1][:1]), bundle=bundle, **QUICK).content["history"]) == text


def test_loss_curves_that_cannot_be_read_are_refused(study, bundle):
    for text in ("{", '{"training": 3}'):
        (bundle / "history.json").write_text(text)
        with pytest.raises(InputRefused, match=r"BUNDLE_FILE.*train the bundle again"):
            run((study[0], study[1][:1]), bundle=bundle, **QUICK)


def test_every_score_has_the_unit_that_the_table_of_metrics_states(done):
    units = {(row["metric"], row["unit"]) for row in scores(done[0])}
    assert units == {(metric, METRICS[metric].unit) for metric, _ in units}


def test_every_path_leads_from_the_output_to_the_file(done):
    folder, outcome = done
    for case in outcome.content["cases"]:
        assert case["paths"]["mask"] is None
        for role in ("source", "target", "synthetic", "labels"):
            assert (folder / "out" / case["paths"][role]).is_file()


def test_every_method_is_scored_and_the_synthetic_image_wins_where_it_should(done):
    _, outcome = done
    content = outcome.content
    assert content["methods"] == ["source", "histogram_match", "constant", "blurred_target", "synthetic"]
    errors = {method: mean_of(content, method=method, metric="mae") for method in content["methods"]}
    assert errors["synthetic"] < errors["histogram_match"] < errors["source"]
    assert errors["histogram_match"] < errors["constant"]


def test_the_blurred_target_has_the_psnr_of_the_synthetic_image_and_less_sharpness(done):
    _, outcome = done
    blurred, made = (mean_of(outcome.content, method=m, metric="psnr") for m in ("blurred_target", "synthetic"))
    assert blurred == pytest.approx(made, abs=0.3)
    assert mean_of(outcome.content, method="blurred_target", metric="sharpness_ratio") < 1


def test_the_table_contains_the_sigma_of_the_blur_and_its_psnr_gap(done):
    _, outcome = done
    sigma, gap = (mean_of(outcome.content, method="blurred_target", metric=m) for m in ("blur_sigma", "psnr_gap"))
    blurred, made = (mean_of(outcome.content, method=m, metric="psnr") for m in ("blurred_target", "synthetic"))
    assert 0.1 <= sigma <= 16
    assert gap == pytest.approx(blurred - made, abs=0.05)


def test_one_family_of_tests_is_primary_and_it_is_named(done):
    content = done[1].content
    assert content["primary"] == {
        "protocol": "voxlate", "intensity": "as_written", "region": "mask", "metrics": ["mae", "psnr", "ssim"],
    }  # fmt: skip
    chosen = [(c["intensity"], c["region"], c["metric"]) for c in content["comparisons"] if c["family"] == "primary"]
    assert sorted(set(chosen)) == [("as_written", "mask", metric) for metric in ("mae", "psnr", "ssim")]
    assert len(chosen) == 6


def test_every_interval_says_how_it_was_computed(done):
    rows = [row for row in done[1].content["summary"] if row["low"] is not None]
    assert {row["interval"] for row in rows} == {"Student's t"}


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_synthetic_image_without_any_contrast_is_a_bad_case_and_not_an_error(study, bundle, value):
    folder, cases = study
    path = folder / "synthetic" / f"{cases[0].case}.nii.gz"
    write_volume(path, read_volume(path).with_data(np.full(read_volume(path).data.shape, value, np.float32)))
    protocols = tuple(name for name, protocol in PROTOCOLS.items() if protocol.unit is None)
    level = json.loads((folder / "synthetic" / f"{cases[0].case}.json").read_text())["Synthetic"]["ReferenceLevel"]
    outcome = run((folder, cases[:1]), bundle=bundle, protocols=protocols, is_segmented=True)
    assert outcome.n_evaluated == 1
    assert mean_of(outcome.content, method="synthetic", metric="mae") > 10
    assert mean_of(outcome.content, method="synthetic", metric="sharpness_ratio") == 0
    left = {entry["protocol"] for entry in outcome.content["left_out"] if "synthetic" in entry["methods"]}
    assert {entry["methods"] for entry in outcome.content["left_out"] if entry["region"] == "tissues"} == {"synthetic"}
    needing_skull = {name for name, protocol in PROTOCOLS.items() if protocol.needs_skull}  # these scans have none
    assert left == {"tissues_mixture", "tissues_clusters", *needing_skull, protocols[0]}
    assert (
        f"the one value {value / level:g} in the mask: the network has collapsed"
        in outcome.content["left_out"][0]["reason"]
    )
    write_report(folder / "out", folder / "report.html")
    assert "Worst" in (folder / "report.html").read_text() or "Only" in (folder / "report.html").read_text()


def test_a_synthetic_image_that_is_not_finite_is_one_refused_row_and_the_others_go_on(study):
    folder, cases = study
    path = folder / "synthetic" / f"{cases[0].case}.nii.gz"
    nowhere = np.full(read_volume(path).data.shape, np.nan, np.float32)
    nibabel.save(nibabel.Nifti1Image(nowhere, read_volume(path).affine), path)
    outcome = run(study, **QUICK)
    assert [(r["case"], r["code"]) for r in outcome.content["refused"]] == [(cases[0].case, "NON_FINITE")]
    assert outcome.n_evaluated == 2


def test_a_protocol_of_whole_heads_alone_refuses_scans_without_their_skull(study):
    outcome = run((study[0], study[1][:1]), protocols=("bottani2024", "bottani2024_code"))
    assert outcome.content["refused"][0]["code"] == "SKULL_STRIPPED"
    assert "give the scans with skull" in outcome.content["refused"][0]["message"]


@pytest.mark.parametrize("unit", [{}, {"Reference": "min_max", "Level": 250.0, "Offset": 0.5}])
def test_the_answer_of_a_min_max_network_is_compared_in_its_own_unit(study, unit):
    """A network that answered 0.8 times the target's share of its range: MAE 20 % of that share, in the brain."""
    folder, (case, *_) = study
    real = read_volume(case.target)
    inside = real.data > 0
    head = np.where(inside, real.data, 900 + 50 * np.random.default_rng(0).random(real.data.shape)).astype(np.float32)
    for path, gain in ((case.target, 1), (case.source, 0.5)):
        write_volume(path, real.with_data(gain * head))
    mask = folder / "mask.nii.gz"
    write_volume(mask, real.with_data(inside.astype(np.float32)))
    share = (head - head.min()) / (head.max() - head.min())
    level = float(np.median(head[inside]))
    written = (0.8 * share + unit["Offset"]) * unit["Level"] if unit else 0.8 * share * 500
    write_volume(folder / "synthetic" / f"{case.case}.nii.gz", real.with_data(written.astype(np.float32)))
    sidecar = {"Task": "T1ce to T1", "ReferenceLevel": float(500 * level / (head.max() - head.min()))}
    sidecar |= {"IntensityUnit": unit} if unit else {}
    (folder / "synthetic" / f"{case.case}.json").write_text(json.dumps({"Synthetic": sidecar}))
    content = run((folder, [replace(case, mask=mask)]), protocols=("bottani2024",)).content
    found = mean_of(content, method="synthetic", metric="mae", protocol="bottani2024")
    low = head.min() / (head.max() - head.min())
    expected = 0.2 * share[inside] if unit else np.abs(0.8 * share - low - share)[inside]
    assert found == pytest.approx(100 * expected.mean(), rel=1e-3)


def test_the_mask_of_the_target_joins_the_union_of_both_brains_and_changes_no_other_mask(study):
    folder, (case, *_) = study
    real = read_volume(case.target)
    inside = real.data > 0
    wider = np.zeros_like(inside)
    wider[1:-1, 1:-1, 1:-1] = True
    for name, mask in (("mask", inside), ("target_mask", wider)):
        write_volume(folder / f"{name}.nii.gz", real.with_data(mask.astype(np.float32)))
    one = replace(case, mask=folder / "mask.nii.gz")
    both = replace(one, target_mask=folder / "target_mask.nii.gz")
    settings = Settings()
    alone, joined = (load_case(CaseFiles.find(each, folder / "synthetic"), settings) for each in (one, both))
    assert np.array_equal(joined.mask, alone.mask)
    assert np.array_equal(joined.union_mask, wider)
    assert np.array_equal(alone.union_mask, inside)


def test_one_published_protocol_alone_ranks_the_cases_of_its_report(study):
    run((study[0], study[1][:2]), protocols=("li2022",))
    write_report(study[0] / "out", study[0] / "report.html")
    text = (study[0] / "report.html").read_text()
    assert "Cases are ranked by the RMSE" in text
    assert "Best case" in text
    assert 'alt="Synthetic' in text


def test_a_card_is_written_again_with_what_was_measured_lesions_first(study, bundle):
    (bundle / "card.md").write_text(f"# t1ce_to_t1\n\n{UNMEASURED}\n\nTranslates **T1ce** to **T1**.\n")
    run((study[0], study[1]), bundle=bundle)
    lines = (study[0] / "out" / "card.md").read_text().splitlines()
    assert lines[0] == "# t1ce_to_t1"
    assert lines[4].startswith("- ")
    assert "Residual enhancement is" in lines[4]
    assert any("Inside lesions the MAE is" in line for line in lines)
    assert UNMEASURED not in "\n".join(lines)
    assert "Translates **T1ce** to **T1**." in lines


def test_what_is_left_of_the_enhancement_is_measured_in_lesions_and_beyond(done):
    content = done[1].content
    wanted = {"protocol": "enhancement", "region": "enhanced_lesion", "metric": "residual_enhancement"}
    left = {method: mean_of(content, method=method, **wanted) for method in ("source", "curve", "synthetic")}
    assert left["source"] == pytest.approx(100)
    assert 20 < left["synthetic"] < 50  # 0.3 of 1.2 was left; after its line the source shows 0.7 of the 1.2
    assert left["curve"] < 100  # these lesions have intensities of their own


def test_a_gain_of_the_source_scan_changes_no_figure(study, bundle):
    one = (study[0], study[1][:1])
    before = run(one, bundle=bundle).content["summary"]
    scan = read_volume(one[1][0].source)
    write_volume(one[1][0].source, scan.with_data(scan.data * 3.0))
    after = run(one, bundle=bundle).content["summary"]
    assert [row["mean"] for row in after] == pytest.approx([row["mean"] for row in before], rel=1e-4, abs=1e-4)


def test_a_gain_of_the_synthetic_image_is_an_error_as_written_and_none_after_the_linear_fit(study):
    folder, cases = study
    before = run((folder, cases[:1])).content
    for case in cases[:1]:
        path = folder / "synthetic" / f"{case.case}.nii.gz"
        scan = read_volume(path)
        write_volume(path, scan.with_data(scan.data * 1.3))
    after = run((folder, cases[:1])).content
    wanted = {"method": "synthetic", "metric": "mae"}
    assert mean_of(after, **wanted) > 3 * mean_of(before, **wanted)
    fit = {**wanted, "intensity": "linear_fit"}
    assert mean_of(after, **fit) == pytest.approx(mean_of(before, **fit), rel=1e-4)


def test_the_lesion_is_a_region_of_its_own(done):
    rows = {(r["region"], r["metric"]) for r in done[1].content["summary"]}
    for region in ("mask", "lesion", "enhancing", "lesion_rim", "normal_appearing"):
        assert (region, "mae") in rows
    bias = mean_of(done[1].content, method="synthetic", metric="bias", region="lesion")
    assert bias > 5 * abs(mean_of(done[1].content, method="synthetic", metric="bias", region="normal_appearing"))


def test_comparisons_state_their_number_and_adjust_for_it(done):
    tests = [c for c in done[1].content["comparisons"] if (c["protocol"], c["intensity"]) == ("voxlate", "as_written")]
    primary = [c for c in tests if c["region"] == "mask" and c["metric"] in ("mae", "psnr", "ssim")]
    others = [c for c in tests if c not in primary]
    assert {c["comparisons"] for c in primary} == {len(primary)} == {6}
    assert {c["comparisons"] for c in others} == {len(others)}
    assert {(c["first"], c["second"]) for c in tests} == {("synthetic", "source"), ("synthetic", "histogram_match")}
    assert all(c["p_adjusted"] >= c["p_permutation"] for c in tests)
    assert all(c["p_permutation"] >= 2 / 2**4 and "no permutation p below" in c["note"] for c in tests)


def test_below_three_patients_no_test_is_run_and_the_note_says_so(study):
    folder, cases = study
    outcome = run((folder, [cases[0], cases[1]]), **QUICK)
    for test in outcome.content["comparisons"]:
        assert test["p_t"] is test["p_adjusted"] is test["ci_low"] is None
        assert "no test is run" in test["note"]


def test_two_scans_of_one_patient_count_once(study):
    object.__setattr__(study[1][1], "patient", "case_0")
    outcome = run(study, **QUICK)
    assert {row["n"] for row in outcome.content["summary"]} == {2}


def test_missing_and_unfit_cases_are_listed_and_the_sum_is_kept(study):
    folder, cases = study
    cases.append(write_case(folder, "case_3", seed=3))
    (folder / "synthetic" / "case_0.nii.gz").unlink()
    (folder / "synthetic" / "case_1.json").unlink()
    path = folder / "synthetic" / "case_2.nii.gz"
    scan = read_volume(path)
    write_volume(path, Volume(scan.data[:-1], scan.affine))
    outcome = run(study, **QUICK)
    assert [entry["case"] for entry in outcome.content["missing"]] == ["case_0", "case_1"]
    assert "no synthetic file" in outcome.content["missing"][0]["reason"]
    (refused,) = outcome.content["refused"]
    assert (refused["case"], refused["code"]) == ("case_2", "GRID_MISMATCH")
    assert outcome.n_evaluated + outcome.n_missing + outcome.n_refused == len(cases)
    assert outcome.exit_status == 8
    assert {row["case"] for row in scores(folder)} == {"case_3"}


def test_another_grid_is_resampled_only_when_asked(study):
    folder, cases = study
    path = folder / "synthetic" / "case_2.nii.gz"
    scan = read_volume(path)
    write_volume(path, Volume(np.pad(scan.data, 2), scan.affine @ shift(-2)))
    outcome = run((folder, cases[2:3]))
    assert outcome.content["refused"][0]["code"] == "GRID_MISMATCH"
    resampled = run((folder, cases[2:3]), is_resampled=True, **QUICK).content
    write_volume(path, scan)
    straight = run((folder, cases[2:3]), **QUICK).content
    for metric in ("mae", "psnr"):
        wanted = {"method": "synthetic", "metric": metric, "protocol": "lee2020"}
        assert mean_of(resampled, **wanted) == pytest.approx(mean_of(straight, **wanted), rel=1e-3)


def shift(voxels):
    affine = np.eye(4)
    affine[:3, 3] = voxels
    return affine


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (np.zeros_like, "EMPTY_MASK"),
        (lambda data: np.where(data > 0, 7.0, 0.0), "CONSTANT"),
        (lambda data: -data, "REFERENCE_LEVEL"),
        (lambda data: data + 1.0, "NOT_SKULL_STRIPPED"),
    ],
)
def test_an_unfit_target_is_refused_with_its_code(study, spoil, code):
    folder, cases = study
    scan = read_volume(cases[0].target)
    write_volume(cases[0].target, scan.with_data(spoil(scan.data)))
    outcome = run((folder, cases[:1]))
    assert [entry["code"] for entry in outcome.content["refused"]] == [code]
    assert outcome.exit_status == 65


def test_a_constant_target_is_refused_by_name(study):
    folder, cases = study
    scan = read_volume(cases[0].target)
    write_volume(cases[0].target, scan.with_data(np.where(scan.data != 0, 3.0, 0).astype(np.float32)))
    outcome = run((folder, cases[:1]))
    assert outcome.content["refused"][0]["code"] == "CONSTANT"


@pytest.mark.parametrize("level", [0, -3.0, "400", None, True])
def test_a_sidecar_without_a_usable_level_is_refused(study, level):
    folder, cases = study
    (folder / "synthetic" / "case_0.json").write_text(json.dumps({"Synthetic": {"ReferenceLevel": level}}))
    outcome = run((folder, cases[:1]))
    assert outcome.content["refused"][0]["code"] == "SIDECAR"


@pytest.mark.parametrize(("score", "shown"), [(2.37, "2.4"), (1.0372, "1.04"), (1.00001, "1.00001")])
def test_a_source_that_the_model_flagged_is_named_in_the_results_and_in_the_report(study, tmp_path, score, shown):
    folder, cases = study
    for case, verdict in zip(cases, ("unusual", "known"), strict=False):
        path = folder / "synthetic" / f"{case.case}.json"
        content = json.loads(path.read_text())
        content["Synthetic"]["QC"] = {"Gate": {"score": score, "verdict": verdict, "by": {}}}
        path.write_text(json.dumps(content))
    outcome = run((folder, cases[:2]), **QUICK)
    assert [case["unusual_score"] for case in outcome.content["cases"]] == [score, None]
    write_report(folder / "out", tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert f"Unlike the scans of the training (INPUT_UNUSUAL): {cases[0].case} ({shown})." in text


def test_a_second_run_computes_nothing_and_changes_nothing(study, bundle, monkeypatch):
    first = run(study, bundle=bundle, **QUICK).content
    monkeypatch.setattr(result, "load_case", lambda *_: pytest.fail("computed again"))
    assert run(study, bundle=bundle, **QUICK).content == first


def test_other_inputs_or_options_or_a_torn_file_are_computed_again(study, monkeypatch):
    folder, cases = study
    run(study, **QUICK)
    computed = []
    load = result.load_case
    monkeypatch.setattr(result, "load_case", lambda files, _: computed.append(files.case.case) or load(files, _))
    (folder / "out" / "cases" / "case_1.json").write_text('{"key": "half a fi')
    scan = read_volume(cases[2].source)
    write_volume(cases[2].source, scan.with_data(scan.data * 1.01))
    run(study, **QUICK)
    assert computed == ["case_1", "case_2"]
    computed.clear()
    run(study, is_resampled=True, **QUICK)
    assert len(computed) == 3


def test_two_processes_write_the_same_as_one(study, bundle):
    folder, _ = study
    run(study, bundle=bundle, **QUICK)
    alone = (folder / "out" / "scores.tsv").read_bytes()
    for file in (folder / "out" / "cases").iterdir():
        file.unlink()
    run(study, bundle=bundle, jobs=2, **QUICK)
    assert (folder / "out" / "scores.tsv").read_bytes() == alone


def test_without_a_bundle_the_histogram_match_is_absent_and_the_definition_states_it(study):
    content = run((study[0], study[1][:1]), **QUICK).content
    assert "histogram_match" not in content["methods"]
    assert "no histogram match" in content["protocols"][0]["definition"]
    assert content["history"] is None


def test_the_loss_curves_of_the_bundle_are_copied(done):
    assert done[1].content["history"]["training"] == [{"step": 1, "loss": 0.5}]


def test_definitions_name_mask_range_window_and_aggregation(done):
    protocol, enhancement = done[1].content["protocols"]
    assert "robust deviations" in enhancement["definition"]
    for word in ("mask", "99.5th percentile", "sigma 1.5", "patients", "fitted on 7 training cases"):
        assert word in protocol["definition"]


def test_no_absolute_path_leaves_the_machine(done):
    folder, _ = done
    for file in (folder / "out").rglob("*.*"):
        assert str(folder) not in file.read_text()


def test_calibrated_images_keep_their_unit_and_need_no_sidecar(study):
    folder, cases = study
    (folder / "synthetic" / "case_0.json").unlink()
    content = run((folder, cases[:1]), unit="HU", data_range=2000.0).content
    assert content["cases"][0]["reference_level"] == {"source": 1.0, "target": 1.0, "synthetic": 1.0}
    scan, real = (read_volume(p) for p in (folder / "synthetic" / "case_0.nii.gz", cases[0].target))
    inside = real.data != 0
    expected = 100 * np.abs(scan.data - real.data)[inside].mean() / 2000
    assert mean_of(content, method="synthetic", metric="mae") == pytest.approx(expected, rel=1e-3)


def test_calibrated_images_have_no_baseline_that_was_fitted_in_relative_units(study, bundle):
    """The constant of the bundle is 1, the median of targets over their own median; these targets have 500 HU."""
    content = run((study[0], study[1][:1]), bundle=bundle, unit="HU", data_range=2000.0).content
    assert content["methods"] == ["source", "blurred_target", "synthetic"]
    assert "fitted in relative units" in content["protocols"][0]["definition"]


def test_no_case_and_unknown_options_are_refused(study):
    with pytest.raises(NoInput, match="no case"):
        run((study[0], []))
    with pytest.raises(UsageError, match="no protocol nonsense"):
        Settings(protocols=("nonsense",))
    with pytest.raises(UsageError, match="need a range"):
        Settings(unit="HU")


def test_the_tables_contain_segmented_tissues_and_their_noise_floor(study):
    content = run(study, is_segmented=True, **QUICK).content
    names = [protocol["name"] for protocol in content["protocols"]]
    assert names == ["lee2020", "enhancement", "tissues_mixture", "tissues_clusters"]
    wanted = {"protocol": "tissues_mixture", "region": "WM", "metric": "avd"}
    assert mean_of(content, method="target_again", **wanted) is not None
    agreements = [record for record in content["volumes"] if record.get("kind") == "agreement"]
    assert {record["n"] for record in agreements} == {3}
    assert read_evaluation(study[0] / "out").evaluation.volumes


def test_lesions_are_listed_by_case_and_the_worst_cases_by_rank(done):
    lesions = done[1].content["lesions"]
    kinds = {record["kind"] for record in lesions}
    assert {"structures", "candidate", "enhancement", "lesion", "by_size", "worst_case"} <= kinds
    for record in lesions:
        if record["kind"] == "enhancement":
            assert record["region"] == "enhancing"
            assert record["index_source"] > record["index_synthetic"] > record["index_target"]


@pytest.mark.parametrize("content", ["{", '{"source_quantiles": [1]}', '{"source_quantiles": [2, 1], "n_cases": 1}'])
def test_a_bundle_with_broken_knots_is_refused(study, bundle, content):
    (bundle / "baselines.json").write_text(content)
    with pytest.raises(ModelInvalid, match="BASELINES"):
        run(study, bundle=bundle, **QUICK)


def test_the_definition_states_the_training_cases_of_the_bundles_of_all_folds(study, bundle, tmp_path):
    folder, cases = study
    content = json.loads((bundle / "baselines.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    (other / "baselines.json").write_text(json.dumps(content | {"n_cases": content["n_cases"] + 2}))
    baselines = Baselines(bundles={cases[0].case: bundle, cases[1].case: other})
    definition = run((folder, cases[:2]), baselines=baselines, **QUICK).content["protocols"][0]["definition"]
    n = content["n_cases"]
    assert f"histogram match fitted on {n} to {n + 2} training cases of each fold" in definition


def test_without_a_mask_file_only_voxels_of_both_scans_are_compared(study):
    folder, cases = study
    scan = read_volume(cases[0].target)
    cut = np.where(np.arange(scan.data.shape[0])[:, None, None] < 15, 0, scan.data)
    write_volume(cases[0].target, scan.with_data(cut))
    run((folder, cases[:1]), **QUICK)
    voxels = json.loads((folder / "out" / "cases" / "case_0.json").read_text())["voxels"]
    assert voxels == np.count_nonzero(cut)


def test_a_tissue_that_an_image_lost_is_listed_and_not_dropped_from_the_mean_alone(study, monkeypatch):
    """An HD95 without the tissue has no value; without a row, the worst images would leave the mean unnoticed."""

    def without_csf(image, inside, *, spacing_mm):
        labels = np.where(inside, np.where(image > np.median(image[inside]), 3, 2), 0)
        if not is_target(image):
            return labels
        return np.where(inside & (image < np.quantile(image[inside], 0.1)), 1, labels)

    first = []

    def is_target(image):
        first.append(image)
        return len(first) == 1  # the target is segmented first

    monkeypatch.setattr("voxlate.evaluation.tissues.volumes.SEGMENTERS", {"mixture": without_csf})
    content = run((study[0], study[1][:1]), is_segmented=True, **QUICK).content
    (row,) = [entry for entry in content["left_out"] if entry["metric"] == "hd95"]
    assert (row["protocol"], row["region"], row["reason"]) == (
        "tissues_mixture",
        "CSF",
        "tissue absent in the image (CSF)",
    )
    assert "synthetic" in row["methods"].split(", ")
