"""Warnings of the reader and the writer: log records that carry a stable code."""

from __future__ import annotations

import logging

from voxlate.errors import printable

_LOG = logging.getLogger("voxlate")


def warn(code: str, message: str) -> None:
    """Logs a warning that begins with `code` and carries it as the record's attribute `code`."""
    _LOG.warning("%s %s", code, printable(message), extra={"code": code})
