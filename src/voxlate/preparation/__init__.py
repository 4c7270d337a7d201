"""Preparation of one case at a time, each step with its inverse; the same code at training and at inference."""

from voxlate.preparation.preprocessing import Preparation, PreparationSettings, fit_preparation

__all__ = ["Preparation", "PreparationSettings", "fit_preparation"]
