"""Refusals of the local servers: an HTTP status for the browser, a stable code, and one line for the user."""

from __future__ import annotations

from voxlate.errors import InputRefused


class HttpRefusal(InputRefused):
    """A request that the server refuses.

    Attributes:
        status: HTTP status of the answer.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code, message)
        self.args = (status, code, message)
        self.status = status
