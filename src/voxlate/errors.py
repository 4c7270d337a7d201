"""Every way in which voxlate says no, each with a stable code and an exit status.

    VoxlateError                 70  internal: a defect of ours
    ├── UsageError                2  the command or the recipe is wrong
    ├── InputRefused             65  the input's fault; the same input is refused again
    ├── NoInput                  66  nothing there to work on
    ├── CannotWrite              73  the output cannot be created
    ├── TemporaryFailure         75  disk full, memory, a stale mount: try again
    └── ModelInvalid             78  a bundle is missing, changed or does not fit

A message says what is wrong and with which number, in which case or file, and what to do. It never
carries a patient's name or number.
"""

from __future__ import annotations

import difflib
import errno
import os
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

DEBUG_VARIABLE = "VOXLATE_DEBUG"
"""With it, unexpected errors show where they came from, and libraries may warn."""

ITEMS_REFUSED_STATUS = 8  # some items of a run were refused or failed, others are done

_TEMPORARY_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.ENOMEM, errno.EIO}


class VoxlateError(Exception):
    """The root of all errors raised on purpose.

    Attributes:
        code: upper-case words joined by underscores; stable over versions.
        message: one line for a person, see `printable`.
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


class InputRefused(VoxlateError):
    """An input is unfit, and would be unfit again."""

    state = "REFUSED"
    exit_status = 65


class NoInput(VoxlateError):
    """There is nothing to work on: a missing file, an empty folder, an empty list."""

    state = "REFUSED"
    exit_status = 66


class CannotWrite(VoxlateError):
    """An output cannot be created where it was asked for."""

    exit_status = 73


class TemporaryFailure(VoxlateError):
    """Something outside failed that may work later."""

    exit_status = 75


class ModelInvalid(VoxlateError):
    """A model bundle is missing, changed, unsafe or does not fit its recipe."""

    state = "REFUSED"
    exit_status = 78


def silence_warnings() -> None:
    """Silences the warnings of libraries, which name lines of code; what matters is said in our words.

    With the variable `VOXLATE_DEBUG` they are shown.
    """
    if not os.environ.get(DEBUG_VARIABLE):
        warnings.simplefilter("ignore")


def printable(text: str) -> str:
    r"""Returns the text as one line that a terminal shows as it is.

    Control characters (line breaks, escape sequences), invisible marks (those that turn the direction of writing among
    them), line and paragraph separators and bytes that are no UTF-8 become escapes such as `\n` and `\u202e`.
    """
    return "".join(_escaped(character) if _is_hidden(character) else character for character in text)


def _is_hidden(character: str) -> bool:
    return not character.isprintable() and character != " "


def _escaped(character: str) -> str:
    if unicodedata.category(character) == "Cs":  # how Python keeps a byte of a file name that is no UTF-8
        return f"\\x{ord(character) & 0xFF:02x}"
    return character.encode("unicode_escape").decode("ascii")


def faults_told(faults: Iterable[Any], *, whole: str, known: Iterable[str] = ()) -> str:
    """Returns the faults that pydantic found in one line, each with its place.

    Args:
        faults: as `ValidationError.errors` gives them.
        whole: what the place of the whole is called.
        known: keys that there are; the nearest is named beside a key that there is not.
    """
    names = list(known)
    return "; ".join(_fault_told(fault, whole, names) for fault in faults)


def _fault_told(fault: Any, whole: str, known: list[str]) -> str:
    place = ".".join(str(part) for part in fault["loc"]) or whole
    if fault.get("type") != "extra_forbidden":
        return f"{place}: {fault['msg']}"
    return f"{place}: there is no such key{nearest(str(fault['loc'][-1]), known)}"


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns `; did you mean …?` with the word that is most like a mistyped one; nothing when none is like it."""
    found = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def keys_of(model: Any) -> set[str]:
    """Returns the keys of a pydantic model and of all models in it."""
    found: set[str] = set()
    waiting, seen = [model], set()
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        waiting += list(getattr(current, "__args__", ()))
        for name, field in getattr(current, "model_fields", {}).items():
            found.add(field.alias or name)
            waiting.append(field.annotation)
    return found


def os_failure(error: OSError, name: str = "a file or folder") -> VoxlateError:
    """Returns the operating system's refusal in our words: `IO` when it may pass, else `WRITE`."""
    reason = error.strerror or type(error).__name__
    if error.errno in _TEMPORARY_ERRNOS:
        return TemporaryFailure("IO", f"{name}: {reason}; nothing was left behind, run it again")
    return CannotWrite("WRITE", f"{name}: {reason}")


@contextmanager
def writing(name: str) -> Iterator[None]:
    """Turns an operating system's refusal to write `name` into an error of ours.

    Raises:
        TemporaryFailure: `IO` when the disk is full, over quota or stale.
        CannotWrite: `WRITE` otherwise (read-only, not a folder, no permission).
    """
    try:
        yield
    except OSError as error:
        raise os_failure(error, name) from error
