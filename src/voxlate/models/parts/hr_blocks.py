"""Building blocks of HR-FCN: convolutions that do not stride the slice axis, residual blocks, fusion of branches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.models.parts.layers import Layers, Normalisation

BRANCH_BLOCKS = 4
"""Number of residual blocks of a branch in one stage, as in the released code."""


@dataclass(frozen=True)
class LayerFactory:
    """Makes the layers of one network.

    Attributes:
        layers: layers of two or of three dimensions.
        normalisation: kind of normalisation after each convolution.
        slice_axis: spatial axis that is never strided; None in two dimensions.
    """

    layers: Layers
    normalisation: Normalisation
    slice_axis: int | None

    def in_plane(self, value: int, across: int = 1) -> tuple[int, ...]:
        """Returns one number per spatial axis: `across` for the slice axis, `value` for the others."""
        axes = range(self.layers.dimensions)
        return tuple(across if axis == self.slice_axis else value for axis in axes)

    def normalise(self, channels: int) -> nn.Module:
        """Returns a normalisation layer."""
        return self.layers.normalise(channels, self.normalisation)

    def conv3(self, in_channels: int, out_channels: int) -> nn.Sequential:
        """Returns a convolution of 3 voxels along every axis, with bias, and its normalisation."""
        convolution = self.layers.convolution(in_channels, out_channels, 3, padding=1)
        return nn.Sequential(convolution, self.normalise(out_channels))

    def conv1(self, in_channels: int, out_channels: int) -> nn.Sequential:
        """Returns a convolution of one voxel, without bias, and its normalisation."""
        convolution = self.layers.convolution(in_channels, out_channels, 1, bias=False)
        return nn.Sequential(convolution, self.normalise(out_channels))

    def conv3_in_plane(self, in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
        """Returns a convolution of 3 x 3 voxels within the slice, without bias, and its normalisation."""
        convolution = self.layers.convolution(
            in_channels,
            out_channels,
            self.in_plane(3),
            stride=self.in_plane(stride),
            padding=self.in_plane(1, across=0),
            bias=False,
        )
        return nn.Sequential(convolution, self.normalise(out_channels))


class Residual(nn.Module):
    """A residual block: ReLU of a path plus a shortcut."""

    def __init__(self, path: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.path, self.shortcut = path, shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, ...) to (B, C', ...) of the same size."""
        return F.relu(self.path(x) + self.shortcut(x))


def basic_block(kit: LayerFactory, channels: int) -> Residual:
    """Returns a residual block of two convolutions."""
    return Residual(
        nn.Sequential(kit.conv3(channels, channels), nn.ReLU(), kit.conv3(channels, channels)), nn.Identity()
    )


def bottleneck(kit: LayerFactory, in_channels: int, out_channels: int, *, project: bool) -> Residual:
    """Returns a residual block whose inner convolutions have a quarter of its output channels.

    Args:
        kit: factory of the layers.
        in_channels: channels of the input.
        out_channels: channels of the output.
        project: convolve the shortcut, for different numbers of channels; False for the identity.
    """
    inner = out_channels // 4
    path = nn.Sequential(
        kit.conv1(in_channels, inner), nn.ReLU(), kit.conv3(inner, inner), nn.ReLU(), kit.conv1(inner, out_channels)
    )
    return Residual(path, kit.conv1(in_channels, out_channels) if project else nn.Identity())


def stem(kit: LayerFactory, in_channels: int, first: int, out_channels: int) -> nn.Sequential:
    """Returns the first convolution, of `first` channels, and four bottlenecks at full resolution."""
    later = [bottleneck(kit, out_channels, out_channels, project=False) for _ in range(3)]
    opening = [kit.conv3(in_channels, first), nn.ReLU(), bottleneck(kit, first, out_channels, project=True)]
    return nn.Sequential(*opening, *later)


def branch(kit: LayerFactory, channels: int) -> nn.Sequential:
    """Returns the four basic blocks of one branch in one stage."""
    return nn.Sequential(*[basic_block(kit, channels) for _ in range(BRANCH_BLOCKS)])


class Resample(nn.Module):
    """Converts a branch to the resolution and the number of channels of another branch.

    To a finer level: a convolution of one voxel and nearest upsampling. To a coarser level: strided convolutions with
    ReLU between them. To the same level: the identity.

    Args:
        kit: factory of the layers.
        source: level of the input; level l has width x 2^l channels at 1 / 2^l of the resolution.
        target: level of the output.
        width: channels of level 0.
    """

    def __init__(self, kit: LayerFactory, source: int, target: int, width: int) -> None:
        super().__init__()
        self.kit, self.levels = kit, max(0, source - target)
        incoming, outgoing = width * 2**source, width * 2**target
        steps: list[nn.Module] = [kit.conv1(incoming, outgoing)] if source > target else []
        for step in range(source, target):
            is_last = step == target - 1
            steps.append(kit.conv3_in_plane(incoming, outgoing if is_last else incoming, stride=2))
            steps += [] if is_last else [nn.ReLU()]
        self.steps = nn.Sequential(*steps)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, width x 2^source, ...) to (B, width x 2^target, ...)."""
        return upsampled(self.kit, self.steps(x), self.levels)


def upsampled(kit: LayerFactory, x: Tensor, levels: int) -> Tensor:
    """Returns features upsampled by 2^levels along the axes that are halved, nearest neighbour.

    Args:
        kit: factory of the layers, which knows those axes.
        x: (B, C, ...).
        levels: number of doublings; 0 returns x.
    """
    if not levels:
        return x
    return F.interpolate(x, scale_factor=tuple(float(n) for n in kit.in_plane(2**levels)), mode="nearest")


class Fusion(nn.Module):
    """Adds to each branch the features of all others.

    Args:
        kit: factory of the layers.
        levels: level of each branch.
        width: channels of level 0.
        concatenate: join by concatenation and a convolution of one voxel, instead of by addition.
    """

    def __init__(self, kit: LayerFactory, levels: list[int], width: int, *, concatenate: bool) -> None:
        super().__init__()
        self.terms = nn.ModuleList(
            nn.ModuleList(Resample(kit, source, target, width) for source in levels) for target in levels
        )
        self.joins = nn.ModuleList()
        if concatenate:
            widths = [width * 2**level for level in levels]
            self.joins.extend(nn.Sequential(kit.conv1(len(levels) * w, w), nn.ReLU()) for w in widths)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Maps one tensor per level, (B, width x 2^level, ...), to tensors of the same shapes."""
        gathered = [
            [term(x) for term, x in zip(children(terms), branches, strict=True)] for terms in children(self.terms)
        ]
        if not len(self.joins):
            return [sum(terms[1:], start=terms[0]) for terms in gathered]
        return [join(torch.cat(terms, dim=1)) for join, terms in zip(self.joins, gathered, strict=True)]


class Transition(nn.Module):
    """Makes the branches of the next stage: a convolution for each existing branch, a strided one for a new branch.

    Args:
        kit: factory of the layers.
        incoming: channels of each level of the input.
        outgoing: channels of each level of the output; a new level is made of the next finer one.
    """

    def __init__(self, kit: LayerFactory, incoming: dict[int, int], outgoing: dict[int, int]) -> None:
        super().__init__()
        self.incoming = list(incoming)
        self.origins = [level if level in incoming else level - 1 for level in outgoing]
        self.steps = nn.ModuleList(
            nn.Sequential(kit.conv3_in_plane(incoming[origin], channels, stride=1 if origin == level else 2), nn.ReLU())
            for origin, (level, channels) in zip(self.origins, outgoing.items(), strict=True)
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Maps one tensor per level of the input to one per level of the output."""
        by_level = dict(zip(self.incoming, branches, strict=True))
        return [step(by_level[origin]) for step, origin in zip(self.steps, self.origins, strict=True)]


def children(modules: nn.Module) -> list[nn.Module]:
    """Returns the modules of a module list, with their type."""
    return list(modules.children())
