"""The area under the ROC curve: how often a synthetic image is rated more synthetic than a real one; ties half."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxlate.readers.analysis.records import Values


def auc_influences(real: Values, synthetic: Values) -> tuple[Values, Values]:
    """Returns each reader's AUC and the influence of each case on it.

    The influence of a case is that of its real plus that of its synthetic image (Obuchowski 1997, the case as the
    cluster), as in DeLong's placement values.

    Args:
        real: (readers, cases) ratings of real images, NaN where not read.
        synthetic: the same cases' synthetic images.
    """
    has_real, has_synthetic = np.isfinite(real), np.isfinite(synthetic)
    wins = _wins(real, synthetic)
    n_real = np.maximum(has_real.sum(axis=1), 1)[:, None]
    n_synthetic = np.maximum(has_synthetic.sum(axis=1), 1)[:, None]
    placed_synthetic = wins.sum(axis=1) / n_real
    placed_real = wins.sum(axis=2) / n_synthetic
    auc = placed_synthetic.sum(axis=1, keepdims=True) / n_synthetic
    moved = np.where(has_synthetic, placed_synthetic - auc, 0) / n_synthetic
    moved += np.where(has_real, placed_real - auc, 0) / n_real
    return auc[:, 0], moved


def roc_points(real: Values, synthetic: Values, levels: int) -> NDArray[np.float64]:
    """Returns (levels + 1, 2) false and true positive rates, from (0, 0) to (1, 1)."""
    real, synthetic = real[np.isfinite(real)], synthetic[np.isfinite(synthetic)]
    cuts = np.arange(levels + 1, 0, -1)
    return np.array([[(real >= cut).mean(), (synthetic >= cut).mean()] for cut in cuts])


def _wins(real: Values, synthetic: Values) -> Values:
    """Returns (readers, real, synthetic): 1 where the synthetic image has the higher rating, ½ for a tie, else 0."""
    difference = synthetic[:, None, :] - real[:, :, None]
    return np.where(np.isfinite(difference), 0.5 * (np.sign(difference) + 1), 0.0)
