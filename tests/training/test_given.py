"""Networks, losses and datasets that are passed as Python objects train, resume and load again, or are refused."""

import json
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from voxlate.bundle.bundle import read_bundle, read_weights
from voxlate.bundle.custom_code import name_of
from voxlate.bundle.networks import generator_of
from voxlate.bundle.recipe import Recipe, read_recipe
from voxlate.bundle.settings import ModelSettings
from voxlate.errors import InputRefused, ModelInvalid, NoInput, UsageError
from voxlate.training.data.dataset import WindowDataset
from voxlate.training.given import NO_AUGMENTATION, with_objects
from voxlate.training.loop import train, train_cases


class Small(nn.Module):
    def __init__(self, in_channels=1, width=3):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv3d(in_channels, width, 3, padding=1), nn.ReLU(), nn.Conv3d(width, 1, 1))

    def forward(self, x):
        return self.layers(x)


class Half(Small):
    def forward(self, x):
        return self.layers(x)[..., ::2]


def squared(synthetic, target, mask):
    return ((synthetic - target).square() * mask).sum() / mask.sum().clamp(min=1)


class Charbonnier(nn.Module):
    def forward(self, synthetic, target, mask):
        return (((synthetic - target).square() + 1e-6).sqrt() * mask).mean()


class Windows(Dataset):
    """Windows whose target is twice the source."""

    def __init__(self, count=5, shape=(8, 10, 12)):
        self.count, self.shape = count, shape

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        source = np.random.default_rng(index).random(self.shape, dtype=np.float32)
        return source, 2 * source, np.ones(self.shape, dtype=bool)


class Wrong(Windows):
    """A dataset whose item 2, or every item, is something else."""

    def __init__(self, item, only=None):
        super().__init__()
        self.item, self.only = item, only

    def __getitem__(self, index):
        if self.only not in (None, index):
            return super().__getitem__(index)
        if isinstance(self.item, Exception):
            raise self.item
        return self.item


def short(recipe, **changes):
    training = recipe.training.model_copy(update={"steps": 4, "validate_every": 2} | changes)
    return recipe.model_copy(update={"training": training})


def run(recipe, folder, root=None, *, network=None, loss=None, dataset=None, watch=None):
    windows = None if dataset is None else WindowDataset(dataset)
    named, given = with_objects(recipe, network=network, loss=loss, windows=windows)
    return train_cases(named, recipe.cases(root) if root else [], folder, root=root, given=given, watch=watch)


def test_a_network_that_is_an_object_trains_on_a_copy_and_loads_when_it_is_passed_again(recipe, cohort, tmp_path):
    network = Small(width=5)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    bundle = run(short(recipe), tmp_path / "run", cohort, network=network)
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in before.items())
    assert read_recipe(bundle / "recipe.yaml").model.name == "<Small>"
    assert "voxlate.load_bundle(folder, network=...)" in (bundle / "card.md").read_text()

    with pytest.raises(ModelInvalid, match=r"MODEL_OBJECT bundle: the network <Small> is a Python object .*network="):
        read_bundle(bundle)
    with pytest.raises(ModelInvalid, match="MODEL_OBJECT"):
        read_bundle(bundle, trust_code=True)
    with pytest.raises(ModelInvalid, match="MODEL_WEIGHTS"):
        read_bundle(bundle, network=Small(width=6))
    again = read_bundle(bundle, network=Small(width=5)).network
    stored = read_weights(bundle / "weights.safetensors")
    assert all(torch.equal(again.state_dict()[name], stored[name]) for name in stored)
    assert not torch.equal(stored["layers.0.weight"], before["layers.0.weight"])


def compiled(in_channels):
    return torch.compile(Small(in_channels))


@pytest.mark.parametrize(("is_object", "name"), [(True, "<Small>"), (False, f"{__name__}:compiled")])
def test_a_compiled_network_is_trained_as_the_network_that_it_wraps(recipe, cohort, tmp_path, is_object, name):
    bundle = run(short(recipe), tmp_path / "run", cohort, network=compiled(1) if is_object else compiled)
    assert read_recipe(bundle / "recipe.yaml").model.name == name
    assert read_weights(bundle / "weights.safetensors").keys() == Small().state_dict().keys()
    assert read_bundle(bundle, network=Small()).network.state_dict().keys() == Small().state_dict().keys()


class OnTheGpu(Small):
    """Stands for a network that lies on a GPU."""

    device = "cuda"

    def cpu(self):
        self.device = "cpu"
        return super().cpu()


def test_a_network_that_lies_on_a_gpu_is_copied_to_the_cpu(recipe):
    network = OnTheGpu()
    assert generator_of(recipe, network=network).device == "cpu"
    assert network.device == "cuda"
    with pytest.raises(UsageError, match=r"CUSTOM_CODE Small cannot be copied: .*no data.*; pass its class"):
        generator_of(recipe, network=Small().to("meta"))


def test_training_starts_with_the_weights_of_the_object(recipe, cohort, tmp_path):
    network = Small()
    still = short(recipe, steps=1, learning_rate=1e-12, weight_decay=0.0)
    bundle = run(still, tmp_path / "run", cohort, network=network)
    stored = read_weights(bundle / "weights.safetensors")
    assert all(torch.allclose(stored[name], tensor, atol=1e-9) for name, tensor in network.state_dict().items())


def test_a_class_and_a_function_of_a_module_are_named_so_that_the_bundle_needs_no_object(recipe, cohort, tmp_path):
    named = recipe.model_copy(update={"model": ModelSettings(name=name_of(Small), arguments={"width": 4})})
    bundle = run(short(named), tmp_path / "run", cohort, network=Small, loss=squared)
    stored = read_recipe(bundle / "recipe.yaml")
    assert (stored.model.name, list(stored.loss)) == (name_of(Small), [name_of(squared)])
    assert name_of(Small) == f"{__name__}:Small"
    with pytest.raises(ModelInvalid, match="MODEL_CODE"):
        read_bundle(bundle)
    assert read_bundle(bundle, network=Small).network.layers[0].out_channels == 4
    other = read_bundle(run(short(recipe), tmp_path / "other", cohort, network=Small), network=Small)
    assert (other.recipe.model.arguments, other.network.layers[0].out_channels) == ({}, 3)


def test_a_resumed_run_of_objects_ends_with_the_weights_of_an_uninterrupted_one(recipe, cohort, tmp_path):
    class Killed(Exception):
        pass

    def kill(progress, loss):
        if progress.step == 3:
            raise Killed

    network = Small()
    objects = {"network": network, "loss": Charbonnier(), "dataset": Windows()}
    whole = run(short(recipe), tmp_path / "whole", **objects)
    with pytest.raises(Killed):
        run(short(recipe), tmp_path / "cut", **objects, watch=kill)
    cut = run(short(recipe), tmp_path / "cut", **objects)
    first, second = (read_weights(bundle / "weights.safetensors") for bundle in (whole, cut))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_resumed_run_refuses_another_network_or_dataset_of_the_same_name(recipe, tmp_path):
    run(short(recipe), tmp_path / "run", network=Small(width=3), dataset=Windows())
    with pytest.raises(ModelInvalid, match=r"CHECKPOINT_RECIPE .*another network"):
        run(short(recipe), tmp_path / "run", network=Small(width=4), dataset=Windows())
    with pytest.raises(ModelInvalid, match="CHECKPOINT_RECIPE"):
        run(short(recipe), tmp_path / "run", network=Small(width=3), dataset=Windows(count=6))


def test_a_lambda_trains_and_a_recipe_that_names_it_cannot_be_trained_without_it(recipe, cohort, tmp_path):
    bundle = run(
        short(recipe),
        tmp_path / "run",
        cohort,
        loss=lambda synthetic, target, mask: 2 * squared(synthetic, target, mask),
    )
    assert read_recipe(bundle / "recipe.yaml").loss == {"<lambda>": 1.0}
    assert "| loss | `<lambda>` × 1 |" in (bundle / "card.md").read_text()
    assert read_bundle(bundle).network is not None  # the loss is not needed to translate
    with pytest.raises(UsageError, match=r"LOSS_OBJECT the loss <lambda> is a Python object .*pass it again"):
        train(read_recipe(bundle / "recipe.yaml"), tmp_path / "again", root=cohort)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Half(), r"<Half> maps \(1, 1, 16, 16, 16\) to \(1, 1, 16, 16, 8\), not to"),
        (nn.Identity(), "<Identity> has no weight that can be trained"),
        (nn.LazyConv3d(1, 1), "LazyConv3d has lazy layers"),
        ("translator", "the network is of type str"),
        (dict, "gives a dict, not a"),
    ],
)
def test_a_network_object_that_cannot_be_used_is_refused_before_training(recipe, cohort, tmp_path, network, message):
    with pytest.raises(UsageError, match=f"CUSTOM_CODE .*{message}"):
        run(short(recipe), tmp_path / "run", cohort, network=network)


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (lambda synthetic, target, mask: (synthetic - target).abs(), UsageError, r"returns \(2, 1, 16, 16, 16\), not"),
        (lambda synthetic, target, mask: 0.5, UsageError, "returns float, not"),
        (lambda synthetic, target: 0, UsageError, r"fails on \(synthetic, target, mask\): TypeError"),
        (lambda synthetic, target, mask: target.mean(), UsageError, "has no gradient"),
        (lambda synthetic, target, mask: synthetic.mean() * torch.inf, InputRefused, "LOSS_NOT_FINITE the loss is"),
        (nn.L1Loss, UsageError, "CUSTOM_CODE"),
        (3, UsageError, "the loss is of type int, not a function"),
    ],
)
def test_a_loss_object_that_cannot_be_used_is_refused(recipe, cohort, tmp_path, loss, error, message):
    with pytest.raises(error, match=message):
        run(short(recipe), tmp_path / "run", cohort, loss=loss)


def test_a_network_learns_from_a_dataset_alone_and_its_bundle_says_what_is_not_known(tmp_path):
    recipe = Recipe(
        name="x",
        source="T1ce",
        target="T1nce",
        training={"steps": 200, "learning_rate": 0.03, "warmup": 5, "average": 0.5},
    )
    bundle = run(recipe, tmp_path / "run", network=nn.Conv3d(1, 1, 1), dataset=Windows())
    read = read_bundle(bundle, network=nn.Conv3d(1, 1, 1))
    assert float(read.network.weight.detach()) == pytest.approx(2, abs=0.1)
    assert read.recipe.training.window == (8, 10, 12)
    assert read.recipe.augmentation == NO_AUGMENTATION
    assert (read.spacing_mm, read.training_statistics, read.mapping.gain) == ((0, np.inf), None, 1)
    card = (bundle / "card.md").read_text()
    assert "5 windows of a dataset" in card
    assert "not known; scans of any voxel size" in card
    assert not (tmp_path / "run" / "cases.tsv").exists()


def test_with_a_dataset_the_cases_of_the_recipe_validate_and_describe_the_scans(recipe, cohort, tmp_path):
    bundle = run(short(recipe), tmp_path / "run", cohort, dataset=Windows(shape=(16, 16, 16)))
    read = read_bundle(bundle)
    assert len(json.loads((tmp_path / "run" / "history.json").read_text())["validation"]) == 2
    assert (read.mapping.n, read.training_statistics is None) == (2, False)


def test_every_item_of_a_dataset_is_seen_once_in_an_epoch_by_one_process_or_two(recipe):
    windows = WindowDataset(Windows(count=8))
    few = recipe.model_copy(update={"training": recipe.training.model_copy(update={"batch": 2, "accumulate": 1})})
    alone = [windows.draw(few, step).cases for step in range(4)]
    assert len({name for names in alone for name in names}) == 8
    both = [windows.draw(few, step, rank=rank, processes=2).cases for step in range(2) for rank in range(2)]
    assert sorted(sum(both, ())) == sorted(sum(alone, ()))
    assert windows.draw(few, 1).cases == windows.draw(few, 1).cases
    assert [windows.draw(few, step).cases for step in range(4, 8)] != alone


def test_items_may_have_a_channel_axis_and_no_mask(recipe):
    source = torch.rand(1, 4, 5, 6)
    windows = WindowDataset([(source, source[0])])
    found, target, mask = windows.item(0)
    assert torch.equal(found, source)
    assert tuple(target.shape) == (1, 4, 5, 6)
    assert bool((mask == 1).all())


ONE = np.ones((8, 10, 12), dtype=np.float32)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Wrong((ONE, ONE[1:], ONE)), r"of item 0 of the dataset are \(1, 8, 10, 12\), \(1, 7, 10, 12\), .*not"),
        (Wrong((ONE[0], ONE, ONE)), "item 0 .*not"),
        (Wrong((ONE, ONE, ONE, ONE)), r"item 0 of the dataset has 4 parts, not \(source, target, mask\)"),
        (Wrong(("text", "text")), "item 0 of the dataset cannot be read: TypeError"),
        (Wrong(KeyError("volume")), "item 0 of the dataset cannot be read: KeyError"),
        (Wrong((ONE, ONE * np.nan, ONE)), "the target of item 0 .*not finite"),
        (Wrong((ONE, ONE, -ONE)), "the mask of item 0 .*below 0"),
        (Wrong((np.stack([ONE, ONE]), ONE, ONE)), "the windows have 2 sources, the recipe names T1ce; .*more_sources"),
        (Wrong((ONE[1:], ONE[1:]), only=2), "item 2 of the dataset are"),
        (Windows(count=0), "the dataset has no item"),
        (iter([]), "has no length"),
    ],
)
def test_a_dataset_that_cannot_be_used_is_refused_with_the_item(recipe, tmp_path, dataset, message):
    with pytest.raises(UsageError, match=f"DATASET .*{message}"):
        run(short(recipe, window=(8, 10, 12)), tmp_path / "run", network=Small(), dataset=dataset)


def test_a_bundle_is_trained_further_with_its_network_and_its_weights(recipe, cohort, tmp_path):
    first = read_bundle(train(short(recipe), tmp_path / "first", root=cohort))
    other = recipe.model_copy(update={"model": recipe.model.model_copy(update={"arguments": {"width": 6}})})
    still = short(other, steps=1, learning_rate=1e-12, weight_decay=0.0)
    second = read_bundle(run(still, tmp_path / "second", cohort, network=first))
    assert second.recipe.model == first.recipe.model
    weights = first.network.state_dict()
    assert all(torch.allclose(tensor, weights[name], atol=1e-9) for name, tensor in second.network.state_dict().items())


def test_a_bundle_of_another_number_of_sources_is_not_trained_further(recipe, cohort, tmp_path):
    first = read_bundle(train(short(recipe, steps=1), tmp_path / "first", root=cohort))
    both = recipe.model_copy(update={"more_sources": ("T2w",)})
    with pytest.raises(ModelInvalid, match=r"MODEL_WEIGHTS the model tiny takes T1ce, the recipe T1ce \+ T2w; choose"):
        with_objects(both, network=first, loss=None, windows=None)


def test_a_recipe_without_cases_uses_the_table_of_the_data_folder_or_is_refused(cohort, tmp_path):
    recipe = Recipe(name="x", source="T1ce", target="T1nce")
    assert len(recipe.cases(cohort)) == 4
    with pytest.raises(NoInput, match=r"NO_CASES the recipe names no cases, .*--data"):
        recipe.cases(tmp_path)


def test_what_a_script_or_a_notebook_defines_is_named_as_an_object(monkeypatch):
    mine = type("Mine", (Small,), {"__module__": "__main__", "__qualname__": "Mine"})
    monkeypatch.setattr(sys.modules["__main__"], "Mine", mine, raising=False)
    assert name_of(mine) == "<Mine>"
