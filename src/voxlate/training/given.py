"""Python objects in place of what a recipe names: a network, a loss, a dataset of windows."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from voxlate.bundle.bundle import Bundle
from voxlate.bundle.custom_code import is_object, name_of
from voxlate.bundle.networks import NetworkObject
from voxlate.bundle.recipe import Recipe
from voxlate.bundle.settings import AugmentationSettings
from voxlate.errors import UsageError
from voxlate.losses import Loss
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


def with_objects(
    recipe: Recipe, *, network: NetworkObject | Bundle | None, loss: Loss | None, windows: WindowDataset | None
) -> tuple[Recipe, Given]:
    """Returns the recipe that names the objects, and the objects.

    Args:
        recipe: the resolved recipe.
        network: replaces `model`; of a bundle, the network with its weights and the `model` of its recipe.
        loss: replaces `loss`; stages that have a loss of their own keep it.
        windows: replaces the windows of the cases, `training.window` and `augmentation`.

    Raises:
        UsageError: `ENSEMBLE` for a bundle of several networks; `DATASET` for windows in training without pairs;
            `CUSTOM_CODE` for a loss that cannot be called.
    """
    changes: dict[str, object] = {}
    if isinstance(network, Bundle):
        if network.parts:
            raise UsageError("ENSEMBLE", f"{network.name} is an ensemble; train one of its members further")
        changes["model"], network = network.recipe.model, network.network
    elif network is not None:
        changes["model"] = recipe.model.model_copy(
            update={"name": name_of(network), "encoder": None, "encoder_sha256": None}
        )
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
