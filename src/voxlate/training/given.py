"""Python objects in place of what a recipe names: a network, a loss, a dataset of windows."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from voxlate.bundle.bundle import Bundle
from voxlate.bundle.custom_code import is_object, name_of
from voxlate.bundle.networks import NetworkObject
from voxlate.bundle.recipe import Recipe
from voxlate.bundle.settings import AugmentationSettings, DataSettings, ModelSettings
from voxlate.bundle.targets import with_target
from voxlate.cases import Case, check_cases
from voxlate.errors import ModelInvalid, UsageError
from voxlate.losses import Loss
from voxlate.models.gain_offset_unet import takes_reference
from voxlate.pairs import Pair, write_pairs
from voxlate.training.data.dataset import WindowDataset

log = logging.getLogger("voxlate")

NO_AUGMENTATION = AugmentationSettings(flip=0, contrast=0, gain=0, bias=0, noise=0)
"""Windows of a dataset are trained on as they are; the recipe of the bundle says so."""


@dataclass(frozen=True)
class Given:
    """What a run takes in place of what its recipe names; by default nothing.

    Attributes:
        network: the generator, or its class; see `voxlate.bundle.networks.NetworkObject`.
        loss: of (synthetic, target, mask), (B, 1, D, H, W) each, returns a scalar.
        windows: the windows to train on.
        start_from: a bundle whose weights the generator starts with.
    """

    network: NetworkObject | None = None
    loss: Loss | None = None
    windows: WindowDataset | None = None
    start_from: Path | None = None


@dataclass(frozen=True)
class TrainingData:
    """What a run is trained on.

    Attributes:
        recipe: with the table of cases that was given.
        cases: of all splits.
        root: replaces the data folder of the recipe; None for its own.
        windows: a dataset of the user, or None for windows of the cases.
    """

    recipe: Recipe
    cases: list[Case]
    root: Path | None = None
    windows: WindowDataset | None = None


def training_data(recipe: Recipe, data: object, folder: Path) -> TrainingData:
    """Returns what a run is trained on.

    Args:
        recipe: the resolved recipe.
        data: None for the cases of the recipe; the data folder, or a table of cases (`.tsv`); a list of `Case` or of
            `Pair`; or a dataset of windows, beside which the cases of the recipe stay, if it names any.
        folder: gets the files of pairs in memory.

    Raises:
        NoInput: `NO_INPUT` when there is no such folder or table; what `Recipe.cases` raises.
        UsageError: `DATASET`; `DATA` for a list that mixes cases and pairs.
        InputRefused: what `write_pairs` refuses.
    """
    if data is None:
        return TrainingData(recipe, recipe.cases())
    if isinstance(data, str | Path):
        path = Path(data)
        if path.is_dir():
            return TrainingData(recipe, recipe.cases(path), path)
        table = recipe.data.model_copy(
            update={"root": str(path.parent), "cases": path.name, "source": None, "target": None}
        )
        named = recipe.model_copy(update={"data": table})
        return TrainingData(named, named.cases())
    items = list(data) if isinstance(data, list | tuple) else []
    rows = [item for item in items if isinstance(item, Case)]
    pairs = [item for item in items if isinstance(item, Pair)]
    if (rows or pairs) and max(len(rows), len(pairs)) < len(items):
        raise UsageError("DATA", "the list mixes Case, Pair and others; give a list of one kind")
    if rows or pairs:
        chosen = check_cases(rows) if rows else write_pairs(folder, pairs)
        kept = DataSettings(target_column=recipe.data.target_column, paired=recipe.data.paired)
        chosen = with_target(chosen, recipe.target, kept.target_column, sources=recipe.more_sources)
        return TrainingData(recipe.model_copy(update={"data": kept}), chosen)
    return TrainingData(recipe, recipe.cases() if recipe.data.names_cases else [], windows=WindowDataset(data))


def with_objects(
    recipe: Recipe, *, network: NetworkObject | Bundle | None, loss: Loss | None, windows: WindowDataset | None
) -> tuple[Recipe, Given]:
    """Returns the recipe that names the objects, and the objects.

    Args:
        recipe: the resolved recipe.
        network: replaces `model`, except for `slice_axis`, and for `arguments` if the recipe names the same class; of a
            bundle, the network with its weights and the `model` of its recipe.
        loss: replaces `loss`; stages that have a loss of their own keep it.
        windows: replaces the windows of the cases, `training.window` and `augmentation`.

    Raises:
        UsageError: `ENSEMBLE` for a bundle of several networks; `DATASET` for windows in training without pairs;
            `CUSTOM_CODE` for a loss that cannot be called, and for a network without the layers of `reference`.
        ModelInvalid: `MODEL_WEIGHTS` for a bundle that takes another number of sources than the recipe.
    """
    changes: dict[str, object] = {}
    if isinstance(network, Bundle):
        if network.parts:
            raise UsageError("ENSEMBLE", f"{network.name} is an ensemble; train one of its members further")
        if len(network.recipe.more_sources) != len(recipe.more_sources):
            raise ModelInvalid(
                "MODEL_WEIGHTS",
                f"the model {network.name} takes {network.recipe.from_what}, the recipe {recipe.from_what}; choose a "
                "model with as many sources",
            )
        changes["model"], network = network.recipe.model, _with_layers_of(recipe, network)
    elif network is not None:
        name = name_of(network)
        # The arguments of a recipe are those of the network that it names.
        arguments = recipe.model.arguments if recipe.model.name == name else {}
        changes["model"] = ModelSettings(name=name, arguments=arguments, slice_axis=recipe.model.slice_axis)
    _require_layers(recipe, network)
    if loss is not None:
        if not callable(loss):
            raise UsageError("CUSTOM_CODE", f"the loss is of type {type(loss).__name__}, not a function")
        changes["loss"] = {name_of(loss): 1.0}
    if windows is not None:
        if recipe.cycle is not None:
            raise UsageError("DATASET", "training without pairs draws its windows from cases, not from a dataset")
        training = recipe.training.model_copy(update={"window": windows.window})
        changes |= {"training": training, "augmentation": NO_AUGMENTATION}
    resolved = recipe.model_copy(update=changes)
    if is_object(resolved.model.name):
        log.info(
            "the network %s is a Python object: to load the bundle, pass it again: voxlate.load_bundle(folder, "
            "network=...); a class in a module needs no such step",
            resolved.model.name,
        )
    return resolved, Given(network, loss, windows)


def _require_layers(recipe: Recipe, network: NetworkObject | None) -> None:
    """Refuses a network of the user without the layers for a reference that a recipe trains."""
    if recipe.reference is not None and network is not None and not takes_reference(network):
        raise UsageError(
            "CUSTOM_CODE",
            "the network has no layers for a reference, which the recipe trains; leave `reference` out, or start from "
            "a bundle of the translator: --from, in Python start_from",
        )


def _with_layers_of(recipe: Recipe, bundle: Bundle) -> nn.Module:
    """Returns the network of a bundle, without its layers for a reference where the recipe has none."""
    network = bundle.network
    if recipe.reference is None and takes_reference(network):
        network = copy.deepcopy(network)
        network.reference = None
    return network
