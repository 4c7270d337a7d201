"""What a step does to weights, against losses written out by hand; plain descent shows the gradient itself."""

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from voxlate.bundle.settings import AdversarialSettings, CycleSettings
from voxlate.losses.l1 import l1
from voxlate.training.data import Batch
from voxlate.training.objective import objectives_of
from voxlate.training.state import Players
from voxlate.training.steps import Trainer

RATE = 0.1


def scale(value, channels=1):
    layer = nn.Conv3d(channels, 1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def batch(seed, count=1):
    torch.manual_seed(seed)
    weight = (torch.rand(count, 1, 3, 3, 3) > 0.3).float()
    return Batch(torch.rand(count, 1, 3, 3, 3) * weight, torch.rand(count, 1, 3, 3, 3) * weight, weight, ("a",) * count)


def trainer(recipe, generator, judge=None, back=None, back_judge=None, **change):
    settings = {"learning_rate": RATE, "warmup": 0, "schedule": "constant", "clip": None}
    training = recipe.training.model_copy(update=settings)
    plan = recipe.model_copy(update={"training": training, **change})
    networks = [x for x in (generator, back) if x is not None]
    judges = [x for x in (judge, back_judge) if x is not None]
    descent = torch.optim.SGD([w for x in networks for w in x.parameters()], lr=RATE)
    of_judges = torch.optim.SGD([w for x in judges for w in x.parameters()], lr=RATE) if judges else None
    players = Players(generator, descent, judge, of_judges, back, back_judge)
    return Trainer(Fabric(accelerator="cpu", devices=1), players, plan, objectives_of(plan, "."))


def slope(loss, weight):
    return torch.autograd.grad(loss, weight, retain_graph=True)[0]


def test_passes_count_by_their_share(recipe):
    generator, twin = scale(0.4), scale(0.4)
    first, second = batch(0), batch(1)
    found = trainer(recipe, generator).take([first, second], None, 0)
    losses = [l1(twin(part.source), part.target, part.weight) for part in (first, second)]
    expected = 0.4 - RATE * slope(sum(losses) / 2, twin.weight)
    assert torch.allclose(generator.weight, expected)
    assert found["loss"] == pytest.approx(sum(losses).item() / 2)


def test_a_discriminator_moves_first_and_its_opinion_counts_by_its_weight(recipe):
    generator, judge = scale(0.4), scale(0.3, channels=2)
    here = batch(0)
    twin, judge_twin = scale(0.4), scale(0.3, channels=2)
    made = twin(here.source) * here.weight

    def asked(image):
        return judge_twin(torch.cat([image, here.source], dim=1))

    taught = 0.5 * ((asked(here.target) - 1).square().mean() + asked(made.detach()).square().mean())
    moved = judge_twin.weight - RATE * slope(taught, judge_twin.weight)
    with torch.no_grad():
        judge_twin.weight.copy_(moved)
    opinion = (asked(made) - 1).square().mean()
    loss = l1(twin(here.source), here.target, here.weight) + 0.7 * opinion
    expected = 0.4 - RATE * slope(loss, twin.weight)
    found = trainer(recipe, generator, judge, adversarial=AdversarialSettings(weight=0.7)).take([here], None, 0)
    assert torch.allclose(judge.weight, moved)
    assert torch.allclose(generator.weight, expected)
    assert found["adversarial"] == pytest.approx(opinion.item())
    assert found["discriminator"] == pytest.approx(taught.item())


def test_a_discriminator_may_have_a_rate_of_its_own(recipe):
    judges = []
    for own in (None, 10 * RATE):
        judge = scale(0.3, channels=2)
        settings = AdversarialSettings(learning_rate=own)
        trainer(recipe, scale(0.4), judge, adversarial=settings).take([batch(0)], None, 0)
        judges.append(judge.weight.detach() - 0.3)
    assert torch.allclose(10 * judges[0], judges[1])


def test_a_cycle_adds_both_ways_both_judges_and_what_should_stay(recipe):
    forth, back, judge, back_judge = scale(0.4), scale(0.6), scale(0.3), scale(0.2)
    here, there = batch(0), batch(1)
    twins = [scale(value) for value in (0.4, 0.6)]
    adversarial = AdversarialSettings(weight=0.7, conditional=False)
    settings = CycleSettings(weight=2, identity=3)
    step = trainer(recipe, forth, judge, back, back_judge, adversarial=adversarial, cycle=settings, loss={})
    found = step.take([here], [there], 0)
    source, target = here.source, there.target
    made, backwards = twins[0](source) * here.weight, twins[1](target) * there.weight
    # The judges have moved before they were asked.
    opinions = (judge(made) - 1).square().mean() + (back_judge(backwards) - 1).square().mean()
    circle = l1(twins[1](made), source, here.weight) + l1(twins[0](backwards), target, there.weight)
    stay = l1(twins[0](target), target, there.weight) + l1(twins[1](source), source, here.weight)
    loss = 0.7 * opinions + 2 * circle + 3 * stay
    assert found["loss"] == pytest.approx(loss.item(), rel=1e-5)
    for network, twin, value in ((forth, twins[0], 0.4), (back, twins[1], 0.6)):
        assert torch.allclose(network.weight, value - RATE * slope(loss, twin.weight))
    assert not torch.allclose(judge.weight, torch.tensor(0.3))
    assert not torch.allclose(back_judge.weight, torch.tensor(0.2))
