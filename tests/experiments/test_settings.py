from pathlib import Path

import pytest

from voxlate.errors import NoInput, UsageError
from voxlate.experiments.plan import Size, build_plan
from voxlate.experiments.run import fingerprints
from voxlate.experiments.settings import read_experiment, scale_of
from voxlate.shipped import find_shipped, shipped_files

BASE = """
name: mine
title: Two systems
scales: {tiny: {patients: 5, override: {training.steps: 4}}}
data: {steps: [{run: "simulate {data} --subjects {patients} --size {size}"}]}
systems:
  a: {recipe: t1ce_to_t1_simulated}
  b: {recipe: t1ce_to_t1_simulated, override: {training.steps: 9}, scales: {tiny: {model.arguments.width: 4}}}
evaluations: {test: {}}
"""
EVALUATIONS, TABLE = "evaluations: {test: {}}", "title: x, columns: [{metric: mae, head: MAE}]"


def experiment_of(tmp_path: Path, text: str):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return read_experiment(path)


def test_a_small_experiment_is_read(tmp_path):
    experiment = experiment_of(tmp_path, BASE)
    assert experiment.systems_of("test") == ["a", "b"]
    assert scale_of(experiment, "tiny").patients == 5


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("title:", "titel:", "titel"),
        ("evaluations: {test: {}}", "evaluations: {test: {systems: [c]}}", "there is no 'c'"),
        ("recipe: t1ce_to_t1_simulated}", "weights_of: c}", "there is no 'c'"),
        ("  b: {recipe", "  a: {recipe", "occurs twice"),
        ("  b: {recipe: t1ce_to_t1_simulated,", "  b: {recipe: x, weights_of: a,", "either `recipe` or `weights_of`"),
        ("  b: {", "  ../b: {", "names a folder"),
        ("  b: {recipe", "  b: {folds: 2, recipe", "with and without folds"),
        (EVALUATIONS, f"{EVALUATIONS}\ntables: {{one: {{{TABLE}, rows: [source, c]}}}}", "there is no 'c'"),
        (EVALUATIONS, f"{EVALUATIONS}\ntables: {{one: {{{TABLE}, against: c}}}}", "there is no 'c'"),
        (EVALUATIONS, f"{EVALUATIONS}\ntables: {{one: {{{TABLE}, rows: [blurred_target]}}}}", "no 'blurred_target'"),
        (EVALUATIONS, f"{EVALUATIONS}\nfigures: {{one: {{title: x, kind: losses, systems: [c]}}}}", "there is no 'c'"),
        (EVALUATIONS, f"{EVALUATIONS}\nfigures: {{one: {{title: x, kind: residual_blocks}}}}", "needs `parts`"),
    ],
)
def test_a_faulty_experiment_is_refused_with_its_key(tmp_path, old, new, told):
    assert old in BASE
    with pytest.raises(UsageError, match="EXPERIMENT") as raised:
        experiment_of(tmp_path, BASE.replace(old, new, 1))
    assert told in raised.value.message


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"a": "U-Net", "b": "U-Net"}, "evaluations.test: a and b have one label, 'U-Net'; give each its own"),
        ({"a": "b"}, "evaluations.test: a and b have one label, 'b'"),
        ({"a": "U_Net", "b": "U Net"}, "a and b have one label, 'U Net'"),  # figures print blanks
        ({"b": "Untouched source"}, "evaluations.test: source and b have one label, 'Untouched source'"),
    ],
)
def test_systems_of_an_evaluation_whose_labels_are_one_are_refused(tmp_path, labels, told):
    text = BASE
    for key, label in labels.items():
        text = text.replace(f"  {key}: {{", f"  {key}: {{label: {label}, ")
    with pytest.raises(UsageError, match="EXPERIMENT") as raised:
        experiment_of(tmp_path, text)
    assert told in raised.value.message


def test_systems_of_two_evaluations_may_have_one_label_unless_a_figure_shows_both(tmp_path):
    text = BASE.replace("  a: {", "  a: {label: U-Net, ").replace("  b: {", "  b: {label: U-Net, ")
    text = text.replace(EVALUATIONS, "evaluations: {T1: {systems: [a]}, T2: {target: T2w, systems: [b]}}")
    assert experiment_of(tmp_path, text).systems_of("T2") == ["b"]
    figure = "figures: {one: {title: x, kind: KIND, systems: [a, b]}}"
    experiment_of(tmp_path, f"{text}{figure.replace('KIND', 'profile')}\n")  # a plot for each target
    with pytest.raises(UsageError, match=r"figures.one: a and b have one label, 'U-Net'"):
        experiment_of(tmp_path, f"{text}{figure.replace('KIND', 'losses')}\n")


def test_images_of_borrowed_weights_are_made_again_when_the_preparation_of_the_system_changes(tmp_path):
    prepared = "preparations: {whole: 'prepare {cases} {out}', cut: 'prepare {cases} {out} --aligned'}"
    text = BASE.partition("  b: {")[0] + f"  b: {{weights_of: a, preparation: cut}}\n{EVALUATIONS}\n{prepared}\n"
    changed = text.replace("--aligned", "--brain-mask nonzero")
    plans = [build_plan(experiment_of(tmp_path, each), tmp_path, Size("tiny")) for each in (text, changed)]
    step = next(step for step in plans[0] if step.name == "translate-b")
    assert set(step.needs) == {"train-a", "prepare-cut"}
    old, new = (fingerprints(steps, tmp_path) for steps in plans)
    assert {name for name in old if old[name] != new[name]} == {"prepare-cut", "translate-b"}


def test_a_system_brings_those_whose_bundles_it_uses():
    chen = read_experiment(find_shipped("experiments", "chen2022", what="experiment"))
    assert chen.with_needed(["imputed"]) == {"imputed", "ours", "helper_t2", "helper_adc"}


def test_a_command_line_may_only_name_known_words(tmp_path):
    experiment = experiment_of(tmp_path, BASE.replace("{size}", "{sizes}"))
    with pytest.raises(UsageError, match=r"EXPERIMENT.*sizes"):
        build_plan(experiment, tmp_path, Size("tiny"))


def test_a_scale_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"SCALE.*published.*tiny"):
        scale_of(experiment_of(tmp_path, BASE), "published")


def test_the_plan_names_commands_in_order(tmp_path):
    steps = build_plan(experiment_of(tmp_path, BASE), tmp_path, Size("tiny", patients=7))
    assert [step.name for step in steps] == [
        "data-1", "train-a", "translate-a", "train-b", "translate-b", "evaluate-test",
    ]  # fmt: skip
    by_name = {step.name: step for step in steps}
    assert by_name["data-1"].argv[1:] == (str(tmp_path / "data"), "--subjects", "7", "--size", "small")
    sets = [word for word in by_name["train-b"].argv if "=" in word]
    assert sets == ["data.cases=cases.tsv", "training.steps=9", "model.arguments.width=4"]
    assert by_name["evaluate-test"].prefers == ("translate-a", "translate-b")


def test_a_step_of_the_data_has_further_arguments_at_some_scales_only(tmp_path):
    scales = "{tiny: {patients: 5}, published: {patients: 5}}"
    text = BASE.replace("{tiny: {patients: 5, override: {training.steps: 4}}}", scales)
    text = text.replace('{size}"}', '{size}", scales: {published: --scanner G}}')
    experiment = experiment_of(tmp_path, text)
    argv = {name: build_plan(experiment, tmp_path, Size(name))[0].argv for name in ("tiny", "published")}
    assert argv["published"] == (*argv["tiny"], "--scanner", "G")


def test_trainings_and_translations_share_a_cache_that_decides_no_result(tmp_path):
    from dataclasses import replace

    steps = build_plan(experiment_of(tmp_path, BASE), tmp_path, Size("tiny"))
    for step in steps:
        has_cache = step.name.startswith(("train-", "translate-"))
        assert has_cache == ("--cache" in step.argv)
        assert not has_cache or step.argv[step.argv.index("--cache") + 1] == str(tmp_path / "cache")
        assert " ".join(step.argv).replace(f" --cache {tmp_path / 'cache'}", "") == " ".join(step.decisive)
    without = [replace(step, argv=step.decisive) for step in steps]
    assert fingerprints(without, tmp_path) == fingerprints(steps, tmp_path)


def test_a_step_knows_the_files_from_outside_that_decide_its_result(tmp_path):
    text = BASE.replace("steps: [", 'steps: [{run: "cohort li2022 {data}/index {data}/cohort", makes: cohort}, ')
    steps = build_plan(experiment_of(tmp_path, text), tmp_path, Size("tiny"))
    assert steps[0].inputs == (find_shipped("cohorts", "li2022", what="rules"),)
    assert steps[0].output == tmp_path / "data" / "cohort"
    own = build_plan(experiment_of(tmp_path, BASE), tmp_path, Size("tiny", data=tmp_path / "cohort"))
    assert own[0].name == "train-a"
    assert own[0].inputs == (tmp_path / "cohort" / "cases.tsv",)


def test_own_data_need_no_data_steps(tmp_path):
    steps = build_plan(experiment_of(tmp_path, BASE), tmp_path, Size("tiny", data=tmp_path / "cohort"))
    assert steps[0].name == "train-a"
    assert str(tmp_path / "cohort") in steps[0].argv
    assert "--data-kind" not in steps[-1].argv  # of a user's data nobody knows it


@pytest.mark.parametrize("name", shipped_files("experiments"))
@pytest.mark.parametrize("scale", ["tiny", "small"])
def test_every_shipped_experiment_plans_recipes_that_can_be_read(tmp_path, name, scale):
    from voxlate.bundle.recipe import read_recipe
    from voxlate.bundle.variants import parse_overrides

    experiment = read_experiment(find_shipped("experiments", name, what="experiment"))
    for step in build_plan(experiment, tmp_path, Size(scale)):
        if step.argv[0] == "train":
            words = list(step.argv)
            variants = [words[k + 1] for k, word in enumerate(words) if word == "--variant"]
            sets = tuple(words[k + 1] for k, word in enumerate(words) if word == "--set")
            read_recipe(Path(words[1]), variants=variants, overrides=parse_overrides(sets))


def test_a_folder_of_its_name_does_not_hide_a_shipped_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t1ce_to_t1").mkdir()  # as `voxlate train t1ce_to_t1 t1ce_to_t1` makes it
    assert find_shipped("recipes", "t1ce_to_t1", what="recipe").is_file()


def test_a_shipped_file_that_is_not_there_is_refused_with_the_nearest_name():
    with pytest.raises(NoInput, match="bottani2024"):
        find_shipped("experiments", "botani2024", what="experiment")
