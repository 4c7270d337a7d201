"""The messages that a browser may send, and the check that an answer fits its design; everything else is refused.

The limits of lengths keep a message below the 64 KiB that the server reads; they were chosen by hand.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from voxlate.readers.study import Design, ForcedChoice, Marks, Quality, RealOrSynthetic, Similarity
from voxlate.volume import Shape
from voxlate.web.server.http_errors import HttpRefusal

_KEY = r"^[A-Za-z0-9_-]{8,64}$"
Key = Annotated[str, Field(pattern=_KEY)]
MAX_MARKS = 100
"""Most marks in one answer; many more lesions than a reader marks by hand."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ConfidenceAnswer(_Message):
    """A confidence from 1 (certainly real) to the number of levels of the design (certainly synthetic)."""

    kind: Literal["real_or_synthetic"]
    confidence: int


class ChoiceAnswer(_Message):
    """The side of the image that the reader calls synthetic."""

    kind: Literal["forced_choice"]
    side: Literal["left", "right"]


class SimilarityAnswer(_Message):
    """Similarity in percent for each structure; `None` for a structure that is not assessable."""

    kind: Literal["similarity"]
    scores: dict[str, Annotated[int, Field(ge=0, le=100)] | None]


class QualityAnswer(_Message):
    """A grade for each item."""

    kind: Literal["quality"]
    grades: dict[str, int]


class Mark(_Message):
    """A marked lesion: voxel index (i, j, k) in the displayed image, and a confidence from 1 to `levels`."""

    voxel: Annotated[list[int], Field(min_length=3, max_length=3)]
    confidence: int


class MarksAnswer(_Message):
    """All lesions seen; an empty list means that no lesion was seen."""

    kind: Literal["marks"]
    marks: Annotated[list[Mark], Field(max_length=MAX_MARKS)]


Given = Annotated[
    ConfidenceAnswer | ChoiceAnswer | SimilarityAnswer | QualityAnswer | MarksAnswer, Field(discriminator="kind")
]


class Timing(_Message):
    """Seconds that the case was in view and that its page was hidden, by the monotonic clock of the browser.

    They are stored as sent; only `viewed_s` is checked, against `minimum_view_s` of the study.
    """

    viewed_s: float | None = None
    hidden_s: float | None = None


class Submission(_Message):
    """A submitted answer.

    Attributes:
        submission: random id of the answer; when it is sent twice, it is stored once.
        page: id of the browser window.
        trial: id of the trial.
        answer: its kind must be that of the design.
        comment: free text.
        timing: of the trial.
    """

    submission: Key
    page: Key
    trial: Key
    answer: Given
    comment: Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")] = ""  # PostgreSQL cannot store NUL
    timing: Timing = Timing()


class Draft(_Message):
    """An unfinished answer, stored so that reloading the page does not lose it; only the page reads its content."""

    page: Key
    trial: Key
    content: Annotated[str, Field(max_length=8000, pattern=r"^[^\x00]*$")]


class Instructed(_Message):
    """The reader has read the instructions of the design of the open trial, and finished its practice."""

    page: Key
    trial: Key


def require_fit(answer: Given, design: Design, shape: Shape) -> None:
    """Refuses an answer that does not fit its design.

    Args:
        answer: as sent.
        design: of the trial.
        shape: of the image, in voxels.

    Raises:
        HttpRefusal: 422 `ANSWER`.
    """
    problem = _problem(answer, design, shape)
    if problem:
        raise HttpRefusal(422, "ANSWER", f"This answer does not fit the question: {problem}.")


def _problem(answer: Given, design: Design, shape: Shape) -> str:
    """Returns why the answer does not fit; empty when it fits."""
    problem = ""
    match answer, design:
        case ConfidenceAnswer(), RealOrSynthetic():
            problem = _off_scale([answer.confidence], design.levels)
        case ChoiceAnswer(), ForcedChoice():
            pass
        case SimilarityAnswer(), Similarity():
            problem = "" if set(answer.scores) == set(design.structures) else "each structure needs an answer"
        case QualityAnswer(), Quality():
            graded = set(answer.grades) == set(design.items)
            problem = _off_scale(list(answer.grades.values()), design.levels) if graded else "each item needs a grade"
        case MarksAnswer(), Marks():
            inside = all(0 <= at < n for mark in answer.marks for at, n in zip(mark.voxel, shape, strict=True))
            confidences = [mark.confidence for mark in answer.marks]
            problem = _off_scale(confidences, design.levels) if inside else "a mark lies outside the image"
        case _:
            problem = f"{answer.kind} instead of {design.kind}"
    return problem


def _off_scale(values: list[int], levels: int) -> str:
    return "" if all(1 <= value <= levels for value in values) else f"the scale goes from 1 to {levels}"
