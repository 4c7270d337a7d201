import pytest
import torch

from voxlate.errors import UsageError
from voxlate.models import build

FIELDS = {"volume_patch": 39, "patchgan_16": 16, "patchgan_70": 70, "seven_layers": 193}


@pytest.mark.parametrize(("form", "field"), FIELDS.items())
def test_a_logit_sees_so_many_voxels(form, field):
    model = build("patch_discriminator", in_channels=1, width=1, form=form, dimensions=2)
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    plain = torch.nn.Sequential(*[s for s in model.steps if "Norm" not in type(s).__name__])
    x = torch.rand(1, 1, 256, 256, requires_grad=True)
    logits = plain(x)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    seen = x.grad[0, 0].abs().sum(dim=1).nonzero().flatten()
    assert seen.max() - seen.min() + 1 == field


@pytest.mark.parametrize("form", FIELDS)
def test_the_smallest_size_is_the_smallest(form):
    model = build("patch_discriminator", width=1, form=form, dimensions=2)
    assert model(torch.rand(1, 2, model.smallest, model.smallest)).shape == (1, 1, 1, 1)
    with pytest.raises(UsageError, match=f"SIZE .*at least {model.smallest} voxels"):
        model(torch.rand(1, 2, model.smallest - 1, 80))


def test_bottani_s_answers_with_the_mean_of_125_logits_for_a_patch_of_64():
    model = build("patch_discriminator", width=2)
    patch = torch.rand(2, 2, 64, 64, 64)
    with torch.no_grad():
        logits = model.steps(patch)
        assert logits.shape == (2, 1, 5, 5, 5)
        assert torch.allclose(model(patch).flatten(), torch.nn.functional.avg_pool3d(logits, 5).flatten(), atol=1e-6)
