"""Settings that people write: YAML validated by a pydantic model, every fault told in one line with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from voxlate.errors import NoInput, UsageError, faults_told, keys_of
from voxlate.io.documents import Unsound, parse_yaml, read_text

Model = TypeVar("Model", bound=BaseModel)


def read_settings(path: Path, *, code: str, what: str) -> str:
    """Returns the text of a settings file.

    Args:
        path: of the file.
        code: of the error when it cannot be read.
        what: it is, for the message when it is not there.

    Raises:
        NoInput: there is no such file.
        UsageError: `code`, when it is no regular file, too large or not UTF-8.
    """
    if not path.exists():
        raise NoInput("NO_INPUT", f"{path.name}: there is no such {what}")
    try:
        return read_text(path)
    except (Unsound, OSError) as error:
        raise UsageError(code, f"{path.name}: {error}") from error


def parse_settings(text: str, *, code: str, name: str) -> Any:
    """Returns what YAML text holds; `name` is how errors call the file.

    Raises:
        UsageError: `code`, with the place.
    """
    try:
        return parse_yaml(text)
    except Unsound as error:
        raise UsageError(code, f"{name}: {error}") from error


def validated(content: Any, model: type[Model], *, code: str, name: str, whole: str) -> Model:
    """Returns content as a model; `whole` is what the place of the whole is called.

    Raises:
        UsageError: `code`, with the place of each fault, and the nearest key beside one that there is not.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        told = faults_told(error.errors(), whole=whole, known=keys_of(model))
        raise UsageError(code, f"{name}: {told}") from error
