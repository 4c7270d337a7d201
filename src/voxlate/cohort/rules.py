"""The rules of a cohort in YAML: which scans are excluded and why, what makes a pair, how patients are split.

Rules without a target select single scans, to translate them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxlate.errors import NoInput, UsageError
from voxlate.io.settings import parse_settings, read_settings, validated

Value = str | int | float | bool

Unit = Literal["scan", "pair", "single"]
"""What a step of the selection counts: series, pairs, or the single scans of a cohort without targets."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Condition(_Strict):
    """One test of one column; exactly one of the tests must be given.

    A missing value fits `missing` only, so that a scan is not excluded for an unknown value unless a rule says so.

    Attributes:
        column: see `SeriesRow`.
        is_, is_not: allowed or forbidden values; `is` in YAML.
        below, above: limits of a number, not included.
        missing: true for missing values, false for all others.
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
        """Reads a single value as a list of one."""
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
            UsageError: `COLUMN` when the column does not exist, or when a number is compared with text.
        """
        if self.column not in row:
            raise UsageError(
                "COLUMN",
                f"a rule names the column {self.column}, which does not exist; columns are {', '.join(sorted(row))}",
            )
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
    """Returns one value or many as a list, with `yes` and `no` as text too, which YAML reads as booleans."""
    values = value if isinstance(value, list) else [value]
    return [*values, *("yes" if each else "no" for each in values if isinstance(each, bool))]


class Step(_Strict):
    """One step of the selection: scans or pairs that fit a condition of `drop` are excluded, with `reason`.

    Attributes:
        reason: one line for the flow chart and the table of exclusions.
        of: `scan` before pairs are made; `pair` after, with columns such as `source.tier` and `target.tier`.
        drop: conditions, any of which is enough.
        listed: path of a tab-separated table of excluded items made by a person, with a column `item`: series for
            `of: scan`; cases or patients, as `cases.tsv` names them, for `of: pair`.
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
            raise ValueError("a reason must be one line without tabs")
        return self


class Side(_Strict):
    """What makes a scan a source or a target: every condition must fit.

    A pair takes the best scan of a session.

    Attributes:
        shows: image contrast.
        when: conditions.
    """

    shows: Literal["T1w", "T1ce", "T2w", "FLAIR", "PDw", "T2*w", "angiography", "CT", "ADC"]
    when: tuple[Condition, ...]


class Further(Side):
    """A further source, the nearest in time to the source within the limits of `pair`; without it, of its session.

    Attributes:
        required: exclude pairs or single scans without it; otherwise it is missing in the table of cases.
    """

    required: bool = True


class Pairing(_Strict):
    """How far apart in time source and target may be: `session` for the same session, or a number of days."""

    within: Literal["session"] | Annotated[int, Field(ge=0)] = "session"


class Splits(_Strict):
    """How pairs or single scans are split into training, validation and test.

    Attributes:
        by: column of the source that defines the groups; a group goes to one split as a whole.
        strata: columns of the source; each split has about the same share of each of their values.
        test, validation: shares of all groups.
        seed: of the random order of groups.
        low: a patient with a pair of low quality goes to the test split, where these pairs form `Test_low`.
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
            raise ValueError("test and validation add up to 1 or more, which leaves nothing to train on")
        if self.low and self.by != "patient":
            raise ValueError("low: true would move whole groups to the test split; split by patient, or set low: false")
        return self


class Rules(_Strict):
    """All rules of a cohort.

    Attributes:
        name: of the data set.
        source: which scans are sources.
        target: which scans are targets. Without it the cohort holds single scans: every source.
        more: further sources, each of another contrast.
        pair: how far apart source and target may be. With a target the default below holds; without one it is refused.
        steps: exclusions, in order.
        splits: training, validation and test. With a target the defaults below hold; single scans are split only where
            this is given.
        best_of_session: keep only the best single scan of each session, not every one. Pairs always hold the best.
        drop_duplicates: exclude scans with the same image as another scan.
    """

    name: str
    source: Side
    target: Side | None = None
    more: tuple[Further, ...] = ()
    pair: Pairing | None = None
    steps: tuple[Step, ...] = ()
    splits: Splits | None = None
    best_of_session: bool = False
    drop_duplicates: bool = True

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_pairs(cls, content: Any) -> Any:
        """Gives rules with a target their default `pair` and `splits`."""
        if not isinstance(content, dict) or content.get("target") is None:
            return content
        defaults: dict[str, object] = {name: {} for name in ("pair", "splits") if content.get(name) is None}
        return content | defaults

    @model_validator(mode="after")
    def _two_contrasts(self) -> Rules:
        if self.target is not None and self.source.shows == self.target.shows:
            raise ValueError("source and target show the same contrast; a pair needs two")
        contrasts = [side.shows for _, side in self.sides]
        if len(set(contrasts)) < len(contrasts):
            raise ValueError("a further source shows a contrast that is there already; name each contrast once")
        return self

    @model_validator(mode="after")
    def _pairs_or_single_scans(self) -> Rules:
        if self.target is not None:
            if self.best_of_session:
                raise ValueError("best_of_session is for rules without a target; pairs hold the best scans: remove it")
            return self
        if self.pair is not None:
            raise ValueError("pair is given without a target; add the target, or remove pair to select single scans")
        for step in self.steps:
            if step.of == "pair":
                raise ValueError(
                    f"the step {step.reason!r} is `of: pair`, and there is no target; "
                    "write `of: scan`, or add the target"
                )
        return self

    @property
    def sides(self) -> tuple[tuple[str, Side], ...]:
        """Returns the source, the target if there is one, and the further sources, each with its name."""
        target = () if self.target is None else (("target", self.target),)
        return ("source", self.source), *target, *((side.shows, side) for side in self.more)

    @property
    def unit(self) -> Unit:
        """Returns what the cohort is a list of: `pair`, or `single` without a target."""
        return "single" if self.target is None else "pair"


def read_rules(path: Path) -> Rules:
    """Returns the rules in a YAML file; paths of tables are relative to its folder.

    Raises:
        NoInput: `NO_INPUT` when the file does not exist.
        UsageError: `RULES`, with the place of each fault in the file.
    """
    if not path.is_file():
        raise NoInput("NO_INPUT", f"the file of rules {path.name} does not exist")
    content = parse_settings(read_settings(path, code="RULES", what="table of rules"), code="RULES", name=path.name)
    rules = validated(content, Rules, code="RULES", name=path.name, whole="rules")
    steps = tuple(
        step if step.listed is None else step.model_copy(update={"listed": path.parent / step.listed})
        for step in rules.steps
    )
    return rules.model_copy(update={"steps": steps})


def with_exclusions(rules: Rules, tables: Sequence[Path]) -> Rules:
    """Returns the rules with a last step for each table of cases or patients that a person excludes.

    Args:
        rules: of pairs or of single scans.
        tables: as `Step.listed` for pairs.
    """
    steps = [Step(reason=f"listed in {table.name}", of="pair", listed=table) for table in tables]
    return rules.model_copy(update={"steps": (*rules.steps, *steps)})


def with_test_share(rules: Rules, share: float) -> Rules:
    """Returns the rules with another share of groups in the test split.

    Raises:
        UsageError: `RULES` when test and validation leave nothing to train on, or for rules without splits.
    """
    if rules.splits is None:
        raise UsageError("RULES", "--test: these rules do not split single scans; leave --test out, or add `splits`")
    content = rules.splits.model_dump() | {"test": share}
    return rules.model_copy(update={"splits": validated(content, Splits, code="RULES", name="--test", whole="splits")})
