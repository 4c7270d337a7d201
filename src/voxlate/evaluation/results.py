"""An evaluation folder as it stands on disk: `evaluation.json` and `scores.tsv`, read and checked."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxlate.errors import InputRefused, NoInput
from voxlate.io.documents import MAX_TABLE_BYTES, read_json

EVALUATION = "evaluation.json"
SCORES = "scores.tsv"
RELATIVE = "relative"

_SCORE_COLUMNS = ("case", "patient", "method", "region", "metric", "value", "unit", "protocol", "intensity")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Protocol(_Record):
    """A named set of definitions."""

    name: str
    definition: str | dict[str, Any]


class Direction(_Record):
    """What was translated into what."""

    source: str = "source"
    target: str = "target"


class Paths(_Record):
    """Where the images of a case are, relative to the evaluation folder."""

    source: str
    target: str
    synthetic: str
    mask: str | None = None
    labels: str | None = None


class Levels(_Record):
    """The reference level of each image: its value divided by this is in relative units."""

    source: float = Field(gt=0)
    target: float = Field(gt=0)
    synthetic: float = Field(gt=0)


class Case(_Record):
    """One evaluated pair.

    Attributes:
        display_range: lowest and highest relative value shown, the same for all images of the case.
        subgroups: what group the case belongs to, for example `{"scanner": "A"}`; may be empty.
    """

    case: str
    patient: str
    paths: Paths
    reference_level: Levels
    display_range: tuple[float, float]
    subgroups: dict[str, str] = Field(default_factory=dict)


class SummaryRow(_Record):
    """One metric of one method over the patients; low and high are the 95 % interval of the mean."""

    protocol: str
    intensity: str
    region: str
    method: str
    metric: str
    unit: str
    n: int
    mean: float | None
    sd: float | None
    median: float | None
    low: float | None
    high: float | None
    interval: str = ""


class Comparison(_Record):
    """Two methods compared on one metric, pairwise over patients; the difference is first minus second."""

    protocol: str
    intensity: str
    region: str
    metric: str
    first: str
    second: str
    n: int
    mean_difference: float | None
    ci_low: float | None
    ci_high: float | None
    interval: str = ""
    p_t: float | None
    p_wilcoxon: float | None
    p_permutation: float | None
    p_adjusted: float | None
    comparisons: int
    family: Literal["primary", "exploratory"] = "exploratory"
    effect_size: float | None
    note: str | None = None


class Missing(_Record):
    """A case that was listed but had no synthetic image or no target."""

    case: str
    reason: str


class LeftOut(_Record):
    """A figure that a case's images do not allow, for example MS-SSIM of few slices."""

    case: str
    protocol: str
    region: str
    metric: str
    reason: str
    methods: str


class Oracle(_Record):
    """The synthetic images beside the least error that simulated targets allow; RMSE in % of L, over `cases`."""

    cases: int
    oracle_rmse_percent: float
    synthetic_rmse_percent: float
    is_below: bool


class Primary(_Record):
    """Which tests were chosen beforehand."""

    protocol: str
    intensity: str
    region: str
    metrics: list[str]


class Refused(_Record):
    """A case whose images were unfit."""

    case: str
    code: str
    message: str


class Loss(_Record):
    """A loss at a step of training."""

    step: int
    loss: float | None


class History(_Record):
    """The loss curves of the training."""

    training: list[Loss] = Field(default_factory=list)
    validation: list[Loss] = Field(default_factory=list)


class NetworkPictures(_Record):
    """Filters and feature maps of a network, each a list of square arrays."""

    case: str
    filters: list[list[list[float]]]
    maps: list[list[list[float]]]
    channels: int


class Evaluation(_Record):
    """The whole of `evaluation.json`.

    Attributes:
        unit: of the images: `relative` where each is divided by its reference level, else `HU` or another unit.
    """

    voxlate_version: str
    protocols: list[Protocol] = Field(min_length=1)
    data_kind: Literal["real", "simulated", "unknown"]
    unit: str = RELATIVE
    direction: Direction
    methods: list[str]
    cases: list[Case]
    summary: list[SummaryRow]
    comparisons: list[Comparison]
    lesions: list[dict[str, Any]]
    volumes: list[dict[str, Any]]
    missing: list[Missing]
    refused: list[Refused]
    left_out: list[LeftOut] = Field(default_factory=list)
    primary: Primary | None = None
    oracle: Oracle | None = None
    history: History | None
    network_pictures: NetworkPictures | None = None

    @property
    def unit_shown(self) -> str:
        """Returns the unit of a display window, for a reader."""
        return "relative units (value / reference level)" if self.unit == RELATIVE else self.unit


@dataclass(frozen=True)
class Score:
    """One row of `scores.tsv`; the value is NaN where none could be computed."""

    case: str
    patient: str
    method: str
    region: str
    metric: str
    value: float
    unit: str
    protocol: str
    intensity: str


@dataclass(frozen=True)
class Evaluated:
    """What a report is made of.

    Attributes:
        folder: the evaluation folder; never shown.
        evaluation: the checked content of `evaluation.json`.
        scores: the rows of `scores.tsv`, in order.
    """

    folder: Path
    evaluation: Evaluation
    scores: tuple[Score, ...]


def read_evaluation(folder: Path) -> Evaluated:
    """Reads both files of an evaluation folder.

    Raises:
        NoInput: `EVALUATION_MISSING` when one of the files is not there.
        InputRefused: `EVALUATION_INVALID` when a key is missing or a value is of the wrong kind, with its place.
    """
    for name in (EVALUATION, SCORES):
        if not (folder / name).is_file():
            raise NoInput(
                "EVALUATION_MISSING", f"no {name} in {folder.name or 'this folder'}; run voxlate evaluate first"
            )
    return Evaluated(folder, _read_json(folder / EVALUATION), _read_scores(folder / SCORES))


def _read_json(path: Path) -> Evaluation:
    try:
        return Evaluation.model_validate(read_json(path, max_bytes=MAX_TABLE_BYTES))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the top"
        detail = f"{first['msg']} at {place} ({error.error_count()} in all)"
    except ValueError as error:
        detail = f"not JSON: {error}"
    raise InputRefused("EVALUATION_INVALID", f"{path.name}: {detail}; run voxlate evaluate again")


def _read_scores(path: Path) -> tuple[Score, ...]:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\")
        absent = [column for column in _SCORE_COLUMNS if column not in (rows.fieldnames or ())]
        if absent:
            raise InputRefused(
                "EVALUATION_INVALID", f"{path.name} lacks {', '.join(absent)}; run voxlate evaluate again"
            )
        return tuple(_score(row, path.name, line) for line, row in enumerate(rows, start=2))


def _score(row: dict[str, str], name: str, line: int) -> Score:
    try:
        value = float(row["value"]) if row["value"] not in {"", "n/a"} else math.nan
        return Score(**{column: row[column] for column in _SCORE_COLUMNS if column != "value"}, value=value)
    except (TypeError, ValueError) as error:
        detail = f"{name}, line {line}: the value is not a number or a column is missing"
        raise InputRefused("EVALUATION_INVALID", f"{detail}; run voxlate evaluate again") from error
