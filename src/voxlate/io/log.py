"""Log records: warnings that carry a stable code, and remarks that need no action; durations as they show them."""

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


def tell(message: str) -> None:
    """Logs a remark for the user, such as what was recognised in a scan; one line, at level INFO."""
    _LOG.info("%s", printable(message))


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


_MOST_DECIMALS = 15
"""Of a number near 1: a float has about 16 digits."""


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """Returns a count with its noun.

    Example:
        >>> counted(1, "patient"), counted(3, "patient"), counted(2000, "body", "bodies")
        ('1 patient', '3 patients', '2,000 bodies')
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def text_above(value: float, limit: float) -> str:
    """Returns a number with one decimal, or with as many as show that it is above a limit.

    A score of 1.04 that was flagged as above 1 must not be printed as 1.0.

    Example:
        >>> text_above(2.37, 1), text_above(1.04, 1), text_above(0.96, 1)
        ('2.4', '1.04', '1.0')
    """
    texts = (f"{value:.{decimals}f}" for decimals in range(1, _MOST_DECIMALS + 1))
    return next((text for text in texts if value <= limit or float(text) > limit), f"{value!r}")


def duration(seconds: float) -> str:
    """Returns a time as progress lines show it, in seconds, minutes or hours.

    Example:
        >>> [duration(seconds) for seconds in (42, 600, 9000)]
        ['42 s', '10 min', '2.5 h']
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
