"""Reads settings that people write: YAML, validated by a pydantic model; each error is one line with its position."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from voxlate.errors import NoInput, UsageError, faults_told, places_of
from voxlate.io.documents import InvalidDocument, parse_yaml, read_text

Model = TypeVar("Model", bound=BaseModel)


def read_settings(path: Path, *, code: str, what: str) -> str:
    """Returns the text of a settings file.

    Args:
        path: the file.
        code: error code when the file cannot be read.
        what: kind of file, for the message when it does not exist.

    Raises:
        NoInput: the file does not exist.
        UsageError: `code`, when it is not a regular file, too large or not UTF-8.
    """
    if not path.exists():
        raise NoInput("NO_INPUT", f"{path.name}: this {what} does not exist")
    try:
        return read_text(path)
    except (InvalidDocument, OSError) as error:
        raise UsageError(code, f"{path.name}: {error}") from error


def parse_settings(text: str, *, code: str, name: str) -> Any:
    """Returns the content of YAML text.

    Args:
        text: the YAML.
        code: error code when the text is not valid.
        name: name of the file in error messages.

    Raises:
        UsageError: `code`, with line and column.
    """
    try:
        return parse_yaml(text)
    except InvalidDocument as error:
        raise UsageError(code, f"{name}: {error}") from error


def validated(content: Any, model: type[Model], *, code: str, name: str, whole: str) -> Model:
    """Returns content as a validated model.

    Args:
        content: as `parse_settings` returns it.
        model: the pydantic model.
        code: error code when the content is not valid.
        name: name of the file in error messages.
        whole: how messages call the top level of the file.

    Raises:
        UsageError: `code`, with the position of each error; for an unknown key also the most similar valid key.
    """
    if not isinstance(content, dict):
        raise UsageError(code, f"{name} has no keys; a {whole} is a YAML file with lines of the form `key: value`")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        message = faults_told(error.errors(), whole=whole, known=places_of(model))
        raise UsageError(code, f"{name}: {message}") from error
