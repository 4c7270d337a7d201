"""Patch discriminators of Bottani et al. 2024 (64 x 64 x 64 voxels) and of pix2pix (Isola et al., CVPR 2017).

Input (B, in_channels, D, H, W), or (B, in_channels, H, W) with `dimensions=2`: an image concatenated with its
condition. Output: logits (B, 1, ...), without a sigmoid.

Where papers and code differ, and the `form` that chooses:

- `volume_patch`: Bottani et al. Three strided convolutions, one of 4 voxels, and the mean: one logit for each patch.
  The paper prints a logarithmic objective; the code uses least squares on this logit without a sigmoid.
- `patchgan_16`: pix2pix with a receptive field of 16 x 16 pixels; the discriminator of MedGAN (Armanious et al. 2020).
- `patchgan_70`: pix2pix, each logit has a receptive field of 70 x 70 pixels. The default for Lee et al. 2020.
- `seven_layers`: the text of Lee et al., "two convolutions and five strided convolutions"; each logit has a receptive
  field of 193 pixels. The released code of the same group has four strided convolutions and one more.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from voxlate.errors import UsageError
from voxlate.models.parts.layers import Dimensions, Layers, layers_of, require_choice

Form = Literal["volume_patch", "patchgan_16", "patchgan_70", "seven_layers"]
WIDTHS: dict[str, list[int]] = {
    "patchgan_16": [1, 2],
    "patchgan_70": [1, 2, 4, 8],
    "seven_layers": [1, 2, 4, 8, 8, 8],
}
STRIDES: dict[str, list[int]] = {
    "patchgan_16": [2, 1, 1],
    "patchgan_70": [2, 2, 2, 1, 1],
    "seven_layers": [1, 2, 2, 2, 2, 2, 1],
}
SLOPE = 0.2
"""Slope of the leaky ReLU, as in pix2pix."""


class PatchDiscriminator(nn.Module):
    """A convolutional discriminator whose logits are high where a patch resembles images with label 1.

    Parameters with two input channels, at the published width and dimensions: 286,625 (`volume_patch`), 2,763,713
    (`patchgan_70`), 11,153,345 (`seven_layers`).

    Args:
        in_channels: channels of the image and its condition together.
        width: channels of the first layer; published 32 for `volume_patch`, 64 for the others.
        form: see the module's docstring.
        dimensions: 2 or 3; published 3 for `volume_patch`, 2 for the others.
    """

    def __init__(
        self, in_channels: int = 2, width: int = 32, *, form: Form = "volume_patch", dimensions: Dimensions = 3
    ) -> None:
        super().__init__()
        require_choice("form", form, ("volume_patch", *WIDTHS))
        self.form = form
        self.layers = layers = layers_of(dimensions)
        if form == "volume_patch":
            self.steps = nn.Sequential(*_volume_patch(in_channels, width, layers))
        else:
            widths = [in_channels, *[width * factor for factor in WIDTHS[form]], 1]
            self.steps = nn.Sequential(*_patchgan(widths, STRIDES[form], layers))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, ...), image and condition concatenated, to logits (B, 1, ...).

        `volume_patch` gives one logit for each item of the batch, (B, 1, 1, 1, 1), at any size.

        Raises:
            UsageError: `SIZE` when the image is too small for one logit, `DIMENSIONS`.
        """
        self.layers.require_dimensions(x, network="patch_discriminator")
        sizes = tuple(x.shape[2:])
        if min(sizes) < self.smallest:
            raise UsageError("SIZE", f"{self.form} needs at least {self.smallest} voxels along each axis, not {sizes}")
        logits: Tensor = self.steps(x)
        if self.form != "volume_patch":
            return logits
        return logits.mean(dim=tuple(range(2, logits.dim())), keepdim=True)

    @property
    def smallest(self) -> int:
        """Returns the smallest size in voxels along each axis that gives a logit."""
        return {"volume_patch": 25, "patchgan_16": 6, "patchgan_70": 24, "seven_layers": 65}[self.form]


def _volume_patch(in_channels: int, width: int, layers: Layers) -> list[nn.Module]:
    steps: list[nn.Module] = []
    for i, o in pairwise([in_channels, width, 2 * width, 4 * width]):
        steps += [layers.convolution(i, o, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    return [*steps, layers.convolution(4 * width, 1, 4)]


def _patchgan(widths: list[int], strides: list[int], layers: Layers) -> list[nn.Module]:
    steps: list[nn.Module] = []
    for position, ((i, o), stride) in enumerate(zip(pairwise(widths), strides, strict=True)):
        steps.append(layers.convolution(i, o, 4, stride=stride, padding=1))
        if 0 < position < len(strides) - 1:
            steps.append(layers.instance_norm(o))
        if position < len(strides) - 1:
            steps.append(nn.LeakyReLU(SLOPE))
    return steps
