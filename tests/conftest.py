"""Fixtures that many tests share."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import head

from voxlate.volume import Volume


@pytest.fixture
def scan() -> Volume:
    return head(0)


@pytest.fixture
def oblique() -> Volume:
    """Returns a scan whose axes run left, posterior, superior, tilted by some 20 degrees."""
    tilt = np.deg2rad(20)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.1, -0.9, 1.2])
    affine[:3, 3] = (11, -7, 3)
    return head(1, affine=affine)
