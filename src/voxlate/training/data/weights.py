"""Weights of the voxels of a window in the loss: more for changed voxels and lesions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from voxlate.bundle.contrast import CHANGED
from voxlate.bundle.settings import TrainingSettings
from voxlate.training.data.augment import Pair
from voxlate.volume import Array, Mask


def weighted(pair: Pair, settings: TrainingSettings, lesions: Array | Mask | None) -> Pair:
    """Returns a window with weights; see `TrainingSettings.changed_weight` and `lesion_weight`.

    Args:
        pair: a window whose weight is 1 where the loss counts and 0 elsewhere.
        settings: of the training.
        lesions: above 0 in lesions, of the window's shape; None without labels.
    """
    inside = weight = pair.weight
    if settings.changed_weight > 1:  # the difference is zero outside
        weight = np.where(np.abs(pair.difference()) > CHANGED, np.float32(settings.changed_weight), inside)
    if settings.lesion_weight > 1 and lesions is not None:
        weight = np.where((lesions > 0) & (inside > 0), np.float32(settings.lesion_weight), weight)
    return replace(pair, weight=weight)
