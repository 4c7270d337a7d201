import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from voxlate import threads
from voxlate.cases import Case, read_cases, write_cases
from voxlate.errors import InputRefused
from voxlate.experiments import run
from voxlate.experiments.inputs import CaseTable
from voxlate.experiments.plan import Step
from voxlate.experiments.run import fingerprints, run_plan
from voxlate.jobs.states import DONE, FAILED, PENDING


def step(name, folder, *argv, needs=(), prefers=(), system=""):
    return Step(name, argv or ("models",), needs, folder / name, prefers=prefers, system=system)


def test_steps_run_once_and_a_failed_system_stops_only_itself(tmp_path):
    fails = ("translate", os.devnull, "-m", "nothing", str(tmp_path / "a"))
    steps = [
        step("data", tmp_path),
        step("train-a", tmp_path, *fails, needs=("data",), system="a"),
        step("translate-a", tmp_path, needs=("train-a",), system="a"),
        step("train-b", tmp_path, needs=("data",), system="b"),
        step("evaluate", tmp_path, prefers=("translate-a", "train-b")),
    ]
    told = []
    outcomes = run_plan(steps, tmp_path, jobs=2, watch=lambda done, outcome: told.append(done.name))
    states = {name: outcome.state for name, outcome in outcomes.items()}
    assert states == {
        "data": DONE, "train-a": FAILED, "translate-a": PENDING, "train-b": DONE, "evaluate": DONE,
    }  # fmt: skip
    assert outcomes["train-a"].code == "MODEL_MISSING"
    assert told[-1] == "evaluate"
    assert "t1ce-to-t1" in (tmp_path / "logs" / "data.log").read_text()
    record = json.loads((tmp_path / "steps" / "train-a.json").read_text())
    assert record["exit_status"] == 78
    assert str(tmp_path) not in record["command"]
    again = run_plan(steps, tmp_path)
    assert [name for name, outcome in again.items() if outcome.is_reused] == ["data", "train-b", "evaluate"]


def test_a_step_of_another_command_is_made_again_and_its_output_removed(tmp_path):
    first = step("data", tmp_path, "models")
    run_plan([first], tmp_path)
    first.output.mkdir()
    (first.output / "old").touch()
    assert run_plan([first], tmp_path)["data"].is_reused
    assert (first.output / "old").exists()
    outcome = run_plan([replace(first, argv=("models", "show", "t1ce-to-t1"))], tmp_path)["data"]
    assert not outcome.is_reused
    assert not first.output.exists()


def test_a_killed_step_does_not_give_the_reason_of_an_earlier_run(tmp_path, monkeypatch):
    fails = step("train", tmp_path, "translate", os.devnull, "-m", "nothing", str(tmp_path / "a"))
    assert run_plan([fails], tmp_path)["train"].code == "MODEL_MISSING"
    killed = tmp_path / "python"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o755)
    monkeypatch.setattr(run.sys, "executable", str(killed))
    assert run_plan([fails], tmp_path)["train"].code == "KILLED"


def test_an_evaluation_is_made_again_when_a_system_was_mended_or_changed(tmp_path):
    bad = ("translate", os.devnull, "-m", "nothing", str(tmp_path / "a"))
    first, second = step("translate-a", tmp_path, *bad, system="a"), step("translate-b", tmp_path, system="b")
    last = step("evaluate", tmp_path, prefers=("translate-a", "translate-b"))
    assert run_plan([first, second, last], tmp_path)["translate-a"].state == FAILED
    last.output.mkdir()
    mended = step("translate-a", tmp_path, system="a")
    outcome = run_plan([mended, second, last], tmp_path)["evaluate"]
    assert (outcome.state, outcome.is_reused, last.output.exists()) == (DONE, False, False)
    assert run_plan([mended, second, last], tmp_path)["evaluate"].is_reused
    changed = replace(second, argv=("models", "show", "t1ce-to-t1"))
    assert not run_plan([mended, changed, last], tmp_path)["evaluate"].is_reused
    record = tmp_path / "steps" / "evaluate.json"
    content = json.loads(record.read_text())
    assert list(content.pop("preferred")) == ["translate-a", "translate-b"]
    record.write_text(json.dumps(content))  # as an earlier version wrote it
    assert run_plan([mended, changed, last], tmp_path)["evaluate"].is_reused


def test_steps_of_other_systems_are_left_and_what_waits_for_them_is_pending(tmp_path):
    steps = [
        step("train-a", tmp_path, system="a"),
        step("train-b", tmp_path, system="b"),
        step("evaluate", tmp_path, prefers=("train-a", "train-b")),
    ]
    outcomes = run_plan(steps, tmp_path, systems={"a"})
    assert {name: outcome.state for name, outcome in outcomes.items()} == {
        "train-a": DONE, "train-b": PENDING, "evaluate": PENDING,
    }  # fmt: skip
    assert run_plan(steps, tmp_path, systems={"b"})["evaluate"].state == DONE


@pytest.mark.parametrize(("given", "expected"), [("", "2"), ("3", "3")])
def test_steps_at_a_time_share_the_processors_unless_the_user_set_the_threads(tmp_path, monkeypatch, given, expected):
    for name in threads.THREAD_VARIABLES:
        monkeypatch.setenv(name, given if name == "OMP_NUM_THREADS" else "")
    monkeypatch.setattr(threads, "_chosen", {})
    for module in (threads, run):
        monkeypatch.setattr(module, "free_cores", lambda: 8)
    threads.use_free_cores()  # as the command line does before it runs a plan
    environment = run._Run(tmp_path, jobs=4, prints={})._environment()
    assert {environment[name] for name in threads.THREAD_VARIABLES} == {expected}


def test_a_step_that_runs_alone_gets_the_processes_of_the_steps_that_could_run_beside_it(tmp_path, monkeypatch):
    verb = tmp_path / "python"
    verb.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    verb.chmod(0o755)
    monkeypatch.setattr(run.sys, "executable", str(verb))
    steps = [
        step("data-1", tmp_path, "simulate", "x"),
        step("data-2", tmp_path, "simulate", "y", "--jobs", "7", needs=("data-1",)),
        step("prepare-a", tmp_path, "prepare", "a", needs=("data-2",)),
        step("prepare-b", tmp_path, "prepare", "b", needs=("data-2",)),
        step("train-a", tmp_path, "train", "a", needs=("prepare-a", "prepare-b"), system="a"),
        step("evaluate", tmp_path, "evaluate", "c", needs=("train-a",)),
    ]
    outcomes = run_plan(steps, tmp_path, jobs=3)
    assert {outcome.state for outcome in outcomes.values()} == {DONE}
    calls = [line.removeprefix("-m voxlate ") for line in (tmp_path / "calls").read_text().splitlines()]
    assert sorted(calls[2:4]) == ["prepare a", "prepare b"]
    assert [*calls[:2], *calls[4:]] == ["simulate x --jobs 3", "simulate y --jobs 7", "train a", "evaluate c --jobs 3"]
    again = run_plan(steps, tmp_path, jobs=1)  # the number of processes decides no result
    assert all(outcome.is_reused for outcome in again.values())


def test_processes_that_run_one_plan_take_different_steps(tmp_path, monkeypatch):
    verb = tmp_path / "python"  # ends when both steps run at once, or after 30 s
    verb.write_text(
        f"#!/bin/sh\ncd {tmp_path}\necho $3 >> calls\n"
        "for i in $(seq 300); do [ $(wc -l < calls) = 2 ] && exit 0; sleep 0.1; done\nexit 1\n"
    )
    verb.chmod(0o755)
    monkeypatch.setattr(run.sys, "executable", str(verb))
    monkeypatch.setattr(run, "_RETRY_SECONDS", 0.05)
    steps = [step(name, tmp_path, name, system=name) for name in ("train-a", "train-b")]
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(run_plan, steps, tmp_path) for _ in range(2)]
        states = [{outcome.state for outcome in each.result().values()} for each in both]
    assert states == [{DONE}, {DONE}]
    assert sorted((tmp_path / "calls").read_text().split()) == ["train-a", "train-b"]


def test_the_shard_that_ends_last_evaluates_the_systems_of_all(tmp_path):
    steps = [
        step("train-a", tmp_path, system="a"),
        step("train-b", tmp_path, system="b"),
        step("evaluate", tmp_path, prefers=("train-a", "train-b")),
    ]
    others = iter([{"b"}])

    def end_another_shard(done, outcome):
        for other in others:
            assert run_plan(steps, tmp_path, systems=other)["train-b"].state == DONE

    outcomes = run_plan(steps, tmp_path, systems={"a"}, watch=end_another_shard)
    assert {outcome.state for outcome in outcomes.values()} == {DONE}


def test_a_fingerprint_depends_on_the_needs_and_not_on_the_folder(tmp_path):
    def plan(folder, *argv):
        return [step("data", folder, *argv, str(folder / "x")), step("train", folder, needs=("data",))]

    here, there = tmp_path / "here", tmp_path / "there"
    assert fingerprints(plan(here, "models"), here) == fingerprints(plan(there, "models"), there)
    changed = fingerprints(plan(here, "report"), here)
    assert changed["train"] != fingerprints(plan(here, "models"), here)["train"]


def test_a_step_whose_rules_changed_is_another_one(tmp_path):
    rules = tmp_path / "rules.yaml"
    steps = [replace(step("data", tmp_path, "cohort", str(rules), "index", "out"), inputs=(rules,))]
    rules.write_text("a: 1")
    first = fingerprints(steps, tmp_path)
    assert fingerprints(steps, tmp_path) == first
    rules.write_text("# a comment\na: 1\n")
    assert fingerprints(steps, tmp_path) == first
    for other in ("a: 2", "a: ["):
        rules.write_text(other)
        assert fingerprints(steps, tmp_path) != first


def test_a_table_gets_another_target_and_sets(tmp_path):
    def case(name, split, **more):
        return Case(name, name, split, tmp_path / "s.nii.gz", tmp_path / "t.nii.gz", more=more)

    t2 = tmp_path / "t2.nii.gz"
    write_cases(
        tmp_path / "cases.tsv",
        [case("p1", "train", T2w=t2), case("p2", "test", T2w=t2), case("p3", "test"), case("p4", "test", T2w=t2)],
    )
    CaseTable(tmp_path / "t2.tsv", tmp_path / "cases.tsv", target="T2w", sets=("A", "B")).write()
    found = {row.case: (row.target.resolve(), row.set) for row in read_cases(tmp_path / "t2.tsv")}
    assert found == {"p1": (t2, ""), "p2": (t2, "A"), "p4": (t2, "B")}
    with pytest.raises(InputRefused, match="TARGET_MISSING"):
        CaseTable(tmp_path / "adc.tsv", tmp_path / "cases.tsv", target="ADC").write()
