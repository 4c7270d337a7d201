"""Recipes: YAML files, each read into a frozen, typed model of one experiment.

A file may hold `variants`, which `read_recipe(path, variants=["A"])` merges into the rest: `voxlate.bundle.variants`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import Field, model_validator

from voxlate.bundle.settings import (
    AdversarialSettings,
    AugmentationSettings,
    CycleSettings,
    DataSettings,
    FeatureSettings,
    Frozen,
    InferenceSettings,
    LocalSettings,
    ModelSettings,
    ReferenceSettings,
    SsimSettings,
    Stage,
    TrainingSettings,
    Use,
)
from voxlate.bundle.simulated_settings import SimulatedContrast, SimulatedSettings
from voxlate.bundle.targets import with_target
from voxlate.bundle.variants import override, vary
from voxlate.cases import Case
from voxlate.errors import UsageError
from voxlate.io.documents import parse_yaml, read_text
from voxlate.io.settings import parse_settings, read_settings, validated
from voxlate.preparation import PreparationSettings
from voxlate.preparation.preprocessing import EVERY_KEY


class Recipe(Frozen):
    """One experiment.

    Attributes:
        name: of the experiment, and of its bundle.
        source, target: the contrasts, such as T1ce and T1nce.
        more_sources: additional sources on the grid of the first, in the order in which the network takes them.
        data_kind: of the training scans, for the model card.
        use: what the model is for. `research`: it translates only with `--research`, since its result is easily
            mistaken for a finding. `demonstration`: each result says that the model only shows what is possible.
        data: the cases.
        simulated: windows of simulated heads beside those of the cases; None for none.
        preparation: of every scan, at training and at inference.
        model: the generator.
        loss: weights by name: keys of `voxlate.losses`, or `MODULE:NAME` for a loss outside voxlate, a function of
            (synthetic, target, mask), (B, 1, D, H, W) each, that returns a scalar.
        local, ssim, features: settings of the losses `local`, of those made of structural similarity, and of those that
            compare features of a frozen network.
        reference: layers of the translator for the contrast of a reference scan; None for a network without them.
        adversarial: a discriminator and its loss; None for supervised training.
        cycle: training without pairs; None for training with pairs.
        augmentation, training, inference: see their classes.
        stages: one after the other; without them all of `training.steps` are one stage.
        trackers: programs that get curves, samples and settings besides the files; each must be installed.
    """

    name: str
    source: str
    target: str
    more_sources: tuple[str, ...] = ()
    data_kind: Literal["real", "simulated", "unknown"] = "unknown"
    use: Use = "any"
    data: DataSettings = DataSettings()
    simulated: SimulatedSettings | None = None
    preparation: PreparationSettings = PreparationSettings()
    model: ModelSettings = ModelSettings()
    loss: dict[str, float] = Field(default_factory=lambda: {"l1": 1.0})
    local: LocalSettings = LocalSettings()
    ssim: SsimSettings = SsimSettings()
    features: FeatureSettings = FeatureSettings()
    reference: ReferenceSettings | None = None
    adversarial: AdversarialSettings | None = None
    cycle: CycleSettings | None = None
    augmentation: AugmentationSettings = AugmentationSettings()
    training: TrainingSettings = TrainingSettings()
    stages: tuple[Stage, ...] = ()
    inference: InferenceSettings = InferenceSettings()
    trackers: tuple[Literal["tensorboard", "mlflow"], ...] = ()

    @model_validator(mode="after")
    def _sensible(self) -> Recipe:
        if self.stages and self.training.steps is not None:
            raise ValueError("with `stages` leave out `training.steps`")
        if self.adversarial is None and any(stage.trains != "generator" for stage in self.stages):
            raise ValueError("a stage trains a discriminator, but the recipe has no `adversarial`")
        if all(stage.trains == "discriminator" for stage in self.plan):
            raise ValueError("no stage trains the generator")
        for stage in self.plan:
            losses = self.loss if stage.loss is None else stage.loss
            if any(weight < 0 for weight in losses.values()):
                raise ValueError("the weight of a loss is below zero")
            if self.cycle is None and stage.trains != "discriminator" and not any(losses.values()):
                raise ValueError("a stage trains the generator without any loss")
        if set(self.data.more) - set(self.more_sources):
            raise ValueError("`data.more` has a name that is not in `more_sources`")
        if len({self.source, *self.more_sources}) <= len(self.more_sources):
            raise ValueError("two sources have the same name")
        if self.augmentation.quarter_turns and self.training.window[0] != self.training.window[1]:
            raise ValueError("`quarter_turns` needs a window that is square in the axial slice")
        return self

    @model_validator(mode="after")
    def _simulated_windows_fit(self) -> Recipe:
        if self.simulated is None:
            return self
        preparation, known = self.preparation, get_args(SimulatedContrast)
        unknown = [name for name in self.more_sources if self.simulated.more.get(name, name) not in known]
        if unknown:
            raise ValueError(f"`simulated.more` needs a contrast for {unknown[0]}: one of {', '.join(known)}")
        if self.cycle is not None:
            raise ValueError("`simulated` windows are pairs; a `cycle` has none")
        if self.training.region != "brain" or preparation.frame != "native" or preparation.bias:
            raise ValueError("`simulated` windows show the brain alone: leave out `region: all`, `frame` and `bias`")
        if "min_max" in (preparation.reference, preparation.target_reference):
            raise ValueError("`simulated` windows have no range of a whole image: `reference: min_max` cannot be used")
        if (self.simulated.source == "CT") != (preparation.range_hu is not None):
            raise ValueError("`simulated.source: CT` and `preparation.range_hu` go together")
        return self

    @model_validator(mode="after")
    def _reference_is_of_the_translator(self) -> Recipe:
        if self.reference is None:
            if self.augmentation.target_curve:
                raise ValueError("`augmentation.target_curve` needs `reference`: no other network can know the curve")
            return self
        if self.model.name != "translator" or self.model.slice_axis is not None:
            raise ValueError("`reference` needs `model.name: translator` in 3D, the network that has layers for it")
        if (self.preparation.target_reference or self.preparation.reference) != "median_in_mask":
            raise ValueError("`reference` needs a target in units of its median: `reference: median_in_mask`")
        if self.preparation.range_hu is not None:
            raise ValueError("`reference` needs the contrast of an MR as its source: leave out `preparation.range_hu`")
        if self.adversarial is not None or self.cycle is not None:
            raise ValueError("`reference` needs supervised training: leave out `adversarial` and `cycle`")
        return self

    @model_validator(mode="after")
    def _cycle_is_whole(self) -> Recipe:
        if self.cycle is None:
            if not self.data.paired:
                raise ValueError("training without pairs needs a `cycle`")
            return self
        if self.adversarial is None or self.adversarial.conditional:
            raise ValueError("a `cycle` needs `adversarial` with `conditional: false`")
        if self.loss or any(stage.loss for stage in self.stages):
            raise ValueError("a `cycle` has no pairs to compute a `loss` on: write `loss: {}`")
        if self.more_sources:
            raise ValueError("a `cycle` takes one source, without `more_sources`")
        if self.adversarial.features or self.adversarial.every > 1 or self.adversarial.first != "discriminator":
            raise ValueError("a `cycle` does not use `adversarial.features`, `every` or `first`: leave them out")
        return self

    def cases(self, root: Path | None = None) -> list[Case]:
        """Returns the cases with their target; see `voxlate.bundle.targets`.

        Args:
            root: replaces the data folder of the recipe.

        Raises:
            NoInput, InputRefused: what reading the table raises; `NO_TARGET`, `TARGET_CONTRAST`.
        """
        return with_target(self.data.resolve(root), self.target, self.data.target_column, sources=self.more_sources)

    @property
    def from_what(self) -> str:
        """Returns the sources joined by a plus sign, such as `T1w + T2w`."""
        return " + ".join([self.source, *self.more_sources])

    @property
    def plan(self) -> tuple[Stage, ...]:
        """Returns the stages; a recipe without any has one stage that trains all of its networks."""
        trains: Literal["generator", "both"] = "generator" if self.adversarial is None else "both"
        return self.stages or (Stage(steps=self.training.steps or 1000, trains=trains),)

    @property
    def steps(self) -> int:
        """Returns the optimiser steps of all stages."""
        return sum(stage.steps for stage in self.plan)


def read_recipe(
    path: str | Path, *, variants: Sequence[str] = (), overrides: Mapping[str, Any] | None = None
) -> Recipe:
    """Returns the recipe in a YAML file, changed by variants and overrides.

    Args:
        path: of the file.
        variants: names of variants in the file, which are merged and added to the name of the recipe.
        overrides: values by place, such as `{"training.steps": 20}`; set after the variants.

    Raises:
        NoInput: there is no such file.
        UsageError: `RECIPE`, with the key of each fault; `VARIANT`, with the existing names; `VARIANT_CONFLICT`;
            `OVERRIDE`, with the most similar places.
    """
    path = Path(path)
    if path.suffix == ".tsv":
        raise UsageError(
            "RECIPE",
            f"{path.name} is a table, and a recipe is a YAML file; voxlate init {path.name} my.yaml writes one for it",
        )
    text = read_settings(path, code="RECIPE", what="recipe")
    return parse_recipe(text, name=path.name, variants=variants, overrides=overrides)


def parse_recipe(
    text: str, *, name: str, variants: Sequence[str] = (), overrides: Mapping[str, Any] | None = None
) -> Recipe:
    """Returns the recipe in `text`, changed as by `read_recipe`; errors call it `name`."""
    content = parse_settings(text, code="RECIPE", name=name)
    if isinstance(content, dict):
        content = vary(content, variants, file=name)
    recipe = validated(content, Recipe, code="RECIPE", name=name, whole="recipe")
    if not overrides:
        return recipe
    changed = override(recipe.model_dump(mode="json", context=EVERY_KEY), overrides, file=name)
    return validated(changed, Recipe, code="RECIPE", name=name, whole="recipe")


def variants_of(path: Path) -> list[str]:
    """Returns the names of the variants in a recipe file that `read_recipe` accepts."""
    return sorted((parse_yaml(read_text(path)) or {}).get("variants") or {})


def recipe_text(recipe: Recipe) -> str:
    """Returns the recipe as YAML with its defaults written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
