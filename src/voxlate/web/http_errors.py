"""What the server says no with: a status for the browser, a stable code, one line for the reader."""

from __future__ import annotations

from voxlate.errors import InputRefused


class Declined(InputRefused):
    """A request that is not granted.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code, message)
        self.args = (status, code, message)
        self.status = status
