"""What became of lesions: those with labels, those that differences suggest, and those that a model invented."""

from voxlate.evaluate.lesions.describe import describe_lesions
from voxlate.evaluate.lesions.differences import find_structures
from voxlate.evaluate.lesions.labelled import enhancement, measure_lesions
from voxlate.evaluate.lesions.summary import summarize_lesions

__all__ = ["describe_lesions", "enhancement", "find_structures", "measure_lesions", "summarize_lesions"]
