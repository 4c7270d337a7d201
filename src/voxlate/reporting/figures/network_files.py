"""Reads the JSON files that a training leaves in its run and bundle for figures."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from voxlate.errors import InputRefused, NoInput, faults_told
from voxlate.io.documents import read_json

Document = TypeVar("Document", bound=BaseModel)


def read_network_file(path: Path, name: str, model: type[Document], *, code: str, absent: str) -> Document:
    """Reads a file of a training.

    Args:
        path: the file, or the folder that holds it.
        name: of the file, such as `history.json`.
        model: of its content.
        code: of a file that does not have this format.
        absent: what to do when there is none, for the message.

    Raises:
        NoInput: `NO_INPUT` when it does not exist.
        InputRefused: `code`, with the place of the first fault.
    """
    file = path if path.is_file() or path.name == name else path / name
    told = f"{file.name} of {file.parent.name or 'this folder'}"
    try:
        return model.model_validate(read_json(file))
    except FileNotFoundError as error:
        raise NoInput("NO_INPUT", f"{told} does not exist; {absent}") from error
    except ValidationError as error:
        raise InputRefused(code, f"{told}: {faults_told(error.errors(), whole=file.name)}; train again") from error
    except (ValueError, OSError) as error:
        raise InputRefused(code, f"{told} cannot be read; train again") from error
