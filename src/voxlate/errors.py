"""The exceptions of voxlate, each with a stable code and an exit status.

    VoxlateError                 70  internal: a defect in voxlate
    ├── UsageError                2  the command or the recipe is wrong
    │   └── MissingLibrary       78  an optional library is not installed
    ├── InputRefused             65  the input is not usable; it will be refused again
    ├── NoInput                  66  no input was found
    ├── CannotWrite              73  the output cannot be created
    ├── TemporaryFailure         75  disk full, memory, a stale mount: try again
    └── ModelInvalid             78  a bundle is missing, changed or does not fit

A message states what is wrong, with the number that shows it, in which case or file, and what to do. It
never contains a patient's name or identifier.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

DEBUG_VARIABLE = "VOXLATE_DEBUG"
"""Environment variable. When it is set, unexpected errors show a traceback and library warnings are shown."""

ITEMS_REFUSED_STATUS = 8  # some items of a run were refused or failed, others are done

_NO_FOLDER = {errno.ENOTDIR, errno.EEXIST}  # the folder of an output cannot be made where a file is
_TEMPORARY_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.ENOMEM, errno.EIO, errno.ETIMEDOUT}


class VoxlateError(Exception):
    """Base class of all errors that voxlate raises on purpose.

    Attributes:
        code: upper-case words joined by underscores; stable across versions.
        message: one line for the user, made safe for a terminal by `printable`.
    """

    state: ClassVar[str] = "FAILED"
    exit_status: ClassVar[int] = 70

    def __init__(self, code: str, message: str) -> None:
        message = printable(message)
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.state}:{self.code} {self.message}"


class UsageError(VoxlateError):
    """The command line, an argument or a recipe is wrong."""

    state = "USAGE"
    exit_status = 2


class MissingLibrary(UsageError):
    """An optional library is not installed; the message names the command that installs it."""

    state = "REFUSED"
    exit_status = 78


class InputRefused(VoxlateError):
    """The input cannot be used, and trying again will not help."""

    state = "REFUSED"
    exit_status = 65


class NoInput(VoxlateError):
    """There is no input: a missing file, an empty folder or an empty list."""

    state = "REFUSED"
    exit_status = 66


class CannotWrite(VoxlateError):
    """An output cannot be created at the given path."""

    exit_status = 73


class TemporaryFailure(VoxlateError):
    """Something outside voxlate failed (disk full, out of memory, stale mount); trying again may work."""

    exit_status = 75


class ModelInvalid(VoxlateError):
    """A model bundle is missing, changed, unsafe or does not fit its recipe."""

    state = "REFUSED"
    exit_status = 78


def silence_warnings() -> None:
    """Silences the warnings of libraries, which point to lines of code and confuse users.

    They are shown when the environment variable `VOXLATE_DEBUG` is set.
    """
    if not os.environ.get(DEBUG_VARIABLE):
        warnings.simplefilter("ignore")


def printable(text: str) -> str:
    r"""Returns the text as one line that is safe to print on a terminal.

    Control characters (line breaks, terminal escape sequences), invisible marks (such as right-to-left marks), line
    and paragraph separators, and bytes that are not UTF-8 are replaced by escapes such as `\n` and `\u202e`.
    """
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


_UID = re.compile(r"\b[0-2](?:\.\d+){4,}\b|\b2\.25\.\d+\b")
"""A DICOM UID in a text: a root such as 1.2.840 with at least two numbers more, or 2.25 with one. An address of the
network and a version of a program are shorter."""

_QUOTED_PATH = re.compile(r"""(?<!\w)(['"])[^'"]*[/\\\\][^'"]*\1""")


def for_records(message: str) -> str:
    """Returns a message for logs and ledgers, which outlive the screen: without DICOM UIDs and quoted paths."""
    return _QUOTED_PATH.sub("[path]", _UID.sub("[UID]", message))


def _escaped(character: str) -> str:
    if unicodedata.category(character) == "Cs":  # Python stores a byte that is not UTF-8 as a surrogate
        return f"\\x{ord(character) & 0xFF:02x}"
    return character.encode("unicode_escape").decode("ascii")


def faults_told(faults: Iterable[Any], *, whole: str, known: Iterable[str] = ()) -> str:
    """Returns the validation errors of pydantic as one line, each with its location.

    Args:
        faults: the list returned by `ValidationError.errors`.
        whole: name of the document, used when an error concerns all of it.
        known: places of the valid keys, see `places_of`; the most similar one is suggested for an unknown key.
    """
    places = sorted(known)
    return "; ".join(_fault_told(fault, whole, places) for fault in faults)


def _fault_told(fault: Any, whole: str, places: list[str]) -> str:
    place = ".".join(str(part) for part in fault["loc"]) or whole
    if fault.get("type") != "extra_forbidden":
        return f"{place}: {fault['msg']}"
    above, key = fault["loc"][:-1], str(fault["loc"][-1])
    parent = ".".join([part for part in above if isinstance(part, str)])
    elsewhere = [known for known in places if known.rpartition(".")[2] == key]
    if elsewhere:  # a key in the wrong place; three places are enough of a hint
        advice = f"; did you mean {' or '.join(elsewhere[:3])}?"
    else:
        siblings = [known.rpartition(".")[2] for known in places if known.rpartition(".")[0] == parent]
        keys = sorted({known.rpartition(".")[2] for known in places})
        advice = nearest(key, siblings, prefix="".join(f"{part}." for part in above)) or nearest(key, keys)
    return f"{place} is not a key of the {whole}{advice}"


def nearest(word: str, known: Iterable[str], *, prefix: str = "") -> str:
    """Returns `; did you mean …?` with the most similar known word, or an empty string if none is similar.

    Args:
        word: as the user wrote it.
        known: the valid words.
        prefix: printed before the word, such as the place that it belongs to.
    """
    found = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {prefix}{found[0]}?" if found else ""


def places_of(model: Any) -> set[str]:
    """Returns the places of all keys of a pydantic model and of the models nested in it, such as `training.steps`.

    A model in a list or a mapping has the place of the list or the mapping.
    """
    found: set[str] = set()
    waiting: list[tuple[Any, str, tuple[int, ...]]] = [(model, "", ())]
    while waiting:
        current, above, ancestors = waiting.pop()
        if id(current) in ancestors:  # a model that holds itself
            continue
        inside = (*ancestors, id(current))
        waiting += [(part, above, inside) for part in getattr(current, "__args__", ())]
        for name, field in getattr(current, "model_fields", {}).items():
            place = f"{above}.{field.alias or name}" if above else str(field.alias or name)
            found.add(place)
            waiting.append((field.annotation, place, inside))
    return found


def os_failure(error: OSError, name: str = "a file or folder") -> VoxlateError:
    """Returns an `OSError` as a voxlate error: code `IO` when trying again may help, otherwise `WRITE`."""
    reason = error.strerror or type(error).__name__
    if error.errno in _NO_FOLDER:
        return CannotWrite(
            "WRITE", f"{name}: a part of its path is a file, not a folder; name another place for the output"
        )
    if error.errno in _TEMPORARY_ERRNOS:
        return TemporaryFailure(
            "IO", f"{name}: {reason}; nothing was left behind; free space if the disk is full, and run it again"
        )
    return CannotWrite("WRITE", f"{name}: {reason}; name another place for the output, or change its permissions")


def read_failure(error: OSError, name: str) -> VoxlateError:
    """Returns an `OSError` of reading as a voxlate error: `IO` when trying again may help, otherwise `UNREADABLE`."""
    reason = error.strerror or type(error).__name__
    if error.errno in _TEMPORARY_ERRNOS:
        return TemporaryFailure("IO", f"{name}: {reason}; run it again")
    return InputRefused("UNREADABLE", f"{name} cannot be read: {reason}")


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Context manager that puts the name of a case or a scan before the message of an error of voxlate.

    Raises:
        VoxlateError: what the block raises, with the same code.
    """
    try:
        yield
    except VoxlateError as error:
        raise type(error)(error.code, f"{name}: {error.message}") from error


@contextmanager
def writing(name: str) -> Iterator[None]:
    """Context manager that turns an `OSError` raised while writing `name` into a voxlate error.

    Raises:
        TemporaryFailure: `IO` when the disk is full, over quota or stale.
        CannotWrite: `WRITE` otherwise (read-only, not a folder, no permission).
    """
    try:
        yield
    except OSError as error:
        raise os_failure(error, name) from error
