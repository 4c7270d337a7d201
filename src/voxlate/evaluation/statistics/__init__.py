"""Statistics over patients: tests, confidence intervals, effect sizes and agreement."""

from voxlate.evaluation.statistics.adjustment import bonferroni, holm
from voxlate.evaluation.statistics.agreement import (
    BlandAltman,
    IntraclassCorrelation,
    bland_altman,
    concordance,
    icc,
)
from voxlate.evaluation.statistics.counts import clopper_pearson, mcnemar
from voxlate.evaluation.statistics.equivalence import MarginResult, non_inferiority, tost
from voxlate.evaluation.statistics.independent import Summary, independent_t, independent_t_of_groups
from voxlate.evaluation.statistics.intervals import Interval, mean_interval
from voxlate.evaluation.statistics.mixed_model import MixedModel, fit_mixed_model
from voxlate.evaluation.statistics.paired import (
    TestResult,
    cohen_dz,
    least_p,
    paired_t,
    sign_flip,
    wilcoxon,
)
from voxlate.evaluation.statistics.samples import MINIMUM_PATIENTS, by_patient

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
    "independent_t",
    "independent_t_of_groups",
    "least_p",
    "mcnemar",
    "mean_interval",
    "non_inferiority",
    "paired_t",
    "sign_flip",
    "tost",
    "wilcoxon",
]
