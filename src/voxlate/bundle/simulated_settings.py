"""The settings of windows of simulated heads in a recipe."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from voxlate.bundle.settings import Frozen

Tier = Literal["good", "medium", "low"]
SimulatedContrast = Literal["T1w", "T1ce", "T2w", "FLAIR", "b0", "CT"]


def _all_good() -> dict[Tier, float]:
    return {"good": 1.0}


class SimulatedSettings(Frozen):
    """Windows of simulated heads, computed while the training runs, in place of some windows of the training cases.

    Attributes:
        heads: folder of tissue maps (`voxlate simulate FOLDER --tissue-maps`), relative to the data folder.
        source, target: simulated contrasts of the recipe's first source and of its target.
        more: simulated contrast of each additional source by its name in the recipe; by default the contrast of that
            name.
        share: of the windows; the others are cut from the training cases.
        paint: probability that a window cut from a case becomes a semi-synthetic pair: its target, and the same with
            simulated enhancement in place of its source. Needs T1ce to T1w.
        same_acquisition: whether T1ce and T1w of a window differ by the contrast agent alone.
        other_scanner: probability that the target is of another scanner than the sources, with its own field strength
            and sequence: what a network can only learn with `reference`.
        quality_mix: tier (good, medium, low) to its probability.
    """

    heads: str
    source: SimulatedContrast
    target: SimulatedContrast
    more: dict[str, SimulatedContrast] = Field(default_factory=dict)
    share: float = Field(default=1.0, ge=0, le=1)
    paint: float = Field(default=0.0, ge=0, le=1)
    same_acquisition: bool = True
    other_scanner: float = Field(default=0.0, ge=0, le=1)
    quality_mix: dict[Tier, float] = Field(default_factory=_all_good)

    @model_validator(mode="after")
    def _is_used(self) -> SimulatedSettings:
        if self.paint and (self.source, self.target) != ("T1ce", "T1w"):
            raise ValueError("`paint` adds enhancement to a T1w: it needs `source: T1ce` and `target: T1w`")
        if self.paint and self.share == 1:
            raise ValueError("`paint` changes windows of the cases: it needs a `share` below 1")
        if not self.paint and not self.share:
            raise ValueError("with `share: 0` and without `paint` the heads are not used: leave out `simulated`")
        return self

    @model_validator(mode="after")
    def _mix_is_positive(self) -> SimulatedSettings:
        if min(self.quality_mix.values(), default=0) < 0 or not sum(self.quality_mix.values()) > 0:
            raise ValueError("`quality_mix` needs numbers of zero or more, and at least one above zero")
        return self
