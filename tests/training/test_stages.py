"""Runs of several stages: which networks learn when, what is kept, what a stop and a resume change."""

import json

import pytest
import torch

from voxlate.bundle.bundle import read_bundle, read_weights
from voxlate.bundle.recipe import parse_recipe, recipe_text
from voxlate.bundle.settings import AdversarialSettings, CycleSettings, InferenceSettings, ModelSettings, Patches, Stage
from voxlate.errors import ModelInvalid, UsageError
from voxlate.inference.translate import translate_volume
from voxlate.io.nifti import read_volume
from voxlate.training import loop, validation
from voxlate.training.loop import train

DISCRIMINATOR = ModelSettings(name="patch_discriminator", arguments={"width": 2, "form": "patchgan_70"})


class Killed(Exception):
    """Stands for a job that is stopped from outside."""


def changed(recipe, training=None, **change):
    settings = recipe.training.model_copy(update=training or {})
    varied = recipe.model_copy(update=change | {"training": settings})
    return parse_recipe(recipe_text(varied), name="changed")


def with_discriminator(recipe, *stages, labels="one_sided", **training):
    adversarial = AdversarialSettings(discriminator=DISCRIMINATOR, labels=labels, weight=0.1)
    size = {"window": (24, 24, 24), "batch": 1, "warmup": 0, "validate_every": 2}
    steps = {"steps": None} if stages else {"steps": 4}
    return changed(recipe, size | steps | training, adversarial=adversarial, stages=stages)


def checkpoint(run, network):
    tensors = read_weights(run / "checkpoint.safetensors")
    return {name: x for name, x in tensors.items() if name.startswith(f"network.{network}.")}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


THREE = (
    Stage(steps=3),
    Stage(steps=2, trains="discriminator", from_best=True),
    Stage(steps=3, trains="both", from_best=True),
)


def test_only_those_learn_whose_stage_it_is(recipe, cohort, tmp_path):
    kept = {}

    def watch(progress, loss):
        kept[progress.step] = {name: checkpoint(tmp_path / "run", name) for name in ("generator", "discriminator")}

    plan = with_discriminator(recipe, *THREE, validate_every=1)
    train(plan, tmp_path / "run", root=cohort, watch=lambda p, v: watch(p, v) if p.step > 1 else None)
    end = {name: checkpoint(tmp_path / "run", name) for name in ("generator", "discriminator")}
    # A checkpoint is written after the watcher was called, so at step n it holds step n - 1.
    assert not same(kept[3]["generator"], kept[2]["generator"])
    assert same(kept[4]["discriminator"], kept[2]["discriminator"])
    assert same(kept[6]["generator"], kept[5]["generator"])
    assert not same(kept[6]["discriminator"], kept[5]["discriminator"])
    assert not same(end["generator"], kept[7]["generator"])
    assert not same(end["discriminator"], kept[7]["discriminator"])


def test_a_run_against_a_discriminator_that_was_stopped_ends_as_one_that_was_not(recipe, cohort, tmp_path):
    plan = with_discriminator(recipe, *THREE)
    train(plan, tmp_path / "whole", root=cohort)
    for stop in (3, 5, 7):

        def watch(progress, loss, stop=stop):
            if progress.step == stop:
                raise Killed

        run = tmp_path / f"cut{stop}"
        with pytest.raises(Killed):
            train(plan, run, root=cohort, watch=watch)
        train(plan, run, root=cohort, resume=True)
        for network in ("generator", "discriminator"):
            assert same(checkpoint(run, network), checkpoint(tmp_path / "whole", network))
        histories = [json.loads((place / "history.json").read_text()) for place in (run, tmp_path / "whole")]
        assert histories[0] == histories[1]


def test_a_stage_begins_with_the_best_weights_and_what_is_best_counts_anew(recipe, cohort, tmp_path, monkeypatch):
    errors = iter([0.5, 0.9, 0.8, 0.7])

    def validated(network, cases, inference, device):
        found = real(network, cases, inference, device)
        return type(found)(next(errors), found.sample)

    real = validation.validate
    monkeypatch.setattr(validation, "validate", validated)
    entered = []
    stages = (Stage(steps=2), Stage(steps=2, trains="both", from_best=True, learning_rate=1e-12))
    plan = with_discriminator(recipe, *stages, validate_every=1, average=0.0, optimiser="adam")

    def watch(progress, loss):
        entered.append((progress.step, progress.best))

    train(plan, tmp_path / "run", root=cohort, watch=watch)
    assert entered == [(1, None), (2, 0.5), (3, None), (4, 0.8)]
    # With no rate to speak of the second stage stays at what it began with: the weights after step 1, not 2.
    first = changed(plan, {"steps": 1}, stages=(), adversarial=None)
    monkeypatch.undo()
    train(first, tmp_path / "one", root=cohort)
    ends = [read_weights(tmp_path / name / "bundle" / "weights.safetensors") for name in ("run", "one")]
    assert all(torch.allclose(ends[0][name], ends[1][name], atol=1e-9) for name in ends[0])


def test_two_passes_of_one_window_move_the_weights_as_one_pass_of_two(recipe, cohort, tmp_path):
    # Windows that hold a whole head have the same weight sum where nothing is varied, so the mean of means is the mean.
    whole = {"window": (20, 24, 20), "steps": 3, "average": 0.0}
    train(changed(recipe, whole | {"batch": 2}), tmp_path / "one", root=cohort)
    train(changed(recipe, whole | {"batch": 1, "accumulate": 2}), tmp_path / "two", root=cohort)
    ends = [read_weights(tmp_path / name / "bundle" / "weights.safetensors") for name in ("one", "two")]
    assert all(torch.allclose(ends[0][name], ends[1][name], atol=2e-5) for name in ends[0])


def test_a_stage_that_gets_no_better_ends_early_and_the_next_one_begins(recipe, cohort, tmp_path):
    # Rates of no effect leave the error where it is.
    stages = (Stage(steps=9, learning_rate=1e-12), Stage(steps=3))
    idle = {"steps": None, "warmup": 0, "validate_every": 2, "patience": 2, "weight_decay": 0.0, "average": 0.0}
    plan = changed(recipe, idle, stages=stages)
    steps = []
    bundle = train(plan, tmp_path / "run", root=cohort, watch=lambda progress, loss: steps.append(progress.step))
    assert steps == [1, 2, 3, 4, 5, 6, 10, 11, 12]
    assert json.loads((tmp_path / "run" / "history.json").read_text())["stopped"] == [{"stage": 0, "step": 6}]
    assert "stage 1 ended early at step 6" in (bundle / "card.md").read_text()


@pytest.mark.parametrize(("keep", "errors", "kept"), [("best", [0.2, 0.9], 1), ("last", [0.2, 0.9], 2)])
def test_the_weights_that_a_recipe_asks_for_are_shipped(recipe, cohort, tmp_path, monkeypatch, keep, errors, kept):
    found = iter(errors)
    real = validation.validate

    def validated(network, cases, inference, device):
        return type(real(network, cases, inference, device))(next(found), torch.zeros(1, 1).numpy())

    monkeypatch.setattr(validation, "validate", validated)
    settings = {"steps": 2, "validate_every": 1, "keep": keep, "schedule": "constant", "average": 0.0}
    train(changed(recipe, settings), tmp_path / "run", root=cohort)
    monkeypatch.undo()
    train(changed(recipe, settings | {"steps": kept, "keep": "last"}), tmp_path / "other", root=cohort)
    ends = [read_weights(tmp_path / name / "bundle" / "weights.safetensors") for name in ("run", "other")]
    assert same(*ends)


def test_the_published_choice_by_training_loss_is_said_on_the_card(recipe, cohort, tmp_path):
    bundle = train(changed(recipe, {"steps": 4, "keep": "training_loss"}), tmp_path / "run", root=cohort)
    assert "least loss of a training batch" in (bundle / "card.md").read_text()


@pytest.mark.parametrize(("keep", "part"), [("training_loss", "loss"), ("pixel_loss", "pixel")])
def test_the_weights_of_a_gan_are_chosen_with_or_without_its_adversarial_loss(
    recipe, cohort, tmp_path, monkeypatch, keep, part
):
    found, best = [], []

    def taken(*arguments):
        found.append(real(*arguments))
        return found[-1]

    real = loop.take_step
    monkeypatch.setattr(loop, "take_step", taken)
    plan = with_discriminator(recipe, Stage(steps=5, trains="both"), validate_every=1, keep=keep)
    bundle = train(plan, tmp_path / "run", root=cohort, watch=lambda progress, loss: best.append(progress.best))
    chosen = [losses[part] for losses in found]
    assert best == [None, *(min(chosen[: n + 1]) for n in range(4))]
    assert all(losses["loss"] == pytest.approx(losses["pixel"] + 0.1 * losses["adversarial"]) for losses in found)
    assert f"least {part.replace('pixel', 'pixel loss')} of a training batch" in (bundle / "card.md").read_text()


def test_a_cycle_learns_from_scans_that_are_no_pairs(recipe, cohort, tmp_path):
    # Targets of other heads in another order: the rows are two lists, not pairs.
    table = (cohort / "cases.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in table]
    rows[1][4], rows[2][4] = rows[2][4], rows[1][4]
    (cohort / "cases.tsv").write_text("\n".join("\t".join(row) for row in rows) + "\n")
    bundle = read_bundle(train(without_pairs(recipe, steps=6), tmp_path / "run", root=cohort))
    networks = {
        name.split(".")[1] for name in read_weights(tmp_path / "run" / "checkpoint.safetensors") if "net" in name
    }
    assert networks == {"generator", "discriminator", "back", "back_discriminator"}
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert set(history["training"][0]) == {"step", "loss", "adversarial", "discriminator"}
    prepared = tmp_path / "run" / "prepared"
    levels = {
        (role, n): json.loads(next((prepared / role / f"case{n}").glob("*/prepared.json")).read_text())["source_level"]
        for role in ("sources", "targets")
        for n in (0, 1)
    }
    ratio = (levels["targets", 0] * levels["targets", 1]) / (levels["sources", 0] * levels["sources", 1])
    assert bundle.mapping.gain == pytest.approx(ratio**0.5)
    found = translate_volume(bundle, read_volume(cohort / "source_3.nii.gz"))
    assert found.volume.data.any()


def test_a_discriminator_learns_in_one_of_so_many_steps(recipe, cohort, tmp_path):
    plan = with_discriminator(recipe, Stage(steps=4, trains="both"), validate_every=1)
    plan = plan.model_copy(update={"adversarial": plan.adversarial.model_copy(update={"every": 3})})
    after = {}

    def watch(progress, loss):  # is called before the checkpoint of its step is written
        if progress.step > 1:
            after[progress.step - 1] = checkpoint(tmp_path / "run", "discriminator")

    train(plan, tmp_path / "run", root=cohort, watch=watch)
    after[4] = checkpoint(tmp_path / "run", "discriminator")
    assert same(after[1], after[2])
    assert same(after[1], after[3])
    assert not same(after[1], after[4])


def without_pairs(recipe, steps=3):
    base = recipe.model_copy(update={"data": recipe.data.model_copy(update={"paired": False}), "loss": {}})
    adversarial = AdversarialSettings(discriminator=DISCRIMINATOR, conditional=False, weight=0.1)
    settings = {"window": (24, 24, 24), "batch": 1, "steps": steps, "keep": "last"}
    return changed(base, settings, adversarial=adversarial, cycle=CycleSettings(weight=1, identity=1))


def test_lists_of_unequal_length_are_trained_without_pairs(recipe, cohort, tmp_path):
    table = cohort / "cases.tsv"
    header, first, second, *rest = table.read_text().splitlines()
    alone = first.split("\t")
    alone[4] = ""  # a source without a target
    more = [second.split("\t") for _ in range(2)]
    for number, row in enumerate(more):
        row[0], row[1], row[3] = f"target{number}", f"other{number}", ""
    rows = [header, "\t".join(alone), *("\t".join(row) for row in more), *rest]
    table.write_text("\n".join(rows) + "\n")
    train(without_pairs(recipe), tmp_path / "run", root=cohort)
    prepared = tmp_path / "run" / "prepared"
    assert sorted(path.name for path in (prepared / "sources").iterdir()) == ["case0"]
    assert sorted(path.name for path in (prepared / "targets").iterdir()) == ["target0", "target1"]
    table.write_text("\n".join([header, "\t".join(alone), *rest]) + "\n")
    with pytest.raises(UsageError, match="NO_TRAINING_CASE no training row has a target"):
        train(without_pairs(recipe), tmp_path / "other", root=cohort)


def test_what_contradicts_itself_is_refused_before_anything_is_read(recipe):
    cycle = {"cycle": CycleSettings(), "loss": {}}
    discriminator = AdversarialSettings(conditional=False)
    of_discriminator = (Stage(steps=1, trains="discriminator"),)
    turned = recipe.augmentation.model_copy(update={"quarter_turns": True})
    wrong = [
        ({"stages": (Stage(steps=1),)}, {}, "leave out `training.steps`"),
        ({"stages": (Stage(steps=1, trains="both"),)}, {"steps": None}, "has no `adversarial`"),
        ({"stages": of_discriminator, "adversarial": discriminator}, {"steps": None}, "no stage trains"),
        (cycle, {}, "needs `adversarial`"),
        (cycle | {"adversarial": discriminator, "loss": {"l1": 1.0}}, {}, "no pairs to compute a `loss`"),
        (cycle | {"adversarial": discriminator.model_copy(update={"every": 3})}, {}, "does not use"),
        ({"data": recipe.data.model_copy(update={"paired": False})}, {}, "needs a `cycle`"),
        ({"more_sources": ("T1ce",)}, {}, "two sources have the same name"),
        (
            {"augmentation": turned},
            {"window": (8, 9, 8)},
            "square",
        ),
    ]
    for change, training, reason in wrong:
        with pytest.raises(UsageError, match=f"RECIPE .*{reason}"):
            changed(recipe, training, **change)


def test_a_window_too_small_for_the_patches_is_refused(recipe, cohort, tmp_path):
    plan = with_discriminator(recipe)
    plan = plan.model_copy(update={"adversarial": plan.adversarial.model_copy(update={"patches": Patches()})})
    with pytest.raises(UsageError, match="PATCHES"):
        train(plan, tmp_path / "run", root=cohort)


def test_a_discriminator_s_loss_that_is_not_a_number_stops_the_run_too(recipe, cohort, tmp_path, monkeypatch):
    def broken(discriminator, synthetic, real, source, settings, seed):
        return discriminator(torch.cat([real, source], dim=1)).sum() * float("inf")

    monkeypatch.setattr("voxlate.training.steps.adversarial.discriminator_loss", broken)
    with pytest.raises(Exception, match=r"LOSS_NOT_FINITE .* at step 0 on case[01]"):
        train(with_discriminator(recipe), tmp_path / "run", root=cohort)


@pytest.mark.parametrize("precision", ["bf16-mixed"])
def test_mixed_precision_trains_all_networks_to_nearly_the_same_losses(recipe, cohort, tmp_path, precision):
    losses = []
    for chosen in ("32-true", precision):
        plan = with_discriminator(recipe, *THREE, precision=chosen, window=(28, 28, 28))
        volume_patch = DISCRIMINATOR.model_copy(update={"arguments": {"width": 4}})
        plan = changed(plan, adversarial=plan.adversarial.model_copy(update={"discriminator": volume_patch}))
        train(plan, tmp_path / chosen, root=cohort)
        losses.append(json.loads((tmp_path / chosen / "history.json").read_text())["training"][0]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0] != losses[1]


def test_a_gradient_that_is_not_finite_stops_the_run_in_words(recipe, cohort, tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_fabric.Fabric.clip_gradients", lambda *_, **__: torch.tensor(float("inf")))
    with pytest.raises(Exception, match="GRADIENT_NOT_FINITE a gradient is not finite at step 0"):
        train(recipe, tmp_path / "run", root=cohort)


def test_weights_and_losses_that_make_no_sense_are_refused(recipe, cohort, tmp_path):
    for change in ({"loss": {}}, {"loss": {"l1": 0.0}}, {"loss": {"l1": -1.0}}):
        with pytest.raises(UsageError, match="RECIPE"):
            changed(recipe, **change)
    with pytest.raises(UsageError, match=r"RECIPE .*training\.window"):
        changed(recipe, {"window": (0, 8, 8)})
    with pytest.raises(UsageError, match="SOURCE_NOWHERE no training case has T2w"):
        train(changed(recipe, more_sources=("T2w",)), tmp_path / "run", root=cohort)
    first = train(changed(recipe, {"steps": 1}), tmp_path / "first", root=cohort)
    other = changed(recipe, model=recipe.model.model_copy(update={"arguments": {"width": 8, "depth": 2}}))
    theirs, ours = recipe.model.arguments, other.model.arguments
    fitting = f"write `model: {_in_yaml(theirs)}` into the recipe in place of {_in_yaml(ours)}"
    with pytest.raises(ModelInvalid, match="MODEL_WEIGHTS bundle is a bundle of another network; ") as refused:
        train(other, tmp_path / "second", root=cohort, start_from=first)
    assert refused.value.message.endswith(fitting)


def _in_yaml(arguments):
    return f"{{name: translator, arguments: {{{', '.join(f'{name}: {value}' for name, value in arguments.items())}}}}}"


def test_a_run_with_dropout_that_was_stopped_ends_as_one_that_was_not(recipe, cohort, tmp_path):
    arguments = {"width": 4, "depth": 2, "dropout": 0.5}
    model = recipe.model.model_copy(update={"name": "unet", "arguments": arguments})
    plan = changed(
        recipe, {"steps": 6, "validate_every": 2}, model=model, inference=InferenceSettings(window=(16, 16, 16))
    )
    train(plan, tmp_path / "whole", root=cohort)

    def watch(progress, loss):
        if progress.step == 3:
            raise Killed

    with pytest.raises(Killed):
        train(plan, tmp_path / "cut", root=cohort, watch=watch)
    train(plan, tmp_path / "cut", root=cohort, resume=True)
    assert same(*(read_weights(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "cut")))
