"""What a browser may send, and whether an answer fits its design; anything else is refused, nothing is guessed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from voxlate.readers.study import Design, ForcedChoice, Marks, Quality, RealOrSynthetic, Similarity
from voxlate.volume import Shape
from voxlate.web.server.http_errors import HttpRefusal

_KEY = r"^[A-Za-z0-9_-]{8,64}$"
Key = Annotated[str, Field(pattern=_KEY)]
MAX_MARKS = 100


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ConfidenceAnswer(_Message):
    """From 1, certainly real, to the design's levels, certainly synthetic."""

    kind: Literal["real_or_synthetic"]
    confidence: int


class ChoiceAnswer(_Message):
    """The side that is taken for synthetic."""

    kind: Literal["forced_choice"]
    side: Literal["left", "right"]


class SimilarityAnswer(_Message):
    """Percent for each structure; None where it cannot be assessed."""

    kind: Literal["similarity"]
    scores: dict[str, Annotated[int, Field(ge=0, le=100)] | None]


class QualityAnswer(_Message):
    """A grade for each item."""

    kind: Literal["quality"]
    grades: dict[str, int]


class Mark(_Message):
    """A place in display voxels and how sure the reader is."""

    voxel: Annotated[list[int], Field(min_length=3, max_length=3)]
    confidence: int


class MarksAnswer(_Message):
    """All lesions seen; none is an answer too."""

    kind: Literal["marks"]
    marks: Annotated[list[Mark], Field(max_length=MAX_MARKS)]


Given = Annotated[
    ConfidenceAnswer | ChoiceAnswer | SimilarityAnswer | QualityAnswer | MarksAnswer, Field(discriminator="kind")
]


class Timing(_Message):
    """Seconds by the browser's monotonic clock; kept as sent, never a reason to refuse."""

    viewed_s: float | None = None
    hidden_s: float | None = None


class Submission(_Message):
    """An answer on its way.

    Attributes:
        submission: drawn once per answer by the page; the same again is the same answer.
        page: of the window it comes from.
    """

    submission: Key
    page: Key
    trial: Key
    answer: Given
    comment: Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")] = ""  # PostgreSQL keeps no NUL
    timing: Timing = Timing()


class Draft(_Message):
    """An unfinished answer, kept so that a refresh loses nothing; its form is the page's own."""

    page: Key
    trial: Key
    content: Annotated[str, Field(max_length=8000, pattern=r"^[^\x00]*$")]


def require_fit(answer: Given, design: Design, shape: Shape) -> None:
    """Refuses an answer that its design does not ask for.

    Raises:
        HttpRefusal: 422 `ANSWER`.
    """
    problem = _problem(answer, design, shape)
    if problem:
        raise HttpRefusal(422, "ANSWER", f"This answer does not fit the question: {problem}.")


def _problem(answer: Given, design: Design, shape: Shape) -> str:
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
