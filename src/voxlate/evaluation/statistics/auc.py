"""The area under the ROC curve (AUC): how often a synthetic image has a higher rating than a real one; ties count ½.

Any two classes will do: a case that belongs to one class only is NaN in the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxlate.evaluation.statistics.samples import Values


def auc_influences(real: Values, synthetic: Values) -> tuple[Values, Values]:
    """Returns each reader's AUC, (readers,), and the influence of each case on it, (readers, cases).

    The influence of a case is the sum of the influences of its real and its synthetic image, from the placement values
    of DeLong 1988; the case is the cluster (Obuchowski 1997). Without ratings of both real and synthetic images the
    AUC of a reader is NaN and the influences are 0.

    Args:
        real: (readers, cases) ratings of real images, NaN where not read.
        synthetic: (readers, cases) ratings of the synthetic images of the same cases.

    Example:
        >>> import numpy as np
        >>> aucs, influences = auc_influences(np.array([[1.0, 2.0, 2.0]]), np.array([[2.0, 5.0, 6.0]]))
        >>> aucs.round(2).tolist(), influences.round(2).tolist()
        ([0.89], [[-0.04, 0.02, 0.02]])
    """
    has_real, has_synthetic = np.isfinite(real), np.isfinite(synthetic)
    wins = _wins(real, synthetic)
    n_real, n_synthetic = has_real.sum(axis=1)[:, None], has_synthetic.sum(axis=1)[:, None]
    is_defined = (n_real > 0) & (n_synthetic > 0)
    # Avoids a division by 0 where a class is missing; the result is replaced below.
    n_real, n_synthetic = np.maximum(n_real, 1), np.maximum(n_synthetic, 1)
    placed_synthetic = wins.sum(axis=1) / n_real
    placed_real = wins.sum(axis=2) / n_synthetic
    auc = placed_synthetic.sum(axis=1, keepdims=True) / n_synthetic
    influences = np.where(has_synthetic, placed_synthetic - auc, 0) / n_synthetic
    influences += np.where(has_real, placed_real - auc, 0) / n_real
    return np.where(is_defined, auc, np.nan)[:, 0], np.where(is_defined, influences, 0.0)


def roc_points(real: Values, synthetic: Values, levels: int) -> NDArray[np.float64]:
    """Returns the ROC curve of one reader as (levels + 1, 2) false and true positive rates, from (0, 0) to (1, 1).

    Args:
        real: (cases,) ratings of real images from 1 to `levels`, NaN where not read.
        synthetic: (cases,) ratings of synthetic images, the positive class.
        levels: of the scale.

    Returns:
        The points; an array of shape (0, 2) when a class has no rating.
    """
    real, synthetic = real[np.isfinite(real)], synthetic[np.isfinite(synthetic)]
    if not (real.size and synthetic.size):
        return np.empty((0, 2))
    cuts = np.arange(levels + 1, 0, -1)
    return np.array([[(real >= cut).mean(), (synthetic >= cut).mean()] for cut in cuts])


def _wins(real: Values, synthetic: Values) -> Values:
    """Returns (readers, real, synthetic): 1 where the synthetic image has the higher rating, ½ for a tie, else 0."""
    difference = synthetic[:, None, :] - real[:, :, None]
    return np.where(np.isfinite(difference), 0.5 * (np.sign(difference) + 1), 0.0)
