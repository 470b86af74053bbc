"""The client of a request: it sends a body, waits for answers, and may go any time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from jaxprompt.serve.http.answers import HeadScores, RequestAnswers
from jaxprompt.serve.http.requests import Refused
from jaxprompt.serve.http.served import Limits


async def read_body(request: Request, limits: Limits) -> bytes:
    """Reads all that the client sends.

    Raises:
        Refused: If it is too long, or does not come in time.
        ClientDisconnect: If the client goes.
    """
    found = b""
    try:
        async with asyncio.timeout(limits.seconds):
            async for part in request.stream():
                found += part
                if len(found) > limits.body:
                    raise Refused(
                        f"a body of more than {limits.body} bytes: send a shorter text",
                        status=413,
                    )
    except TimeoutError as error:
        raise Refused(
            f"no whole body within {limits.seconds:g} s",
            status=408,
            kind="timeout_error",
        ) from error
    return found


async def wait_for(request: Request, answers: RequestAnswers | HeadScores) -> Any:
    """Returns all answers; None if the client has gone, whose slots are free."""
    await answers.start()
    gone = asyncio.ensure_future(_disconnected(request))
    whole = asyncio.ensure_future(answers.whole())
    try:
        await asyncio.wait((gone, whole), return_when=asyncio.FIRST_COMPLETED)
        return await whole if whole.done() else None
    finally:
        answers.cancel()
        gone.cancel()
        whole.cancel()


class Stream(StreamingResponse):
    """Events of answers; a client that goes before the first one frees slots too."""

    media_type = "text/event-stream; charset=utf-8"

    def __init__(self, events: AsyncIterator[str], answers: RequestAnswers):
        """Takes what is sent, and what is cancelled if nobody is there for it."""
        super().__init__(events, headers={"Cache-Control": "no-store"})
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends all events, or those up to where the client goes."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answers.cancel()


def nobody() -> Response:
    """Returns what is sent where the client has gone."""
    return Response(status_code=499)


async def _disconnected(request: Request) -> None:
    """Waits until the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
