"""Closing connections whose request's headers are late: uvicorn waits for ever."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


def closing_late_headers(seconds: float) -> type[H11Protocol]:
    """Makes uvicorn's protocol with a deadline for the headers of each request.

    uvicorn has a deadline between two requests, and the app has one for a body and one
    for an answer. A client that connects and sends nothing, or only a part of its
    headers, would have none.

    Args:
        seconds: Until the headers have to be whole, from the connection on, or from the
            first byte of a later request. Then the connection is closed.
    """

    class ClosingLateHeaders(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._begin()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            # A request has a cycle of uvicorn, from when its headers are whole.
            if self.cycle is not None and not self.cycle.response_complete:
                self._cancel()
            elif self._deadline is None:
                self._begin()

        def connection_lost(self, exc: Exception | None) -> None:
            self._cancel()
            super().connection_lost(exc)

        def _begin(self) -> None:
            self._deadline = self.loop.call_later(seconds, self.transport.close)

        def _cancel(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
            self._deadline = None

    return ClosingLateHeaders
