import pytest
import torch

from voxlate.errors import UsageError
from voxlate.models import build
from voxlate.models.parts.transformer import TransformerLayer

SMALL = {"width": 2, "depth": 1, "heads": 2, "token_grid": 2}


def test_a_transformer_layer_is_that_of_torch():
    torch.manual_seed(0)
    ours = TransformerLayer(8, 2, dropout=0.1).eval()
    theirs = torch.nn.TransformerEncoderLayer(8, 2, 64, activation="gelu", batch_first=True, norm_first=True).eval()
    state = {
        "self_attn.in_proj_weight": ours.query_key_value.weight,
        "self_attn.in_proj_bias": torch.zeros(24),
        "self_attn.out_proj.weight": ours.project.weight,
        "self_attn.out_proj.bias": ours.project.bias,
    }
    for name, module in {"norm1": ours.attention_norm, "norm2": ours.feed_forward[0]}.items():
        state |= {f"{name}.weight": module.weight, f"{name}.bias": module.bias}
    for name, place in {"linear1": 1, "linear2": 4}.items():
        state |= {f"{name}.weight": ours.feed_forward[place].weight, f"{name}.bias": ours.feed_forward[place].bias}
    theirs.load_state_dict(state)
    tokens = torch.rand(2, 5, 8)
    assert torch.allclose(ours(tokens), theirs(tokens), atol=1e-5)


@pytest.mark.parametrize(("times", "kept"), [(1, 0.9), (2, 0.81)])
def test_activations_are_dropped_once_or_twice_after_the_attention(times, kept):
    torch.manual_seed(0)
    layer = TransformerLayer(8, 2, dropout=0.1, attention_dropouts=times)
    torch.nn.init.zeros_(layer.project.weight)
    torch.nn.init.ones_(layer.project.bias)
    torch.nn.init.zeros_(layer.feed_forward[4].weight)
    torch.nn.init.zeros_(layer.feed_forward[4].bias)
    with torch.no_grad():
        answer = layer(torch.zeros(20, 500, 8))
    assert (answer != 0).float().mean().item() == pytest.approx(kept, abs=0.005)
    assert answer.mean().item() == pytest.approx(1, abs=0.01)  # what is kept is scaled up
    assert torch.equal(layer.eval()(torch.zeros(1, 3, 8)), torch.ones(1, 3, 8))


def test_fixed_positions_take_one_size_and_there_are_the_interpolated_ones():
    torch.manual_seed(0)
    fixed = build("trans_unet", **SMALL, position="fixed").eval()
    torch.nn.init.normal_(fixed.position)
    free = build("trans_unet", **SMALL).eval()
    free.load_state_dict(fixed.state_dict())
    x = torch.rand(1, 1, 16, 16, 16)
    assert torch.equal(fixed(x), free(x))
    with pytest.raises(UsageError, match=r"SIZE .*takes 16 voxels"):
        fixed(torch.rand(1, 1, 16, 16, 24))


def test_interpolated_positions_keep_their_order():
    model = build("trans_unet", **SMALL)
    with torch.no_grad():
        model.position[:] = torch.arange(8.0).reshape(1, 8, 1)
        resized = model._position(torch.Size((4, 2, 2))).reshape(4, 2, 2, -1)[..., 0]
    assert torch.allclose(resized[[0, 3]], torch.arange(8.0).reshape(2, 2, 2))
    assert (resized.diff(dim=0) > 0).all()


def test_the_stem_as_coded_drops_channels_even_in_evaluation():
    torch.manual_seed(0)
    model = build("trans_unet", **SMALL, stem_dropout="always").eval()
    x = torch.rand(1, 1, 8, 8, 16)
    with torch.no_grad():
        answers = [model(x) for _ in range(6)]
    assert any(not torch.equal(answers[0], other) for other in answers)


def test_tokens_that_heads_cannot_share_are_refused():
    with pytest.raises(UsageError, match="MODEL_ARGUMENT"):
        build("trans_unet", width=2, heads=3)
