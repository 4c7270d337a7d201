"""The rules of a cohort, written in YAML: who is left out and why, what makes a pair, how patients are split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxlate.errors import NoInput, UsageError
from voxlate.io.settings import parse_settings, read_settings, validated

Value = str | int | float | bool


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Condition(_Strict):
    """One test of one column; exactly one of the tests must be given.

    A value that is missing fits `missing` alone: what is not known leaves nobody out unless that is said.
    """

    column: str
    is_: Annotated[tuple[Value, ...] | None, Field(alias="is")] = None
    is_not: tuple[Value, ...] | None = None
    below: float | None = None
    above: float | None = None
    missing: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, content: Any) -> Any:
        """Takes one value for a list of one."""
        if not isinstance(content, dict):
            return content
        return {key: _several(value) if key in ("is", "is_not") else value for key, value in content.items()}

    @model_validator(mode="after")
    def _one_test(self) -> Condition:
        tests = (self.is_, self.is_not, self.below, self.above, self.missing)
        if sum(test is not None for test in tests) != 1:
            raise ValueError("give exactly one of is, is_not, below, above, missing")
        return self

    def fits(self, row: Mapping[str, object]) -> bool:
        """Returns whether a row fits.

        Args:
            row: values by column: a `SeriesRow`, or the columns of a `Pair`.

        Raises:
            UsageError: `COLUMN` when there is no such column, or when a number is compared with text.
        """
        if self.column not in row:
            raise UsageError("COLUMN", f"a rule names the column {self.column}; there are {', '.join(sorted(row))}")
        value = row[self.column]
        if self.missing is not None:
            return (value is None) == self.missing
        if value is None:
            return False
        if self.below is not None or self.above is not None:
            if not isinstance(value, int | float):
                raise UsageError("COLUMN", f"{self.column} holds text; below and above compare numbers")
            return float(value) < self.below if self.below is not None else float(value) > (self.above or 0.0)
        return value in self.is_ if self.is_ is not None else value not in (self.is_not or ())


def _several(value: Any) -> list[Any]:
    """Returns one value or many as a list; yes and no, which YAML takes for truth values, as the words too."""
    values = value if isinstance(value, list) else [value]
    return [*values, *("yes" if each else "no" for each in values if isinstance(each, bool))]


class Step(_Strict):
    """One step of the selection: what fits any of `drop` is left out, for `reason`.

    Attributes:
        reason: written into the flow chart and beside each exclusion.
        of: `scan` before pairs are made; `pair` after, with columns `source.…` and `target.…`.
        drop: conditions, any of which is enough.
        listed: a table with columns `item` and optionally `reason`, made by a person, such as of large lesions.
    """

    reason: str
    of: Literal["scan", "pair"] = "scan"
    drop: tuple[Condition, ...] = ()
    listed: Path | None = None

    @model_validator(mode="after")
    def _some(self) -> Step:
        if not self.drop and self.listed is None:
            raise ValueError("give drop or listed")
        if not self.reason.isprintable():
            raise ValueError("a reason is one line without tabs")
        return self


class Side(_Strict):
    """What makes a scan a source or a target: every condition must fit; of several in a session the best is taken."""

    shows: Literal["T1w", "T1ce", "T2w", "FLAIR", "PDw", "T2*w", "angiography", "CT"]
    when: tuple[Condition, ...]


class Pairing(_Strict):
    """How far apart source and target may be: the same session, or so many days."""

    within: Literal["session"] | Annotated[int, Field(ge=0)] = "session"


class Splits(_Strict):
    """How groups are split.

    Attributes:
        by: `patient`, or another column of the index such as `model`: a whole scanner goes to one split.
        strata: columns of the source whose values each split should hold in the same shares.
        test, validation: shares.
        seed: of the order.
        low: pairs whose source or target is of low quality go to the test alone, as `Test_low`.
    """

    by: str = "patient"
    strata: tuple[str, ...] = ()
    test: Annotated[float, Field(ge=0, lt=1)] = 0.1
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.1
    seed: int = 0
    low: bool = True

    @model_validator(mode="after")
    def _possible(self) -> Splits:
        if self.test + self.validation >= 1:
            raise ValueError("test and validation leave nothing to train on")
        if self.low and self.by != "patient":
            raise ValueError("low: true would send whole groups to the test; split by patient or set low: false")
        return self


class Rules(_Strict):
    """A cohort.

    Attributes:
        name: of the data set.
        source, target: what a pair is made of.
        steps: in order.
        drop_duplicates: leave out what holds the same picture as another scan.
    """

    name: str
    source: Side
    target: Side
    pair: Pairing = Pairing()
    steps: tuple[Step, ...] = ()
    splits: Splits = Splits()
    drop_duplicates: bool = True

    @model_validator(mode="after")
    def _two_contrasts(self) -> Rules:
        if self.source.shows == self.target.shows:
            raise ValueError("source and target show the same; a pair needs two names")
        return self


def read_rules(path: Path) -> Rules:
    """Returns the rules in a YAML file; tables that it names are relative to its folder.

    Raises:
        NoInput: there is no such file.
        UsageError: `RULES`, with the place of each fault.
    """
    if not path.is_file():
        raise NoInput("NO_INPUT", f"{path.name}: there are no such rules")
    content = parse_settings(read_settings(path, code="RULES", what="table of rules"), code="RULES", name=path.name)
    rules = validated(content, Rules, code="RULES", name=path.name, whole="rules")
    steps = tuple(
        step if step.listed is None else step.model_copy(update={"listed": path.parent / step.listed})
        for step in rules.steps
    )
    return rules.model_copy(update={"steps": steps})
