"""Schema of an evaluation folder: `evaluation.json` and the rows of `scores.tsv`, for writing and for reading.

`voxlate.evaluation.run` writes both files from these classes; reports and cards read them back. The order of the fields
is the order of the keys and columns on disk. Rows of lesions and volumes are described in `rows.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.schema.files import Kind, read_document, read_folder
from voxlate.evaluation.schema.model_facts import ModelFacts
from voxlate.evaluation.schema.rows import AnyLesionRow, AnyVolumeRow

EVALUATION = "evaluation.json"
_KIND = Kind(EVALUATION, "EVALUATION", "voxlate evaluate")

DataKind = Literal["real", "simulated", "unknown"]
"""Whether the images are of people or simulated."""

RELATIVE = "relative"
"""Unit of images that are divided by their reference levels."""


def _finite_or_none(value: Any) -> Any:
    """Returns None for NaN and infinity, which JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Finite = Annotated[float | None, BeforeValidator(_finite_or_none)]


class _AnyObject:
    """Accepts a row that is any JSON object and keeps it unchanged, so that rows of other versions can be read."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.dict_schema(core_schema.str_schema())


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class _BundleDocument(_Record):
    """A JSON file of the bundle, repeated in `evaluation.json`: unknown keys and the order of keys are kept."""

    _document: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep(cls, value: Any, handler: ModelWrapValidatorHandler[_BundleDocument]) -> _BundleDocument:
        record = handler(value)
        if isinstance(value, dict):
            record._document = value
        return record

    @model_serializer
    def _unchanged(self) -> dict[str, Any]:
        return self._document


class ProtocolDefinition(_Record):
    """Name of a protocol and its definition, so that no value is printed without what it means."""

    name: str
    definition: str | dict[str, Any]


class Direction(_Record):
    """Names of the contrasts that were translated, for example `T1ce` and `T1nce`."""

    source: str = "source"
    target: str = "target"


class Paths(_Record):
    """Paths of the images of a case, relative to the evaluation folder."""

    source: str
    target: str
    synthetic: str
    mask: str | None = None
    labels: str | None = None


class Levels(_Record):
    """Reference level of each image of a case: its values divided by this are in the unit of comparison.

    All are 1 for calibrated images.
    """

    source: float = Field(gt=0)
    target: float = Field(gt=0)
    synthetic: float = Field(gt=0)


class EvaluatedCase(_Record):
    """A case that has scores.

    Attributes:
        display_range: lowest and highest value shown, in the unit of comparison, the same for all images of the case.
        subgroups: factor to group of the case, for example `{"scanner": "A"}`; may be empty.
        unusual_score: out-of-distribution score of a source that the model's check flagged (`INPUT_UNUSUAL`); None for
            any other.
    """

    case: str
    patient: str
    paths: Paths
    reference_level: Levels
    display_range: tuple[float, float]
    subgroups: dict[str, str] = Field(default_factory=dict)
    unusual_score: float | None = None


class SummaryRow(_Record):
    """One metric of one method over the patients; infinite and missing values are left out.

    Attributes:
        n: patients with a finite value.
        sd: standard deviation between patients; None for a single patient.
        low: lower end of the 95 % interval of the mean; None below three patients, as `high`.
        interval: how the interval was computed (`voxlate.evaluation.statistics.intervals`); empty without one.
        mean_distance: mean over patients of the distance from the best value, for a metric with worse values on both
            sides of it (bias, residual enhancement): patients at +100 and -100 have the mean 0 and the distance 100.
            None for other metrics.
    """

    protocol: str
    intensity: str
    region: str
    method: str
    metric: str
    unit: str
    n: int
    mean: Finite
    sd: Finite
    median: Finite
    low: Finite
    high: Finite
    interval: str = ""
    mean_distance: Finite = None

    @property
    def loss(self) -> float:
        """Returns the mean such that lower is better; NaN without one, and where the better direction is unknown."""
        if self.mean_distance is not None:
            return self.mean_distance
        return math.nan if self.mean is None else metric_of(self.metric).loss(self.mean)


class Comparison(_Record):
    """Two methods compared on the scans that both have, averaged to patients; differences are first − second.

    Attributes:
        mean_difference: over patients, in the unit of the metric.
        ci_low: lower end of the 95 % interval of the mean difference.
        interval: how the interval was computed (`voxlate.evaluation.statistics.intervals`); empty without one.
        p_adjusted: `p_permutation` after Holm's adjustment over the `comparisons` of its family.
        family: `primary` (the one family of the run: MAE, PSNR and SSIM in the mask, by the first protocol, as
            written) or `exploratory` (all others; see `voxlate.evaluation.schema.table.ScoreTable.compare`).
        effect_size: mean difference divided by the standard deviation of the differences (Cohen's d_z).
        note: why no test was run, or a remark on the test; empty otherwise.
    """

    protocol: str
    intensity: str
    region: str
    metric: str
    first: str
    second: str
    n: int
    mean_difference: Finite
    ci_low: Finite
    ci_high: Finite
    interval: str = ""
    p_t: Finite
    p_wilcoxon: Finite
    p_permutation: Finite
    p_adjusted: Finite
    comparisons: int
    family: Literal["primary", "exploratory"] = "exploratory"
    effect_size: Finite
    note: str | None = ""


class Primary(_Record):
    """The tests that were chosen before the data were seen."""

    protocol: str
    intensity: str
    region: str
    metrics: list[str]


class Oracle(_Record):
    """RMSE of the synthetic images and the lowest possible RMSE of simulated targets, in % of L, over `cases`."""

    cases: int
    oracle_rmse_percent: float
    synthetic_rmse_percent: float
    is_below: bool


class LeftOut(_Record):
    """A metric that the images of a case do not allow, for example MS-SSIM of few slices; `methods` are joined."""

    case: str
    protocol: str
    region: str
    metric: str
    reason: str
    methods: str


class Missing(_Record):
    """A case without a synthetic image, a source or a target."""

    case: str
    reason: str


class Refused(_Record):
    """A case whose images cannot be evaluated."""

    case: str
    code: str
    message: str


class Loss(_Record):
    """Loss at one step of training."""

    step: int
    loss: float | None


class History(_BundleDocument):
    """Loss curves of the training."""

    training: list[Loss] = Field(default_factory=list)
    validation: list[Loss] = Field(default_factory=list)


class NetworkPictures(_BundleDocument):
    """Filters and feature maps of a network, each (count, height, width); `channels` is the number of deepest maps."""

    case: str
    filters: list[list[list[float]]]
    maps: list[list[list[float]]]
    channels: int
    penultimate: list[list[list[float]]] | None = None
    output: list[list[list[float]]] | None = None


class Evaluation(_Record):
    """Content of `evaluation.json`; every case is in `cases`, `missing` or `refused`.

    Attributes:
        unit: of the compared images: `relative` where each is divided by its reference level, else `HU` or another.
    """

    voxlate_version: str
    protocols: list[ProtocolDefinition] = Field(min_length=1)
    data_kind: DataKind
    unit: str = RELATIVE
    direction: Direction
    methods: list[str]
    cases: list[EvaluatedCase]
    summary: list[SummaryRow]
    comparisons: list[Comparison]
    primary: Primary | None = None
    oracle: Oracle | None = None
    lesions: list[Annotated[AnyLesionRow, _AnyObject()]]
    volumes: list[Annotated[AnyVolumeRow, _AnyObject()]]
    left_out: list[LeftOut] = Field(default_factory=list)
    missing: list[Missing]
    refused: list[Refused]
    history: History | None
    network_pictures: NetworkPictures | None = None
    model: ModelFacts | None = None

    @property
    def unit_shown(self) -> str:
        """Returns the unit of a display window, for a reader."""
        return "relative units (value / reference level)" if self.unit == RELATIVE else self.unit

    @property
    def kind_shown(self) -> str:
        """Returns `real ` or `simulated `, to be written before a noun; empty where the kind is not known."""
        return {"real": "real ", "simulated": "simulated ", "unknown": ""}[self.data_kind]

    @property
    def n_patients(self) -> int:
        """Returns the number of patients with an evaluated case."""
        return len({case.patient for case in self.cases})

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, keys in the order of the file."""
        return self.model_dump(mode="json")


class ScoreRow(NamedTuple):
    """One line of `scores.tsv`; the value may be infinite, or NaN where it is not defined."""

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
    """An evaluation folder that was read.

    Attributes:
        folder: path of the folder; reports never show it.
        evaluation: content of `evaluation.json`.
        scores: rows of `scores.tsv`, in order.
    """

    folder: Path
    evaluation: Evaluation
    scores: tuple[ScoreRow, ...]


def read_evaluation(folder: Path) -> Evaluated:
    """Reads and checks both files of an evaluation folder.

    Raises:
        NoInput: `EVALUATION_MISSING` when one of the files does not exist.
        InputRefused: `EVALUATION_INVALID` when a key is missing or a value has the wrong type; the message names it.
    """
    evaluation, scores = read_folder(folder, _KIND, Evaluation, ScoreRow, ScoreRow._fields)
    return Evaluated(folder, evaluation, scores)


def read_evaluation_document(folder: Path) -> Evaluation:
    """Reads and checks `evaluation.json` alone, without the scores of the cases.

    Raises:
        NoInput: `EVALUATION_MISSING`.
        InputRefused: `EVALUATION_INVALID`.
    """
    return read_document(folder, _KIND, Evaluation)
