"""Preprocessing of one case at a time; each step has an inverse. Training and inference use the same code."""

from voxlate.preparation.preprocessing import Preparation, PreparationSettings, fit_preparation

__all__ = ["Preparation", "PreparationSettings", "fit_preparation"]
