"""Options of an evaluation; a case is computed again when one that affects its scores changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from voxlate.errors import UsageError
from voxlate.evaluation.protocols import PROTOCOLS
from voxlate.evaluation.schema.results import RELATIVE, DataKind
from voxlate.evaluation.similarity.arrays import require_range
from voxlate.evaluation.tissues import MORE_SEGMENTERS


@dataclass(frozen=True)
class Baselines:
    """Which baselines a run scores beside the synthetic images; a comparison of systems scores them once.

    Attributes:
        cases: names of the cases whose baselines are scored; None for all.
        bundle: whose training cases the histogram match and the constant were fitted on; None for that of the run.
        bundles: bundles of single cases in its place; in a cross-validation that of the fold that never saw the case.
    """

    cases: frozenset[str] | None = None
    bundle: Path | None = None
    bundles: Mapping[str, Path] = field(default_factory=dict, hash=False)

    def of(self, case: str) -> bool:
        """Returns whether the baselines of a case are scored."""
        return self.cases is None or case in self.cases


@dataclass(frozen=True)
class Settings:
    """Options of one run.

    Attributes:
        protocols: names from `PROTOCOLS`, in the order of the tables.
        unit: `relative` for magnetic resonance images, which are divided by their reference levels; any other
            word (`HU`, `mm2/s`) for calibrated images, whose values are compared unchanged.
        data_range: L of calibrated images, in `unit`; None for relative ones, whose L comes from the target.
        enhancing_labels: values of the enhancing part in the label files (BraTS: 4, later 3); empty when lesions have
            no parts.
        data_kind: whether the images are of people or simulated; printed with every result.
        is_resampled: whether images on another grid are resampled to the target's and not refused.
        is_segmented: whether tissues are segmented in every image and their volumes compared.
        more_segmenters: names from `voxlate.evaluation.tissues.MORE_SEGMENTERS`, in addition to the two that need
            nothing.
        baselines: of which cases the baselines are scored.
        factors: table of the subgroups, or the folder of a simulation's truth; see `voxlate.evaluation.subgroups`.
    """

    protocols: tuple[str, ...] = ("voxlate",)
    unit: str = RELATIVE
    data_range: float | None = None
    enhancing_labels: tuple[int, ...] = ()
    data_kind: DataKind = "unknown"
    is_resampled: bool = False
    is_segmented: bool = False
    more_segmenters: tuple[str, ...] = ()
    baselines: Baselines = Baselines()
    factors: Path | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.protocols if name not in PROTOCOLS]
        if unknown or not self.protocols:
            raise UsageError(
                "PROTOCOL", f"no protocol {', '.join(unknown) or 'given'}; choose from {', '.join(PROTOCOLS)}"
            )
        if (self.unit == RELATIVE) != (self.data_range is None):
            raise UsageError("DATA_RANGE", f"images in {self.unit} need {'no' if self.unit == RELATIVE else 'a'} range")
        for name in self.more_segmenters:
            if name not in MORE_SEGMENTERS:
                raise UsageError("SEGMENT", f"no segmenter {name!r}; choose from {', '.join(MORE_SEGMENTERS)}")
        if self.more_segmenters and not self.is_segmented:
            raise UsageError("SEGMENT", "a segmenter was named without --segment; pass --segment too")
        if self.is_segmented and self.unit != RELATIVE:
            raise UsageError("SEGMENT", f"tissues are segmented in T1-weighted images only, not in {self.unit}")
        if self.data_range is not None:
            require_range(self.data_range)
        for name in self.protocols:
            needed = PROTOCOLS[name].unit
            if needed is not None and needed != self.unit:
                raise UsageError("PROTOCOL", f"protocol {name} is defined for {needed} only; pass --unit {needed}")

    @property
    def is_relative(self) -> bool:
        """Returns whether images are divided by their reference levels."""
        return self.unit == RELATIVE

    def to_json(self) -> dict[str, Any]:
        """Returns the options that affect the scores of a case as plain values; subgroups do not affect them.

        The baselines of a case are not among them: see `Baselines.of`.
        """
        return {key: value for key, value in asdict(self).items() if key not in ("factors", "baselines")}
