"""The example by which a figure shows the contextual loss: two small sets of features, matched by the loss itself."""

from __future__ import annotations

import torch

from voxlate.bundle.recipe import Recipe
from voxlate.errors import UsageError
from voxlate.losses.contextual import match_features
from voxlate.reporting.figures.contextual_loss import MatchedFeatures

_SYNTHETIC = ((2.8, 0.8), (2.0, 1.6), (-1.0, 2.6), (-1.4, 2.8), (-1.8, -2.4))
_TARGET = ((3.0, 0.2), (2.6, 1.2), (-0.6, 2.8), (-1.8, 2.2), (-2.4, -2.0), (1.6, -2.6))
"""Chosen by hand so that each case occurs: two features with one best match, a match shared by two, and a feature of
the target (the last) that no synthetic one resembles."""


def example_of(recipe: Recipe) -> MatchedFeatures:
    """Returns the example, matched with the bandwidth of a recipe.

    Raises:
        UsageError: `EXPERIMENT` when the recipe has no contextual loss.
    """
    if "contextual" not in recipe.loss:
        raise UsageError("EXPERIMENT", f"the recipe {recipe.name} has no contextual loss; name a system that has it")
    synthetic, target = torch.tensor(_SYNTHETIC), torch.tensor(_TARGET)
    matching = match_features(synthetic.T, target.T, recipe.features.bandwidth)
    return MatchedFeatures(
        synthetic=synthetic.numpy(),
        target=target.numpy(),
        distance=matching.distance.numpy(),
        relative=matching.relative.numpy(),
        weight=matching.weight.numpy(),
        loss=matching.loss.item(),
        bandwidth=recipe.features.bandwidth,
    )
