import pytest
import torch

from voxlate.errors import UsageError
from voxlate.models import build

SMALL = {"in_channels": 2, "width": 4}


def network(**design: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return build("hr_fcn", **SMALL, **design).eval()


@pytest.mark.parametrize(("last_fusion", "has_effect"), [("as_coded", False), ("all", True)])
def test_the_branch_at_an_eighth_has_an_effect_only_with_the_repaired_fusion(last_fusion, has_effect):
    model, x = network(last_fusion=last_fusion), torch.rand(1, 2, 16, 8, 1)
    with torch.no_grad():
        before = model(x)
        model.transitions[2].steps[3][0][0].weight.add_(1)
        assert torch.equal(before, model(x)) != has_effect


@pytest.mark.parametrize(
    "design",
    [
        {"fusion": "concat"},
        {"stems": "single"},
        {"ablation": "B"},
        {"ablation": "C"},
        {"ablation": "D"},
        {"width": 8, "resolutions": 3},
    ],
)
def test_each_variant_is_trained_whole(design):
    torch.manual_seed(0)
    model = build("hr_fcn", **{**SMALL, **design})
    answer = model(torch.rand(2, 2, 16, 8, 2))
    assert answer.shape == (2, 1, 16, 8, 2)
    answer.square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_ablations_take_away_what_they_say():
    whole, alone, without, apart = (network(ablation=a) for a in ("none", "B", "C", "D"))
    assert [len(stage) for stage in whole.branches] == [2, 3, 4]
    assert [len(stage) for stage in alone.branches] == [1, 1, 1]
    assert [len(stage) for stage in without.branches] == [1, 2, 3]
    assert (len(whole.fusions), len(apart.fusions)) == (2, 0)


def test_the_slice_axis_is_never_strided_wherever_it_is():
    last, first = network(slice_axis=2), network(slice_axis=0)
    turned = {n: p.movedim(4, 2) if p.dim() == 5 else p for n, p in last.state_dict().items()}
    first.load_state_dict(turned)
    x = torch.rand(1, 2, 8, 16, 3)
    with torch.no_grad():
        assert torch.allclose(last(x), first(x.movedim(4, 2)).movedim(2, 4), atol=1e-4)


def test_slices_are_taken_in_two_dimensions():
    assert network(dimensions=2)(torch.rand(1, 2, 8, 16)).shape == (1, 1, 8, 16)


def test_a_design_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match=r"MODEL_ARGUMENT .*'add', 'concat'"):
        network(fusion="sum")
    with pytest.raises(UsageError, match=r"MODEL_ARGUMENT .*fuison"):
        network(fuison="add")
