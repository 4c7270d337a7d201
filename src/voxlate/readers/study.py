"""A reader study is a YAML file read into a frozen, typed model; an unknown key is an error.

All that the analysis will claim is fixed here, before the first answer: designs, scales, margins, washout.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from voxlate.io.documents import canonical_json
from voxlate.io.settings import parse_settings, read_settings, validated

LEE_STRUCTURES = (
    "disc signal",
    "disc protrusion",
    "muscle",
    "fat",
    "facet signal",
    "stenosis",
    "thecal sac",
    "bone",
    "overall",
)
"""The nine features of Lee 2020, reader study 2."""

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"
Name = Annotated[str, Field(pattern=_NAME)]
Title = Annotated[str, Field(min_length=1, max_length=200)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Design(_Frozen):
    """What every design has.

    Attributes:
        name: of the block, unique in the study.
        question: shown above the answer; a default of the page when empty.
        repeats: trials shown a second time to each reader, for agreement with oneself.
    """

    name: Name
    question: str = Field(default="", max_length=300)
    repeats: int = Field(default=0, ge=0)


class RealOrSynthetic(_Design):
    """One image at a time; confidence from `certainly real` (1) to `certainly synthetic` (`levels`).

    Attributes:
        levels: an even number forces a decision; the middle of an odd one is `undecided`.
        margin: equivalence is |AUC − 0.5| below it.
    """

    kind: Literal["real_or_synthetic"] = "real_or_synthetic"
    levels: Literal[4, 5, 6] = 6
    margin: float = Field(default=0.1, gt=0, lt=0.5)


class ForcedChoice(_Design):
    """Both images of a case side by side: which one is synthetic?

    Attributes:
        margin: equivalence is |share correct − 0.5| below it.
    """

    kind: Literal["forced_choice"] = "forced_choice"
    margin: float = Field(default=0.1, gt=0, lt=0.5)


class Similarity(_Design):
    """Both images side by side: how similar is each structure, in percent, or not assessable.

    Attributes:
        structures: their names; Lee's nine by default.
        anchors: what 0 and 100 mean, shown at the ends of the scale.
        margin: the mean similarity counts as enough when shown to be above 100 − margin.
    """

    kind: Literal["similarity"] = "similarity"
    structures: tuple[Title, ...] = Field(default=LEE_STRUCTURES, min_length=1, max_length=20)
    anchors: tuple[str, str] = ("nothing alike", "no difference seen")
    margin: float = Field(default=20.0, gt=0, lt=100)


class Quality(_Design):
    """One image at a time: a grade for each item, 1 the worst and `levels` the best.

    Attributes:
        items: what is graded.
        levels: of the scale.
        margin: synthetic images are non-inferior when shown to lose less than this.
    """

    kind: Literal["quality"] = "quality"
    items: tuple[Title, ...] = Field(default=("overall quality",), min_length=1, max_length=20)
    levels: Literal[4, 5, 7] = 5
    margin: float = Field(default=0.25, gt=0)


class Marks(_Design):
    """One image at a time: mark each lesion with a confidence, or state that there is none.

    Attributes:
        tolerance_mm: a mark this near to a lesion's voxels finds it.
        levels: of the confidence of a mark.
        margin: synthetic images are non-inferior when shown to lose less of the lesion sensitivity.
    """

    kind: Literal["marks"] = "marks"
    tolerance_mm: float = Field(default=5.0, ge=0)
    levels: Literal[3, 4, 5] = 5
    margin: float = Field(default=0.05, gt=0, lt=1)


Design = Annotated[RealOrSynthetic | ForcedChoice | Similarity | Quality | Marks, Field(discriminator="kind")]
PAIRED_KINDS = frozenset({"forced_choice", "similarity"})


class Images(_Frozen):
    """Folders of `<case>.nii` or `<case>.nii.gz`, relative to the study file.

    Attributes:
        real, synthetic: the two versions of each case.
        mask: outside it both versions become 0; needed where only one of them has an empty background.
        lesions: label or mask volumes; the truth of the design `marks`.
        intensity: `each` stretches every image by the same rule on itself (relative images); `shared` gives
            both versions of a case one scale (CT, ADC).
        percentiles: of the voxels above the lowest value (inside the mask) that become the ends of the scale.
        levels: grey levels; 4096 for CT, where narrow windows are needed.
    """

    real: str
    synthetic: str
    mask: str | None = None
    lesions: str | None = None
    intensity: Literal["each", "shared"] = "each"
    percentiles: tuple[float, float] = (0.5, 99.5)
    levels: int = Field(default=256, ge=64, le=4096)

    @model_validator(mode="after")
    def _ordered(self) -> Images:
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError("percentiles must rise within 0 to 100")
        return self


class Reader(_Frozen):
    """A reader under a pseudonym.

    Attributes:
        id: never a name; it stands in the exports.
        group: for example `senior radiologist`.
        experience_years: for the table.
    """

    id: Name
    group: str = Field(default="", max_length=80)
    experience_years: float | None = Field(default=None, ge=0, le=80)


class Washout(_Frozen):
    """How far the versions of a case are apart.

    Attributes:
        trials: least number of trials between two showings of one case, plus one.
        sessions: with 2, the second version of each case is read in a second session.
        days: least time between both sessions.
    """

    trials: int = Field(default=5, ge=1)
    sessions: Literal[1, 2] = 1
    days: float = Field(default=0, ge=0, le=365)


class Preset(_Frozen):
    """A display window in shares of the full scale, chosen by keys 1 to 5."""

    name: Title
    low: float = Field(ge=-1, le=2)
    high: float = Field(ge=-1, le=2)

    @model_validator(mode="after")
    def _ordered(self) -> Preset:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self


DEFAULT_PRESETS = (
    Preset(name="full", low=0, high=1),
    Preset(name="soft", low=0.1, high=0.7),
    Preset(name="bright", low=0.4, high=1),
    Preset(name="dark", low=0, high=0.4),
    Preset(name="narrow", low=0.35, high=0.65),
)


class Display(_Frozen):
    """How images are first shown; equal for both versions.

    Attributes:
        planes: three planes, or the one named.
        presets: windows for the keys 1 to 5.
        language: of the page.
        minimum_view_s: an answer is taken only after this time.
    """

    planes: Literal["three", "axial", "coronal", "sagittal"] = "three"
    presets: tuple[Preset, ...] = Field(default=DEFAULT_PRESETS, min_length=1, max_length=5)
    language: Literal["en", "de"] = "en"
    minimum_view_s: float = Field(default=0, ge=0, le=60)


class Study(_Frozen):
    """One reader study.

    Attributes:
        seed: of every order; the same seed gives the same allocation.
        cases: names; all of `images.real` when empty.
        block_order: `rotate` starts each reader with another design.
        answers: `locked` at once, or `changeable` until the next case is answered; each change is a new row.
        alpha: of the tests against a margin.
    """

    name: Name
    title: Title
    seed: int = Field(ge=0)
    data_kind: Literal["real", "simulated", "unknown"] = "unknown"
    images: Images
    cases: tuple[Name, ...] = ()
    readers: tuple[Reader, ...] = Field(min_length=1, max_length=200)
    designs: tuple[Design, ...] = Field(min_length=1, max_length=10)
    block_order: Literal["rotate", "fixed"] = "rotate"
    washout: Washout = Washout()
    display: Display = Display()
    answers: Literal["locked", "changeable"] = "locked"
    alpha: float = Field(default=0.05, gt=0, lt=0.5)

    @field_validator("readers", "designs")
    @classmethod
    def _distinct(cls, entries: tuple[_Frozen, ...]) -> tuple[_Frozen, ...]:
        names = [getattr(entry, "id", None) or getattr(entry, "name", "") for entry in entries]
        if len(set(names)) < len(names):
            raise ValueError(f"names must differ, these are {names}")
        return entries

    @model_validator(mode="after")
    def _truth(self) -> Study:
        if any(design.kind == "marks" for design in self.designs) and self.images.lesions is None:
            raise ValueError("the design marks needs images.lesions")
        return self

    def design(self, name: str) -> Design:
        """Returns the design called `name`."""
        return next(design for design in self.designs if design.name == name)

    def content_hash(self) -> str:
        """Returns the SHA-256 of everything that is fixed."""
        return hashlib.sha256(canonical_json(self.model_dump(mode="json")).encode()).hexdigest()


def read_study(path: Path) -> Study:
    """Returns the study in a YAML file.

    Raises:
        NoInput: there is no such file.
        UsageError: `STUDY`, with the place of each fault.
    """
    return parse_study(read_settings(path, code="STUDY", what="study file"), name=path.name)


def parse_study(text: str, *, name: str) -> Study:
    """Returns the study in `text`, YAML or JSON; `name` is how errors call it."""
    content = parse_settings(text, code="STUDY", name=name)
    return validated(content, Study, code="STUDY", name=name, whole="study")
