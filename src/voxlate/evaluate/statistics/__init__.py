"""Statistics over patients: tests, intervals, effect sizes, agreement, and what printed figures allow."""

from voxlate.evaluate.statistics.adjustment import bonferroni, holm
from voxlate.evaluate.statistics.agreement import (
    BlandAltman,
    IntraclassCorrelation,
    bland_altman,
    concordance,
    icc,
)
from voxlate.evaluate.statistics.counts import clopper_pearson, mcnemar
from voxlate.evaluate.statistics.equivalence import MarginResult, non_inferiority, tost
from voxlate.evaluate.statistics.intervals import Interval, mean_interval
from voxlate.evaluate.statistics.mixed_model import MixedModel, fit_mixed_model
from voxlate.evaluate.statistics.paired import (
    TestResult,
    cohen_dz,
    paired_t,
    sign_flip,
    wilcoxon,
)
from voxlate.evaluate.statistics.published import (
    Summary,
    implied_correlation,
    independent_t,
    paired_t_bounds_from_summary,
    paired_t_from_summary,
)
from voxlate.evaluate.statistics.samples import MINIMUM_PATIENTS, by_patient

__all__ = [
    "MINIMUM_PATIENTS",
    "BlandAltman",
    "Interval",
    "IntraclassCorrelation",
    "MarginResult",
    "MixedModel",
    "Summary",
    "TestResult",
    "bland_altman",
    "bonferroni",
    "by_patient",
    "clopper_pearson",
    "cohen_dz",
    "concordance",
    "fit_mixed_model",
    "holm",
    "icc",
    "implied_correlation",
    "independent_t",
    "mcnemar",
    "mean_interval",
    "non_inferiority",
    "paired_t",
    "paired_t_bounds_from_summary",
    "paired_t_from_summary",
    "sign_flip",
    "tost",
    "wilcoxon",
]
