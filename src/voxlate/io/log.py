"""Log records: warnings that carry a stable code, and remarks that need no action."""

from __future__ import annotations

import logging

from voxlate.errors import printable

_LOG = logging.getLogger("voxlate")


def tell(message: str) -> None:
    """Logs a remark for the user, such as what was recognised in a scan; one line, at level INFO."""
    _LOG.info("%s", printable(message))


def warn(code: str, message: str) -> None:
    """Logs a warning that begins with `code` and carries it as the record's attribute `code`."""
    _LOG.warning("%s %s", code, printable(message), extra={"code": code})
