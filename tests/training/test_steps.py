"""What a step does to weights, against losses written out by hand; plain descent shows the gradient itself."""

from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision
from torch import nn

from voxlate.bundle.settings import AdversarialSettings, CycleSettings
from voxlate.losses.l1 import l1
from voxlate.training.data.windows import Batch, StepBatches
from voxlate.training.objective import objectives_of
from voxlate.training.scaling import StepScaler, scale_by_step
from voxlate.training.state import AdversarialState, CycleState, SupervisedState, new_state
from voxlate.training.steps import Step, take_step

RATE = 0.1


def scale(value, channels=1):
    layer = nn.Conv3d(channels, 1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def batch(seed, count=1):
    torch.manual_seed(seed)
    weight = (torch.rand(count, 1, 3, 3, 3) > 0.3).float()
    return Batch(torch.rand(count, 1, 3, 3, 3) * weight, torch.rand(count, 1, 3, 3, 3) * weight, weight, ("a",) * count)


def with_rest(part, value):
    """Returns a batch whose images have a value outside the mask."""
    rest = value * (1 - part.weight)
    return replace(part, source=part.source + rest, target=part.target + rest)


def take(
    recipe,
    sources,
    generator,
    discriminator=None,
    inverse=None,
    inverse_discriminator=None,
    targets=(),
    fabric=None,
    **change,
):
    """Takes one step by plain descent and returns its losses."""
    fabric = fabric or Fabric(accelerator="cpu", devices=1)
    settings = {"learning_rate": RATE, "warmup": 0, "schedule": "constant", "clip": None}
    settings["precision"] = fabric.strategy.precision.precision
    training = recipe.training.model_copy(update=settings)
    plan = recipe.model_copy(update={"training": training, **change})
    state = SupervisedState(generator, fabric.setup_optimizers(descent(generator, inverse)))
    if discriminator is not None:
        mover = fabric.setup_optimizers(descent(discriminator, inverse_discriminator))
        parts = (plan.adversarial, discriminator, mover)
        state = AdversarialState(generator, state.optimiser, *parts)
        if inverse is not None:
            state = CycleState(generator, state.optimiser, *parts, plan.cycle, inverse, inverse_discriminator)
    step = Step(fabric, plan, 0)
    return take_step(state, StepBatches(sources, list(targets)), step, objectives_of(plan, ".")[0])


def descent(*networks):
    return torch.optim.SGD([w for x in networks if x is not None for w in x.parameters()], lr=RATE)


def slope(loss, weight):
    return torch.autograd.grad(loss, weight, retain_graph=True)[0]


def test_micro_batches_count_by_their_share(recipe):
    generator, twin = scale(0.4), scale(0.4)
    first, second = batch(0), batch(1)
    found = take(recipe, [first, second], generator)
    losses = [l1(twin(part.source), part.target, part.weight) for part in (first, second)]
    expected = 0.4 - RATE * slope(sum(losses) / 2, twin.weight)
    assert torch.allclose(generator.weight, expected)
    assert found["loss"] == pytest.approx(sum(losses).item() / 2)


def test_a_discriminator_moves_first_and_the_adversarial_loss_counts_by_its_weight(recipe):
    generator, discriminator = scale(0.4), scale(0.3, channels=2)
    here = batch(0)
    twin, discriminator_twin = scale(0.4), scale(0.3, channels=2)
    made = twin(here.source) * here.weight

    def asked(image):
        return discriminator_twin(torch.cat([image, here.source], dim=1))

    taught = 0.5 * ((asked(here.target) - 1).square().mean() + asked(made.detach()).square().mean())
    moved = discriminator_twin.weight - RATE * slope(taught, discriminator_twin.weight)
    with torch.no_grad():
        discriminator_twin.weight.copy_(moved)
    adversarial_loss = (asked(made) - 1).square().mean()
    loss = l1(twin(here.source), here.target, here.weight) + 0.7 * adversarial_loss
    expected = 0.4 - RATE * slope(loss, twin.weight)
    found = take(recipe, [here], generator, discriminator, adversarial=AdversarialSettings(weight=0.7))
    assert torch.allclose(discriminator.weight, moved)
    assert torch.allclose(generator.weight, expected)
    assert found["adversarial"] == pytest.approx(adversarial_loss.item())
    assert found["discriminator"] == pytest.approx(taught.item())


def test_a_generator_that_moves_first_meets_the_old_discriminator_which_then_learns_from_what_it_makes_anew(recipe):
    generator, discriminator = scale(0.4), scale(0.3, channels=2)
    here = batch(0)
    twin, discriminator_twin = scale(0.4), scale(0.3, channels=2)

    def asked(image):
        return discriminator_twin(torch.cat([image, here.source], dim=1))

    adversarial_loss = (asked(twin(here.source) * here.weight) - 1).square().mean()
    pixel_loss = l1(twin(here.source), here.target, here.weight)
    expected = twin.weight - RATE * slope(pixel_loss + 0.7 * adversarial_loss, twin.weight)
    with torch.no_grad():
        twin.weight.copy_(expected)
        made = twin(here.source) * here.weight
    taught = 0.5 * ((asked(here.target) - 1).square().mean() + asked(made).square().mean())
    moved = discriminator_twin.weight - RATE * slope(taught, discriminator_twin.weight)
    settings = AdversarialSettings(weight=0.7, first="generator")
    found = take(recipe, [here], generator, discriminator, adversarial=settings)
    assert torch.allclose(generator.weight, expected)
    assert torch.allclose(discriminator.weight, moved)
    assert found["adversarial"] == pytest.approx(adversarial_loss.item())
    assert found["pixel"] == pytest.approx(pixel_loss.item())
    assert found["discriminator"] == pytest.approx(taught.item())


def test_a_discriminator_may_have_a_rate_of_its_own(recipe):
    discriminators = []
    for own in (None, 10 * RATE):
        discriminator = scale(0.3, channels=2)
        settings = AdversarialSettings(learning_rate=own)
        take(recipe, [batch(0)], scale(0.4), discriminator, adversarial=settings)
        discriminators.append(discriminator.weight.detach() - 0.3)
    assert torch.allclose(10 * discriminators[0], discriminators[1])


def test_a_cycle_adds_both_ways_both_discriminators_and_what_should_stay(recipe):
    forward, inverse, discriminator, inverse_discriminator = scale(0.4), scale(0.6), scale(0.3), scale(0.2)
    here, there = batch(0), batch(1)
    twins = [scale(value) for value in (0.4, 0.6)]
    adversarial = AdversarialSettings(weight=0.7, conditional=False)
    settings = CycleSettings(weight=2, identity=3)
    networks = (forward, discriminator, inverse, inverse_discriminator)
    change = {"adversarial": adversarial, "cycle": settings, "loss": {}}
    found = take(recipe, [here], *networks, targets=[there], **change)
    source, target = here.source, there.target
    made, backwards = twins[0](source) * here.weight, twins[1](target) * there.weight
    # The discriminators have moved before the generators' loss is computed.
    answers = discriminator(made), inverse_discriminator(backwards)
    adversarial_losses = sum((answer - 1).square().mean() for answer in answers)
    circle = l1(twins[1](made), source, here.weight) + l1(twins[0](backwards), target, there.weight)
    stay = l1(twins[0](target), target, there.weight) + l1(twins[1](source), source, here.weight)
    loss = 0.7 * adversarial_losses + 2 * circle + 3 * stay
    assert found["loss"] == pytest.approx(loss.item(), rel=1e-5)
    for network, twin, value in ((forward, twins[0], 0.4), (inverse, twins[1], 0.6)):
        assert torch.allclose(network.weight, value - RATE * slope(loss, twin.weight))
    assert not torch.allclose(discriminator.weight, torch.tensor(0.3))
    assert not torch.allclose(inverse_discriminator.weight, torch.tensor(0.2))


def test_what_a_scan_shows_outside_its_mask_teaches_no_discriminator_of_a_cycle(recipe):
    change = {"adversarial": AdversarialSettings(conditional=False), "cycle": CycleSettings(), "loss": {}}
    learned = []
    for outside in (0, 5):  # as of a skull around the brain, or of what the other scan of a pair does not cover
        here, there = (with_rest(batch(seed), outside) for seed in (0, 1))
        networks = scale(0.4), scale(0.3), scale(0.6), scale(0.2)
        take(recipe, [here], *networks, targets=[there], **change)
        learned.append([networks[1].weight.item(), networks[3].weight.item()])
    assert learned[0] == pytest.approx(learned[1])


@pytest.mark.parametrize(("precision", "is_fused"), [("32-true", True), ("bf16-mixed", True), ("16-mixed", None)])
@pytest.mark.parametrize("optimiser", ["adam", "adamw"])
def test_all_weights_are_updated_in_one_call_unless_the_gradients_are_scaled(recipe, precision, is_fused, optimiser):
    training = recipe.training.model_copy(update={"precision": precision, "optimiser": optimiser})
    plan = recipe.model_copy(update={"training": training, "adversarial": None})
    state = new_state(plan, scale(0.4), Fabric(accelerator="cpu", devices=1))
    assert state.optimiser.param_groups[0]["fused"] is is_fused


@pytest.mark.parametrize("kind", ["supervised", "adversarial", "cycle"])
def test_with_a_gradient_scale_the_micro_batches_of_a_step_count_as_without_and_the_scale_changes_once(recipe, kind):
    # torch, "Automatic Mixed Precision examples": one scale for all that is accumulated, one update for all optimisers.
    adversarial = AdversarialSettings(weight=0.7, conditional=False)
    change = {
        "supervised": {},
        "adversarial": {"adversarial": adversarial},
        "cycle": {"adversarial": adversarial, "cycle": CycleSettings(weight=2, identity=3), "loss": {}},
    }[kind]
    count = {"supervised": 1, "adversarial": 2, "cycle": 4}[kind]
    scaler = StepScaler("cpu", init_scale=256.0, growth_interval=1)  # doubles at each update
    precision = MixedPrecision("16-mixed", "cpu", scaler=scaler)
    weights = []
    for fabric in (Fabric(accelerator="cpu", devices=1), Fabric(accelerator="cpu", devices=1, plugins=[precision])):
        networks = [scale(value) for value in (0.4, 0.3, 0.6, 0.2)[:count]]
        take(recipe, [batch(0), batch(1)], *networks, targets=[batch(2), batch(3)], fabric=fabric, **change)
        weights.append([network.weight.item() for network in networks])
    assert weights[1] == pytest.approx(weights[0], rel=2e-3)  # half precision has 11 bits
    assert scaler.get_scale() == 512.0


def test_a_step_whose_gradients_overflow_moves_nothing_and_halves_the_scale(recipe):
    scaler = StepScaler("cpu", init_scale=2.0**127)
    precision = MixedPrecision("16-mixed", "cpu", scaler=scaler)
    fabric = Fabric(accelerator="cpu", devices=1, plugins=[precision])
    generator, discriminator = scale(0.4), scale(0.3)
    here = replace(batch(0), target=1e3 * batch(0).target)
    settings = AdversarialSettings(weight=0.7, conditional=False)
    take(recipe, [here, here], generator, discriminator, fabric=fabric, adversarial=settings, loss={"mse": 1.0})
    assert (generator.weight.item(), discriminator.weight.item()) == pytest.approx((0.4, 0.3))
    assert scaler.get_scale() == 2.0**126


def test_only_a_precision_that_scales_gradients_gets_the_scaler_of_a_step():
    precision = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu"))
    fabric = Fabric(accelerator="cpu", devices=1, plugins=[precision])
    scale_by_step(fabric)
    assert isinstance(precision.scaler, StepScaler)
    plain = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    scale_by_step(plain)
    assert plain.strategy.precision.scaler is None
