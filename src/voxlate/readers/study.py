"""The protocol of a reader study, read from a YAML file into a frozen, typed model; an unknown key is an error.

The protocol fixes before the first answer everything that the analysis depends on: designs, scales, margins and
washout. The limits of lengths and counts only catch mistakes; they were chosen by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from voxlate.io.documents import json_sha256
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
"""The nine structures of Lee 2020, reader study 2."""

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"
Name = Annotated[str, Field(pattern=_NAME)]
Title = Annotated[str, Field(min_length=1, max_length=200)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Design(_Frozen):
    """Settings of every design.

    Attributes:
        name: unique in the study.
        question: shown above the answer; the page has a default for an empty one.
        repeats: trials that each reader reads a second time, to measure agreement within the reader.
    """

    name: Name
    question: str = Field(default="", max_length=300)
    repeats: int = Field(default=0, ge=0)


class RealOrSynthetic(_Design):
    """One image per trial; the answer is a confidence from 1 (certainly real) to `levels` (certainly synthetic).

    Attributes:
        levels: an even number forces a decision; the middle of an odd number is `undecided`.
        margin: readers are equivalent to guessing if |AUC − 0.5| is below it. The default 0.1 is chosen by hand.
    """

    kind: Literal["real_or_synthetic"] = "real_or_synthetic"
    levels: Literal[4, 5, 6] = 6
    margin: float = Field(default=0.1, gt=0, lt=0.5)


class ForcedChoice(_Design):
    """Both images of a case side by side; the answer is the side of the synthetic image.

    Attributes:
        margin: readers are equivalent to guessing if |share correct − 0.5| is below it. The default 0.1 is chosen by
            hand.
    """

    kind: Literal["forced_choice"] = "forced_choice"
    margin: float = Field(default=0.1, gt=0, lt=0.5)


class Similarity(_Design):
    """Both images of a case side by side; the answer is a similarity in percent, or not assessable, per structure.

    Attributes:
        structures: their names; the nine of Lee 2020 by default.
        anchors: meaning of 0 and of 100, shown at the ends of the scale.
        margin: the mean similarity is sufficient if it is shown to be above 100 − margin. With the default the bound
            is 80 %, about the overall mean in Lee 2020 (80.2 %).
    """

    kind: Literal["similarity"] = "similarity"
    structures: tuple[Title, ...] = Field(default=LEE_STRUCTURES, min_length=1, max_length=20)
    anchors: tuple[str, str] = ("nothing alike", "no difference seen")
    margin: float = Field(default=20.0, gt=0, lt=100)


class Quality(_Design):
    """One image per trial; the answer is a grade per item, from 1 (worst) to `levels` (best).

    Attributes:
        items: names of what is graded, such as sharpness.
        levels: of the scale.
        margin: synthetic images are non-inferior if they are shown to lose less than this many grades. The default
            0.25 is meant for five levels and chosen by hand.
    """

    kind: Literal["quality"] = "quality"
    items: tuple[Title, ...] = Field(default=("overall quality",), min_length=1, max_length=20)
    levels: Literal[4, 5, 7] = 5
    margin: float = Field(default=0.25, gt=0)


class Marks(_Design):
    """One image per trial; the answer is a mark with a confidence on each lesion, or no mark at all.

    Attributes:
        tolerance_mm: a mark within this distance of a voxel of a lesion finds the lesion. The default 5 mm is chosen
            by hand.
        levels: of the confidence of a mark.
        margin: synthetic images are non-inferior if they are shown to lose less lesion sensitivity (a share) than
            this. The default of 5 percentage points is chosen by hand.
    """

    kind: Literal["marks"] = "marks"
    tolerance_mm: float = Field(default=5.0, ge=0)
    levels: Literal[3, 4, 5] = 5
    margin: float = Field(default=0.05, gt=0, lt=1)


Design = Annotated[RealOrSynthetic | ForcedChoice | Similarity | Quality | Marks, Field(discriminator="kind")]
PAIRED_KINDS = frozenset({"forced_choice", "similarity"})
"""Designs that show both versions of a case side by side."""


class Images(_Frozen):
    """Folders of `<case>.nii` or `<case>.nii.gz`, relative to the study file.

    Attributes:
        real, synthetic: the two versions of each case.
        mask: folder of masks; outside the mask both versions are set to 0. Needed if only one version has an empty
            background.
        lesions: folder of label or mask volumes; the ground truth of the design `marks`.
        source: folder of the scans that the synthetic images were made from, such as CT. The designs `forced_choice`
            and `similarity` then show it to the left of the two versions.
        source_range: ends of the grey scale of the sources in their own units, such as HU; None for `percentiles`.
        intensity: `each` scales every image by its own percentiles (MRI in arbitrary units); `shared` gives both
            versions of a case one scale (CT, ADC).
        percentiles: of the voxels above the lowest value (inside the mask); these become the ends of the scale. The
            default clips 0.5 % at each end; chosen by hand.
        levels: grey levels, 256 (8 bit) by default; use 4096 for CT, where readers need narrow windows.
    """

    real: str
    synthetic: str
    mask: str | None = None
    lesions: str | None = None
    source: str | None = None
    source_range: tuple[float, float] | None = None
    intensity: Literal["each", "shared"] = "each"
    percentiles: tuple[float, float] = (0.5, 99.5)
    levels: int = Field(default=256, ge=64, le=4096)

    @model_validator(mode="after")
    def _ordered(self) -> Images:
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"percentiles must rise and lie within 0 to 100, not {low:g} and {high:g}")
        if self.source_range is not None and self.source is None:
            raise ValueError("source_range needs source")
        if self.source_range is not None and self.source_range[0] >= self.source_range[1]:
            raise ValueError(f"source_range must rise, not {self.source_range[0]:g} to {self.source_range[1]:g}")
        return self


class Reader(_Frozen):
    """A reader under a pseudonym.

    Attributes:
        id: pseudonym; it appears in the exports.
        group: for example `senior radiologist`.
        experience_years: professional experience.
    """

    id: Name
    group: str = Field(default="", max_length=80)
    experience_years: float | None = Field(default=None, ge=0, le=80)


class Washout(_Frozen):
    """Distance between two trials with the same case, so that readers do not recognise it.

    Attributes:
        trials: least difference of the positions of two trials with the same case. The default 5 is chosen by hand.
        sessions: with 2, the second version of each case is read in a second session.
        days: least time between the last answer of the first session and the second session.
    """

    trials: int = Field(default=5, ge=1)
    sessions: Literal[1, 2] = 1
    days: float = Field(default=0, ge=0, le=365)


class Preset(_Frozen):
    """A display window; `low` and `high` are shares of the full grey scale. Its key is a letter of its name."""

    name: Title
    low: float = Field(ge=-1, le=2)
    high: float = Field(ge=-1, le=2)

    @model_validator(mode="after")
    def _ordered(self) -> Preset:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, not {self.low:g} and {self.high:g}")
        return self


DEFAULT_PRESETS = (
    Preset(name="full", low=0, high=1),
    Preset(name="soft", low=0.1, high=0.7),
    Preset(name="bright", low=0.4, high=1),
    Preset(name="dark", low=0, high=0.4),
    Preset(name="contrast", low=0.35, high=0.65),
)
"""The first letters of the names are free keys of the page. Chosen by hand; not tuned."""


class Display(_Frozen):
    """Initial display, the same for both versions.

    Attributes:
        planes: all three planes, or only the one named.
        presets: windows for letter keys; every case starts with the first one.
        language: of the page.
        minimum_view_s: least viewing time before the server accepts an answer.
    """

    planes: Literal["three", "axial", "coronal", "sagittal"] = "three"
    presets: tuple[Preset, ...] = Field(default=DEFAULT_PRESETS, min_length=1, max_length=5)
    language: Literal["en", "de"] = "en"
    minimum_view_s: float = Field(default=0, ge=0, le=60)


class Study(_Frozen):
    """One reader study.

    Attributes:
        name: short, for file names and exports.
        title: shown to readers and in the report.
        seed: of the allocation; the same seed gives the same allocation.
        data_kind: printed with every result.
        images: folders and encoding of the images.
        cases: their names; all cases of `images.real` when empty.
        patients: a table with the columns case and patient, relative to the study file, such as `cases.tsv`. Cases of
            one patient (discs, slices) are then one cluster of the intervals and tests; without it each case is taken
            for another patient.
        readers: at least one.
        designs: each reader reads all of them.
        block_order: `rotate` starts each reader with another design, `fixed` keeps the order of `designs`.
        washout: distance between two trials with the same case.
        display: of the page.
        instructions: shown to readers before the first case, beside the instructions of the page; an empty line starts
            a paragraph.
        practice: names of cases that readers answer first, once for each design. Their answers are not stored, and
            the cases are not among `cases`.
        answers: `locked` at once, or `changeable` until the next case is answered; each change is a new row.
        alpha: of the tests against a margin.
    """

    name: Name
    title: Title
    seed: int = Field(ge=0)
    data_kind: Literal["real", "simulated", "unknown"] = "unknown"
    images: Images
    cases: tuple[Name, ...] = ()
    patients: str | None = None
    readers: tuple[Reader, ...] = Field(min_length=1, max_length=200)
    designs: tuple[Design, ...] = Field(min_length=1, max_length=10)
    block_order: Literal["rotate", "fixed"] = "rotate"
    washout: Washout = Washout()
    display: Display = Display()
    instructions: str = Field(default="", max_length=4000)
    practice: tuple[Name, ...] = Field(default=(), max_length=10)
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
        if self.images.source is not None and not any(design.kind in PAIRED_KINDS for design in self.designs):
            raise ValueError("images.source is shown by forced_choice and similarity alone; add one or leave it out")
        return self

    @model_validator(mode="after")
    def _practice_is_apart(self) -> Study:
        if len(set(self.practice)) < len(self.practice):
            raise ValueError(f"practice: names must differ, these are {list(self.practice)}")
        both = sorted(set(self.practice) & set(self.cases))
        if both:
            raise ValueError(f"practice: {', '.join(both)} must not be among cases; readers would see the answer twice")
        return self

    def design(self, name: str) -> Design:
        """Returns the design called `name`."""
        return next(design for design in self.designs if design.name == name)

    def content_hash(self) -> str:
        """Returns the SHA-256 of the protocol.

        A study without sources, instructions, practice and patients has the hash that it had before there were any.
        """
        content = {
            key: value
            for key, value in self.model_dump(mode="json").items()
            if value or key not in ("instructions", "practice", "patients")
        }
        content["images"] = {
            key: value
            for key, value in content["images"].items()
            if value is not None or key not in ("source", "source_range")
        }
        return json_sha256(content)


def read_study(path: Path) -> Study:
    """Returns the study in a YAML file.

    Raises:
        NoInput: the file does not exist.
        UsageError: `STUDY`; the message names the key of each fault.
    """
    return parse_study(read_settings(path, code="STUDY", what="study file"), name=path.name)


def parse_study(text: str, *, name: str) -> Study:
    """Returns the study in YAML or JSON text.

    Args:
        text: content of a study file.
        name: of the file, for error messages.

    Raises:
        UsageError: `STUDY`; the message names the key of each fault.
    """
    content = parse_settings(text, code="STUDY", name=name)
    return validated(content, Study, code="STUDY", name=name, whole="study")
