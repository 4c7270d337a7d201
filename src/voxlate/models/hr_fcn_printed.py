"""The high-resolution network of Chen et al., IEEE TBME 2023, as the paper prints it; `hr_fcn` is their released code.

Input (B, in_channels, D, H, W), sizes multiples of 4; output (B, out_channels, D, H, W). With ⊕ for concatenation,
φ for four residual blocks, D2 for a convolution of 3 x 3 x 3 voxels at stride 2, D4 for two of them, U2 and U4 for
upsampling:

    F11 = φ(T1) ⊕ φ(T2) ⊕ φ(ADC)                 F12 = D2(F11)
    F21 = φ(F11)                                 F22 = φ(F12)                         F23 = D2(F22)
    F31 = φ(F21 ⊕ U2(F22))                       F32 = φ(F22 ⊕ D2(F21))               F33 = φ(F23 ⊕ D4(F21))
    F41 = φ(F31 ⊕ U2(F32) ⊕ U4(F33))             F42 = φ(D2(F31) ⊕ F32 ⊕ U2(F33))     F43 = φ(D4(F31) ⊕ D2(F32) ⊕ F33)
    F5  = F41 ⊕ U2(F42) ⊕ U4(F43), then one residual block and the image.

A residual block is x plus two of convolution, batch normalisation and ReLU; 64, 128 and 256 channels at full, half and
a quarter of the resolution. The subscripts of F12, F23 and F33 are hard to read in the paper; this is the reading in
which each term exists.

Not stated in the paper, so our choice: the kind of upsampling (nearest, without a convolution), how D4 is made (two
strided convolutions, with ReLU between them), the shortcut of a block that changes the number of channels (a
convolution of one voxel), a linear output, and the widths of the ablations. The paper's slabs of three slices cannot be
halved twice along the slice axis: `strides="in_plane"` leaves that axis alone, as the code does; `"all"`, as printed,
takes slabs of four slices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from voxlate.models.parts.blocks import require_multiple
from voxlate.models.parts.hr_blocks import BRANCH_BLOCKS, LayerFactory, Resample, children, upsampled
from voxlate.models.parts.layers import Dimensions, Normalisation, layers_of, require_choice, require_two_voxels

FACTOR = 4
"""Sizes must be multiples of it: the resolution is halved twice."""
THIRD_STAGE = {0: [0, 1], 1: [1, 0], 2: [2, 0]}
"""Levels that each branch of the third stage joins, in the order of the equations; the fourth stage joins all."""


@dataclass(frozen=True)
class PrintedDesign:
    """Options of `HRFCNPrinted` besides its channels.

    Attributes:
        stems: one stem for each contrast, or a single one of the same width for all (the paper's ablation A).
        ablation: `B` only the branch at full resolution; `C` without it; `D` branches that are joined only at the end.
        strides: halve `all` axes, as printed, or those `in_plane`, as the code does for its slabs of three slices.
        normalisation: kind of normalisation after each convolution.
        dimensions: 2 for slices, 3 for slabs or volumes.
    """

    stems: Literal["per_modality", "single"] = "per_modality"
    ablation: Literal["none", "B", "C", "D"] = "none"
    strides: Literal["all", "in_plane"] = "all"
    normalisation: Normalisation = "batch"
    dimensions: Dimensions = 3

    def __post_init__(self) -> None:
        require_choice("stems", self.stems, ("per_modality", "single"))
        require_choice("ablation", self.ablation, ("none", "B", "C", "D"))
        require_choice("strides", self.strides, ("all", "in_plane"))

    @property
    def levels(self) -> list[int]:
        """Returns the branches, 0 for full resolution."""
        return {"B": [0], "C": [1, 2]}.get(self.ablation, [0, 1, 2])

    def kit(self) -> LayerFactory:
        """Returns the factory of the layers of this design."""
        is_flat = self.dimensions == 3 and self.strides == "in_plane"
        return LayerFactory(layers_of(self.dimensions), self.normalisation, 2 if is_flat else None)


class HRFCNPrinted(nn.Module):
    """Three branches that are joined by concatenation twice and at the end.

    57,503,617 parameters with three contrasts at the printed widths.

    Args:
        in_channels: number of source contrasts.
        out_channels: number of synthetic contrasts.
        width: channels at full resolution, doubled at each lower one; 64 in the paper.
        **design: fields of `PrintedDesign`.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, width: int = 64, **design: Any) -> None:
        super().__init__()
        self.design = choices = PrintedDesign(**design)
        self.kit = kit = choices.kit()
        levels = choices.levels
        is_single = choices.stems == "single"
        inputs = [in_channels] if is_single else [1] * in_channels
        self.stems = nn.ModuleList(phi(kit, channels, width) for channels in inputs)
        merged = width * len(inputs)
        self.to_half = kit.conv3_in_plane(merged, 2 * width, stride=2) if 1 in levels else nn.Identity()
        self.to_quarter = kit.conv3_in_plane(2 * width, 4 * width, stride=2) if 2 in levels else nn.Identity()
        starts = {0: merged, 1: 2 * width}
        self.second = nn.ModuleList(phi(kit, starts[level], width * 2**level) for level in levels if level < 2)
        alone = {level: [level] for level in levels}
        third = {level: [each for each in THIRD_STAGE[level] if each in levels] for level in levels}
        fourth = dict.fromkeys(levels, levels)
        self.third = Joined(kit, alone if choices.ablation == "D" else third, width)
        self.fourth = Joined(kit, alone if choices.ablation == "D" else fourth, width)
        total = sum(width * 2**level for level in levels)
        self.head = nn.Sequential(PrintedResidual(kit, total, width), kit.layers.convolution(width, out_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, ...), sizes multiples of 4 along halved axes, to (B, out_channels, ...).

        Raises:
            UsageError: `SIZE` for sizes that do not fit, `DIMENSIONS`.
        """
        self.kit.layers.require_dimensions(x, network="hr_fcn_printed")
        factors = self.kit.in_plane(FACTOR)
        require_multiple(x, factors, network="hr_fcn_printed")
        require_two_voxels(x, factors, network="hr_fcn_printed")
        levels = self.design.levels
        contrasts = x.chunk(len(self.stems), dim=1)
        first = torch.cat([stem(part) for stem, part in zip(self.stems, contrasts, strict=True)], dim=1)
        inputs = {0: first} | ({1: self.to_half(first)} if 1 in levels else {})
        upper = [level for level in levels if level < 2]
        branches = {level: step(inputs[level]) for level, step in zip(upper, children(self.second), strict=True)}
        if 2 in levels:
            branches[2] = self.to_quarter(branches[1])
        branches = self.fourth(self.third(branches))
        full = [upsampled(self.kit, branches[level], level) for level in levels]
        result: Tensor = self.head(torch.cat(full, dim=1))
        return result


class Joined(nn.Module):
    """A stage: each branch is φ of the concatenation of some branches, brought to its resolution.

    Args:
        kit: factory of the layers.
        origins: levels that are joined at each level, in order.
        width: channels of level 0.
    """

    def __init__(self, kit: LayerFactory, origins: dict[int, list[int]], width: int) -> None:
        super().__init__()
        self.kit, self.origins = kit, origins
        self.downs = nn.ModuleDict()
        self.blocks = nn.ModuleDict()
        for level, joined in origins.items():
            for origin in joined:
                if origin < level:
                    self.downs[f"{origin}_{level}"] = Resample(kit, origin, level, width)
            channels = sum(width * 2 ** max(origin, level) for origin in joined)
            self.blocks[str(level)] = phi(kit, channels, width * 2**level)

    def forward(self, branches: dict[int, Tensor]) -> dict[int, Tensor]:
        """Maps the branches by level, (B, width x 2^level, ...), to branches of the same shapes."""
        return {
            level: self.blocks[str(level)](torch.cat([self._brought(branches[o], o, level) for o in origins], dim=1))
            for level, origins in self.origins.items()
        }

    def _brought(self, x: Tensor, origin: int, level: int) -> Tensor:
        if origin < level:
            down: Tensor = self.downs[f"{origin}_{level}"](x)
            return down
        return upsampled(self.kit, x, origin - level)


class PrintedResidual(nn.Module):
    """x plus two of convolution, normalisation and ReLU; the shortcut is convolved if the channels change."""

    def __init__(self, kit: LayerFactory, in_channels: int, out_channels: int) -> None:
        super().__init__()
        first, second = kit.conv3(in_channels, out_channels), kit.conv3(out_channels, out_channels)
        self.path = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
        is_same = in_channels == out_channels
        self.shortcut = nn.Identity() if is_same else kit.layers.convolution(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, ...) to (B, out_channels, ...) of the same size."""
        result: Tensor = self.shortcut(x) + self.path(x)
        return result


def phi(kit: LayerFactory, in_channels: int, out_channels: int) -> nn.Sequential:
    """Returns φ: four residual blocks, of which the first changes the number of channels."""
    later = [PrintedResidual(kit, out_channels, out_channels) for _ in range(BRANCH_BLOCKS - 1)]
    return nn.Sequential(PrintedResidual(kit, in_channels, out_channels), *later)
