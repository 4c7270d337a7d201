"""Lesions: labelled ones, candidates from difference images, and structures that the model invented."""

from voxlate.evaluation.lesions.describe import describe_lesions
from voxlate.evaluation.lesions.differences import find_structures
from voxlate.evaluation.lesions.labelled import enhancement, measure_lesions
from voxlate.evaluation.lesions.summary import summarize_lesions

__all__ = ["describe_lesions", "enhancement", "find_structures", "measure_lesions", "summarize_lesions"]
