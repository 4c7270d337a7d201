"""Variants that are combined, and single settings that are replaced."""

import pytest

from voxlate.bundle.recipe import parse_recipe, recipe_text
from voxlate.bundle.variants import parse_overrides
from voxlate.errors import UsageError

TEXT = """
name: one
source: T1ce
target: T1nce
data: {source: "{case}/s.nii", target: "{case}/t.nii", train: [a]}
model: {name: unet, arguments: {width: 8, depth: 2}}
loss: {l1: 1.0, gradient: 1.0}
training: {batch: 3, window: [32, 32, 16]}
variants:
  wide: {model: {arguments: {width: 64}}, training: {steps: 7}}
  small_net: {model: {name: drunet, arguments: {}}}
  narrow: {model: {arguments: {width: 2}}}
  other_network: {model: {name: drunet, arguments: {depth: 34}}}
  squared: {loss: {mse: 1.0}}
  wide_squared: {extends: [wide, squared], training: {steps: 9}}
  unsupervised: {model: null}
  itself: {extends: itself}
  staged: {stages: [{steps: 5}, {steps: 6}]}
"""


def read(*variants, **options):
    return parse_recipe(TEXT, name="x.yaml", variants=variants, **options)


def test_a_variant_changes_only_what_it_names():
    wide = read("wide")
    assert (wide.name, wide.model.arguments, wide.training.steps) == ("one-wide", {"width": 64, "depth": 2}, 7)
    assert (wide.training.batch, wide.loss) == (3, {"l1": 1.0, "gradient": 1.0})
    assert read().name == "one"


def test_losses_and_the_arguments_of_another_network_are_replaced_as_a_whole():
    assert read("squared").loss == {"mse": 1.0}
    assert read("other_network").model.arguments == {"depth": 34}


@pytest.mark.parametrize("pair", [("wide", "squared"), ("wide", "other_network"), ("other_network", "squared")])
def test_variants_that_agree_give_the_same_in_either_order(pair):
    first, second = read(*pair), read(*reversed(pair))
    assert first.name == "one-" + "-".join(pair)
    assert first.model_copy(update={"name": ""}) == second.model_copy(update={"name": ""})


def test_variants_of_a_network_and_of_its_arguments_join():
    assert read("small_net", "wide").model.arguments == {"width": 64}
    assert read("small_net").model.arguments == {}
    assert read("other_network", "wide").model.arguments == {"depth": 34, "width": 64}


@pytest.mark.parametrize(
    ("pair", "place"), [(("wide", "narrow"), "model.arguments.width"), (("unsupervised", "wide"), "model")]
)
def test_variants_that_contradict_each_other_are_refused_with_the_key(pair, place):
    with pytest.raises(UsageError, match=rf"VARIANT_CONFLICT x.yaml: the variants {pair[0]} and {pair[1]} set {place}"):
        read(*pair)


def test_a_variant_overrules_those_that_it_extends():
    both = read("wide_squared")
    assert (both.training.steps, both.model.arguments["width"], both.loss) == (9, 64, {"mse": 1.0})
    assert read("wide", "wide_squared").training.steps == 9
    with pytest.raises(UsageError, match="'itself' extends itself"):
        read("itself")


def test_an_unknown_variant_is_refused_with_the_existing_names():
    with pytest.raises(UsageError, match=r"VARIANT x.yaml has no variant 'A'; it has: itself, narrow"):
        read("A")
    with pytest.raises(UsageError, match="it has: none"):
        parse_recipe(TEXT.split("variants:", maxsplit=1)[0], name="x.yaml", variants=["A"])


def test_an_override_replaces_one_value_after_the_variants():
    values = {"training.steps": 20, "model.arguments.width": 4, "training.window.2": 32, "loss.mse": 0.5}
    changed = read("wide", overrides=values)
    assert (changed.name, changed.training.steps, changed.model.arguments) == ("one-wide", 20, {"width": 4, "depth": 2})
    assert (changed.training.window, changed.loss) == ((32, 32, 32), {"l1": 1.0, "gradient": 1.0, "mse": 0.5})
    assert parse_recipe(recipe_text(changed), name="again") == changed


def test_the_steps_of_stages_are_set_by_their_index():
    assert [stage.steps for stage in read("staged", overrides={"stages.1.steps": 2}).stages] == [5, 2]
    with pytest.raises(UsageError, match=r"OVERRIDE .*--set stages.0.steps=… --set stages.1.steps=…"):
        read("staged", overrides={"training.steps": 3})


@pytest.mark.parametrize(
    ("place", "advice"),
    [
        ("training.step", "did you mean training.steps"),
        ("steps", "did you mean training.steps"),
        ("traning.batch", "did you mean training.batch"),
        ("adversarial.weight", "adversarial is not set"),
        ("training.window.3", "has 3 entries"),
        ("model.arguments.a.b", "there is no model.arguments.a.b"),
        ("name.first", "there is no name.first"),
        ("foo.bar", "there is no foo.bar; choose from name, source, .*, or a key below them"),
    ],
)
def test_an_override_of_what_does_not_exist_is_refused_with_the_nearest_place(place, advice):
    with pytest.raises(UsageError, match=rf"OVERRIDE x.yaml: .*{advice}"):
        read(overrides={place: 1})


def test_an_override_with_an_impossible_value_is_refused_as_the_recipe_would_be():
    with pytest.raises(UsageError, match=r"RECIPE x.yaml: training.batch"):
        read(overrides={"training.batch": 0})


def test_overrides_of_the_command_line_are_yaml():
    texts = ["training.steps=20", "training.learning_rate=1e-4", "loss={l1: 2.0}", "training.clip=null", "name=a=b"]
    assert parse_overrides(texts) == {
        "training.steps": 20,
        "training.learning_rate": 1e-4,
        "loss": {"l1": 2.0},
        "training.clip": None,
        "name": "a=b",
    }
    for bad in (["training.steps"], ["=3"], ["a=["], ["a=1", "a=2"]):
        with pytest.raises(UsageError, match="OVERRIDE"):
            parse_overrides(bad)
