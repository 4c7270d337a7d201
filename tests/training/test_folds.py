import json

import pytest
from tiny import write_cohort

from voxlate.bundle.bundle import read_weights
from voxlate.cases import Case, read_cases
from voxlate.errors import ModelInvalid, UsageError
from voxlate.training.folds import fold_cases, fold_of, train_folds
from voxlate.training.loop import train


def cases(count=10, per_patient=2):
    return [Case(f"c{n}", f"p{n // per_patient}", "train", f"s{n}", f"t{n}") for n in range(count)]


def test_folds_part_patients_evenly_and_keep_each_in_one():
    found = fold_of(cases(14), 3, seed=0)
    patients = {}
    for case in cases(14):
        patients.setdefault(case.patient, set()).add(found[case.case])
    assert all(len(folds) == 1 for folds in patients.values())
    sizes = [sum(folds == {fold} for folds in patients.values()) for fold in range(3)]
    assert sorted(sizes) == [2, 2, 3]


def test_folds_hang_on_the_seed_and_not_on_the_order_of_the_table():
    assert fold_of(cases(), 2, seed=0) == fold_of(cases()[::-1], 2, seed=0)
    assert any(fold_of(cases(), 2, seed=0) != fold_of(cases(), 2, seed=seed) for seed in range(1, 5))


def test_each_case_is_tested_once_and_never_trained_on_in_that_fold():
    rest = [Case("v", "pv", "validation", "s", "t"), Case("x", "px", "test", "s", "t")]
    everything = [*cases(), *rest]
    folds = fold_of(everything, 3, seed=1)
    tested = []
    for index in range(3):
        mine = fold_cases(everything, folds, index)
        test = {case.patient for case in mine if case.split == "test"}
        assert not test & {case.patient for case in mine if case.split == "train"}
        assert [case.case for case in mine if case.split == "validation"] == ["v"]
        tested += [case.case for case in mine if case.split == "test"]
    assert sorted(tested) == sorted(case.case for case in cases())


@pytest.mark.parametrize("count", [1, 6])
def test_more_folds_than_patients_or_a_single_one_are_refused(count):
    with pytest.raises(UsageError, match=r"FOLDS .*5 training patients; pass 2 to 5 folds"):
        fold_of(cases(), count, seed=0)


@pytest.fixture
def four(tmp_path):
    write_cohort(tmp_path / "data", ["train", "train", "train", "validation", "test"])
    return tmp_path / "data"


@pytest.mark.parametrize("rank", ["LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"])
def test_the_second_process_or_machine_joins_the_folds_that_the_first_began(recipe, four, tmp_path, monkeypatch, rank):
    folds = train_folds(short(recipe), tmp_path / "run", 3, root=four)
    next(folds)  # the first process is within its first fold
    others = train_folds(short(recipe), tmp_path / "run", 3, root=four)
    with pytest.raises(UsageError, match="RUN_EXISTS"):
        next(others)
    monkeypatch.setenv(rank, "1")
    monkeypatch.setattr("voxlate.training.folds.train_cases", lambda *_, **__: None)  # without a partner to wait for
    assert next(train_folds(short(recipe), tmp_path / "run", 3, root=four)).index == 0


def short(recipe, **change):
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"steps": 2} | change)})


def test_every_fold_begins_with_the_same_fresh_weights_and_ends_with_its_own(recipe, four, tmp_path):
    found = list(train_folds(short(recipe), tmp_path / "run", 3, root=four))
    assert [fold.index for fold in found] == [0, 1, 2]
    assert sorted(name for fold in found for name in fold.held_out) == ["case0", "case1", "case2"]
    starts = {
        json.loads((tmp_path / "run" / f"fold-{n}" / "start.json").read_text())["generator_sha256"] for n in range(3)
    }
    assert len(starts) == 1
    ends = [read_weights(fold.bundle / "weights.safetensors")["stem.weight"] for fold in found]
    assert not (ends[0] == ends[1]).all()
    rows = read_cases(tmp_path / "run" / "fold-1" / "cases.tsv")
    assert {row.split for row in rows} == {"train", "validation", "test"}
    assert "case4" not in {row.case for row in rows}


def test_a_network_that_is_carried_from_fold_to_fold_is_found_out(recipe, four, tmp_path, monkeypatch):
    from voxlate.bundle.networks import generator_of

    carried = generator_of(recipe)
    monkeypatch.setattr("voxlate.training.loop.new_generator", lambda *_, **__: carried)
    with pytest.raises(ModelInvalid, match="WEIGHTS_CARRIED fold 1"):
        list(train_folds(short(recipe), tmp_path / "run", 2, root=four))


def test_folds_that_were_stopped_go_on_and_finished_ones_are_kept(recipe, four, tmp_path):
    running = train_folds(short(recipe), tmp_path / "run", 3, root=four)
    first = next(running)
    running.close()
    before = (first.bundle / "manifest.json").stat().st_mtime_ns
    with pytest.raises(UsageError, match="RUN_EXISTS"):
        next(train_folds(short(recipe), tmp_path / "run", 3, root=four))
    found = list(train_folds(short(recipe), tmp_path / "run", 3, root=four, resume=True))
    assert len(found) == 3
    assert (first.bundle / "manifest.json").stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="FOLDS_CHANGED"):
        next(train_folds(short(recipe), tmp_path / "run", 2, root=four, resume=True))


def test_folds_do_not_go_into_the_folder_of_a_single_run(recipe, four, tmp_path):
    train(short(recipe), tmp_path / "run", root=four)
    with pytest.raises(UsageError, match="RUN_EXISTS run holds a run without folds; name another folder"):
        next(train_folds(short(recipe), tmp_path / "run", 2, root=four, resume=True))


def test_a_single_run_does_not_go_into_the_folder_of_folds(recipe, four, tmp_path):
    next(train_folds(short(recipe), tmp_path / "run", 2, root=four))
    for resume in (False, True):
        with pytest.raises(UsageError, match="RUN_EXISTS run holds the folds of a cross-validation; pass --folds and"):
            train(short(recipe), tmp_path / "run", root=four, resume=resume)
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()
