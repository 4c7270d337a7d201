"""A small network that looks at a whole head and says what it is: contrast, proper T1w, gadolinium, grades of quality.

It learned on simulated visits alone (`benchmarks/train_scan_grader.py`); its weights come with voxlate. It sees the
head on voxels of 2 mm, and beside them numbers of the scan's own voxels, as fine noise is lost on coarse ones.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from voxlate.models.parts.weights import load_frozen

CONTRASTS = ("T1w", "T2w", "FLAIR", "DWI", "ADC", "CT")
GRADED = ("contrast", "motion", "noise")
HEADS = {"contrast_kind": len(CONTRASTS), "proper": 2, "agent": 2, **dict.fromkeys(GRADED, 3)}
"""Name of each head and its number of classes; of two, the second is yes."""

NUMBERS = 10
WIDTHS = (16, 24, 48, 96)
WEIGHTS = Path(__file__).with_name("scan_grader.safetensors")
SHA256 = "d216c1bb11c3a9addd9779acc240b8ee1301e3648313b39520ebee0f7d83a55d"


class ScanGrader(nn.Module):
    """Four strided stages, pooled by mean and by maximum, joined by the numbers, then one linear layer for each head.

    A bright sinus is a few voxels of a head, which a mean alone would drown.
    """

    def __init__(self) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for inside, outside in zip((1, *WIDTHS[:-1]), WIDTHS, strict=True):
            stages.append(_stage(inside, outside, is_deep=inside > WIDTHS[0]))
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
        """Maps images (B, 1, D, H, W) and numbers (B, 10) to logits (B, classes) by head, at their temperature."""
        features = self.stages(image).flatten(2)
        known = self.numbers(((numbers - self.middle) / self.spread).clamp(-5, 5))
        joined = self.joined(torch.cat([features.mean(dim=2), features.amax(dim=2), known], dim=1))
        return {
            name: head(joined) / temperature
            for (name, head), temperature in zip(self.heads.items(), self.temperature, strict=True)
        }


def scan_grader() -> ScanGrader:
    """Returns the network that comes with voxlate, frozen and in evaluation mode.

    Raises:
        ModelInvalid: `WEIGHTS_CHANGED` when its file is not the one of this version.
    """
    return load_frozen(ScanGrader(), WEIGHTS, sha256=SHA256)


def _stage(inside: int, outside: int, *, is_deep: bool) -> nn.Module:
    parts: list[nn.Module] = [
        nn.Conv3d(inside, outside, 3, stride=2, padding=1, bias=False),
        nn.GroupNorm(4, outside),
        nn.SiLU(),
    ]
    if is_deep:
        parts += [nn.Conv3d(outside, outside, 3, padding=1, bias=False), nn.GroupNorm(4, outside), nn.SiLU()]
    return nn.Sequential(*parts)
