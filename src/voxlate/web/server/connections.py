"""An HTTP protocol for uvicorn that closes connections on which no complete request head arrives in time.

uvicorn itself has no such limit: a client that opens connections and sends nothing would hold them for ever.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""Time limit for a request head, in seconds. Chosen by hand: a head is a few kB and arrives at once on a slow line."""

MAX_CONNECTIONS = 400
"""Well below 1,024, the usual limit on open files of a process; a study has tens of readers."""


class TimeLimitedProtocol(H11Protocol):
    """Closes a connection that does not finish a request head, the first one or a later one, in `HEAD_SECONDS`.

    Beyond `MAX_CONNECTIONS`, the connection that has been idle for longest is closed.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the time limit of the first head; closes an idle connection if there are too many."""
        super().connection_made(transport)
        self._deadline: asyncio.TimerHandle | None = None
        self._since = self.loop.time()
        self._set_deadline()
        if len(self.connections) > MAX_CONNECTIONS:
            idle = [other for other in self.connections if isinstance(other, TimeLimitedProtocol) and other.is_idle]
            min(idle, key=lambda other: other._since, default=self).transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the time limit."""
        self._clear_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Starts the time limit when part of a head arrives and stops it when the head is complete."""
        super().data_received(data)
        if self.is_idle and self.conn.trailing_data[0]:
            self._set_deadline()
        else:
            self._clear_deadline()

    @property
    def is_idle(self) -> bool:
        """Whether no request is being read or answered."""
        answered = self.cycle is None or self.cycle.response_complete
        return answered and self.conn.their_state is h11.IDLE

    def _set_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
