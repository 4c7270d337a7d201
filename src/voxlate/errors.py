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

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

ITEMS_REFUSED_STATUS = 8  # some items of a run were refused or failed, others are done

_TEMPORARY_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.ENOMEM, errno.EIO}


class VoxlateError(Exception):
    """The root of all errors raised on purpose.

    Attributes:
        code: upper-case words joined by underscores; stable over versions.
        message: one line for a person.
    """

    state: ClassVar[str] = "FAILED"
    exit_status: ClassVar[int] = 70

    def __init__(self, code: str, message: str) -> None:
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


def faults_told(faults: Iterable[Any], *, whole: str) -> str:
    """Returns the faults that pydantic found in one line, each with its place; `whole` is the place of the whole."""
    return "; ".join(f"{'.'.join(str(part) for part in fault['loc']) or whole}: {fault['msg']}" for fault in faults)


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
        reason = error.strerror or type(error).__name__
        if error.errno in _TEMPORARY_ERRNOS:
            raise TemporaryFailure("IO", f"{name}: {reason}; nothing was left behind, run it again") from error
        raise CannotWrite("WRITE", f"{name}: {reason}") from error
