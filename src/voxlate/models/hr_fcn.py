"""High-resolution fully convolutional network (HR-FCN) of Chen et al., IEEE TBME 2023: T1, T2 and ADC to T1ce.

Branches at several resolutions run in parallel and are fused after each stage. Follows the released code. Input
(B, in_channels, D, H, W), in-plane sizes multiples of 2^(resolutions − 1), any size along the slice axis; output
(B, out_channels, D, H, W). `dimensions=2` takes (B, in_channels, H, W).

Where paper and code differ, and the argument that chooses:

- The paper joins branches by concatenation, the code by addition: `fusion`.
- The paper's last fusion joins all branches. The code computes all terms and concatenates only those of the two
  finest branches, so that of 26,197,570 parameters (width 32) 7,917,698 reach the output and the branch at an
  eighth of the resolution has no effect: `last_fusion="as_coded"`. `"all"` is the intended network and the default.
- The code ends in batch normalisation and ReLU, which at the start clamps half of the voxels to zero without a
  gradient: `final_norm`, `final_activation`. The paper ends in a residual block.
- The paper draws three branches of 64, 128 and 256 channels, strided along every axis. The code has four of 32 to 256
  channels that are not strided along the slice axis, as its slabs are three slices thick. `width=64, resolutions=3`
  gives the paper's branches.
- The code has a second file with one stem for all contrasts: `stems="single"`.

As coded: `last_fusion="as_coded", final_norm=True, final_activation="relu"`. Deviation: Keras pads strided
convolutions at the far end only, this network at both ends, a shift of half a voxel that training absorbs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.models.parts.blocks import require_multiple
from voxlate.models.parts.hr_blocks import Fusion, LayerFactory, Resample, Transition, branch, children, stem
from voxlate.models.parts.layers import (
    Dimensions,
    Normalisation,
    layers_of,
    require_at_least,
    require_choice,
    require_two_voxels,
)


@dataclass(frozen=True)
class HRFCNDesign:
    """Options of `HRFCN` besides its channels.

    Attributes:
        stems: one stem for each contrast, or a single one for all (the paper's ablation A).
        fusion: how branches are joined between stages, by addition or by concatenation.
        last_fusion: branches that the last fusion joins; see the module's docstring.
        final_norm: normalise the last layer (as in the code).
        final_activation: activation after the last layer.
        ablation: `B` only the branch at full resolution; `C` without it; `D` branches that are fused only at the end.
        resolutions: number of branches, at least 2.
        normalisation: kind of normalisation after each convolution.
        dimensions: 2 for slices, 3 for slabs or volumes.
        slice_axis: spatial axis that is never strided; in a RAS+ array the last one, for axial slices.
    """

    stems: Literal["per_modality", "single"] = "per_modality"
    fusion: Literal["add", "concat"] = "add"
    last_fusion: Literal["all", "as_coded"] = "all"
    final_norm: bool = False
    final_activation: Literal["none", "relu", "softplus"] = "none"
    ablation: Literal["none", "B", "C", "D"] = "none"
    resolutions: int = 4
    normalisation: Normalisation = "batch"
    dimensions: Dimensions = 3
    slice_axis: Literal[0, 1, 2] = 2

    def __post_init__(self) -> None:
        require_choice("stems", self.stems, ("per_modality", "single"))
        require_choice("fusion", self.fusion, ("add", "concat"))
        require_choice("last_fusion", self.last_fusion, ("all", "as_coded"))
        require_choice("final_activation", self.final_activation, ("none", "relu", "softplus"))
        require_choice("ablation", self.ablation, ("none", "B", "C", "D"))
        require_choice("slice_axis", self.slice_axis, (0, 1, 2))
        require_at_least("resolutions", self.resolutions, 2)

    def levels(self, stage: int) -> list[int]:
        """Returns the branches of a stage, 0 for full resolution; each stage adds one."""
        first = 1 if self.ablation == "C" else 0
        return [0] if self.ablation == "B" else list(range(first, stage + 1))

    def kit(self) -> LayerFactory:
        """Returns the factory of the layers of this design."""
        slice_axis = self.slice_axis if self.dimensions == 3 else None
        return LayerFactory(layers_of(self.dimensions), self.normalisation, slice_axis)


class HRFCN(nn.Module):
    """Branches at several resolutions that run in parallel and exchange features after each stage.

    Args:
        in_channels: number of source contrasts.
        out_channels: number of synthetic contrasts.
        width: channels at full resolution, doubled at each lower one; the released network has 32.
        **design: fields of `HRFCNDesign`.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, width: int = 32, **design: Any) -> None:
        super().__init__()
        self.design = choices = HRFCNDesign(**design)
        self.kit = kit = choices.kit()
        is_single = choices.stems == "single"
        stems = [stem(kit, in_channels, 2 * width, 8 * width)] if is_single else []
        stems += [] if is_single else [stem(kit, 1, 4 * width, 4 * width) for _ in range(in_channels)]
        self.stems = nn.ModuleList(stems)
        merged = 8 * width if is_single else 4 * width * in_channels
        stages = range(1, choices.resolutions)
        widths = [{0: merged}] + [{level: width * 2**level for level in choices.levels(stage)} for stage in stages]
        self.transitions = nn.ModuleList(Transition(kit, before, after) for before, after in pairwise(widths))
        self.branches = nn.ModuleList(nn.ModuleList(branch(kit, w) for w in stage.values()) for stage in widths[1:])
        fused = [] if choices.ablation in {"B", "D"} else widths[1:-1]
        self.fusions = nn.ModuleList(
            Fusion(kit, list(stage), width, concatenate=choices.fusion == "concat") for stage in fused
        )
        last = list(widths[-1])
        self.joined = last[:2] if choices.last_fusion == "as_coded" else last
        self.to_full = nn.ModuleList(Resample(kit, level, 0, width) for level in last)
        self.head = kit.layers.convolution(len(self.joined) * width, out_channels, 1, bias=not choices.final_norm)
        self.head_norm = kit.normalise(out_channels) if choices.final_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, ...) to (B, out_channels, ...); in-plane sizes multiples of 2^(resolutions − 1).

        Raises:
            UsageError: `SIZE` for sizes that do not fit, `DIMENSIONS`.
        """
        self.kit.layers.require_dimensions(x, network="hr_fcn")
        factors = self.kit.in_plane(2 ** (self.design.resolutions - 1))
        require_multiple(x, factors, network="hr_fcn")
        require_two_voxels(x, factors, network="hr_fcn")
        contrasts = x.chunk(len(self.stems), dim=1)
        branches = [torch.cat([stem(part) for stem, part in zip(self.stems, contrasts, strict=True)], dim=1)]
        for stage, (transition, blocks) in enumerate(zip(self.transitions, self.branches, strict=True)):
            branches = [block(b) for block, b in zip(children(blocks), transition(branches), strict=True)]
            if stage < len(self.fusions):
                branches = self.fusions[stage](branches)
        count = len(self.joined)
        terms = [up(b) for up, b in zip(self.to_full[:count], branches[:count], strict=True)]
        return self._finish(self.head_norm(self.head(torch.cat(terms, dim=1))))

    def _finish(self, x: Tensor) -> Tensor:
        if self.design.final_activation == "relu":
            return F.relu(x)
        return F.softplus(x) if self.design.final_activation == "softplus" else x
