"""Connections of the server: those that open and do not ask are closed, which uvicorn does not do by itself."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""Within which a connection must have sent the head of a request that it began, or of its first."""

MAX_CONNECTIONS = 400
"""Well below the 1,024 files that a process may usually open; a study has tens of readers."""


class Impatient(H11Protocol):
    """Hangs up on a connection that does not finish the head of a request, the first one or a later one.

    Where there are too many connections, the one that has waited longest without a request makes room.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins the time limit of the first head; makes room where there are too many connections."""
        super().connection_made(transport)
        self._deadline: asyncio.TimerHandle | None = None
        self._since = self.loop.time()
        self._set_deadline()
        if len(self.connections) > MAX_CONNECTIONS:
            idle = [other for other in self.connections if isinstance(other, Impatient) and other.is_idle]
            min(idle, key=lambda other: other._since, default=self).transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the time limit."""
        self._clear_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Begins a time limit when a part of a head has come, and ends it with the whole."""
        super().data_received(data)
        if self.is_idle and self.conn.trailing_data[0]:
            self._set_deadline()
        else:
            self._clear_deadline()

    @property
    def is_idle(self) -> bool:
        """Returns whether no request is being read or answered."""
        answered = self.cycle is None or self.cycle.response_complete
        return answered and self.conn.their_state is h11.IDLE

    def _set_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
