import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import write_cohort

from voxlate.bundle.bundle import read_bundle, read_weights, verify_bundle, write_weights
from voxlate.bundle.prepared_case import prepare_case
from voxlate.bundle.settings import DataSettings
from voxlate.cases import Case, read_cases
from voxlate.errors import InputRefused, ModelInvalid, NoInput, UsageError
from voxlate.evaluation.schema.model_facts import read_model_facts
from voxlate.evaluation.training_cases import starts_of
from voxlate.io.nifti import read_volume, write_volume
from voxlate.training.data.windows import cut_window, draw_batch
from voxlate.training.loop import Machine, train, train_cases
from voxlate.training.preflight import require_files
from voxlate.training.validation import toward_start


class Killed(Exception):
    """Stands for a job that is stopped from outside."""


def killer(step):
    def watch(progress, loss):
        if progress.step == step:
            raise Killed

    return watch


def weights_of(run):
    return read_weights(run / "bundle" / "weights.safetensors")


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_training_learns_and_leaves_a_bundle_that_reads_back(recipe, cohort, tmp_path):
    longer = recipe.model_copy(update={"training": recipe.training.model_copy(update={"steps": 60})})
    run = tmp_path / "run"
    bundle = train(longer, run, root=cohort)
    history = json.loads((run / "history.json").read_text())
    losses = [point["loss"] for point in history["training"]]
    assert losses[-1] < 0.7 * losses[0]
    assert [point["step"] for point in history["validation"]] == list(range(4, 61, 4))
    read = read_bundle(bundle)
    assert read.recipe == longer
    assert read.mapping.n == 2
    assert read.spacing_mm == (1.0, 1.0)
    assert "not for diagnosis" in (bundle / "card.md").read_text()


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(recipe, cohort, tmp_path):
    for name in ("a", "b"):
        train(recipe, tmp_path / name, root=cohort)
    other = recipe.model_copy(update={"training": recipe.training.model_copy(update={"seed": 6})})
    train(other, tmp_path / "c", root=cohort)
    assert same(weights_of(tmp_path / "a"), weights_of(tmp_path / "b"))
    assert not same(weights_of(tmp_path / "a"), weights_of(tmp_path / "c"))


def test_a_run_that_was_stopped_and_resumed_ends_with_the_weights_of_one_that_was_not(recipe, cohort, tmp_path):
    train(recipe, tmp_path / "whole", root=cohort)
    with pytest.raises(Killed):
        train(recipe, tmp_path / "cut", root=cohort, watch=killer(7))
    assert not (tmp_path / "cut" / "bundle").exists()
    train(recipe, tmp_path / "cut", root=cohort, resume=True)
    assert same(weights_of(tmp_path / "whole"), weights_of(tmp_path / "cut"))
    histories = [json.loads((tmp_path / name / "history.json").read_text()) for name in ("whole", "cut")]
    assert histories[0] == histories[1]


def test_a_folder_with_a_run_is_not_overwritten_and_not_resumed_by_another_recipe(recipe, cohort, tmp_path):
    train(recipe, tmp_path / "run", root=cohort)
    with pytest.raises(UsageError, match="RUN_EXISTS"):
        train(recipe, tmp_path / "run", root=cohort)
    other = recipe.model_copy(update={"loss": {"gradient": 1.0}})
    with pytest.raises(ModelInvalid, match="CHECKPOINT_RECIPE"):
        train(other, tmp_path / "run", root=cohort, resume=True)


def test_weights_in_the_place_of_a_checkpoint_are_refused(recipe, cohort, tmp_path):
    write_weights(tmp_path / "run" / "checkpoint.safetensors", {"weight": torch.ones(2)})
    with pytest.raises(ModelInvalid, match="CHECKPOINT_RECIPE"):
        train(recipe, tmp_path / "run", root=cohort, resume=True)


def test_training_can_start_from_a_bundle(recipe, cohort, tmp_path):
    first = train(recipe, tmp_path / "first", root=cohort)
    still = recipe.model_copy(
        update={"training": recipe.training.model_copy(update={"steps": 1, "learning_rate": 1e-12, "weight_decay": 0})}
    )
    train(still, tmp_path / "second", root=cohort, start_from=first)
    before, after = weights_of(tmp_path / "first"), weights_of(tmp_path / "second")
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)


def test_a_bundle_says_with_which_weights_it_began_and_on_what_these_were_trained(recipe, cohort, tmp_path):
    first = train(recipe, tmp_path / "first", root=cohort)
    assert not (first / "start.json").exists()
    with pytest.raises(Killed):
        train(recipe, tmp_path / "second", root=cohort, start_from=first, watch=killer(7))
    second = train(recipe, tmp_path / "second", root=cohort, resume=True)  # without naming the bundle again
    digest = read_bundle(first).weights_sha256
    (start,) = starts_of(second)
    learned = [case for case in read_cases(cohort / "cases.tsv") if case.split != "test"]
    assert (start.model, start.weights_sha256) == (recipe.name, digest)
    assert start.cases == tuple(case.case for case in learned)
    assert start.patients == tuple(case.patient for case in learned)
    row = f"| began with the weights of | {recipe.name} ({digest[:12]}), trained on simulated cases |"
    assert row in (second / "card.md").read_text()
    verify_bundle(second)
    facts = read_model_facts(second)
    assert facts.starts == [f"{recipe.name} ({digest[:12]})"]
    assert facts.training_cases == sum(case.split == "train" for case in learned)
    third = train(recipe, tmp_path / "third", root=cohort, start_from=second)
    assert starts_of(third) == [replace(start, weights_sha256=read_bundle(second).weights_sha256), start]


def test_a_share_of_the_start_is_kept_also_by_a_run_that_is_resumed_without_it(recipe, cohort, tmp_path):
    first = train(recipe, tmp_path / "first", root=cohort)
    last = recipe.model_copy(update={"training": recipe.training.model_copy(update={"keep": "last"})})
    kept = recipe.model_copy(update={"training": last.training.model_copy(update={"start_share": 0.25})})
    train(last, tmp_path / "all", root=cohort, start_from=first)
    train(kept, tmp_path / "part", root=cohort, start_from=first)
    start, end, part = (weights_of(tmp_path / name) for name in ("first", "all", "part"))
    for name in start:
        torch.testing.assert_close(part[name], 0.75 * end[name] + 0.25 * start[name])
    assert not same(part, end)

    with pytest.raises(Killed):
        train(kept, tmp_path / "cut", root=cohort, start_from=first, watch=killer(7))
    train(kept, tmp_path / "cut", root=cohort, resume=True)
    assert same(part, weights_of(tmp_path / "cut"))


def test_a_share_of_the_start_has_no_effect_on_new_weights(recipe, cohort, tmp_path):
    kept = recipe.model_copy(update={"training": recipe.training.model_copy(update={"start_share": 0.25})})
    train(recipe, tmp_path / "without", root=cohort)
    train(kept, tmp_path / "with", root=cohort)
    assert same(weights_of(tmp_path / "without"), weights_of(tmp_path / "with"))
    assert not (tmp_path / "with" / "start.safetensors").exists()


def test_weights_between_two_networks_are_their_weighted_mean_and_counters_stay():
    trained = {"weight": torch.tensor([1.0, 3.0]), "count": torch.tensor(7)}
    start = {"weight": torch.tensor([5.0, 3.0]), "count": torch.tensor(2)}
    found = toward_start(trained, start, 0.25)
    assert found["weight"].tolist() == [2.0, 3.0]
    assert int(found["count"]) == 7


def test_a_cohort_without_a_training_case_or_without_a_file_is_refused(recipe, cohort, tmp_path):
    table = (cohort / "cases.tsv").read_text()
    (cohort / "cases.tsv").write_text(table.replace("train", "test"))
    with pytest.raises(UsageError, match=r"NO_TRAINING_CASE .*; write train into its column split"):
        train(recipe, tmp_path / "run", root=cohort)
    (cohort / "cases.tsv").write_text(table)
    (cohort / "source_1.nii.gz").unlink()
    with pytest.raises(NoInput, match=r"case1: source_1\.nii\.gz"):
        train(recipe, tmp_path / "run", root=cohort)


def test_a_pair_on_two_grids_is_refused_with_its_name(recipe, cohort, tmp_path):
    target = read_volume(cohort / "target_0.nii.gz")
    moved = np.array(target.affine)
    moved[0, 3] += 8.5
    write_volume(cohort / "target_0.nii.gz", type(target)(target.data, moved))
    with pytest.raises(InputRefused, match=r"GRID_MISMATCH case0: source and target .* 8\.5 mm apart"):
        train(recipe, tmp_path / "run", root=cohort)


def test_a_loss_that_is_not_a_number_stops_the_run_with_the_case_and_keeps_the_checkpoint(
    recipe, cohort, tmp_path, monkeypatch
):
    def poisoned(cases, recipe, step, *, rank=0, stream=0, simulated=None):
        batch = draw_batch(cases, recipe, step, rank=rank)
        if step == 6:
            batch.source[0, 0, 8, 8, 8] = float("nan")
        return batch

    monkeypatch.setattr("voxlate.training.data.windows.draw_batch", poisoned)
    with pytest.raises(InputRefused, match=r"LOSS_NOT_FINITE .* at step 6 on case[01]"):
        train(recipe, tmp_path / "run", root=cohort)
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()
    monkeypatch.undo()
    train(recipe, tmp_path / "run", root=cohort, resume=True)


def test_windows_depend_on_seed_step_and_rank_alone(recipe, cohort, tmp_path):
    cases = [
        prepare_case(case, tmp_path / "p", recipe.preparation) for case in recipe.cases(cohort) if case.split == "train"
    ]
    first, again = (draw_batch(cases, recipe, 3) for _ in range(2))
    assert torch.equal(first.source, again.source)
    for other in (draw_batch(cases, recipe, 4), draw_batch(cases, recipe, 3, rank=1)):
        assert not torch.equal(first.source, other.source)
    four = recipe.model_copy(update={"training": recipe.training.model_copy(update={"batch": 4})})
    both = torch.cat([first.source, draw_batch(cases, recipe, 3, rank=1).source])
    assert torch.equal(draw_batch(cases, four, 3).source, both)
    assert first.source.shape == first.weight.shape == (2, 1, 16, 16, 16)


def test_a_window_larger_than_the_scan_is_filled_with_zeros(recipe, cohort, tmp_path):
    case = prepare_case(recipe.cases(cohort)[0], tmp_path / "p", recipe.preparation)
    window = cut_window(case, recipe.training.model_copy(update={"window": (64, 8, 64)}), np.random.default_rng(0))
    assert window.source.shape == (64, 8, 64)
    assert window.weight[case.mask.shape[0] :].sum() == 0
    assert window.weight.any()


def test_a_lesion_weighs_more_and_is_at_the_centre_of_its_share_of_windows(recipe, cohort, tmp_path):
    row = recipe.cases(cohort)[0]
    target = read_volume(row.target)
    data = read_volume(row.source).data.copy()
    data[9, 10, 9] += 4000
    write_volume(row.source, target.with_data(data), dtype="float32")
    settings = recipe.training.model_copy(update={"changed_share": 1.0, "changed_weight": 5.0, "window": (5, 5, 5)})
    # The tiny cohort turns contrast round; a target that is the source without its lesion shows the lesion alone.
    data[9, 10, 9] -= 4000
    write_volume(row.target, target.with_data(data), dtype="float32")
    case = prepare_case(row, tmp_path / "p", recipe.preparation)
    assert case.changed.size == 1
    window = cut_window(case, settings, np.random.default_rng(0))
    assert window.weight[2, 2, 2] == 5
    assert (window.weight == 5).sum() == 1
    even = cut_window(case, settings.model_copy(update={"changed_weight": 1.0}), np.random.default_rng(0))
    assert set(np.unique(even.weight)) <= {0, 1}


def test_mapping_and_quantiles_are_those_of_the_training_pairs(recipe, cohort, tmp_path):
    run = tmp_path / "run"
    train(recipe, run, root=cohort)
    files = [next((run / "prepared" / f"case{n}").glob("*/prepared.json")) for n in (0, 1)]
    levels = [json.loads(file.read_text()) for file in files]
    ratios = [level["target_level"] / level["source_level"] for level in levels]
    mapping = json.loads((run / "bundle" / "mapping.json").read_text())
    assert mapping["gain"] == pytest.approx(np.sqrt(ratios[0] * ratios[1]))
    baselines = json.loads((run / "bundle" / "baselines.json").read_text())
    middle = len(baselines["probabilities"]) // 2
    assert baselines["probabilities"][middle] == 0.5
    assert baselines["target_quantiles"][middle] == pytest.approx(1.0, abs=1e-3)
    assert np.all(np.diff(baselines["source_quantiles"]) >= 0)


@pytest.mark.parametrize("reference", ["z_score", "min_max", "percentile"])
def test_the_histogram_match_is_told_in_the_units_of_evaluation_whatever_the_scale(recipe, cohort, tmp_path, reference):
    short = recipe.model_copy(update={"training": recipe.training.model_copy(update={"steps": 1})})
    scaled = short.preparation.model_copy(update={"reference": reference})
    train(short, tmp_path / "median", root=cohort)
    train(short.model_copy(update={"preparation": scaled}), tmp_path / "other", root=cohort)
    found = [json.loads((tmp_path / name / "bundle" / "baselines.json").read_text()) for name in ("median", "other")]
    for key in ("source_quantiles", "target_quantiles"):
        assert np.allclose(found[0][key], found[1][key], atol=1e-3)


def test_files_that_do_not_exist_are_told_with_what_names_them_and_the_remedy(recipe, cohort, tmp_path):
    empty = tmp_path / "prepared"
    empty.mkdir()
    patterns = {"source": "{case}/t1ce.nii.gz", "target": "{case}/t1.nii.gz", "train": ("a", "b"), "test": ("c",)}
    shipped = recipe.model_copy(update={"data": DataSettings(**patterns)})
    wanted = (
        r"NO_INPUT 2 of 2 cases lack a file, first a: t1ce\.nii\.gz does not exist; the recipe tiny looks for "
        r"\{case\}/t1ce\.nii\.gz and .* in the folder prepared; `voxlate init %s my\.yaml` writes a recipe .*--data"
    )
    with pytest.raises(NoInput, match=wanted % r"cases\.tsv"):
        train(shipped, tmp_path / "run", root=empty)
    (empty / "cases.tsv").write_text("case\tsource\ttarget\n")  # as voxlate prepare leaves it there
    with pytest.raises(NoInput, match=wanted % r"prepared/cases\.tsv"):
        train(shipped, tmp_path / "run", root=empty)
    (empty / "cases.tsv").unlink()
    (cohort / "target_2.nii.gz").unlink()
    with pytest.raises(
        NoInput, match=r"1 of 3 cases lack a file, first case2: target_2\.nii\.gz .*the table cases\.tsv in"
    ):
        train(recipe, tmp_path / "run", root=cohort)
    listed = recipe.model_copy(update={"data": DataSettings()})
    with pytest.raises(NoInput, match="in the list of cases"):
        train_cases(listed, recipe.cases(cohort), tmp_path / "run", root=empty)


def test_training_needs_no_file_that_it_does_not_read(recipe, cohort, tmp_path):
    header, *rows = (cohort / "cases.tsv").read_text().splitlines()
    more = [f"{header}\tmore:T2w", *(f"{row}\tnowhere.nii.gz" for row in rows)]
    (cohort / "cases.tsv").write_text("\n".join([*more, ""]))
    assert train(recipe, tmp_path / "run", root=cohort).is_dir()
    both = recipe.model_copy(update={"more_sources": ("T2w",)})
    with pytest.raises(NoInput, match=r"3 of 3 cases lack a file, first case0: nowhere\.nii\.gz does not exist"):
        train(both, tmp_path / "both", root=cohort)


def test_the_mask_of_an_unpaired_target_is_needed_and_its_lesion_labels_are_not(recipe, tmp_path):
    scan = tmp_path / "scan.nii.gz"
    scan.touch()
    unpaired = recipe.model_copy(update={"data": recipe.data.model_copy(update={"paired": False})})
    case = Case("a", "a", "train", scan, scan, labels=tmp_path / "labels.nii.gz")
    require_files([case], unpaired, tmp_path)
    with pytest.raises(NoInput, match=r"first a: mask\.nii\.gz does not exist"):
        require_files([replace(case, target_mask=tmp_path / "mask.nii.gz")], unpaired, tmp_path)
    with pytest.raises(NoInput, match=r"first a: labels\.nii\.gz does not exist"):
        require_files([case], recipe, tmp_path)


def test_training_needs_no_file_of_the_test_split(recipe, cohort, tmp_path):
    (cohort / "source_3.nii.gz").unlink()
    (cohort / "target_3.nii.gz").unlink()
    assert train(recipe, tmp_path / "run", root=cohort).is_dir()


@pytest.mark.parametrize("device", ["gpu3", "cuda:0"])
def test_a_device_that_does_not_exist_is_refused(recipe, cohort, tmp_path, device):
    with pytest.raises(
        UsageError, match=f"DEVICE the device '{device}' is not available here; choose auto, cpu or cuda"
    ):
        train(recipe, tmp_path / "run", root=cohort, machine=Machine(device))


def test_more_gpus_than_there_are_are_refused(recipe, cohort, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "program.py", raising=False)  # not so in parallel tests
    gpus = "lightning_fabric.accelerators.cuda"
    monkeypatch.setattr(f"{gpus}.CUDAAccelerator.is_available", lambda: True)
    monkeypatch.setattr("lightning_fabric.utilities.device_parser._get_all_available_gpus", lambda **_: [0])
    with pytest.raises(UsageError, match="DEVICE 4 of the device 'cuda' is not available here"):
        train(recipe, tmp_path / "run", root=cohort, machine=Machine("cuda", devices=4))


@pytest.mark.parametrize(("window", "is_fitted"), [(None, True), ((-20.0, 1000.0), False)])
def test_a_source_in_hounsfield_units_is_never_taken_for_a_target(recipe, tmp_path, window, is_fitted):
    for case in write_cohort(tmp_path, ["train"] * 6 + ["validation"]):
        source = read_volume(case.source)
        write_volume(case.target, source.with_data(source.data**3), dtype="float32")  # far from any source
    preparation = recipe.preparation.model_copy(update={"range_hu": window})
    bundle = train(recipe.model_copy(update={"preparation": preparation}), tmp_path / "run", root=tmp_path)
    assert (read_bundle(bundle).training_statistics.target is not None) == is_fitted
