"""Facts of a trained model that a methods section states, from the recipe in its bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxlate.errors import InputRefused
from voxlate.evaluation.training_cases import count_training_cases, starts_of
from voxlate.io.documents import parse_yaml, read_text

RECIPE_FILE = "recipe.yaml"


class ModelFacts(BaseModel):
    """What is stated of a model; a value that the recipe lacks is None or empty.

    Attributes:
        network: name in `voxlate.models.MODELS`.
        loss: weight of each loss by its name.
        preparation: settings of the preparation, as the recipe names them.
        steps: optimiser steps of all stages.
        batch: windows of one optimiser step.
        window: voxels along each axis.
        training_cases: number of training cases, from the recipe that lists them or else from the card; 0 where neither
            states it.
        starts: the models that the training began with, the nearest first, with the start of their hashes.
    """

    model_config = ConfigDict(frozen=True)

    network: str
    more_sources: list[str] = Field(default_factory=list)
    loss: dict[str, float] = Field(default_factory=dict)
    preparation: dict[str, Any] = Field(default_factory=dict)
    is_adversarial: bool = False
    is_cycle: bool = False
    steps: int | None = None
    batch: int | None = None
    window: list[int] = Field(default_factory=list)
    optimiser: str = ""
    learning_rate: float | None = None
    training_cases: int = 0
    validation_cases: int = 0
    starts: list[str] = Field(default_factory=list)


def read_model_facts(bundle: Path | None) -> ModelFacts | None:
    """Returns the facts of a bundle; None without a bundle or without its recipe.

    Args:
        bundle: folder of the bundle.

    Raises:
        InputRefused: `BUNDLE_FILE` when the recipe cannot be read.
    """
    path = None if bundle is None else bundle / RECIPE_FILE
    if path is None or not path.is_file():
        return None
    try:
        facts = facts_of(parse_yaml(read_text(path)))
    except ValidationError as error:
        detail = error.errors()[0]["msg"]
        raise InputRefused("BUNDLE_FILE", f"{path.name} of the bundle: {detail}; train the bundle again") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise InputRefused(
            "BUNDLE_FILE", f"{path.name} of the bundle cannot be read; train the bundle again"
        ) from error
    starts = [start.told for start in starts_of(path.parent)]
    cases = facts.training_cases or count_training_cases(path.parent)  # a table of cases is not in the recipe
    return facts.model_copy(update={"training_cases": cases, "starts": starts})


def facts_of(recipe: dict[str, Any]) -> ModelFacts:
    """Returns the facts of a resolved recipe, as `voxlate train` writes it into the bundle.

    Args:
        recipe: content of `recipe.yaml`.
    """
    training, data = recipe.get("training") or {}, recipe.get("data") or {}
    stages = recipe.get("stages") or []
    steps = sum(stage["steps"] for stage in stages) if stages else training.get("steps")
    batch = training.get("batch")
    facts = {
        "network": (recipe.get("model") or {}).get("name"),
        "more_sources": recipe.get("more_sources") or [],
        "loss": recipe.get("loss") or {},
        "preparation": recipe.get("preparation") or {},
        "is_adversarial": recipe.get("adversarial") is not None,
        "is_cycle": recipe.get("cycle") is not None,
        "steps": steps,
        "batch": None if batch is None else batch * training.get("accumulate", 1),
        "window": training.get("window") or [],
        "optimiser": training.get("optimiser") or "",
        "learning_rate": training.get("learning_rate"),
        "training_cases": len(data.get("train") or []),
        "validation_cases": len(data.get("validation") or []),
    }
    return ModelFacts.model_validate(facts)
