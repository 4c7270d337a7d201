"""A recipe is a YAML file read into a frozen, typed model; an unknown key is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from voxlate.cohort.cases import Case, cases_from_pattern, check_cases, read_cases
from voxlate.errors import NoInput, UsageError
from voxlate.prepare import PreparationSettings


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSettings(_Frozen):
    """Where the cases are: a table, or a pattern and the names of each split.

    Attributes:
        cases: a table as in `voxlate.cohort.cases`, relative to `root`.
        root: folder that paths are relative to; itself relative to the working directory.
        source, target, mask, labels: patterns with `{case}`.
        train, validation, test: names of cases.
    """

    root: str = "."
    cases: str | None = None
    source: str | None = None
    target: str | None = None
    mask: str | None = None
    labels: str | None = None
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
        return check_cases(cases_from_pattern(folder, pattern, splits))


class ModelSettings(_Frozen):
    """A network and its plain keyword arguments; see `voxlate.models.MODELS`."""

    name: str = "translator"
    arguments: dict[str, Any] = Field(default_factory=dict)


class AugmentationSettings(_Frozen):
    """How windows are varied; each is drawn anew per window. See `voxlate.train.augment`.

    Attributes:
        flip: probability of mirroring left and right.
        contrast: largest change of the exponent of a power law applied to source and target alike.
        source_contrast: the same for the source alone.
        gain: standard deviation of the log of a factor on the source, and of another on both.
        bias: largest logarithmic change across the window of a smooth field on both.
        noise: largest standard deviation of noise on the source, in relative units.
        unenhanced: probability that the target itself stands in for the source.
        graft: probability that the source is the target plus the enhancement of the real source.
    """

    flip: float = Field(default=0.5, ge=0, le=1)
    contrast: float = Field(default=0.3, ge=0, lt=1)
    source_contrast: float = Field(default=0.0, ge=0, lt=1)
    gain: float = Field(default=0.05, ge=0)
    bias: float = Field(default=0.1, ge=0)
    noise: float = Field(default=0.03, ge=0)
    unenhanced: float = Field(default=0.0, ge=0, le=1)
    graft: float = Field(default=0.0, ge=0, le=1)


class TrainingSettings(_Frozen):
    """The length of the training and its optimiser.

    Attributes:
        steps: optimiser steps.
        batch: windows per step and process.
        window: voxels along each axis of the RAS+ grid.
        changed_share: share of windows centred on a voxel that differs between source and target by more than
            contrast explains (`voxlate.train.data.CHANGED`): a vessel, a lesion.
        changed_weight: weight of such voxels in the loss; all others of the brain have weight 1.
        learning_rate: peak of a linear warm-up over `warmup` steps and a cosine down to a hundredth.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        average: decay of the moving average of the weights that is validated and shipped.
        validate_every: steps between validations and checkpoints.
        precision: as Lightning Fabric names it: `32-true`, `bf16-mixed`, `16-mixed`.
        seed: of the weights and of every window.
    """

    steps: int = Field(default=1000, ge=1)
    batch: int = Field(default=2, ge=1)
    window: tuple[int, int, int] = (64, 64, 64)
    changed_share: float = Field(default=0.0, ge=0, le=1)
    changed_weight: float = Field(default=1.0, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    warmup: int = Field(default=50, ge=0)
    clip: float = Field(default=1.0, gt=0)
    average: float = Field(default=0.995, ge=0, lt=1)
    validate_every: int = Field(default=200, ge=1)
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    seed: int = Field(default=0, ge=0)


class InferenceSettings(_Frozen):
    """How a whole volume is translated: at once (`window: null`), or in blended windows."""

    window: tuple[int, int, int] | None = None
    overlap: float = Field(default=0.5, ge=0, lt=1)


class Recipe(_Frozen):
    """One experiment."""

    name: str
    source: str
    target: str
    data_kind: Literal["real", "simulated", "unknown"] = "unknown"
    data: DataSettings
    preparation: PreparationSettings = PreparationSettings()
    model: ModelSettings = ModelSettings()
    loss: dict[str, float] = Field(default_factory=lambda: {"l1": 1.0})
    augmentation: AugmentationSettings = AugmentationSettings()
    training: TrainingSettings = TrainingSettings()
    inference: InferenceSettings = InferenceSettings()


def read_recipe(path: Path) -> Recipe:
    """Returns the recipe in a YAML file.

    Raises:
        NoInput: there is no such file.
        UsageError: `RECIPE`, with the place of each fault.
    """
    if not path.is_file():
        raise NoInput("NO_INPUT", f"{path.name}: there is no such recipe")
    return parse_recipe(path.read_text(encoding="utf-8"), name=path.name)


def parse_recipe(text: str, *, name: str) -> Recipe:
    """Returns the recipe in `text`; `name` is how errors call it."""
    try:
        content = yaml.safe_load(text)
        return Recipe.model_validate(content)
    except yaml.YAMLError as error:
        raise UsageError("RECIPE", f"{name}: not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        faults = [
            f"{'.'.join(str(part) for part in fault['loc']) or 'recipe'}: {fault['msg']}" for fault in error.errors()
        ]
        raise UsageError("RECIPE", f"{name}: {'; '.join(faults)}") from error


def recipe_text(recipe: Recipe) -> str:
    """Returns the recipe as YAML with every default written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
