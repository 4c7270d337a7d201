import numpy as np
import pytest
import torch

from voxlate.errors import ModelInvalid, UsageError
from voxlate.models.features import head_segmenter as module
from voxlate.models.features.head_segmenter import CLASSES, HeadFeatures, head_segmenter
from voxlate.simulation import Options, simulate_subject
from voxlate.simulation.anatomy.anatomies import FormulaHeads
from voxlate.simulation.truth import LABELS


@pytest.fixture(scope="module")
def network():
    return head_segmenter()


@pytest.mark.parametrize("size", [(64, 64), (13, 50), (1, 9)])
def test_slices_of_any_size_are_segmented(network, size):
    assert network(torch.rand(2, 1, *size)).shape == (2, len(CLASSES), *size)


def test_the_scale_of_an_image_makes_no_difference(network):
    x = torch.rand(1, 1, 48, 40)
    assert torch.allclose(network(x), network(1000 * x), atol=1e-2)


def test_it_is_frozen_and_lets_gradients_through_to_the_image():
    features = HeadFeatures(("level0", "level2"))
    x = torch.rand(1, 1, 32, 32, requires_grad=True)
    fine, coarse = features(x)
    assert (fine.shape, coarse.shape) == ((1, 12, 32, 32), (1, 48, 8, 8))
    (fine.square().mean() + coarse.square().mean()).backward()
    assert x.grad.abs().sum() > 0
    assert not any(weight.requires_grad for weight in features.parameters())


def test_a_level_that_there_is_not_is_refused():
    with pytest.raises(UsageError, match=r"MODEL_ARGUMENT .*level3"):
        HeadFeatures(("conv5_3",))


def test_weights_of_another_version_are_refused(tmp_path, monkeypatch):
    content = bytearray(module.WEIGHTS.read_bytes())
    content[-1] ^= 1
    (tmp_path / "w.safetensors").write_bytes(content)
    monkeypatch.setattr(module, "WEIGHTS", tmp_path / "w.safetensors")
    with pytest.raises(ModelInvalid, match="WEIGHTS_CHANGED"):
        head_segmenter()


@pytest.mark.parametrize("contrast", ["T1w", "T1ce"])
def test_tissues_of_a_simulated_head_that_training_never_saw_are_found(network, contrast):
    subject = simulate_subject("t1ce_t1", seed=977, size="small", options=Options(anatomies=FormulaHeads()))
    brain = subject.truth.brain_mask.data > 0.5
    image = np.where(brain, subject.images[contrast].data, 0).astype(np.float32)
    slices = torch.from_numpy(image).movedim(2, 0)[:, None]
    found = torch.movedim(network(slices).argmax(dim=1), 0, 2).numpy()
    for name, least in (("gm", 0.7), ("wm", 0.7), ("csf", 0.6)):
        guess, truth = brain & (found == CLASSES.index(name)), brain & (subject.truth.labels.data == LABELS[name])
        assert 2 * (guess & truth).sum() / (guess.sum() + truth.sum()) > least, name
