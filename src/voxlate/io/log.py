"""Warnings of the reader and the writer: log records that carry a stable code."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from voxlate.errors import printable

_LOG = logging.getLogger("voxlate")
_case: ContextVar[str] = ContextVar("case", default="")


@contextmanager
def of_case(name: str) -> Iterator[None]:
    """Context manager in which each warning names a case.

    Args:
        name: pseudonym of the case, as in the table of cases.
    """
    token = _case.set(name)
    try:
        yield
    finally:
        _case.reset(token)


def warn(code: str, message: str) -> None:
    """Logs a warning that begins with `code` and carries it as the record's attribute `code`.

    Inside `of_case`, the name of the case stands before the message.

    Args:
        code: upper-case words joined by underscores; stable across versions.
        message: what is unusual, and what to do.
    """
    name = _case.get()
    text = f"{name}: {message}" if name else message
    _LOG.warning("%s %s", code, printable(text), extra={"code": code})
