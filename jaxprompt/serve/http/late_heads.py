"""Connections whose request does not come: uvicorn alone would hold them for ever."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


def closing_late_heads(seconds: float) -> type[H11Protocol]:
    """Makes uvicorn's protocol with a deadline for the head of each request.

    uvicorn has one between two requests, and the app has its own for a body and an
    answer. A client that connects and sends nothing, or half a head, has none.

    Args:
        seconds: From the connection, or from the first byte of a later head, to the
            end of the head; then the connection is closed.
    """

    class ClosingLateHeads(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._begin()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            # uvicorn has a cycle for each request, from the end of its head on.
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

    return ClosingLateHeads
