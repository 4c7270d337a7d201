"""A small 2D segmentation network of head tissues in slices of any contrast; losses compare its feature maps.

It was trained on simulated heads by `benchmarks/train_head_segmenter.py`. voxlate comes with its weights, so that
feature losses need no network trained on photographs. Instance normalisation after the first convolution makes it
independent of the scale of an image. It is accurate enough to compare two images, not to measure volumes.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.models.parts.layers import require_choice
from voxlate.models.parts.weights import load_frozen
from voxlate.models.unet import UNet

CLASSES = ("other", "csf", "gm", "wm", "vessel", "lesion")
"""Output channels of the network."""
WIDTH, DEPTH = 12, 3
"""Channels of the first level, and number of times the resolution is halved. Chosen by hand; not tuned."""
LAYERS = tuple(f"level{level}" for level in range(DEPTH + 1))
"""Names of the feature maps, finest first."""
DEFAULT_LAYERS = ("level1", "level2")
"""Feature maps that losses compare by default, at 1/2 and 1/4 of the resolution. Chosen by hand; not tuned."""
WEIGHTS = Path(__file__).with_name("head_segmenter.safetensors")
SHA256 = "1e8c6f080385fdcaa7ffcd10ac1d13ecae26725048b8d1295bd141dcb24291a5"


class HeadSegmenter(nn.Module):
    """A 2D U-Net with as many levels as `LAYERS` has names."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = UNet(1, len(CLASSES), WIDTH, depth=DEPTH, dimensions=2)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, 1, H, W) of any size and scale to logits (B, classes, H, W)."""
        logits: Tensor = self.unet(_padded(x))
        return logits[..., : x.shape[-2], : x.shape[-1]]

    def encode(self, x: Tensor, deepest: int) -> list[Tensor]:
        """Returns the feature maps of the encoder from level 0 (full resolution) to level `deepest`.

        Args:
            x: (B, 1, H, W).
            deepest: index of the last level, 0 to 3.
        """
        x, tensors = _padded(x), []
        for level, encoder in enumerate(list(self.unet.encoders)[: deepest + 1]):
            x = encoder(self.unet.pool(x) if level else x)
            tensors.append(x)
        return tensors


class HeadFeatures(nn.Module):
    """The frozen encoder of the head segmenter.

    Args:
        layers: names from `LAYERS`; `level0` is the finest.

    Raises:
        UsageError: `MODEL_ARGUMENT` for an unknown layer.
    """

    def __init__(self, layers: tuple[str, ...] = DEFAULT_LAYERS) -> None:
        super().__init__()
        for layer in layers:
            require_choice("layers", layer, LAYERS)
        self.levels = [LAYERS.index(layer) for layer in layers]
        self.segmenter = head_segmenter()
        self.eval()

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps (B, 1, H, W) to one feature map (B, C, h, w) for each chosen layer."""
        tensors = self.segmenter.encode(x, max(self.levels))
        return [tensors[level] for level in self.levels]


def head_segmenter() -> HeadSegmenter:
    """Returns the segmenter with the weights that come with voxlate, frozen and in evaluation mode.

    Raises:
        ModelInvalid: `WEIGHTS_CHANGED` when the file of weights is not that of this version.
    """
    return load_frozen(HeadSegmenter(), WEIGHTS, sha256=SHA256)


def _padded(x: Tensor) -> Tensor:
    """Pads with zeros at the far ends to multiples of 8, and to at least two voxels at the lowest level."""
    factor = 2**DEPTH
    sizes = [max(-(-n // factor), 2) * factor for n in x.shape[-2:]]
    return F.pad(x, (0, sizes[1] - x.shape[-1], 0, sizes[0] - x.shape[-2]))
