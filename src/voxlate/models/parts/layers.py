"""The same layers in two and in three dimensions, so that a network is written once for both."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from voxlate.errors import UsageError

Dimensions = Literal[2, 3]
Normalisation = Literal["instance", "batch", "none"]


@dataclass(frozen=True)
class Layers:
    """The layers of one dimensionality.

    Attributes:
        dimensions: 2 for (B, C, H, W), 3 for (B, C, D, H, W).
        convolution, transposed, instance_norm, batch_norm, max_pool, dropout: constructors, such as `nn.Conv3d`.
    """

    dimensions: Dimensions
    convolution: Callable[..., nn.Module]
    transposed: Callable[..., nn.Module]
    instance_norm: Callable[..., nn.Module]
    batch_norm: Callable[..., nn.Module]
    max_pool: Callable[..., nn.Module]
    dropout: Callable[..., nn.Module]

    def normalise(self, channels: int, kind: Normalisation) -> nn.Module:
        """Returns a normalisation with a learned gain and offset for each channel, or the identity for `none`.

        At any batch size, `instance` equals `batch` in training mode at batch size 1, with the same parameters.

        Raises:
            UsageError: `MODEL_ARGUMENT` for an unknown kind.
        """
        require_choice("normalisation", kind, ("instance", "batch", "none"))
        if kind == "none":
            return nn.Identity()
        return self.batch_norm(channels) if kind == "batch" else self.instance_norm(channels, affine=True)

    def require_dimensions(self, x: Tensor, *, network: str) -> None:
        """Refuses a tensor with another number of spatial dimensions.

        Args:
            x: (B, C, ...).
            network: name of the network, for the message.

        Raises:
            UsageError: `DIMENSIONS`.
        """
        if x.dim() != self.dimensions + 2:
            raise UsageError(
                "DIMENSIONS",
                f"{network} has {self.dimensions} spatial dimensions here, the tensor has {x.dim() - 2}; set "
                "model.slice_axis for a network of slices, or the argument `dimensions` where there is one",
            )


_LAYERS = {
    2: Layers(2, nn.Conv2d, nn.ConvTranspose2d, nn.InstanceNorm2d, nn.BatchNorm2d, nn.MaxPool2d, nn.Dropout2d),
    3: Layers(3, nn.Conv3d, nn.ConvTranspose3d, nn.InstanceNorm3d, nn.BatchNorm3d, nn.MaxPool3d, nn.Dropout3d),
}


def layers_of(dimensions: int) -> Layers:
    """Returns the layers of two or of three dimensions.

    Raises:
        UsageError: `DIMENSIONS` for any other number.
    """
    if dimensions not in _LAYERS:
        raise UsageError("DIMENSIONS", f"networks have 2 or 3 spatial dimensions, not {dimensions}")
    return _LAYERS[dimensions]


def require_choice(argument: str, value: object, choices: tuple[object, ...]) -> None:
    """Refuses a value that is not one of the choices of an argument.

    Args:
        argument: name of the argument, for the message.
        value: its value.
        choices: the allowed values.

    Raises:
        UsageError: `MODEL_ARGUMENT`, with the choices.
    """
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise UsageError("MODEL_ARGUMENT", f"{argument} must be one of {listed}, not {value!r}")


def require_at_least(argument: str, value: int, least: int) -> None:
    """Refuses a number below the least that a network can be built with.

    Args:
        argument: name of the argument, for the message.
        value: its value.
        least: the smallest allowed value.

    Raises:
        UsageError: `MODEL_ARGUMENT`.
    """
    if value < least:
        raise UsageError("MODEL_ARGUMENT", f"{argument} must be {least} or more, not {value}")


def require_two_voxels(x: Tensor, factor: int | tuple[int, ...], *, network: str) -> None:
    """Refuses an image with a single voxel at the lowest level, where a normalisation has no variance.

    Args:
        x: (B, C, ...).
        factor: how many times smaller the lowest level is, for all axes or one per axis.
        network: name of the network, for the message.

    Raises:
        UsageError: `SIZE`, with a size that would fit.
    """
    sizes = tuple(x.shape[2:])
    factors = (factor,) * len(sizes) if isinstance(factor, int) else factor
    if math.prod(n // f for n, f in zip(sizes, factors, strict=True)) < 2:
        fitting = (2 * sizes[0], *sizes[1:])
        raise UsageError(
            "SIZE", f"{network} needs at least two voxels at its lowest level, {sizes} leave one; pad to {fitting}"
        )
