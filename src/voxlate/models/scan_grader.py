"""A small 3D classification network for whole heads: contrast, proper T1w, contrast agent, and grades of image quality.

It was trained on simulated visits only (`benchmarks/train_scan_grader.py`); voxlate comes with its weights. Its input
is the head resampled to voxels of 2 mm, together with numbers measured at the scan's own voxel size, because fine noise
is lost on coarse voxels. A design of this project, without a paper.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from voxlate.models.parts.weights import load_frozen

CONTRASTS = ("T1w", "T2w", "FLAIR", "DWI", "ADC", "CT")
"""Classes of the head `contrast_kind`."""
GRADED = ("contrast", "motion", "noise")
"""Heads with grades of image quality, three classes each."""
HEADS = {"contrast_kind": len(CONTRASTS), "proper": 2, "agent": 2, **dict.fromkeys(GRADED, 3)}
"""Number of classes of each head; of two classes, the second means yes."""

NUMBERS = 10
"""How many numbers are measured at the scan's own voxel size."""
WIDTHS = (16, 24, 48, 96)
"""Channels of the four stages. Chosen by hand; not tuned."""
WEIGHTS = Path(__file__).with_name("scan_grader.safetensors")
SHA256 = "d216c1bb11c3a9addd9779acc240b8ee1301e3648313b39520ebee0f7d83a55d"


class ScanGrader(nn.Module):
    """Four strided stages, mean and maximum pooling, concatenation with the numbers, and one linear layer per head.

    Pooling includes the maximum because an enhancing venous sinus is only a few voxels, which do not show in the mean.
    The buffers `middle` and `spread` standardise the numbers; `temperature` calibrates the logits of each head.
    """

    def __init__(self) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for in_channels, out_channels in zip((1, *WIDTHS[:-1]), WIDTHS, strict=True):
            stages.append(_stage(in_channels, out_channels, is_deep=in_channels > WIDTHS[0]))
        self.stages = nn.Sequential(*stages)
        self.numbers = nn.Sequential(nn.Linear(NUMBERS, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU())
        self.joined = nn.Sequential(nn.Linear(2 * WIDTHS[-1] + 32, 128), nn.SiLU(), nn.Dropout(0.2))
        self.heads = nn.ModuleDict({name: nn.Linear(128, classes) for name, classes in HEADS.items()})
        self.middle: Tensor
        self.spread: Tensor
        self.temperature: Tensor
        self.register_buffer("middle", torch.zeros(NUMBERS))
        self.register_buffer("spread", torch.ones(NUMBERS))
        self.register_buffer("temperature", torch.ones(len(HEADS)))

    def forward(self, image: Tensor, numbers: Tensor) -> dict[str, Tensor]:
        """Returns the calibrated logits (B, classes) of each head, by name.

        Args:
            image: (B, 1, D, H, W), a head on voxels of 2 mm.
            numbers: (B, 10), measured at the scan's own voxel size.
        """
        features = self.stages(image).flatten(2)
        # Clamping limits numbers far outside the range of the training scans.
        encoded = self.numbers(((numbers - self.middle) / self.spread).clamp(-5, 5))
        joined = self.joined(torch.cat([features.mean(dim=2), features.amax(dim=2), encoded], dim=1))
        return {
            name: head(joined) / temperature
            for (name, head), temperature in zip(self.heads.items(), self.temperature, strict=True)
        }


def scan_grader() -> ScanGrader:
    """Returns the network with the weights that come with voxlate, frozen and in evaluation mode.

    Raises:
        ModelInvalid: `WEIGHTS_CHANGED` when the file of weights is not that of this version.
    """
    return load_frozen(ScanGrader(), WEIGHTS, sha256=SHA256)


def _stage(in_channels: int, out_channels: int, *, is_deep: bool) -> nn.Module:
    parts: list[nn.Module] = [
        nn.Conv3d(in_channels, out_channels, 3, stride=2, padding=1, bias=False),
        nn.GroupNorm(4, out_channels),
        nn.SiLU(),
    ]
    if is_deep:
        parts += [
            nn.Conv3d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.GroupNorm(4, out_channels),
            nn.SiLU(),
        ]
    return nn.Sequential(*parts)
